//! The OpenAI adapter against recorded traffic: the request is matched as well as the answer.

use std::{sync::Arc, time::Duration};

use aura_adapters::{MaxTokensName, OpenAiAdapter, OpenAiBuilder, PromptStyle};
use aura_core::{AdapterError, AnswerFormat, ArtifactKind, GenerateRequest, Health, ModelAdapter, SourceFile, Wait};
use axum::{
    body::{Body, Bytes},
    http::{Method, Response},
};
use serde_json::json;

use crate::server::{CANARY, Server, assert_no_canary, request, streamed};

impl Server {
    fn builder(&self) -> OpenAiBuilder {
        OpenAiAdapter::builder("gemma3:270m").base_url(self.v1()).provider("mock").api_key(CANARY)
    }

    fn v1(&self) -> String {
        format!("{}/v1", self.url)
    }

    fn employee(&self) -> OpenAiAdapter {
        self.builder().build().unwrap()
    }

    async fn error(&self) -> AdapterError {
        let error = self.employee().generate(&request()).await.unwrap_err();
        self.only_request();
        assert_no_canary(&error);
        error
    }
}

async fn recorded(file: &str, status: u16, headers: &'static [(&'static str, &'static str)]) -> Server {
    Server::recorded(&format!("openai/{file}"), status, headers).await
}

#[tokio::test]
async fn the_request_is_one_chat_completion_with_the_settings() {
    let server = recorded("json-schema.json", 200, &[]).await;
    let employee = server.builder().temperature(0.8).max_tokens(64).build().unwrap();
    let mut request = request();
    request.context.push(SourceFile::new("src/a.py", "x = '```'\n"));
    request.max_tokens = Some(500);
    employee.generate(&request).await.unwrap();

    let seen = server.only_request();
    assert_eq!((seen.method, seen.path.as_str()), (Method::POST, "/v1/chat/completions"));
    assert_eq!(seen.headers["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(seen.headers["content-type"], "application/json");
    let messages = seen.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["role"], "system");
    let system = messages[0]["content"].as_str().unwrap();
    assert!(system.contains("coder") && system.contains("Python") && system.contains("one fenced code block"));
    let user = json!({"role": "user", "content": "File src/a.py:\n````\nx = '```'\n````\n\nWrite add(a, b)"});
    assert_eq!(messages[1], user);
    // Nothing else is sent: compatible servers refuse what they do not know.
    let mut rest = seen.body.clone();
    rest.as_object_mut().unwrap().remove("messages");
    assert_eq!(rest, json!({"model": "gemma3:270m", "temperature": 0.8, "max_tokens": 64, "logprobs": true}));
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let server = recorded("json-schema.json", 200, &[]).await;
    let keyless = OpenAiAdapter::builder("m")
        .base_url(format!("{}/", server.v1()))
        .logprobs(false)
        .max_tokens(7)
        .max_tokens_name(MaxTokensName::MaxCompletionTokens)
        .build()
        .unwrap();
    keyless.generate(&request()).await.unwrap();
    let seen = server.only_request();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert!(!seen.headers.contains_key("authorization"));
    assert!(seen.body.get("logprobs").is_none() && seen.body.get("temperature").is_none());
    assert_eq!(seen.body["max_completion_tokens"], 7);
}

#[tokio::test]
async fn confidence_and_usage_come_from_the_recording() {
    let server = recorded("chat-logprobs.json", 200, &[]).await;
    let generation = server.employee().generate(&request()).await.unwrap();
    // exp of the mean of the recording's 16 values, computed outside of this program.
    let confidence = generation.self_confidence.unwrap().get();
    assert!((confidence - 0.821475537332).abs() < 1e-9, "{confidence}");
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(25), Some(16)));
    assert!(generation.explanation.contains("cut at the token limit"));
    assert!(generation.output.starts_with("    return a + b"));
}

#[tokio::test]
async fn without_logprobs_the_confidence_is_absent() {
    let server = recorded("json-schema.json", 200, &[]).await;
    let generation = server.employee().generate(&request()).await.unwrap();
    assert_eq!(generation.self_confidence, None);
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(14), Some(120)));
}

#[tokio::test]
async fn complete_style_sends_the_code_alone_and_hands_in_the_finished_function() {
    let server = recorded("chat-logprobs.json", 200, &[]).await;
    let employee = server.builder().prompt_style(PromptStyle::Complete).build().unwrap();
    let head = "def add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n";
    let generation = employee.generate(&GenerateRequest { prompt: head.to_owned(), ..request() }).await.unwrap();
    let seen = server.only_request();
    assert_eq!(seen.body["messages"], json!([{"role": "user", "content": head}]));
    assert_eq!(seen.body["stop"].as_array().unwrap().len(), 4);
    let [artifact] = generation.artifacts.as_slice() else { panic!("{:?}", generation.artifacts) };
    assert_eq!(artifact.kind, ArtifactKind::Result);
    let expected = json!({"files": [{"path": "solution.py", "text": format!("{head}    return a + b\n")}]});
    assert_eq!(artifact.body, expected);
}

#[tokio::test]
async fn a_refusal_is_an_error_and_not_an_answer() {
    let error = recorded("refusal.json", 200, &[]).await.error().await;
    assert!(matches!(&error, AdapterError::Refused(why) if why == "I can't help with that."), "{error:?}");
    assert!(!error.is_retryable());
}

/// What an error of a vendor must become.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Expected {
    Busy(Option<Duration>),
    Failed,
    Rejected,
    Unauthorized,
    UnknownModel,
    QuotaExhausted,
}

#[tokio::test]
async fn every_recorded_error_becomes_what_it_means() {
    use Expected::{Busy, Failed, QuotaExhausted, Rejected, Unauthorized, UnknownModel};
    type Headers = &'static [(&'static str, &'static str)];
    const TWO_SECONDS: Headers = &[("retry-after", "9"), ("retry-after-ms", "2000")];
    const ONE_SECOND: Headers = &[("retry-after", "1"), ("x-ratelimit-reset-tokens", "6m0s")];
    let seconds = |n| Some(Duration::from_secs(n));
    let cases: &[(&str, u16, Headers, Expected, &str)] = &[
        ("error-400-badjson.json", 400, &[], Rejected, "parse error"),
        ("error-400-context.json", 400, &[], Rejected, "exceeds the available context size"),
        ("error-400-missing.json", 400, &[], Rejected, "'messages' is required"),
        ("error-401-llama.json", 401, &[], Unauthorized, "Invalid API Key"),
        ("error-401.json", 401, &[], Unauthorized, "Unauthorized."),
        ("error-404.json", 404, &[], UnknownModel, "Resource not found."),
        ("error-429.json", 429, TWO_SECONDS, Busy(seconds(2)), "Rate limit exceeded."),
        ("error-429-aimock.json", 429, ONE_SECOND, Busy(seconds(1)), "Rate limit reached"),
        ("error-429-litellm.json", 429, &[], Busy(None), "mock rate limit error"),
        ("error-429-quota.json", 429, &[("retry-after", "1")], QuotaExhausted, "exceeded your current quota"),
        ("error-500-plain.txt", 500, &[("content-type", "text/plain")], Failed, "Internal Server Error"),
        ("error-500.json", 500, &[], Failed, "Internal server error."),
        ("error-503-loading.json", 503, &[], Busy(None), "Loading model"),
    ];
    for &(file, status, headers, expected, says) in cases {
        let error = recorded(file, status, headers).await.error().await;
        let found = match &error {
            AdapterError::Busy { retry_after, .. } => Busy(*retry_after),
            AdapterError::Failed { status: s, .. } if *s == status => Failed,
            AdapterError::Rejected { status: s, .. } if *s == status => Rejected,
            AdapterError::Unauthorized { status: s, .. } if *s == status => Unauthorized,
            AdapterError::UnknownModel { model, .. } if model == "gemma3:270m" => UnknownModel,
            AdapterError::QuotaExhausted { .. } => QuotaExhausted,
            other => panic!("{file}: {other:?}"),
        };
        assert_eq!(found, expected, "{file}");
        assert_eq!(error.is_retryable(), matches!(expected, Busy(_) | Failed), "{file}");
        assert!(!error.is_the_models_doing(), "{file}");
        assert_eq!(error.retry_after(), if let Busy(wait) = expected { wait } else { None }, "{file}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains("mock"), "{file}: {text}");
    }
}

#[tokio::test]
async fn a_key_that_the_server_echoes_is_masked() {
    let echo = Server::answering(|| {
        let body =
            json!({"error": {"message": format!("Incorrect API key provided: {CANARY}."), "code": "invalid_api_key"}});
        Response::builder().status(401).body(Body::from(body.to_string())).unwrap()
    })
    .await;
    assert!(echo.error().await.to_string().contains("Incorrect API key provided: ***."));
    let answer = Server::answering(|| {
        let body =
            json!({"choices": [{"message": {"content": format!("print('{CANARY}')")}, "finish_reason": "stop"}]});
        Response::new(Body::from(body.to_string()))
    })
    .await;
    let generation = answer.employee().generate(&request()).await.unwrap();
    assert!(!format!("{generation:?}").contains(CANARY));
}

#[tokio::test]
async fn an_adapter_never_prints_its_key() {
    let builder = OpenAiAdapter::builder("m").api_key(CANARY).base_url("http://127.0.0.1:9/v1");
    assert!(!format!("{builder:?}").contains(CANARY));
    let adapter = builder.build().unwrap();
    assert!(!format!("{adapter:?} {adapter:#?} {:?}", adapter.profile()).contains(CANARY));
}

#[tokio::test]
async fn text_in_place_of_json_is_malformed_and_says_how_it_begins() {
    let error = Server::saying("<html>sign in</html>").await.error().await;
    assert!(
        matches!(&error, AdapterError::Malformed { message, .. } if message.contains("<html>sign in")),
        "{error:?}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let served = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let server = Server::answering(move || {
        let count = Arc::clone(&count);
        let chunk = Bytes::from_static(&[b' '; 64 << 10]);
        let endless = futures::stream::repeat_with(move || {
            count.fetch_add(chunk.len(), std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(chunk.clone())
        });
        Response::new(Body::from_stream(endless))
    })
    .await;
    let error = server.error().await;
    assert!(matches!(&error, AdapterError::Malformed { message, .. } if message.contains("longer than")), "{error:?}");
    // What lies in the buffers of the two sockets comes on top of the limit: the system may let them grow to tens of MiB.
    let served = served.load(std::sync::atomic::Ordering::Relaxed);
    assert!(served < (16 << 20) + (64 << 20), "{served}");
}

#[tokio::test]
async fn a_stream_of_endless_pieces_is_cut_off_whether_of_text_or_of_a_refusal() {
    for field in ["content", "refusal"] {
        let server = Server::answering(move || {
            let piece = format!(r#"data: {{"choices":[{{"delta":{{"{field}":"{}"}}}}]}}"#, "x".repeat(1 << 20));
            let piece = Bytes::from(piece + "\n\n");
            let end = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
            // Not quite endless, so that the test ends where nothing is cut off.
            let pieces = std::iter::repeat_n(piece, 40).chain([end]).map(Ok::<_, std::io::Error>);
            Response::new(Body::from_stream(futures::stream::iter(pieces)))
        })
        .await;
        let adapter = server.employee();
        let error = adapter.stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        let is = matches!(&error, AdapterError::Malformed { message, .. } if message.contains("longer than"));
        assert!(is, "{field}: {error:?}");
    }
}

#[tokio::test]
async fn an_endless_error_body_gives_its_first_bytes() {
    let server = Server::answering(|| {
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 << 10])));
        Response::builder().status(502).body(Body::from_stream(endless)).unwrap()
    })
    .await;
    let error = server.error().await;
    assert!(matches!(&error, AdapterError::Failed { status: 502, message, .. } if message.len() == 500), "{error:?}");
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::answering(|| {
        let nothing = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        Response::builder().header("content-length", "1000000000").body(Body::from_stream(nothing)).unwrap()
    })
    .await;
    assert!(matches!(server.error().await, AdapterError::Malformed { .. }));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays() {
    let elsewhere = recorded("json-schema.json", 200, &[]).await;
    let target = elsewhere.v1();
    let server = Server::answering(move || {
        let to = format!("{target}/chat/completions");
        Response::builder().status(307).header("location", to).body(Body::empty()).unwrap()
    })
    .await;
    let error = server.error().await;
    assert!(matches!(error, AdapterError::Rejected { status: 307, .. }), "{error:?}");
    assert!(elsewhere.seen().is_empty());
}

/// Tells when it is dropped.
struct Guard(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody may be listening any more when a test has ended.
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_on_in_time_and_the_request_is_ended() {
    let (dropped, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::answering(move || {
        let guard = Guard(dropped.clone());
        let silent = futures::stream::poll_fn(move |_| {
            let _held = &guard;
            std::task::Poll::<Option<Result<Bytes, std::io::Error>>>::Pending
        });
        Response::new(Body::from_stream(silent))
    })
    .await;
    let limit = Duration::from_millis(200);
    let error = server.builder().timeout(limit).build().unwrap().generate(&request()).await.unwrap_err();
    assert!(matches!(error, AdapterError::TimedOut { what: Wait::Whole, limit: l } if l == limit), "{error:?}");
    assert!(error.is_retryable());
    // The server notices that nobody reads on: the connection was closed.
    tokio::time::timeout(Duration::from_secs(10), told.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_may_have_been_billed() {
    let server = Server::answering(|| {
        let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
        Response::new(Body::from_stream(broken))
    })
    .await;
    let error = server.error().await;
    assert!(matches!(error, AdapterError::Truncated { .. }), "{error:?}");
    assert!(error.is_retryable() && error.may_have_been_billed());
    assert!(error.to_string().contains("the connection broke before it began"), "{error}");
}

#[tokio::test]
async fn nobody_at_the_port_is_unreachable_and_unhealthy() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let employee = OpenAiAdapter::builder("m").base_url(base_url).api_key(CANARY).build().unwrap();
    let error = employee.generate(&request()).await.unwrap_err();
    assert!(matches!(error, AdapterError::Unreachable { .. }), "{error:?}");
    assert_no_canary(&error);
    assert!(
        matches!(employee.health().await, Health::Unhealthy(why) if why.contains("cannot reach") && why.contains("refused"))
    );
}

#[tokio::test]
async fn health_asks_for_the_models_and_tells_why_not() {
    let server = recorded("models-llama.json", 200, &[]).await;
    assert_eq!(server.employee().health().await, Health::Healthy);
    assert_eq!(server.only_request().path, "/v1/models");
    let loading = recorded("error-503-loading.json", 503, &[]).await;
    assert!(matches!(loading.employee().health().await, Health::Unhealthy(why) if why.contains("Loading model")));
}

#[tokio::test]
async fn without_key_and_base_url_it_is_a_stub_that_says_so() {
    let stub = OpenAiAdapter::builder("gpt-4o-mini").build().unwrap();
    assert!(stub.profile().stub.as_deref().unwrap().starts_with("no OPENAI_API_KEY"));
    let generation = stub.generate(&request()).await.unwrap();
    for text in [&generation.output, &generation.explanation] {
        assert!(text.starts_with("STUB") && text.contains("no OPENAI_API_KEY"), "{text}");
    }
    assert!(generation.artifacts.iter().all(|artifact| artifact.kind == ArtifactKind::Docs));
    assert_eq!((generation.self_confidence, generation.usage.output_tokens), (None, None));
}

#[tokio::test]
async fn a_stream_tells_of_its_text_as_it_comes_and_ends_with_usage_and_confidence() {
    let server = recorded("stream-logprobs.sse", 200, &[("content-type", "text/event-stream")]).await;
    let (generation, deltas) = streamed(&server.employee()).await;
    assert!(deltas.len() > 3, "{deltas:?}");
    assert_eq!(deltas.concat(), generation.output);
    assert!(generation.self_confidence.is_some());
    let seen = server.only_request();
    assert_eq!(seen.body["stream"], true);
    assert_eq!(seen.body["stream_options"], json!({ "include_usage": true }));
    let server = recorded("stream-usage.sse", 200, &[]).await;
    let (generation, _) = streamed(&server.employee()).await;
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(1), Some(16)));
}

#[tokio::test]
async fn a_stream_without_its_end_is_no_answer() {
    for (file, is_truncated) in
        [("stream-truncated.sse", true), ("stream-disconnect.sse", true), ("stream-malformed.sse", false)]
    {
        let server = recorded(file, 200, &[]).await;
        let error = server.employee().stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        match &error {
            AdapterError::Truncated { .. } if is_truncated => assert!(error.is_retryable()),
            // The line that is no JSON ends in the middle.
            AdapterError::Truncated { .. } | AdapterError::Malformed { .. } if !is_truncated => {}
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_schema_is_sent_and_what_does_not_fit_json_is_no_answer() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"], "additionalProperties": false });
    let format = AnswerFormat::JsonSchema(schema.clone());
    let server = Server::saying(r#"{"choices":[{"message":{"content":"{\"a\": 1}"},"finish_reason":"stop"}]}"#).await;
    let asked = GenerateRequest { format, ..request() };
    let generation = server.employee().generate(&asked).await.unwrap();
    assert_eq!(generation.artifacts[0].body["files"][0]["path"], "answer.json");
    let sent = server.only_request().body["response_format"].clone();
    assert_eq!(
        sent,
        json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } })
    );
    let server = Server::saying(r#"{"choices":[{"message":{"content":"{\"a\": "},"finish_reason":"length"}]}"#).await;
    let error = server.employee().generate(&asked).await.unwrap_err();
    assert!(error.is_the_models_doing() && error.to_string().contains("token limit"), "{error}");
}

#[tokio::test]
async fn a_model_that_refuses_logprobs_is_asked_without_them_from_then_on() {
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::answering(move || match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => {
            let body = json!({ "error": { "message": "You are not allowed to request logprobs from this model" } });
            Response::builder().status(400).body(Body::from(body.to_string())).unwrap()
        }
        _ => Response::new(Body::from(r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#)),
    })
    .await;
    let employee = server.employee();
    for _ in 0..2 {
        employee.generate(&request()).await.unwrap();
    }
    let asked: Vec<_> = server.seen().iter().map(|seen| seen.body.get("logprobs").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}
