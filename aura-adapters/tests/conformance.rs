//! The adapters and the alerter keep every promise of `aura_core::conformance`.

#![expect(clippy::expect_used, reason = "a harness fails by panicking")]

use aura_adapters::{LogAlerter, OfflineAdapter, Skill};

fn offline() -> OfflineAdapter {
    OfflineAdapter::builder("employee_careful").skill(Skill::Careful).build().expect("builds")
}

aura_core::adapter_conformance!(offline_employee, offline());
aura_core::alerter_conformance!(log, LogAlerter);

#[cfg(all(feature = "openai", feature = "ollama", feature = "gemini"))]
mod with_a_vendor {
    use aura_adapters::{GeminiAdapter, OllamaAdapter, OpenAiAdapter};
    use axum::{Router, body::Bytes, extract::Path, routing};

    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

    /// A server that answers with recorded traffic for as long as the test's runtime lives.
    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn asks_for_a_stream(body: &Bytes) -> bool {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        body.get("stream") == Some(&true.into())
    }

    async fn openai() -> OpenAiAdapter {
        const CHAT: &str = include_str!("recordings/openai/chat-logprobs.json");
        const STREAM: &str = include_str!("recordings/openai/stream-logprobs.sse");
        const MODELS: &str = include_str!("recordings/openai/models-llama.json");
        let chat = async |body: Bytes| (JSON, if asks_for_a_stream(&body) { STREAM } else { CHAT });
        let router = Router::new()
            .route("/v1/chat/completions", routing::post(chat))
            .route("/v1/models", routing::get(async || (JSON, MODELS)));
        OpenAiAdapter::builder("gemma3:270m").base_url(format!("{}/v1", serve(router).await)).build().expect("builds")
    }

    async fn ollama() -> OllamaAdapter {
        const CHAT: &str = include_str!("recordings/ollama/chat.json");
        const STREAM: &str = include_str!("recordings/ollama/chat-stream.ndjson");
        const TAGS: &str = include_str!("recordings/ollama/tags.json");
        let chat = async |body: Bytes| (JSON, if asks_for_a_stream(&body) { STREAM } else { CHAT });
        let router = Router::new()
            .route("/api/chat", routing::post(chat))
            .route("/api/tags", routing::get(async || (JSON, TAGS)));
        OllamaAdapter::builder("gemma3:270m").base_url(serve(router).await).build().expect("builds")
    }

    async fn gemini() -> GeminiAdapter {
        const GENERATE: &str = include_str!("recordings/gemini/generate.json");
        const STREAM: &str = include_str!("recordings/gemini/stream.sse");
        const MODELS: &str = include_str!("recordings/gemini/models.json");
        let generate = async |Path(call): Path<String>| {
            (JSON, if call.ends_with(":streamGenerateContent") { STREAM } else { GENERATE })
        };
        let router = Router::new().route("/v1beta/models/{call}", routing::post(generate).get(async || (JSON, MODELS)));
        GeminiAdapter::builder("gemini-2.5-flash").base_url(serve(router).await).build().expect("builds")
    }

    aura_core::adapter_conformance!(of_openai, openai().await);
    aura_core::adapter_conformance!(of_ollama, ollama().await);
    aura_core::adapter_conformance!(of_gemini, gemini().await);
    aura_core::adapter_conformance!(of_a_stub, GeminiAdapter::builder("gemini-2.5-flash").build().expect("builds"));
}
