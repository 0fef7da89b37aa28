//! What servers do that are broken, hostile, or no servers of this kind, against each vendor's adapter: a typed error in bounded time and
//! memory, and the key in no text.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aura_adapters::{GeminiAdapter, OllamaAdapter, OpenAiAdapter};
use aura_core::{AdapterError, GenerateRequest, ModelAdapter, Wait};
use axum::{
    body::{Body, Bytes},
    http::Response,
};
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::server::{CANARY, Server, assert_no_canary, request};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Vendor {
    OpenAi,
    Ollama,
    Gemini,
}

const ALL: [Vendor; 3] = [Vendor::OpenAi, Vendor::Ollama, Vendor::Gemini];

/// Long enough for a call on the loopback, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// How long is waited for the first byte, and for the next one.
#[derive(Clone, Copy)]
struct Waits {
    first_byte: Duration,
    idle: Duration,
}

const PATIENT: Waits = Waits { first_byte: LONG, idle: LONG };

impl Vendor {
    fn at(self, url: &str, waits: Waits) -> Box<dyn ModelAdapter> {
        let Waits { first_byte, idle } = waits;
        match self {
            Self::OpenAi => {
                let builder = OpenAiAdapter::builder("m").base_url(format!("{url}/v1")).api_key(CANARY);
                Box::new(builder.first_byte_timeout(first_byte).idle_timeout(idle).build().unwrap())
            }
            Self::Ollama => {
                let builder = OllamaAdapter::builder("m").base_url(url).api_key(CANARY);
                Box::new(builder.first_byte_timeout(first_byte).idle_timeout(idle).build().unwrap())
            }
            Self::Gemini => {
                let builder = GeminiAdapter::builder("m").base_url(url).api_key(CANARY);
                Box::new(builder.first_byte_timeout(first_byte).idle_timeout(idle).build().unwrap())
            }
        }
    }

    /// The start of a good stream: one piece of text.
    fn piece(self) -> &'static str {
        match self {
            Self::OpenAi => "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
            Self::Ollama => "{\"message\":{\"content\":\"x\"},\"done\":false}\n",
            Self::Gemini => "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n",
        }
    }

    /// An error in the middle of a stream, as this vendor says it.
    fn error_line(self) -> &'static str {
        match self {
            Self::OpenAi => "data: {\"error\":{\"message\":\"gone wrong\",\"type\":\"server_error\",\"code\":500}}\n\n",
            Self::Ollama => "{\"error\":\"gone wrong\"}\n",
            Self::Gemini => "data: {\"error\":{\"code\":500,\"message\":\"gone wrong\",\"status\":\"INTERNAL\"}}\n\n",
        }
    }

    /// A whole answer.
    fn answer(self, text: &str) -> String {
        match self {
            Self::OpenAi => format!(r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#),
            Self::Ollama => format!(r#"{{"message":{{"content":"{text}"}},"done":true,"done_reason":"stop"}}"#),
            Self::Gemini => {
                format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}},"finishReason":"STOP"}}]}}"#)
            }
        }
    }
}

/// Asks in both ways; both must fail alike.
async fn errors(adapter: &dyn ModelAdapter, limit: Duration) -> [AdapterError; 2] {
    let request = GenerateRequest { timeout: limit, ..request() };
    let whole = adapter.generate(&request).await.unwrap_err();
    let streamed = adapter.stream(&request, Arc::new(|_: &str| {})).await.unwrap_err();
    for error in [&whole, &streamed] {
        assert_no_canary(error);
    }
    [whole, streamed]
}

async fn each(url: &str, waits: Waits, limit: Duration, is: impl Fn(&AdapterError) -> bool) {
    for vendor in ALL {
        let began = Instant::now();
        for error in errors(vendor.at(url, waits).as_ref(), limit).await {
            assert!(is(&error), "{vendor:?}: {error:?}");
        }
        assert!(began.elapsed() < LONG, "{vendor:?} took {:?}", began.elapsed());
    }
}

fn body_of(body: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    Response::new(Body::from_stream(body.map(Ok::<_, std::io::Error>)))
}

#[tokio::test]
async fn a_page_of_something_between_is_no_answer() {
    for page in ["<!DOCTYPE html><title>Sign in</title>", "Bad gateway", "", "null", "[]", "42", "{}"] {
        let server = Server::saying(page).await;
        each(&server.url, PATIENT, LONG, |error| {
            matches!(error, AdapterError::Malformed { .. } | AdapterError::Truncated { .. })
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_without_text_is_none_whoever_gives_it() {
    for vendor in ALL {
        let server = Server::status(200, vendor.answer("")).await;
        let answer = vendor.at(&server.url, PATIENT).generate(&request()).await;
        assert!(matches!(answer, Err(AdapterError::NoAnswer { .. })), "{vendor:?}: {answer:?}");
    }
}

#[tokio::test]
async fn statuses_without_a_vendors_body_keep_their_meaning() {
    type Is = fn(&AdapterError) -> bool;
    let cases: [(u16, Is); 8] = [
        (401, |e| matches!(e, AdapterError::Unauthorized { status: 401, .. })),
        (403, |e| matches!(e, AdapterError::Unauthorized { status: 403, .. })),
        (404, |e| matches!(e, AdapterError::Rejected { status: 404, .. })),
        (418, |e| matches!(e, AdapterError::Rejected { status: 418, .. })),
        (429, |e| matches!(e, AdapterError::Busy { retry_after: None, .. })),
        (500, |e| matches!(e, AdapterError::Failed { status: 500, .. })),
        (502, |e| matches!(e, AdapterError::Failed { status: 502, .. })),
        (503, |e| matches!(e, AdapterError::Busy { .. })),
    ];
    for (status, is) in cases {
        let server = Server::status(status, format!("<html>{status} and your key {CANARY}</html>")).await;
        each(&server.url, PATIENT, LONG, |error| is(error) && error.is_retryable() == (status == 429 || status >= 500))
            .await;
    }
}

/// A text is cut after 500 characters, and the start of a body that cannot be read after 200.
#[tokio::test]
async fn a_key_that_stands_across_a_cut_leaves_no_part_of_itself() {
    for at in [200, 500].into_iter().flat_map(|cut| cut - CANARY.len()..=cut) {
        let text = |head: &str| format!("{head}{}{CANARY} is no key", "x".repeat(at - head.len()));
        let bodies = [
            (500, text("Bearer ")),
            (500, format!("{{\"error\":{{\"message\":\"{}\"}}}}", text("Bearer "))),
            (200, text("Bearer ")),
            (200, format!("{}\"}}", text("{\"authorization\":\""))),
            (200, format!("{}\"}}", text("{\"choices\":\""))),
            (200, format!("data: {}\n\n", text("Bearer "))),
        ];
        for (status, body) in bodies {
            let server = Server::status(status, body).await;
            each(&server.url, PATIENT, LONG, |error| error.is_retryable() || status == 200).await;
        }
    }
}

/// Neither in the remark on how the answer ended.
#[tokio::test]
async fn a_key_as_the_reason_of_an_end_is_masked() {
    for vendor in [Vendor::OpenAi, Vendor::Ollama] {
        let body = vendor.answer("x").replace("\"stop\"", &format!("\"{}{CANARY}\"", "x".repeat(490)));
        let server = Server::status(200, body).await;
        let generation = vendor.at(&server.url, PATIENT).generate(&request()).await.unwrap();
        assert!(generation.explanation.contains("xx***"), "{vendor:?}: {}", generation.explanation);
        assert!(!generation.explanation.contains("sk-"), "{vendor:?}: {}", generation.explanation);
    }
}

#[tokio::test]
async fn json_that_is_cut_off_is_an_answer_that_broke_off() {
    for vendor in ALL {
        let mut body = vendor.answer("x");
        body.truncate(body.len() / 2);
        let server = Server::status(200, body).await;
        let error = vendor.at(&server.url, PATIENT).generate(&request()).await.unwrap_err();
        assert!(matches!(error, AdapterError::Truncated { .. }) && error.is_retryable(), "{vendor:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_stream_without_its_last_message_is_an_answer_that_broke_off() {
    for vendor in ALL {
        let server = Server::status(200, vendor.piece().repeat(3)).await;
        let error = vendor.at(&server.url, PATIENT).stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        assert!(matches!(error, AdapterError::Truncated { .. }), "{vendor:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_the_error() {
    for vendor in ALL {
        let server = Server::status(200, format!("{}{}", vendor.piece(), vendor.error_line())).await;
        let error = vendor.at(&server.url, PATIENT).stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        let is = matches!(&error, AdapterError::Failed { message, .. } if message == "gone wrong");
        assert!(is && error.is_retryable(), "{vendor:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_on_at_the_first_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let waits = Waits { first_byte: SHORT, ..PATIENT };
    each(&url, waits, LONG, |error| {
        matches!(error, AdapterError::TimedOut { what: Wait::FirstByte, limit } if *limit == SHORT)
            && error.is_retryable()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_is_given_up_on_at_the_next_byte() {
    let server = Server::answering(|| body_of(stream::iter([Bytes::from_static(b"{")]).chain(stream::pending()))).await;
    let waits = Waits { idle: SHORT, ..PATIENT };
    each(
        &server.url,
        waits,
        LONG,
        |error| matches!(error, AdapterError::TimedOut { what: Wait::NextByte, limit } if *limit == SHORT),
    )
    .await;
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_outlast_the_whole_limit() {
    let server = Server::answering(|| {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Bytes::from_static(b" "), ()))
        });
        body_of(drip)
    })
    .await;
    each(&server.url, PATIENT, SHORT, |error| matches!(error, AdapterError::TimedOut { what: Wait::Whole, .. })).await;
}

#[tokio::test]
async fn a_line_of_a_gigabyte_is_refused_and_not_kept() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let server = Server::answering(move || {
        let (count, chunk) = (Arc::clone(&count), Bytes::from_static(&[b'x'; 64 << 10]));
        let line = stream::repeat_with(move || {
            count.fetch_add(chunk.len(), Ordering::Relaxed);
            chunk.clone()
        });
        body_of(stream::iter([Bytes::from_static(b"data: {\"a\":\"")]).chain(line.take(16 << 10)))
    })
    .await;
    each(
        &server.url,
        PATIENT,
        LONG,
        |error| matches!(error, AdapterError::Malformed { message, .. } if message.contains("longer than")),
    )
    .await;
    // Of the six gigabytes, what was read, and what lay in the buffers of the sockets.
    let served = served.load(Ordering::Relaxed);
    assert!(served < 6 * (16 << 20) + (64 << 20), "{served}");
}

#[tokio::test]
async fn a_text_that_is_not_utf8_is_no_answer() {
    for vendor in ALL {
        let mut whole = vendor.answer("xyz").into_bytes();
        let place = whole.windows(3).position(|window| window == b"xyz").unwrap();
        whole[place..place + 3].copy_from_slice(b"\xff\xfe\xc3");
        let server = Server::answering(move || Response::new(Body::from(whole.clone()))).await;
        let error = vendor.at(&server.url, PATIENT).generate(&request()).await.unwrap_err();
        assert!(matches!(error, AdapterError::Malformed { .. }), "{vendor:?}: {error:?}");
        let mut piece = vendor.piece().as_bytes().to_vec();
        let place = piece.iter().rposition(|byte| *byte == b'x').unwrap();
        piece[place] = 0xff;
        let server = Server::answering(move || Response::new(Body::from(piece.clone()))).await;
        let error = vendor.at(&server.url, PATIENT).stream(&request(), Arc::new(|_: &str| {})).await.unwrap_err();
        assert!(matches!(error, AdapterError::Malformed { .. }), "{vendor:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_here() {
    let elsewhere = Server::saying("{}").await;
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url.clone();
        let server = Server::answering(move || {
            Response::builder().status(status).header("location", &target).body(Body::empty()).unwrap()
        })
        .await;
        each(
            &server.url,
            PATIENT,
            LONG,
            |error| matches!(error, AdapterError::Rejected { status: s, .. } if *s == status),
        )
        .await;
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_connection_that_is_cut_is_an_answer_that_broke_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"cho").await;
        }
    });
    each(&url, PATIENT, LONG, |error| matches!(error, AdapterError::Truncated { .. }) && error.is_retryable()).await;
}

#[tokio::test]
async fn a_port_without_tls_and_a_name_without_an_address_are_unreachable() {
    let plain = Server::saying("{}").await;
    let with_tls = plain.url.replace("http://", "https://");
    let is_unreachable = |error: &AdapterError| {
        matches!(error, AdapterError::Unreachable { .. })
            && error.is_retryable()
            && std::error::Error::source(error).is_some()
    };
    each(&with_tls, PATIENT, LONG, is_unreachable).await;
    assert!(plain.seen().is_empty());
    each("http://no-such-host.invalid", PATIENT, LONG, is_unreachable).await;
}

/// Asked for over TLS, with a certificate that no authority has signed: it is not trusted, and what is said names it.
#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_asked() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key.into()).unwrap();
    let config = Arc::new(config);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let asked = Arc::new(AtomicUsize::new(0));
    std::thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                if rustls::Stream::new(&mut session, &mut stream).read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0) {
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    each(&url, PATIENT, LONG, |error| {
        let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        matches!(error, AdapterError::Unreachable { .. })
            && causes.any(|cause| cause.to_string().contains("certificate"))
    })
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// In each of its forms, on every status that may come with it.
#[tokio::test]
async fn a_wait_is_believed_in_every_form() {
    let cases: [(&'static str, &'static str, Duration); 5] = [
        ("retry-after", "7", Duration::from_secs(7)),
        ("retry-after", "0.25", Duration::from_millis(250)),
        ("retry-after-ms", "1500", Duration::from_millis(1500)),
        ("retry-after", "Mon, 01 Jan 1990 00:00:00 GMT", Duration::ZERO),
        ("retry-after", "99999999", Duration::from_secs(86_400)),
    ];
    for (name, value, wait) in cases {
        for status in [408, 429, 500, 503, 504] {
            let server = Server::answering(move || {
                Response::builder().status(status).header(name, value).body(Body::from("{}")).unwrap()
            })
            .await;
            each(&server.url, PATIENT, LONG, |error| error.retry_after() == Some(wait)).await;
        }
    }
}
