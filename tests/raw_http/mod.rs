//! A bare HTTP/1.1 client for tests: it sends exactly what a test says, also what a decent client would not.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::{net::SocketAddr, time::Duration};

use aura_orchestra::{http, prelude::*};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An orchestra behind a listening door.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) orchestra: Orchestra,
    pub(crate) address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<Result<(), http::HttpError>>,
}

impl House {
    /// Opens a door on a free port.
    pub(crate) async fn open(builder: OrchestraBuilder, options: http::HttpOptions) -> Self {
        let orchestra = builder.start().await.expect("the orchestra starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, stopped) = oneshot::channel();
        let router = http::router(orchestra.clone(), options);
        let server = tokio::spawn(http::serve(listener, router, async { drop(stopped.await) }));
        Self { orchestra, address, shutdown, server }
    }

    /// Stops the orchestra, then the door.
    pub(crate) async fn close(self) {
        self.orchestra.stop().await;
        drop(self.shutdown);
        let ended = tokio::time::timeout(PATIENCE, self.server).await.expect("the door closes in time");
        ended.expect("the server does not panic").expect("the server ends well");
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// One request on a connection of its own. `Host` and `Content-Length` are added unless given.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if !is_given("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if method == "POST" && !is_given("content-length") && !is_given("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut raw = head.into_bytes();
        raw.extend_from_slice(body);
        self.send_raw(raw).await
    }

    /// Sends bytes as they are and reads until the other side closes.
    pub(crate) async fn send_raw(&self, raw: Vec<u8>) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("the door is open");
        let (mut reader, mut writer) = stream.into_split();
        // The answer may come before everything is sent; then the rest cannot be written, and need not be.
        let sending = tokio::spawn(async move {
            let sent = writer.write_all(&raw).await;
            (sent.is_ok(), writer)
        });
        let mut answer = Vec::new();
        let mut chunk = [0; 16 << 10];
        let reading = async {
            while let Ok(read @ 1..) = reader.read(&mut chunk).await {
                answer.extend_from_slice(&chunk[..read]);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time");
        sending.abort();
        Answer::read(&answer)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read(raw: &[u8]) -> Self {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
            panic!("no HTTP answer: {:?}", String::from_utf8_lossy(raw));
        });
        let (status, headers) = read_head(&raw[..end]);
        Self { status, headers, body: raw[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Checks that the answer is this refusal; answers with its detail.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:aura-orchestra:problem:")),
            "{problem}"
        );
        assert!(problem["title"].is_string(), "{problem}");
        problem["detail"].as_str().expect("a detail").to_owned()
    }

    /// Checks that the answer is a success of this status; answers with its body.
    #[track_caller]
    pub(crate) fn accepted(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

pub(crate) fn read_head(raw: &[u8]) -> (u16, Vec<(String, String)>) {
    let head = String::from_utf8_lossy(raw);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (status.expect("a status line"), headers.collect())
}
