//! The live stream over a real connection: every entry once and in order, resumed, filtered, bounded, and ended.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod raw_http;

use std::time::Duration;

use aura_orchestra::{http::HttpOptions, prelude::*};
use raw_http::{House, PATIENCE, read_head};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One frame, field by field.
#[derive(Debug, Clone, PartialEq, Default)]
struct Frame {
    id: Option<i64>,
    event: Option<String>,
    data: Option<Value>,
    comment: Option<String>,
    retry: Option<u64>,
}

/// An open stream.
#[derive(Debug)]
struct Listener {
    stream: TcpStream,
    headers: Vec<(String, String)>,
    raw: Vec<u8>,
    text: String,
}

impl Listener {
    async fn open(house: &House, path: &str, last_event_id: Option<i64>) -> Self {
        let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", house.address);
        if let Some(id) = last_event_id {
            request.push_str(&format!("Last-Event-ID: {id}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.expect("sent");
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert_ne!(stream.read_buf(&mut raw).await.expect("an answer"), 0, "the answer ended early");
        };
        let (status, headers) = read_head(&raw[..end]);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&raw));
        let raw = raw[end + 4..].to_vec();
        let mut listener = Self { stream, headers, raw, text: String::new() };
        assert!(listener.next().await.expect("a first frame").retry.is_some(), "the stream says when to come back");
        listener
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The next frame; absent at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some((frame, rest)) = self.text.split_once("\n\n") {
                    let frame = read_frame(frame);
                    self.text = rest.to_owned();
                    return Some(frame);
                }
                if !self.take_chunk() && self.stream.read_buf(&mut self.raw).await.expect("the stream goes on") == 0 {
                    return None;
                }
                if self.raw.starts_with(b"0\r\n\r\n") {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("a frame in time")
    }

    /// The next entry; heartbeats are passed over.
    async fn entry(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if frame.comment.is_none() {
                return frame;
            }
        }
    }

    async fn entries(&mut self, count: usize) -> Vec<Frame> {
        let mut entries = Vec::new();
        while entries.len() < count {
            entries.push(self.entry().await);
        }
        entries
    }

    /// Moves one chunk of the transfer encoding over; `false` when none is whole yet.
    fn take_chunk(&mut self) -> bool {
        let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") else { return false };
        let size = usize::from_str_radix(&String::from_utf8_lossy(&self.raw[..line]), 16).expect("a chunk size");
        let whole = line + 2 + size + 2;
        if size == 0 || self.raw.len() < whole {
            return false;
        }
        self.text.push_str(std::str::from_utf8(&self.raw[line + 2..line + 2 + size]).expect("text"));
        self.raw.drain(..whole);
        true
    }
}

fn read_frame(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => frame.id = Some(id.parse().expect("a number")),
            Some(("event", event)) => frame.event = Some(event.to_owned()),
            Some(("data", data)) => frame.data = Some(serde_json::from_str(data).expect("JSON in one line")),
            Some(("retry", retry)) => frame.retry = Some(retry.parse().expect("a number")),
            Some(("", comment)) => frame.comment = Some(comment.to_owned()),
            other => panic!("an unknown field: {other:?}"),
        }
    }
    frame
}

fn ids(frames: &[Frame]) -> Vec<i64> {
    frames.iter().map(|frame| frame.id.expect("an id")).collect()
}

async fn house() -> House {
    with(HttpOptions::default()).await
}

async fn with(options: HttpOptions) -> House {
    House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), options).await
}

/// Writes some entries that depend on no engine's pace.
async fn alerts(house: &House, range: std::ops::Range<u32>) {
    for i in range {
        let alert = NewAlert { job_id: None, severity: Severity::Info, rule: None, reason: format!("number {i}\n") };
        house.orchestra.raise(&alert).await.expect("stored");
    }
}

async fn newest(house: &House) -> i64 {
    house.orchestra.audit_range().await.expect("range").map_or(0, |(_, newest)| newest.0)
}

#[tokio::test]
async fn a_replay_and_what_comes_after_bring_every_entry_once_and_in_order() {
    let house = house().await;
    alerts(&house, 0..150).await;
    let mut listener = Listener::open(&house, "/events?after=0", None).await;
    assert_eq!(listener.header("content-type"), Some("text/event-stream"));
    assert_eq!(listener.header("cache-control"), Some("no-cache"));
    assert_eq!(listener.header("x-accel-buffering"), Some("no"));
    let before = usize::try_from(newest(&house).await).expect("places");
    let mut seen = listener.entries(before).await;
    alerts(&house, 150..300).await;
    seen.extend(listener.entries(150).await);
    assert_eq!(ids(&seen), (1..=i64::try_from(before).expect("few") + 150).collect::<Vec<_>>());

    let stored = house.orchestra.audit(AuditSeq(0), 1000).await.expect("audit");
    for (frame, entry) in seen.iter().zip(&stored) {
        assert_eq!(frame.event.as_deref(), Some(entry.action.as_str()));
        assert_eq!(frame.data, Some(serde_json::to_value(entry).expect("JSON")));
    }
    house.close().await;
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_where_it_was() {
    let house = house().await;
    alerts(&house, 0..10).await;
    let last = newest(&house).await;
    let mut listener = Listener::open(&house, "/events?after=0", Some(last - 3)).await;
    assert_eq!(ids(&listener.entries(3).await), [last - 2, last - 1, last], "the header goes before the query");
    let mut listener = Listener::open(&house, &format!("/events?after={}", last - 1), None).await;
    assert_eq!(listener.entry().await.id, Some(last));
    house.close().await;
}

#[tokio::test]
async fn without_a_place_the_stream_starts_with_what_happens_from_now_on() {
    let house = house().await;
    alerts(&house, 0..10).await;
    let last = newest(&house).await;
    let mut listener = Listener::open(&house, "/events", None).await;
    alerts(&house, 10..11).await;
    assert_eq!(listener.entry().await.id, Some(last + 1));
    house.close().await;
}

#[tokio::test]
async fn many_readers_each_see_every_entry_while_it_is_written() {
    let house = house().await;
    let start = newest(&house).await;
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners.push(Listener::open(&house, &format!("/events?after={start}"), None).await);
    }
    let reading = async {
        for listener in &mut listeners {
            assert_eq!(ids(&listener.entries(200).await), (start + 1..=start + 200).collect::<Vec<_>>());
        }
    };
    tokio::join!(alerts(&house, 0..200), reading);
    house.close().await;
}

#[tokio::test]
async fn a_reader_that_sleeps_for_long_misses_nothing() {
    let house = house().await;
    let start = newest(&house).await;
    let mut listener = Listener::open(&house, &format!("/events?after={start}"), None).await;
    // More than fits into the buffers of a connection: the server waits for the reader, and holds nothing for it.
    alerts(&house, 0..20_000).await;
    assert_eq!(ids(&listener.entries(20_000).await), (start + 1..=start + 20_000).collect::<Vec<_>>());
    house.close().await;
}

#[tokio::test]
async fn a_place_that_is_no_place_of_this_log_is_refused() {
    let house = house().await;
    let beyond = (newest(&house).await + 1).to_string();
    for bad in ["x", "-1", "1.5", "9223372036854775807", "9223372036854775808", &beyond, "", "1%00", "1;DROP"] {
        house.get(&format!("/events?after={bad}")).await.refused(400);
    }
    for bad in ["x", "-1", "99999999999999999999", &beyond, "1 2"] {
        house.send("GET", "/events", &[("Last-Event-ID", bad)], b"").await.refused(400);
    }
    for bad in ["job=x", "prd=x", "action=job.done", "colour=red"] {
        house.get(&format!("/events?{bad}")).await.refused(400);
    }
    for unknown in ["job", "prd"] {
        house.get(&format!("/events?{unknown}={}", uuid::Uuid::new_v4())).await.refused(404);
    }
    house.close().await;
}

#[tokio::test]
async fn a_filter_leaves_out_what_is_about_something_else() {
    let house = house().await;
    let profile = ModelProfile::new("a", ModelKind::Local, "test", "a").expect("a name");
    house.orchestra.register(&profile).await.expect("registered");
    let first = house.orchestra.submit(NewPrd::new("one")).await.expect("submitted");
    let second = house.orchestra.submit(NewPrd::new("two")).await.expect("submitted");
    house.orchestra.cancel(first.id, "enough").await.expect("cancelled");
    house.orchestra.cancel(second.id, "enough").await.expect("cancelled");

    let mut by_action = Listener::open(&house, "/events?after=0&action=prd.submitted,prd.cancelled", None).await;
    let words: Vec<_> = by_action.entries(4).await.into_iter().filter_map(|frame| frame.event).collect();
    assert_eq!(words, ["prd.submitted", "prd.submitted", "prd.cancelled", "prd.cancelled"]);

    let mut by_prd = Listener::open(&house, &format!("/events?after=0&prd={}", second.id), None).await;
    let mut about = String::new();
    loop {
        let frame = by_prd.entry().await;
        about.push_str(&frame.data.expect("data").to_string());
        if frame.event.as_deref() == Some("prd.cancelled") {
            break;
        }
    }
    assert!(about.contains(&second.id.to_string()) && !about.contains(&first.id.to_string()), "{about}");
    let mut by_job = Listener::open(&house, &format!("/events?after=0&job={}", first.jobs[0]), None).await;
    assert_eq!(by_job.entry().await.event.as_deref(), Some("prd.submitted"));
    house.close().await;
}

#[tokio::test]
async fn a_quiet_stream_shows_signs_of_life() {
    let house = with(HttpOptions { heartbeat: Duration::from_millis(20), ..HttpOptions::default() }).await;
    let mut listener = Listener::open(&house, "/events", None).await;
    while listener.next().await.expect("the stream goes on").comment.as_deref() != Some("heartbeat") {}
    house.close().await;
}

#[tokio::test]
async fn too_many_streams_are_refused_and_the_rest_of_the_door_stays_open() {
    let house = with(HttpOptions { max_streams: 2, ..HttpOptions::default() }).await;
    let first = Listener::open(&house, "/events", None).await;
    let _second = Listener::open(&house, "/events", None).await;
    let refusal = house.get("/events").await;
    refusal.refused(503);
    assert!(refusal.header("retry-after").is_some());
    house.get("/jobs").await.accepted(200);
    drop(first);
    // The place is free once the server has seen that the reader is gone: at the next entry that it cannot send.
    let asking = async {
        for i in 0.. {
            alerts(&house, i..i + 1).await;
            if house.get("/events?after=-1").await.status == 400 && can_open(&house).await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a place becomes free");
    house.close().await;
}

async fn can_open(house: &House) -> bool {
    let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", house.address);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    &start == b"HTTP/1.1 200"
}

#[tokio::test]
async fn the_stream_ends_when_the_orchestra_stops() {
    let house = house().await;
    let mut listener = Listener::open(&house, "/events", None).await;
    house.orchestra.stop().await;
    while let Some(frame) = listener.next().await {
        assert!(frame.id.is_none() || frame.event.is_some(), "{frame:?}");
    }
    house.close().await;
}
