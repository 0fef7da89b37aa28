//! Two servers on one PostgreSQL are nodes of one orchestra, also when the one with the duties is killed.

use std::{
    collections::HashSet,
    ops::Range,
    time::{Duration, Instant},
};

use aura_testbed::PrivatePostgres;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::process::Server;

const DEADLINE: Duration = Duration::from_secs(90);

fn job(n: usize) -> Value {
    json!({
        "prompt": "Write add(a, b)",
        "tests": { "files": [], "command": ["sh", "-c", "sleep 0.05; test -s solution.py"], "report": "exit_code",
                   "timeout": 20, "fast_enough": 5 },
        "idempotency_key": format!("job {n}"),
    })
}

/// Two nodes, and their database. The first one starts alone, so it has every duty.
struct Nodes {
    first: Server,
    second: Server,
    url: String,
    _folders: [tempfile::TempDir; 2],
}

impl Nodes {
    fn start() -> Self {
        let url = PrivatePostgres::shared().create_database().expect("a database");
        let settings = [("DATABASE_URL", url.as_str()), ("AURA_LEASE", "2"), ("RUST_LOG", "error")];
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [first, second] = [&folders[0], &folders[1]].map(|folder| Server::start(folder.path(), &settings));
        Self { first, second, url, _folders: folders }
    }

    /// Who schedules, and how often the duty has changed hands.
    async fn scheduler(&self) -> (String, i64) {
        let mut database = PgConnection::connect(&self.url).await.expect("connected");
        let row = sqlx::query("SELECT node, epoch FROM aura.duties WHERE duty = 'scheduler'").fetch_one(&mut database);
        let row = row.await.expect("somebody schedules");
        (row.get("node"), row.get("epoch"))
    }

    /// The nodes whose workers have claimed anything.
    async fn workers(&self) -> HashSet<String> {
        let entries = self.second.audit().await;
        let claims = entries.iter().filter(|entry| entry["action"] == "job.claimed");
        let process = |entry: &Value| Some(entry["details"]["worker"].as_str()?.split_once('-')?.0.to_owned());
        claims.filter_map(process).collect()
    }

    /// Submits these jobs side by side, every other one to the second node; answers with the ids of their PRDs.
    async fn submit(&self, jobs: Range<usize>) -> Vec<String> {
        let posted = jobs.map(async |n| {
            let node = if n % 2 == 0 { &self.first } else { &self.second };
            let (status, prd) = node.post("/prds", &job(n)).await;
            assert_eq!(status, 201, "{prd}");
            prd["id"].as_str().expect("an id").to_owned()
        });
        join_all(posted).await
    }
}

/// Waits until a PRD has its verdict, and checks that its one job ended well, or badly with a reason, and no attempt twice.
async fn ended_once(server: &Server, prd: &str, deadline: Instant) {
    let path = format!("/prds/{prd}/verdict?wait=10s");
    let left = deadline.saturating_duration_since(Instant::now());
    server.until(&path, left, |verdict| verdict["outcome"].is_string()).await;
    let (_, prd) = server.get(&format!("/prds/{prd}")).await;
    let id = prd["jobs"][0].as_str().or_else(|| prd["jobs"][0]["id"].as_str()).expect("its one job").to_owned();
    let (_, job) = server.get(&format!("/jobs/{id}")).await;
    match job["status"].as_str() {
        Some("VALIDATED") => {}
        Some("FAILED") => assert!(job["reason"].is_string() || job["last_error"].is_string(), "no reason: {job}"),
        _ => panic!("a job of a settled PRD has not ended: {job}"),
    }
    let (_, runs) = server.get(&format!("/jobs/{id}/runs")).await;
    let runs = runs.as_array().expect("runs");
    let attempts: HashSet<_> = runs.iter().map(|run| run["attempt"].as_i64()).collect();
    assert_eq!(attempts.len(), runs.len(), "an attempt has two runs: {runs:?}");
}

async fn chain_holds(server: &Server) {
    let (_, proof) = server.get("/audit/verify").await;
    assert!(proof["first_bad"].is_null() && proof["checked"].as_u64() > Some(0), "{proof}");
}

#[tokio::test]
async fn what_is_posted_to_one_node_is_done_and_seen_by_both() {
    let nodes = Nodes::start();
    let scheduler = nodes.scheduler().await;
    assert_eq!(scheduler.1, 1, "the first node has the duty since the start");
    let deadline = Instant::now() + DEADLINE;
    let (mut prds, mut workers) = (Vec::new(), HashSet::new());
    // Where the second node's workers are slow to wake, the first node's own have done everything by then.
    while workers.len() < 2 {
        assert!(Instant::now() < deadline, "one node did everything: {workers:?}");
        let more = nodes.submit(prds.len()..prds.len() + 12).await;
        for (n, prd) in more.iter().enumerate() {
            // Asked of the node that did not take it.
            let other = if n % 2 == 0 { &nodes.second } else { &nodes.first };
            ended_once(other, prd, deadline).await;
        }
        prds.extend(more);
        workers = nodes.workers().await;
    }
    assert_eq!(nodes.scheduler().await, scheduler, "one node schedules all the time");

    let entries = nodes.second.audit().await;
    let count = |action: &str| entries.iter().filter(|entry| entry["action"] == action).count();
    assert_eq!(count("orchestra.started"), 2);
    assert_eq!(count("prd.settled"), prds.len(), "each PRD is settled once");
    chain_holds(&nodes.first).await;

    assert_eq!(nodes.first.stop(), Some(0));
    assert_eq!(nodes.second.stop(), Some(0));
}

#[tokio::test]
async fn when_the_node_that_schedules_is_killed_the_other_one_finishes_everything() {
    let nodes = Nodes::start();
    let (before, epoch) = nodes.scheduler().await;
    assert_eq!(epoch, 1, "the first node has the duty since the start");
    let prds = nodes.submit(0..30).await;
    let settled = |entries: &[Value]| entries.iter().filter(|entry| entry["action"] == "prd.settled").count();
    let started = Instant::now();
    while settled(&nodes.second.audit().await) < 5 {
        assert!(started.elapsed() < DEADLINE, "nothing is settled");
    }
    let Nodes { first, second, url, _folders } = nodes;
    first.kill();
    assert!(settled(&second.audit().await) < prds.len(), "it was killed in the middle");

    let deadline = Instant::now() + DEADLINE;
    for prd in &prds {
        ended_once(&second, prd, deadline).await;
    }
    assert_eq!(settled(&second.audit().await), prds.len(), "each PRD is settled once");
    chain_holds(&second).await;
    let mut database = PgConnection::connect(&url).await.expect("connected");
    // What was assigned already is done without a scheduler, so the duty may be taken over later than that.
    loop {
        let row = sqlx::query("SELECT node, epoch FROM aura.duties WHERE duty = 'scheduler'").fetch_one(&mut database);
        let row = row.await.expect("somebody schedules");
        if row.get::<i64, _>("epoch") == 2 {
            assert_ne!(row.get::<String, _>("node"), before);
            break;
        }
        assert!(Instant::now() < deadline, "the duty was not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(second.stop(), Some(0));
}
