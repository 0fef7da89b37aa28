//! `kill -9` in the middle of ten jobs, again and again: all ten end, none twice.

use std::{collections::HashMap, env, time::Duration};

use crate::process::Server;
use serde_json::{Value, json};

/// Short leases, so that a round takes a second and not thirty.
const SETTINGS: &[(&str, &str)] = &[("AURA_LEASE", "0.6"), ("RUST_LOG", "error")];

fn rounds() -> u64 {
    env::var("AURA_KILL_ROUNDS").ok().map_or(20, |rounds| rounds.parse().expect("AURA_KILL_ROUNDS is a number"))
}

fn job(round: u64, n: u64) -> Value {
    json!({
        "prompt": "Write add(a, b)",
        "tests": { "files": [], "command": ["sh", "-c", "sleep 0.02; test -s solution.py"], "report": "exit_code",
                   "timeout": 20, "fast_enough": 5 },
        "idempotency_key": format!("round {round} job {n}"),
    })
}

#[tokio::test]
async fn ten_jobs_all_end_once_whenever_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::start(folder.path(), SETTINGS);
    for round in 0..rounds() {
        // The kill falls anywhere between the first submission and after the last verdict, spread evenly over rounds.
        let until_kill = Duration::from_millis(round * 37 % 450);
        let mut accepted = HashMap::new();
        let submit = async {
            for n in 0..10 {
                // Not answered means not accepted, or accepted without our knowing: the key makes asking again safe.
                if let Some((status, prd)) = server.try_post("/prds", &job(round, n)).await {
                    assert!(status == 201 || status == 200, "{status}: {prd}");
                    accepted.insert(n, prd["id"].clone());
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! { () = submit => {}, () = tokio::time::sleep(until_kill) => {} }
        server.kill();
        server = Server::start(folder.path(), SETTINGS);
        for n in 0..10 {
            let (status, prd) = server.post("/prds", &job(round, n)).await;
            match accepted.get(&n) {
                Some(id) => assert_eq!((status, &prd["id"]), (200, id), "an accepted PRD is lost in round {round}"),
                None => assert!(status == 201 || status == 200, "{status}: {prd}"),
            }
            accepted.insert(n, prd["id"].clone());
        }
        for id in accepted.values() {
            ended_once(&server, id.as_str().expect("id"), round).await;
        }
    }
    let (_, proof) = server.get("/audit/verify").await;
    assert_eq!(proof["first_bad"], Value::Null, "{proof}");
    assert_eq!(server.stop(), Some(0));
}

async fn ended_once(server: &Server, prd: &str, round: u64) {
    let verdict = server
        .until(&format!("/prds/{prd}/verdict?wait=30s"), Duration::from_secs(30), |v| v["outcome"].is_string())
        .await;
    assert_eq!(verdict["outcome"], "won", "round {round}: {verdict}");
    let (_, prd) = server.get(&format!("/prds/{prd}")).await;
    let job = prd["jobs"][0].as_str().or_else(|| prd["jobs"][0]["id"].as_str()).expect("its one job").to_owned();
    let (_, events) = server.get(&format!("/jobs/{job}/events")).await;
    let count = |word: &str| events.as_array().expect("events").iter().filter(|e| e["event_type"] == word).count();
    assert_eq!(count("job.validated"), 1, "round {round}: {events}");
    let (_, runs) = server.get(&format!("/jobs/{job}/runs")).await;
    let mut attempts: Vec<_> = runs.as_array().expect("runs").iter().map(|run| run["attempt"].as_u64()).collect();
    let all = attempts.len();
    attempts.sort_unstable();
    attempts.dedup();
    assert_eq!(attempts.len(), all, "an attempt was scored twice in round {round}: {runs}");
    assert_eq!(runs.as_array().expect("runs").iter().filter(|run| run["success"] == true).count(), 1, "{runs}");
}
