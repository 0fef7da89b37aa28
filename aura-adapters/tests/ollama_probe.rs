//! `OllamaProbe` against a small server that answers as Ollama does.
#![cfg(feature = "ollama")]
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::error::Error;

use aura_adapters::{FixedProbe, OllamaAdapter, OllamaProbe, OllamaServer, Probes};
use aura_core::{Mebibytes, ModelAdapter, Needs, ResourceProbe, Resources};
use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn serving(status: StatusCode, body: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/api/ps", get(move || async move { (status, Json(body)) }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn probe(url: &str) -> OllamaProbe {
    OllamaProbe::new(OllamaServer::new(url, None).unwrap())
}

#[tokio::test]
async fn what_is_loaded_is_known_as_the_adapters_profile_names_it() {
    let loaded = json!({ "models": [
        { "name": "llama3", "size": 6000_u64 << 20, "size_vram": 5000_u64 << 20, "expires_at": "2026-01-01T12:03:00Z" },
        { "name": "qwen2.5-coder:7b", "size": 4096, "size_vram": 0, "expires_at": "2318-04-12T01:02:03Z" },
    ] });
    let url = serving(StatusCode::OK, loaded).await;
    let seen = probe(&format!("{url}/")).snapshot().await.unwrap();
    assert_eq!(seen.watched, ["ollama"]);
    assert_eq!((seen.gpus, seen.free_memory), (None, None));
    let [llama, qwen]: [_; 2] = seen.resident.unwrap().try_into().unwrap();
    let employee = OllamaAdapter::builder("llama3").base_url(&url).build().unwrap();
    assert_eq!(llama.identity, employee.profile().identity);
    assert_eq!(llama.endpoint.as_deref(), Some(employee.profile().endpoint.as_str()));
    assert_eq!(llama.occupies, Needs { vram: Mebibytes(5000), memory: Mebibytes(1000) });
    assert_eq!(llama.until.unwrap().to_rfc3339(), "2026-01-01T12:03:00+00:00");
    assert_eq!((qwen.identity.model.as_str(), qwen.until), ("qwen2.5-coder:7b", None), "it stays for ever");
}

#[tokio::test]
async fn a_server_without_loaded_models_says_so() {
    let url = serving(StatusCode::OK, json!({ "models": [] })).await;
    assert_eq!(probe(&url).snapshot().await.unwrap().resident, Some(Vec::new()));
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_leaves_the_loaded_models_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let broken = serving(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "no" })).await;
    let other = serving(StatusCode::OK, json!("not Ollama")).await;
    for url in [nobody, broken, other] {
        let error = probe(&url).snapshot().await.unwrap_err();
        assert!(error.source().is_some(), "{error}");
        let host = Resources { free_memory: Some(Mebibytes(512)), ..Resources::default() };
        let seen = Probes::new().and(probe(&url)).and(FixedProbe::new(host.clone())).snapshot().await.unwrap();
        assert_eq!(seen, host);
    }
}
