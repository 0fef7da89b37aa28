//! Two nodes with three workers each, and HR that moves from one to the other: each decision is made once, each job done once.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use aura_testbed::PrivatePostgres;
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::process::Server;

const DEADLINE: Duration = Duration::from_secs(90);
/// How often HR looks.
const INTERVAL: &str = "0.2";

/// A server of chat completions with three models: one whose code passes the tests, one that does a little, one that fails.
async fn models() -> String {
    let answer = async |Json(request): Json<Value>| {
        let body = if request["model"] == "bad" { "pass" } else { "return a + b" };
        let content = format!("```python\ndef add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n    {body}\n```");
        Json(
            json!({ "choices": [{ "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }] }),
        )
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let router = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn start(folder: &Path, database: &str, models: &str) -> Server {
    let settings = [
        ("DATABASE_URL", database),
        ("OPENAI_BASE_URL", models),
        ("OPENAI_MODEL", "good,fair,bad"),
        ("AURA_WORKERS", "3"),
        ("AURA_LEASE", "2"),
        ("AURA_HR_INTERVAL", INTERVAL),
        ("PROMOTE_THRESHOLD", "0.6"),
        ("AURA_ALLOW_UNSANDBOXED", "1"),
        ("RUST_LOG", "error"),
    ];
    Server::start(folder, &settings)
}

/// Submits jobs for one model, by turns to each of the nodes; answers with the ids of their PRDs.
async fn submit(nodes: &[&Server], model: &str, count: usize) -> Vec<String> {
    // HR promotes on evidence that the work cannot forge only.
    let call = json!({ "function": { "language": "python", "file": "solution.py", "name": "add" } });
    let tests = json!({ "call": call, "cases": [{ "args": [1, 2], "expected": 3 }] });
    let body = json!({ "prompt": "Write add(a, b)", "model": model, "tests": tests });
    let mut ids = Vec::new();
    for node in nodes.iter().cycle().take(count) {
        let (status, prd) = node.post("/prds", &body).await;
        assert_eq!(status, 201, "{prd}");
        ids.push(prd["id"].as_str().expect("an id").to_owned());
    }
    ids
}

async fn all_end(node: &Server, prds: &[String]) {
    for prd in prds {
        let path = format!("/prds/{prd}/verdict?wait=10s");
        node.until(&path, DEADLINE, |verdict| verdict["outcome"].is_string()).await;
    }
}

/// The database that the nodes share, asked by hand.
struct Database(PgConnection);

impl Database {
    async fn number(&mut self, sql: &'static str) -> i64 {
        sqlx::query(sql).fetch_one(&mut self.0).await.expect("a number").get(0)
    }

    /// Asks until the number is at least so large.
    async fn reaches(&mut self, sql: &'static str, least: i64) {
        let started = Instant::now();
        loop {
            let now = self.number(sql).await;
            if now >= least {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{sql} is {now}, not {least}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const PROMOTIONS: &str = "SELECT count(*) FROM aura.promotions";
const HR_EPOCH: &str = "SELECT coalesce(max(epoch), 0) FROM aura.duties WHERE duty = 'hr' AND until > now()";
const LOOKS: &str = "SELECT count(DISTINCT window_end) FROM aura.model_scores";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hr_decides_once_and_no_job_is_done_twice_while_the_duty_moves() {
    let url = PrivatePostgres::shared().create_database().expect("a database");
    let (folder, models) = (tempfile::tempdir().expect("a folder"), models().await);
    let node = || tokio::task::block_in_place(|| start(folder.path(), &url, &models));
    // The first one starts alone, so it has every duty.
    let (first, second) = (node(), node());
    let mut database = Database(PgConnection::connect(&url).await.expect("connected"));

    // Two runs of `fair` decide nothing, and make it one of the two best: `bad` can be demoted.
    let fair = submit(&[&first, &second], "fair", 2).await;
    all_end(&second, &fair).await;
    let mut prds = submit(&[&first, &second], "good", 12).await;
    // The moment of the first decision: what HR saw is written behind it.
    database.reaches(PROMOTIONS, 1).await;
    first.kill();
    // Before the third is there: it could take the duty too, and would have none to take when the second one stops.
    database.reaches(HR_EPOCH, 2).await;

    let third = node();
    prds.extend(submit(&[&second, &third], "bad", 3).await);
    prds.extend(submit(&[&second, &third], "good", 12).await);
    database.reaches(PROMOTIONS, 2).await;
    assert_eq!(database.number(HR_EPOCH).await, 2, "another node decided");
    prds.extend(submit(&[&third], "good", 6).await);
    assert_eq!(tokio::task::block_in_place(|| second.stop()), Some(0));
    prds.extend(submit(&[&third], "good", 3).await);
    all_end(&third, &prds).await;
    // Both nodes that came after have looked at what was decided, more than once.
    database.reaches(HR_EPOCH, 3).await;
    let looks = database.number(LOOKS).await;
    database.reaches(LOOKS, looks + 3).await;

    let rows =
        sqlx::query("SELECT name, action FROM aura.promotions p JOIN aura.models m ON m.id = p.model_id ORDER BY p.id");
    let rows = rows.fetch_all(&mut database.0).await.expect("promotions");
    let decided: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(
        decided,
        [("good", "promote"), ("bad", "demote")].map(|(model, action)| (model.to_owned(), action.to_owned()))
    );
    let audit = third.audit().await;
    let told = audit.iter().filter(|entry| entry["action"] == "model.standing");
    let told: Vec<_> = told.map(|entry| (&entry["details"]["model"], &entry["details"]["action"])).collect();
    assert_eq!(told, [(&json!("good"), &json!("promote")), (&json!("bad"), &json!("demote"))]);

    for (fact, wrong) in [
        (
            "a window has one row a model",
            "SELECT count(*) - count(DISTINCT (model_id, window_end)) FROM aura.model_scores",
        ),
        (
            "two looks lie an interval apart, whichever nodes looked",
            "SELECT count(*) FROM (SELECT window_end - lag(window_end) OVER (ORDER BY window_end) AS apart
                 FROM (SELECT DISTINCT window_end FROM aura.model_scores) AS looks) AS gaps
             WHERE apart < interval '0.2 s'",
        ),
        ("an attempt has one run", "SELECT count(*) - count(DISTINCT (job_id, attempt)) FROM aura.model_runs"),
        (
            "a job is accepted once",
            "SELECT count(*) FROM (SELECT FROM aura.model_runs WHERE success GROUP BY job_id HAVING count(*) > 1) AS jobs",
        ),
        (
            "each report follows a claim of its own",
            "SELECT count(*) FROM (SELECT event_type, lag(event_type) OVER (PARTITION BY job_id ORDER BY id) AS before
                 FROM aura.job_events WHERE event_type IN ('job.claimed', 'job.submitted')) AS events
             WHERE event_type = 'job.submitted' AND before IS DISTINCT FROM 'job.claimed'",
        ),
        ("every job has ended", "SELECT count(*) FROM aura.jobs WHERE status NOT IN ('VALIDATED', 'FAILED')"),
    ] {
        assert_eq!(database.number(wrong).await, 0, "{fact}");
    }
    assert_eq!(
        database.number("SELECT count(*) FROM aura.jobs").await,
        i64::try_from(prds.len() + fair.len()).expect("few")
    );
    let claims = audit.iter().filter(|entry| entry["action"] == "job.claimed");
    let workers: HashSet<_> = claims.filter_map(|entry| entry["details"]["worker"].as_str()).collect();
    let nodes: HashSet<_> = workers.iter().filter_map(|worker| worker.split_once('-')).map(|(node, _)| node).collect();
    assert!(nodes.len() > 1, "several nodes worked: {workers:?}");
    let (_, proof) = third.get("/audit/verify").await;
    assert!(proof["first_bad"].is_null() && proof["checked"].as_u64() > Some(0), "{proof}");
    assert_eq!(third.stop(), Some(0));
}
