//! The Gemini adapter against recorded traffic: the request is matched as well as the answer.

use std::{sync::Arc, time::Duration};

use aura_adapters::{GeminiAdapter, GeminiBuilder, PromptStyle};
use aura_core::{AdapterError, AnswerFormat, GenerateRequest, Health, ModelAdapter};
use axum::http::Method;
use serde_json::json;

use crate::server::{CANARY, Server, assert_no_canary, request, streamed};

async fn recorded(file: &str, status: u16, headers: &'static [(&'static str, &'static str)]) -> Server {
    Server::recorded(&format!("gemini/{file}"), status, headers).await
}

fn at(server: &Server) -> GeminiBuilder {
    GeminiAdapter::builder("models/gemini-2.5-flash").base_url(&server.url).api_key(CANARY)
}

async fn error(server: &Server) -> AdapterError {
    let error = at(server).build().unwrap().generate(&request()).await.unwrap_err();
    assert_no_canary(&error);
    error
}

#[tokio::test]
async fn the_request_is_one_generate_content_with_the_settings_and_the_key_in_a_header() {
    let server = recorded("generate.json", 200, &[]).await;
    let employee = at(&server).temperature(0.5).seed(7).thinking_budget(0).stop(["END"]).build().unwrap();
    employee.generate(&GenerateRequest { max_tokens: Some(64), ..request() }).await.unwrap();
    let seen = server.only_request();
    assert_eq!((seen.method, seen.path.as_str()), (Method::POST, "/v1beta/models/gemini-2.5-flash:generateContent"));
    assert_eq!(seen.headers["x-goog-api-key"], CANARY);
    let mut body = seen.body.clone();
    let system = body.as_object_mut().unwrap().remove("systemInstruction").unwrap();
    assert!(system["parts"][0]["text"].as_str().unwrap().contains("role of coder"));
    let config = json!({ "temperature": 0.5, "seed": 7, "maxOutputTokens": 64, "responseLogprobs": true, "stopSequences": ["END"],
                         "thinkingConfig": { "thinkingBudget": 0 } });
    let contents = json!([{ "role": "user", "parts": [{ "text": "Write add(a, b)" }] }]);
    assert_eq!(body, json!({ "contents": contents, "generationConfig": config }));
}

#[tokio::test]
async fn no_more_stops_are_sent_than_the_vendor_takes() {
    let server = recorded("generate.json", 200, &[]).await;
    let employee = at(&server).prompt_style(PromptStyle::Complete).stop(["1", "2", "3"]).build().unwrap();
    employee.generate(&request()).await.unwrap();
    let stops = &server.only_request().body["generationConfig"]["stopSequences"];
    assert_eq!(*stops, json!(["1", "2", "3", "\ndef ", "\nclass "]));
}

#[tokio::test]
async fn the_version_of_the_api_is_a_setting() {
    let server = recorded("generate.json", 200, &[]).await;
    at(&server).api_version("v1").logprobs(false).build().unwrap().generate(&request()).await.unwrap();
    let seen = server.only_request();
    assert!(seen.path.starts_with("/v1/models/") && seen.body.get("generationConfig").is_none(), "{seen:?}");
}

#[tokio::test]
async fn thoughts_are_left_out_and_paid_for_and_confidence_is_exp_of_the_average() {
    let server = recorded("generate-logprobs.json", 200, &[]).await;
    let generation = at(&server).build().unwrap().generate(&request()).await.unwrap();
    assert_eq!(generation.output, "return a + b");
    assert!((generation.self_confidence.unwrap().get() - (-0.147_f64).exp()).abs() < 1e-12);
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(10), Some(8)));
    let server = recorded("generate.json", 200, &[]).await;
    assert_eq!(at(&server).build().unwrap().generate(&request()).await.unwrap().self_confidence, None);
}

#[tokio::test]
async fn a_stream_tells_of_its_text_as_it_comes() {
    let server = recorded("stream.sse", 200, &[("content-type", "text/event-stream")]).await;
    let (generation, deltas) = streamed(&at(&server).build().unwrap()).await;
    assert!(deltas.len() > 3, "{deltas:?}");
    assert_eq!(deltas.concat(), generation.output);
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(1), Some(14)));
    assert_eq!(server.only_request().path, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn a_stream_without_its_end_is_no_answer() {
    for file in ["stream-truncated.sse", "stream-malformed.sse", "stream-no-alt.json"] {
        let server = recorded(file, 200, &[]).await;
        let error = at(&server).build().unwrap().stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        assert!(matches!(error, AdapterError::Truncated { .. } | AdapterError::Malformed { .. }), "{file}: {error:?}");
    }
}

#[tokio::test]
async fn a_blocked_prompt_is_refused_and_an_answer_that_was_all_thought_is_none() {
    let blocked = error(&recorded("blocked.json", 200, &[]).await).await;
    assert!(matches!(&blocked, AdapterError::Refused(why) if why.contains("SAFETY")), "{blocked:?}");
    let thought = error(&recorded("max-tokens-empty.json", 200, &[]).await).await;
    assert!(
        matches!(&thought, AdapterError::NoAnswer { message, .. } if message.contains("MAX_TOKENS")),
        "{thought:?}"
    );
    assert!(blocked.is_the_models_doing() && thought.is_the_models_doing());
}

#[tokio::test]
async fn every_recorded_error_becomes_what_it_means() {
    type Is = fn(&AdapterError) -> bool;
    type Headers = &'static [(&'static str, &'static str)];
    const WAIT: Headers = &[("retry-after", "2"), ("retry-after-ms", "2000")];
    fn busy(error: &AdapterError, wait: Option<u64>) -> bool {
        matches!(error, AdapterError::Busy { retry_after, .. } if *retry_after == wait.map(Duration::from_secs))
    }
    let cases: &[(&str, u16, Headers, Is)] = &[
        ("error-400.json", 400, &[], |e| matches!(e, AdapterError::Rejected { status: 400, .. })),
        ("error-401.json", 401, &[], |e| matches!(e, AdapterError::Unauthorized { status: 401, .. })),
        ("error-429.json", 429, WAIT, |e| busy(e, Some(2))),
        ("error-429-array.json", 429, &[], |e| busy(e, None) && !e.to_string().contains('[')),
        ("error-429-retryinfo.json", 429, &[], |e| busy(e, Some(17))),
        ("error-503.json", 503, &[("retry-after", "1")], |e| busy(e, Some(1))),
    ];
    for (file, status, headers, is) in cases {
        let error = error(&recorded(file, *status, headers).await).await;
        assert!(is(&error), "{file}: {error:?}");
    }
}

#[tokio::test]
async fn a_quota_of_a_day_and_a_wrong_key_are_known_by_their_details() {
    let body = |status: &str, detail: serde_json::Value| {
        json!({ "error": { "message": "no", "status": status, "details": [detail] } }).to_string()
    };
    let quota = json!({ "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{ "quotaId": "GenerateRequestsPerDayPerProject" }] });
    let key = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" });
    let quota = error(&Server::status(429, body("RESOURCE_EXHAUSTED", quota)).await).await;
    assert!(matches!(quota, AdapterError::QuotaExhausted { .. }) && !quota.is_retryable(), "{quota:?}");
    let key = error(&Server::status(400, body("INVALID_ARGUMENT", key)).await).await;
    assert!(matches!(key, AdapterError::Unauthorized { status: 400, .. }) && key.needs_an_operator(), "{key:?}");
}

#[tokio::test]
async fn a_schema_is_sent_as_json_schema() {
    let server = recorded("json-schema.json", 200, &[]).await;
    let schema = json!({ "type": "object" });
    let asked = GenerateRequest { format: AnswerFormat::JsonSchema(schema.clone()), ..request() };
    let generation = at(&server).build().unwrap().generate(&asked).await.unwrap();
    let config = server.only_request().body["generationConfig"].clone();
    assert_eq!((&config["responseMimeType"], &config["responseJsonSchema"]), (&json!("application/json"), &schema));
    assert_eq!(generation.artifacts[0].body["files"][0]["path"], "answer.json");
    assert_eq!(generation.self_confidence, None, "a number within the answer is none");
}

#[tokio::test]
async fn health_asks_for_the_model() {
    let server = recorded("models.json", 200, &[]).await;
    assert_eq!(at(&server).build().unwrap().health().await, Health::Healthy);
    assert_eq!(server.only_request().path, "/v1beta/models/gemini-2.5-flash");
}
