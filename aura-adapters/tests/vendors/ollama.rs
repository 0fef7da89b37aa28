//! The Ollama adapter against recorded traffic: the request is matched as well as the answer.

use std::{sync::Arc, time::Duration};

use aura_adapters::{InstalledModel, KeepAlive, OllamaAdapter, OllamaBuilder, OllamaServer, PromptStyle};
use aura_core::{AdapterError, AnswerFormat, GenerateRequest, Health, Mebibytes, ModelAdapter, Needs, SourceFile};
use axum::{
    Router,
    body::Body,
    http::{Method, Response},
    routing::get,
};
use serde_json::json;

use crate::server::{CANARY, Server, assert_no_canary, request, serve, streamed};

async fn recorded(file: &str, status: u16) -> Server {
    Server::recorded(&format!("ollama/{file}"), status, &[]).await
}

fn at(server: &Server) -> OllamaBuilder {
    OllamaAdapter::builder("gemma3:270m").base_url(&server.url).api_key(CANARY)
}

#[tokio::test]
async fn the_request_is_one_chat_with_the_settings() {
    let server = recorded("chat.json", 200).await;
    let employee = at(&server)
        .temperature(0.5)
        .seed(7)
        .num_ctx(8192)
        .num_gpu(20)
        .stop(["END"])
        .keep_alive(KeepAlive::For(Duration::from_secs(600)))
        .think(false)
        .build()
        .unwrap();
    employee.generate(&GenerateRequest { max_tokens: Some(64), ..request() }).await.unwrap();
    let seen = server.only_request();
    assert_eq!((seen.method, seen.path.as_str()), (Method::POST, "/api/chat"));
    assert_eq!(seen.headers["authorization"], format!("Bearer {CANARY}"));
    let mut body = seen.body.clone();
    let messages = body.as_object_mut().unwrap().remove("messages").unwrap();
    assert_eq!(
        (&messages[0]["role"], &messages[1]),
        (&json!("system"), &json!({ "role": "user", "content": "Write add(a, b)" }))
    );
    let options =
        json!({ "temperature": 0.5, "seed": 7, "num_ctx": 8192, "num_gpu": 20, "num_predict": 64, "stop": ["END"] });
    let rest = json!({ "model": "gemma3:270m", "stream": false, "think": false, "keep_alive": 600, "logprobs": true, "options": options });
    assert_eq!(body, rest);
}

#[tokio::test]
async fn nothing_is_sent_that_was_not_asked_for() {
    let server = recorded("chat-shim.json", 200).await;
    OllamaAdapter::builder("m")
        .base_url(&server.url)
        .logprobs(false)
        .build()
        .unwrap()
        .generate(&request())
        .await
        .unwrap();
    let seen = server.only_request();
    assert!(!seen.headers.contains_key("authorization"));
    let mut body = seen.body.clone();
    body.as_object_mut().unwrap().remove("messages");
    assert_eq!(body, json!({ "model": "m", "stream": false }));
}

#[tokio::test]
async fn confidence_usage_and_durations_come_from_the_recording() {
    let generation = at(&recorded("chat.json", 200).await).build().unwrap().generate(&request()).await.unwrap();
    let mean = (-0.41 - 0.02 - 0.01) / 3.0_f64;
    assert!((generation.self_confidence.unwrap().get() - mean.exp()).abs() < 1e-12);
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(25), Some(3)));
    assert_eq!(generation.timings.load, Some(Duration::from_nanos(101_397_084)));
    assert_eq!(generation.timings.prompt, Some(Duration::from_nanos(961_950_000)));
    assert_eq!(generation.timings.output, Some(Duration::from_nanos(410_439_000)));
    let generation = at(&recorded("chat-aimock.json", 200).await).build().unwrap().generate(&request()).await.unwrap();
    assert_eq!(generation.self_confidence, None);
}

#[tokio::test]
async fn complete_style_asks_by_generate_in_raw_mode() {
    let server = recorded("generate-aimock.json", 200).await;
    let employee = at(&server).prompt_style(PromptStyle::Complete).build().unwrap();
    let generation =
        employee.generate(&GenerateRequest { prompt: "def add(a, b):\n".to_owned(), ..request() }).await.unwrap();
    let seen = server.only_request();
    assert_eq!(
        (seen.path.as_str(), &seen.body["prompt"], &seen.body["raw"]),
        ("/api/generate", &json!("def add(a, b):\n"), &json!(true))
    );
    assert!(generation.artifacts[0].body["files"][0]["text"].as_str().unwrap().contains("return a + b"));
}

#[tokio::test]
async fn a_stream_tells_of_its_text_line_by_line() {
    for file in ["chat-stream.ndjson", "chat-stream-shim.ndjson", "chat-stream-aimock.ndjson"] {
        let server = recorded(file, 200).await;
        let (generation, deltas) = streamed(&at(&server).build().unwrap()).await;
        assert!(deltas.len() > 1, "{file}: {deltas:?}");
        assert_eq!(deltas.concat(), generation.output, "{file}");
        assert_eq!(server.only_request().body["stream"], true);
    }
    let (generation, _) = streamed(&at(&recorded("chat-stream.ndjson", 200).await).build().unwrap()).await;
    let mean = (-0.41 - 0.02 - 0.01) / 3.0_f64;
    assert!((generation.self_confidence.unwrap().get() - mean.exp()).abs() < 1e-12);
    assert_eq!(generation.usage.input_tokens, Some(25));
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_says_error_is_no_answer() {
    let error = async |file| {
        let employee = at(&recorded(file, 200).await).build().unwrap();
        employee.stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err()
    };
    let said = error("stream-error.ndjson").await;
    assert!(
        matches!(&said, AdapterError::Failed { message, .. } if message.contains("while running the model")),
        "{said:?}"
    );
    let cut = error("stream-truncated.ndjson").await;
    assert!(matches!(&cut, AdapterError::Truncated { .. }) && cut.is_retryable(), "{cut:?}");
}

#[tokio::test]
async fn every_recorded_error_becomes_what_it_means() {
    type Is = fn(&AdapterError) -> bool;
    let cases: &[(&str, u16, Is, &str)] = &[
        ("error-400-shim.json", 400, |e| matches!(e, AdapterError::Rejected { status: 400, .. }), "Unknown provider"),
        ("error-401.json", 401, |e| matches!(e, AdapterError::Unauthorized { status: 401, .. }), "unauthorized"),
        ("error-404.json", 404, |e| matches!(e, AdapterError::UnknownModel { .. }), "not found"),
        ("error-429-aimock.json", 429, |e| matches!(e, AdapterError::Busy { .. }), "Rate limit"),
        ("error-500-aimock.json", 500, |e| matches!(e, AdapterError::Failed { status: 500, .. }), "ollama"),
        ("error-503.json", 503, |e| matches!(e, AdapterError::Busy { .. }), "server busy"),
    ];
    for (file, status, is, says) in cases {
        let error = at(&recorded(file, *status).await).build().unwrap().generate(&request()).await.unwrap_err();
        assert!(is(&error) && error.to_string().contains(says), "{file}: {error:?}");
        assert_no_canary(&error);
    }
}

#[tokio::test]
async fn a_schema_goes_as_format_and_json_as_a_word() {
    let answer = r#"{"message":{"content":"{\"a\": 1}"},"done":true,"done_reason":"stop"}"#;
    let schema = json!({ "type": "object" });
    for (format, sent) in [(AnswerFormat::JsonSchema(schema.clone()), schema), (AnswerFormat::Json, json!("json"))] {
        let server = Server::saying(answer).await;
        let generation = at(&server).build().unwrap().generate(&GenerateRequest { format, ..request() }).await.unwrap();
        assert_eq!(server.only_request().body["format"], sent);
        assert_eq!(generation.artifacts[0].body["files"][0]["path"], "answer.json");
    }
}

#[tokio::test]
async fn files_that_do_not_fit_into_the_context_are_left_out_and_said_to_be() {
    let server = recorded("chat.json", 200).await;
    let employee = at(&server).num_ctx(1000).build().unwrap();
    let mut request = request();
    request.context.push(SourceFile::new("big.py", "x = 1\n".repeat(1000)));
    let generation = employee.generate(&request).await.unwrap();
    let sent = server.only_request().body["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(sent.len() < 1600 && sent.contains("big.py, cut: "), "{}", sent.len());
    assert!(
        generation.explanation.contains("cut for lack of room in the prompt: big.py"),
        "{}",
        generation.explanation
    );
}

fn answers(server: &Server) -> OllamaServer {
    OllamaServer::new(&server.url, None).unwrap()
}

#[tokio::test]
async fn the_server_tells_what_is_installed_and_what_is_resident() {
    let installed = answers(&recorded("tags.json", 200).await).installed().await.unwrap();
    let names: Vec<_> = installed.iter().map(|model| (model.name.as_str(), model.size, model.completes())).collect();
    assert_eq!(names, [("gemma3:270m", 253_113_024, true), ("old:latest", 1, true)]);
    let resident = answers(&recorded("ps.json", 200).await).resident().await.unwrap();
    assert_eq!(
        (resident[0].name.as_str(), resident[0].vram, resident[0].total),
        ("gemma3:270m", Mebibytes(1104), Mebibytes(1104))
    );
    assert_eq!((resident[1].vram, resident[1].total), (Mebibytes(2450), Mebibytes(4900)));
    assert!(answers(&recorded("ps-empty.json", 200).await).resident().await.unwrap().is_empty());
}

/// An Ollama server with two installed models, one of which is loaded.
async fn whole_server() -> Server {
    Server::by_path(|path| {
        let file = match path {
            "/api/tags" => include_str!("../recordings/ollama/tags.json"),
            "/api/show" => include_str!("../recordings/ollama/show.json"),
            "/api/ps" => include_str!("../recordings/ollama/ps.json"),
            "/api/generate" => include_str!("../recordings/ollama/load.json"),
            _ => return Response::builder().status(404).body(Body::empty()).unwrap(),
        };
        Response::new(Body::from(file))
    })
    .await
}

#[tokio::test]
async fn each_installed_model_is_an_employee_with_the_memory_that_it_needs() {
    let server = whole_server().await;
    let employees = answers(&server).employees(4096).await.unwrap();
    let profiles: Vec<_> = employees.into_iter().map(|employee| employee.build().unwrap().profile().clone()).collect();
    assert_eq!(profiles[0].name.as_str(), "gemma3:270m");
    // Loaded: the server tells.
    assert_eq!(profiles[0].needs, Needs { vram: Mebibytes(1104), memory: Mebibytes(0) });
    // Not loaded: 1 byte of file, 18 layers x 4096 tokens x 1280 numbers x 2 bytes, 512 MiB of buffers.
    assert_eq!(profiles[1].needs.vram, Mebibytes(512 + 181));
    assert_eq!(server.seen().last().unwrap().body, json!({ "model": "old:latest" }));
}

#[tokio::test]
async fn loading_and_unloading_ask_the_model_nothing() {
    let server = whole_server().await;
    answers(&server).load("m", Some(2048), KeepAlive::Forever).await.unwrap();
    answers(&server).unload("m").await.unwrap();
    let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
    let load = json!({ "model": "m", "keep_alive": -1, "stream": false, "options": { "num_ctx": 2048 } });
    assert_eq!(bodies, [load, json!({ "model": "m", "keep_alive": 0, "stream": false })]);
    let error = answers(&recorded("error-404.json", 404).await).load("m", None, KeepAlive::Forever).await.unwrap_err();
    assert!(matches!(error, AdapterError::UnknownModel { .. }), "{error:?}");
}

#[tokio::test]
async fn a_load_without_a_context_size_leaves_it_to_the_server_as_a_question_without_one_does() {
    let server = whole_server().await;
    answers(&server).load("m", None, KeepAlive::Forever).await.unwrap();
    assert_eq!(server.only_request().body, json!({ "model": "m", "keep_alive": -1, "stream": false }));
}

#[tokio::test]
async fn a_server_that_never_tells_of_a_model_is_not_waited_for_for_ever() {
    let app = Router::new()
        .route("/api/ps", get(|| async { include_str!("../recordings/ollama/ps-empty.json") }))
        .fallback(|| async {
            // From here on nothing but timers can wake the client.
            tokio::time::pause();
            std::future::pending::<()>().await;
        });
    let server = OllamaServer::new(serve(app).await, None).unwrap();
    let model = InstalledModel {
        name: "m:latest".to_owned(),
        size: 1,
        parameter_size: String::new(),
        quantization: String::new(),
        capabilities: Vec::new(),
    };
    let told = tokio::time::timeout(Duration::from_secs(3600), server.needs(&model, 4096)).await;
    let error = told.expect("it gives up by itself").unwrap_err();
    assert!(matches!(error, AdapterError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_model_that_is_not_installed_is_unhealthy_and_says_how_to_get_it() {
    let server = recorded("tags.json", 200).await;
    assert_eq!(at(&server).build().unwrap().health().await, Health::Healthy);
    let missing = OllamaAdapter::builder("llama3").base_url(&server.url).build().unwrap();
    assert!(matches!(missing.health().await, Health::Unhealthy(why) if why.contains("ollama pull llama3")));
}
