//! A server on the loopback that gives every request the same answer, and remembers what it was asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aura_core::{AdapterError, GenerateRequest, Generation, ModelAdapter};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Request, Response, Uri},
};
use serde_json::Value;

pub(crate) const CANARY: &str = "sk-canary-0123456789";

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

type Log = Arc<Mutex<Vec<Seen>>>;
type Answer = Arc<dyn Fn() -> Response<Body> + Send + Sync>;

/// The server.
pub(crate) struct Server {
    /// Without a path.
    pub(crate) url: String,
    log: Log,
}

impl Server {
    pub(crate) async fn answering(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Self {
        let log = Log::default();
        let answer: Answer = Arc::new(answer);
        let app = Router::new().fallback(take).with_state((Arc::clone(&log), answer));
        Self { url: serve(app).await, log }
    }

    /// Gives this recording with this status and these headers.
    pub(crate) async fn recorded(file: &str, status: u16, headers: &'static [(&'static str, &'static str)]) -> Self {
        let path = format!("{}/tests/recordings/{file}", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::answering(move || {
            let response = headers.iter().fold(Response::builder().status(status), |r, (k, v)| r.header(*k, *v));
            response.body(Body::from(body.clone())).unwrap()
        })
        .await
    }

    /// Answers each path in its own way.
    pub(crate) async fn by_path(answer: fn(&str) -> Response<Body>) -> Self {
        let log = Log::default();
        let shared = Arc::clone(&log);
        let app = Router::new().fallback(move |method: Method, uri: Uri, request: Request<Body>| async move {
            let path = uri.path().to_owned();
            note(&shared, method, uri, request).await;
            answer(&path)
        });
        Self { url: serve(app).await, log }
    }

    /// Gives this status and this body.
    pub(crate) async fn status(status: u16, body: String) -> Self {
        Self::answering(move || Response::builder().status(status).body(Body::from(body.clone())).unwrap()).await
    }

    pub(crate) async fn saying(body: &'static str) -> Self {
        Self::answering(move || Response::new(Body::from(body))).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The one request that came.
    pub(crate) fn only_request(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}

pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn take(
    State((log, answer)): State<(Log, Answer)>,
    method: Method,
    uri: Uri,
    request: Request<Body>,
) -> Response<Body> {
    note(&log, method, uri, request).await;
    answer()
}

async fn note(log: &Log, method: Method, uri: Uri, request: Request<Body>) {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    log.lock().unwrap().push(Seen { method, path: uri.to_string(), headers: parts.headers, body });
}

/// What is asked in most tests.
pub(crate) fn request() -> GenerateRequest {
    GenerateRequest { timeout: Duration::from_secs(20), ..GenerateRequest::new("Write add(a, b)") }
}

/// Walks an error with all its causes, in both of its printed forms. No piece of the key may stand there, even of 8 characters.
pub(crate) fn assert_no_canary(error: &AdapterError) {
    let mut texts = vec![format!("{error:?}")];
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let mut pieces = (0..=CANARY.len() - 8).map(|from| &CANARY[from..from + 8]);
    assert!(pieces.all(|piece| texts.iter().all(|text| !text.contains(piece))), "{texts:?}");
}

/// Asks by `stream`; answers with the generation and the deltas.
pub(crate) async fn streamed(adapter: &dyn ModelAdapter) -> (Generation, Vec<String>) {
    let deltas = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&deltas);
    let sink = Arc::new(move |delta: &str| shared.lock().unwrap().push(delta.to_owned()));
    let generation = adapter.stream(&request(), sink).await.unwrap();
    let deltas = deltas.lock().unwrap().clone();
    (generation, deltas)
}
