//! A server that answers every question alike, in a process of its own, so that its processor time is nobody's.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    response::Response,
};
use futures::{StreamExt, stream};

/// A whole answer, as OpenAI writes one: 700 bytes.
const ANSWER: &str = r#"{"id":"chatcmpl-BXvQbT5oDkY1sZlq","object":"chat.completion","created":1795420937,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Here is the function:\n\n```python\ndef add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n    return a + b\n```\n","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":92,"completion_tokens":31,"total_tokens":123,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_62a23a81ef"}"#;
/// Pieces of a stream, and the time between two of them.
const PIECES: usize = 200;
const BETWEEN: Duration = Duration::from_millis(20);

pub async fn run() {
    let app = Router::new().fallback(answer).route("/{kind}/chat/completions", axum::routing::post(answer_as));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("it serves");
}

async fn answer(_: Bytes) -> Response {
    json(ANSWER)
}

async fn answer_as(Path(kind): Path<String>, _: Bytes) -> Response {
    if kind == "stream" { streamed() } else { json(ANSWER) }
}

fn json(body: &'static str) -> Response {
    let response = Response::builder().header("content-type", "application/json");
    response.body(Body::from(body)).expect("a response")
}

fn streamed() -> Response {
    let pieces = stream::iter(0..PIECES).then(|n| async move {
        tokio::time::sleep(BETWEEN).await;
        let text = "def function_of_some_length(argument, another): return argument + another\\n";
        let end = if n + 1 == PIECES { "\"stop\"" } else { "null" };
        let chunk = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{end}}}]}}\n\n"
        );
        Ok::<_, Infallible>(Bytes::from(chunk))
    });
    let done = stream::iter([Ok(Bytes::from_static(b"data: [DONE]\n\n"))]);
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from_stream(pieces.chain(done))).expect("a response")
}
