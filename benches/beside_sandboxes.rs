//! How fast the HTTP door answers while sandboxes are at work beside it: idle, with 50 suites through a sandbox as it comes, with twice as
//! many let in at once, and with all 50. The code under test keeps a processor busy; the asker is a thread of its own on two kept connections.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench ends by panicking, and prints a table")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aura_orchestra::{http, prelude::*, sandbox::LocalSandboxBuilder};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

/// How many suites there are.
const SUITES: usize = 50;
/// How long the door is asked while nothing else happens.
const IDLE: Duration = Duration::from_secs(5);
/// Keeps a processor busy for some tenths of a second.
const BURNS: &str = "def burn(n):\n    total = 0\n    for i in range(n):\n        total = (total * 31 + i) % 1000003\n    return total\n";

/// Asks two paths in turn until told to stop; how long each answer took.
fn ask(address: SocketAddr, done: &AtomicBool) -> Vec<Duration> {
    let mut doors = ["/readyz", "/jobs"].map(|path| {
        let stream = TcpStream::connect(address).expect("the door is open");
        stream.set_nodelay(true).expect("a socket");
        (path, BufReader::new(stream))
    });
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        for (path, door) in &mut doors {
            let started = Instant::now();
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            door.get_mut().write_all(request.as_bytes()).expect("sent");
            read_answer(door);
            took.push(started.elapsed());
        }
        // Not a load test: a reader who looks now and then, whom the scheduler owes nothing.
        std::thread::sleep(Duration::from_millis(2));
    }
    took
}

fn read_answer(door: &mut BufReader<TcpStream>) {
    let mut length = 0;
    let mut line = String::new();
    door.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line.trim() != "" {
        line.clear();
        door.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    door.read_exact(&mut vec![0; length]).expect("a body");
}

/// Runs all suites through one sandbox; how long that took, and how many were right.
async fn run_suites(sandbox: Arc<LocalSandbox>) -> (Duration, usize) {
    let started = Instant::now();
    let mut suites = JoinSet::new();
    for _ in 0..SUITES {
        let sandbox = Arc::clone(&sandbox);
        suites.spawn(async move {
            let base = [SourceFile::new("solution.py", BURNS)];
            let workspace = sandbox.prepare(JobId::new(), 1, &base).await.expect("a workspace");
            let cases = Cases::python("burn").case([json!(1_000_000)], json!(407_321)).case([json!(0)], json!(0));
            let suite = TestSuite::cases(cases).timeout(Duration::from_secs(600));
            let report = sandbox.run_tests(&workspace, &suite).await.expect("ran");
            sandbox.discard(workspace).await.expect("removed");
            usize::from(report.cases.len() == 2 && report.cases.iter().all(|case| case.time.is_some()))
        });
    }
    let right = suites.join_all().await.into_iter().sum();
    (started.elapsed(), right)
}

fn row(name: &str, mut took: Vec<Duration>, rest: &str) {
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 1000).min(took.len().saturating_sub(1)));
    let ms = |share| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0);
    println!(
        "{name:<28} {:>8} {:>9.2} {:>9.2} {:>9.2} {:>9.2}  {rest}",
        took.len(),
        ms(500),
        ms(950),
        ms(990),
        ms(1000)
    );
}

#[tokio::main]
async fn main() {
    let orchestra = Orchestra::builder().store(MemoryStore::new()).scorer(FormulaScorer::default());
    let orchestra = orchestra.workers(0).start().await.expect("starts");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = http::router(orchestra.clone(), http::HttpOptions::default());
    let server = tokio::spawn(http::serve(listener, router, std::future::pending()));
    println!("{:<28} {:>8} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "answers", "p50", "p95", "p99", "most");

    let asked = |done: Arc<AtomicBool>| tokio::task::spawn_blocking(move || ask(address, &done));
    let done = Arc::new(AtomicBool::new(false));
    let asker = asked(Arc::clone(&done));
    tokio::time::sleep(IDLE).await;
    done.store(true, Ordering::Relaxed);
    row("idle", asker.await.expect("asked"), "");

    let processors = std::thread::available_parallelism().expect("processors");
    let rows = [
        (format!("50 suites, as it comes ({processors})"), None),
        (format!("50 suites, {} at once", processors.get() * 2), NonZeroUsize::new(processors.get() * 2)),
        (format!("50 suites, {SUITES} at once"), NonZeroUsize::new(SUITES)),
    ];
    for (name, at_once) in rows {
        let sandbox = LocalSandbox::builder();
        let sandbox = at_once.into_iter().fold(sandbox, LocalSandboxBuilder::at_once).build();
        let sandbox = Arc::new(sandbox.expect("a sandbox"));
        let done = Arc::new(AtomicBool::new(false));
        let asker = asked(Arc::clone(&done));
        let (took, right) = run_suites(sandbox).await;
        done.store(true, Ordering::Relaxed);
        row(&name, asker.await.expect("asked"), &format!("{right} suites answered in {:.1} s", took.as_secs_f64()));
    }
    server.abort();
    orchestra.stop().await;
}
