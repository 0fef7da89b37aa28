//! The adapters and the alerter keep every promise of `aura_core::conformance`.

#![expect(clippy::expect_used, reason = "a harness fails by panicking")]

use aura_adapters::{LogAlerter, OfflineAdapter, Skill};

fn offline() -> OfflineAdapter {
    OfflineAdapter::builder("employee_careful").skill(Skill::Careful).build().expect("builds")
}

aura_core::adapter_conformance!(offline_employee, offline());
aura_core::alerter_conformance!(log, LogAlerter);

#[cfg(feature = "openai")]
mod with_a_vendor {
    use aura_adapters::OpenAiAdapter;
    use axum::{Router, routing};

    /// An adapter of a server that answers with recorded traffic for as long as the test's runtime lives.
    async fn recorded() -> OpenAiAdapter {
        const CHAT: &str = include_str!("recordings/openai/chat-logprobs.json");
        const MODELS: &str = include_str!("recordings/openai/models-llama.json");
        let json = [("content-type", "application/json")];
        let router = Router::new()
            .route("/v1/chat/completions", routing::post(move || async move { (json, CHAT) }))
            .route("/v1/models", routing::get(move || async move { (json, MODELS) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        OpenAiAdapter::builder("gemma3:270m").base_url(format!("http://{address}/v1")).build().expect("builds")
    }

    aura_core::adapter_conformance!(openai, recorded().await);
}
