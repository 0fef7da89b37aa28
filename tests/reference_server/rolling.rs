//! Nodes behind a load balancer are replaced one after the other, and no request fails.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aura_testbed::PrivatePostgres;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use crate::process::{Server, client};

const DEADLINE: Duration = Duration::from_secs(90);
/// How often the load balancer asks each node whether it is ready.
const ASKS_EVERY: Duration = Duration::from_millis(50);
/// How long a server lets running work finish.
const GRACE: Duration = Duration::from_secs(20);
const CLIENTS: usize = 3;

fn start(folder: &Path, url: &str, drain: &str) -> Server {
    let settings = [("DATABASE_URL", url), ("AURA_LEASE", "2"), ("AURA_DRAIN", drain), ("RUST_LOG", "error")];
    Server::start(folder, &settings)
}

/// A node, as the load balancer knows it.
#[derive(Debug)]
struct Backend {
    url: String,
    /// What `/readyz` said last.
    ready: AtomicBool,
    /// Requests that it has answered.
    answered: watch::Sender<usize>,
}

/// Sends each request to the next node that was ready when it was last asked, and remembers every one that failed.
#[derive(Debug)]
struct Balancer {
    http: reqwest::Client,
    backends: Mutex<Vec<Arc<Backend>>>,
    turn: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Balancer {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            http: client(),
            backends: Mutex::default(),
            turn: AtomicUsize::new(0),
            failures: Mutex::default(),
        })
    }

    /// Takes a node in; it gets requests once it says that it is ready, and until it says that it is not.
    fn add(&self, url: &str) -> Arc<Backend> {
        let backend =
            Arc::new(Backend { url: url.to_owned(), ready: AtomicBool::new(false), answered: watch::Sender::new(0) });
        self.backends.lock().expect("nodes").push(Arc::clone(&backend));
        let (known, http) = (Arc::downgrade(&backend), self.http.clone());
        tokio::spawn(async move {
            // Ends when the node is forgotten.
            while let Some(backend) = known.upgrade() {
                let answer = http.get(format!("{}/readyz", backend.url)).send().await;
                backend.ready.store(answer.is_ok_and(|answer| answer.status() == 200), Ordering::Release);
                drop(backend);
                tokio::time::sleep(ASKS_EVERY).await;
            }
        });
        backend
    }

    fn forget(&self, url: &str) {
        self.backends.lock().expect("nodes").retain(|backend| backend.url != url);
    }

    async fn next(&self) -> Arc<Backend> {
        let started = Instant::now();
        loop {
            {
                let backends = self.backends.lock().expect("nodes");
                let ready: Vec<_> = backends.iter().filter(|node| node.ready.load(Ordering::Acquire)).collect();
                if !ready.is_empty() {
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    return Arc::clone(ready[turn % ready.len()]);
                }
            }
            assert!(started.elapsed() < DEADLINE, "no node is ready");
            tokio::time::sleep(ASKS_EVERY).await;
        }
    }

    /// Sends one request to one node: a load balancer must not repeat what may have been done. `None` when it failed.
    async fn send(&self, path: &str, body: Option<&Value>) -> Option<Value> {
        let backend = self.next().await;
        let url = format!("{}{path}", backend.url);
        let request = match body {
            Some(body) => self.http.post(&url).json(body),
            None => self.http.get(&url),
        };
        let failure = match request.send().await {
            Ok(answer) if answer.status().is_success() => match answer.json().await {
                Ok(value) => {
                    backend.answered.send_modify(|count| *count += 1);
                    return Some(value);
                }
                Err(error) => format!("{url}: {error:?}"),
            },
            Ok(answer) => format!("{url}: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => format!("{url}: {error:?}"),
        };
        self.failures.lock().expect("failures").push(failure);
        None
    }

    /// Posts PRDs and reads their verdicts without a pause; begins no new one once `done`. Answers with how many have ended.
    async fn post_and_read(&self, client: usize, done: watch::Receiver<bool>) -> usize {
        for n in 0.. {
            if *done.borrow() {
                return n;
            }
            let key = format!("client {client} PRD {n}");
            let body = json!({ "prompt": "Write add(a, b)", "idempotency_key": key });
            let Some(prd) = self.send("/prds", Some(&body)).await else { return n };
            let path = format!("/prds/{}/verdict?wait=2s", prd["id"].as_str().expect("an id"));
            let posted = Instant::now();
            loop {
                let Some(verdict) = self.send(&path, None).await else { return n };
                if verdict["outcome"].is_string() {
                    break;
                }
                assert!(posted.elapsed() < DEADLINE, "{key} has no verdict: {verdict}");
            }
        }
        unreachable!("somebody says when it is done")
    }
}

impl Backend {
    /// Waits until this node has answered that many requests more.
    async fn answers(&self, more: usize) {
        let mut answered = self.answered.subscribe();
        let enough = *answered.borrow() + more;
        let waited = tokio::time::timeout(DEADLINE, answered.wait_for(|count| *count >= enough)).await;
        assert!(waited.is_ok(), "{} gets no requests", self.url);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_is_replaced_in_turn_and_no_request_fails() {
    let url = PrivatePostgres::shared().create_database().expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let mut nodes = Vec::from([(); 2].map(|()| start(folder.path(), &url, "2")));
    let balancer = Balancer::new();
    let mut known: Vec<_> = nodes.iter().map(|node| balancer.add(&node.url)).collect();
    let (done, is_done) = watch::channel(false);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (balancer, is_done) = (Arc::clone(&balancer), is_done.clone());
        clients.spawn(async move { balancer.post_and_read(client, is_done).await });
    }

    for _ in 0..2 {
        for node in &known {
            node.answers(10).await;
        }
        let (node, left) = (nodes.remove(0), known.remove(0));
        node.signal("-TERM");
        let told = Instant::now();
        let code = tokio::task::block_in_place(|| node.ended());
        assert_eq!(code, Some(0));
        assert!(told.elapsed() < GRACE, "it took its whole grace, with nothing that takes long: {:?}", told.elapsed());
        balancer.forget(&left.url);
        // The other one is all there is for a while.
        known[0].answers(10).await;
        let node = tokio::task::block_in_place(|| start(folder.path(), &url, "2"));
        known.push(balancer.add(&node.url));
        nodes.push(node);
    }
    for node in &known {
        node.answers(10).await;
    }
    done.send(true).expect("clients");
    let ended: usize = clients.join_all().await.into_iter().sum();
    let failures = balancer.failures.lock().expect("failures").clone();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());

    // What was accepted has ended, each once, and nothing else is there.
    let (_, overview) = nodes[0].get("/overview").await;
    let jobs: u64 = overview["jobs"].as_object().expect("jobs").values().filter_map(Value::as_u64).sum();
    assert_eq!(
        overview["jobs"]["VALIDATED"].as_u64().unwrap_or(0) + overview["jobs"]["FAILED"].as_u64().unwrap_or(0),
        jobs
    );
    assert_eq!(usize::try_from(jobs).expect("a number"), ended);
    // Whoever stopped ended what its workers had: no lease had to end by itself.
    let requeued = nodes[0].audit().await.into_iter().filter(|entry| entry["action"] == "job.requeued");
    assert_eq!(requeued.collect::<Vec<_>>(), Vec::<Value>::new());
    let (_, proof) = nodes[0].get("/audit/verify").await;
    assert!(proof["first_bad"].is_null() && proof["checked"].as_u64() > Some(0), "{proof}");
    for node in nodes {
        assert_eq!(node.stop(), Some(0));
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_is_not_ready_and_serves_until_its_drain_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}", folder.path().join("aura.db").display());
    // Longer than the test: only the second signal ends it.
    let server = start(folder.path(), &database, "3600");
    assert_eq!(server.get("/readyz").await.0, 200);
    server.signal("-TERM");
    let reason = server.until("/readyz", DEADLINE, |answer| answer["status"] == 503).await;
    assert!(reason["detail"].as_str().is_some_and(|detail| detail.contains("about to stop")), "{reason}");

    assert_eq!(server.get("/healthz").await.0, 200);
    let (status, prd) = server.post("/prds", &json!({ "prompt": "Write add(a, b)" })).await;
    assert_eq!(status, 201, "{prd}");
    let path = format!("/prds/{}/verdict?wait=10s", prd["id"].as_str().expect("an id"));
    server.until(&path, DEADLINE, |verdict| verdict["outcome"].is_string()).await;
    let answer = client().get(format!("{}/prds", server.url)).send().await.expect("the server answers");
    assert_eq!(answer.headers().get("connection").map(|value| value.as_bytes()), Some(b"close".as_slice()));

    server.signal("-TERM");
    assert_eq!(server.ended(), Some(130), "the second signal is final");
}
