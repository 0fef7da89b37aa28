//! The OpenAI adapter against recorded traffic: the request is matched as well as the answer.
#![cfg(feature = "openai")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aura_adapters::{MaxTokensName, OpenAiAdapter, OpenAiBuilder, PromptStyle};
use aura_core::{
    AdapterError, ArtifactKind, GenerateRequest, Health, JobId, Language, ModelAdapter, PrdId, Role, SourceFile,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Request, Response, Uri},
};
use serde_json::{Value, json};

const CANARY: &str = "sk-canary-0123456789";

/// One request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Value,
}

type Log = Arc<Mutex<Vec<Seen>>>;
type Answer = Arc<dyn Fn() -> Response<Body> + Send + Sync>;

/// A server on the loopback that gives every request the same answer, and remembers what it was asked.
struct Server {
    base_url: String,
    log: Log,
}

impl Server {
    async fn answering(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Self {
        let log = Log::default();
        let answer: Answer = Arc::new(answer);
        let app = Router::new().fallback(take).with_state((Arc::clone(&log), answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base_url, log }
    }

    /// Gives this recording with this status and these headers.
    async fn recorded(file: &str, status: u16, headers: &'static [(&'static str, &'static str)]) -> Self {
        let path = format!("{}/tests/recordings/openai/{file}", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::answering(move || {
            let response = headers.iter().fold(Response::builder().status(status), |r, (k, v)| r.header(*k, *v));
            response.body(Body::from(body.clone())).unwrap()
        })
        .await
    }

    async fn saying(body: &'static str) -> Self {
        Self::answering(move || Response::new(Body::from(body))).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The one request that came.
    fn only_request(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }

    fn employee(&self) -> OpenAiAdapter {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> OpenAiBuilder {
        OpenAiAdapter::builder("gemma3:270m").base_url(&self.base_url).provider("mock").api_key(CANARY)
    }

    async fn error(&self) -> AdapterError {
        let error = self.employee().generate(&request()).await.unwrap_err();
        self.only_request();
        assert_no_canary(&error);
        error
    }
}

async fn take(
    State((log, answer)): State<(Log, Answer)>,
    method: Method,
    uri: Uri,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    log.lock().unwrap().push(Seen { method, path: uri.path().to_owned(), headers: parts.headers, body });
    answer()
}

fn request() -> GenerateRequest {
    GenerateRequest {
        prd: PrdId::new(),
        job: JobId::new(),
        attempt: 1,
        prompt: "Write add(a, b)".to_owned(),
        context: Vec::new(),
        language: Language::Python,
        role: Role::default(),
        max_tokens: None,
        timeout: Duration::from_secs(20),
    }
}

/// Walks an error with all its causes, in both of its printed forms.
fn assert_no_canary(error: &AdapterError) {
    let mut texts = vec![format!("{error:?}")];
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    assert!(texts.iter().all(|text| !text.contains(CANARY)), "{texts:?}");
}

#[tokio::test]
async fn the_request_is_one_chat_completion_with_the_settings() {
    let server = Server::recorded("json-schema.json", 200, &[]).await;
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
    let server = Server::recorded("json-schema.json", 200, &[]).await;
    let keyless = OpenAiAdapter::builder("m")
        .base_url(format!("{}/", server.base_url))
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
    let server = Server::recorded("chat-logprobs.json", 200, &[]).await;
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
    let server = Server::recorded("json-schema.json", 200, &[]).await;
    let generation = server.employee().generate(&request()).await.unwrap();
    assert_eq!(generation.self_confidence, None);
    assert_eq!((generation.usage.input_tokens, generation.usage.output_tokens), (Some(14), Some(120)));
}

#[tokio::test]
async fn complete_style_sends_the_code_alone_and_hands_in_the_finished_function() {
    let server = Server::recorded("chat-logprobs.json", 200, &[]).await;
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
    let error = Server::recorded("refusal.json", 200, &[]).await.error().await;
    assert!(matches!(&error, AdapterError::Refused(why) if why == "I can't help with that."), "{error:?}");
    assert!(!error.is_retryable());
}

/// What an error of a vendor must become.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Expected {
    Busy(Option<Duration>),
    Failed,
    Rejected,
}

#[tokio::test]
async fn every_recorded_error_becomes_what_it_means() {
    use Expected::{Busy, Failed, Rejected};
    type Headers = &'static [(&'static str, &'static str)];
    const TWO_SECONDS: Headers = &[("retry-after", "9"), ("retry-after-ms", "2000")];
    const ONE_SECOND: Headers = &[("retry-after", "1"), ("x-ratelimit-reset-tokens", "6m0s")];
    let seconds = |n| Some(Duration::from_secs(n));
    let cases: &[(&str, u16, Headers, Expected, &str)] = &[
        ("error-400-badjson.json", 400, &[], Rejected, "parse error"),
        ("error-400-context.json", 400, &[], Rejected, "exceeds the available context size"),
        ("error-400-missing.json", 400, &[], Rejected, "'messages' is required"),
        ("error-401-llama.json", 401, &[], Rejected, "Invalid API Key"),
        ("error-401.json", 401, &[], Rejected, "Unauthorized."),
        ("error-404.json", 404, &[], Rejected, "Resource not found."),
        ("error-429.json", 429, TWO_SECONDS, Busy(seconds(2)), "Rate limit exceeded."),
        ("error-429-aimock.json", 429, ONE_SECOND, Busy(seconds(1)), "Rate limit reached"),
        ("error-429-litellm.json", 429, &[], Busy(None), "mock rate limit error"),
        ("error-429-quota.json", 429, &[("retry-after", "1")], Rejected, "exceeded your current quota"),
        ("error-500-plain.txt", 500, &[("content-type", "text/plain")], Failed, "Internal Server Error"),
        ("error-500.json", 500, &[], Failed, "Internal server error."),
        ("error-503-loading.json", 503, &[], Busy(None), "Loading model"),
    ];
    for &(file, status, headers, expected, says) in cases {
        let error = Server::recorded(file, status, headers).await.error().await;
        let found = match &error {
            AdapterError::Busy { retry_after, .. } => Busy(*retry_after),
            AdapterError::Failed { status: s, .. } if *s == status => Failed,
            AdapterError::Rejected { status: s, .. } if *s == status => Rejected,
            other => panic!("{file}: {other:?}"),
        };
        assert_eq!(found, expected, "{file}");
        assert_eq!(error.is_retryable(), expected != Rejected, "{file}");
        assert_eq!(error.retry_after(), if let Busy(wait) = expected { wait } else { None }, "{file}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains("mock"), "{file}: {text}");
    }
}

#[tokio::test]
async fn every_recorded_error_has_its_case() {
    // Keeps the table above whole when a recording is added.
    let source = include_str!("recorded.rs");
    let folder = std::fs::read_dir(format!("{}/tests/recordings/openai", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for file in folder {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(source.contains(&format!("\"{name}\"")), "{name} is used by no test");
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
async fn half_a_json_is_malformed_and_says_how_it_begins() {
    let error = Server::saying(r#"{"choices":[{"message":{"content":"hal"#).await.error().await;
    assert!(
        matches!(&error, AdapterError::Malformed { message, .. } if message.contains(r#"{"choices""#)),
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
    // What lies in the buffers of the two sockets comes on top of the limit.
    let served = served.load(std::sync::atomic::Ordering::Relaxed);
    assert!(served < (16 << 20) + (16 << 20), "{served}");
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
    let elsewhere = Server::recorded("json-schema.json", 200, &[]).await;
    let target = elsewhere.base_url.clone();
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
    assert!(matches!(error, AdapterError::TimedOut(d) if d == limit), "{error:?}");
    assert!(error.is_retryable());
    // The server notices that nobody reads on: the connection was closed.
    tokio::time::timeout(Duration::from_secs(10), told.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_is_unreachable_with_its_cause() {
    let server = Server::answering(|| {
        let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
        Response::new(Body::from_stream(broken))
    })
    .await;
    let error = server.error().await;
    assert!(matches!(&error, AdapterError::Unreachable { endpoint, .. } if *endpoint == server.base_url), "{error:?}");
    assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
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
    let server = Server::recorded("models-llama.json", 200, &[]).await;
    assert_eq!(server.employee().health().await, Health::Healthy);
    assert_eq!(server.only_request().path, "/v1/models");
    let loading = Server::recorded("error-503-loading.json", 503, &[]).await;
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
