//! A process that is killed while it writes: what was answered is there, and nothing is half-written.

use std::{
    io::{BufRead, BufReader, Write as _},
    process::{Command, Stdio},
};

use aura_core::{
    PrdId,
    audit::ChainCheck,
    contract::{AuditStore, JobStore},
};
use aura_store::SqliteStore;

use crate::scene::{by_hand, new_prd};

const DATABASE: &str = "AURA_TEST_KILLED_DATABASE";
const ROUNDS: usize = 3;
const ANSWERED_PER_ROUND: usize = 40;

/// The process that gets killed: submits without end, and says on its standard output what was answered. Does nothing unless
/// the test below started it.
#[tokio::test]
async fn submits_until_it_is_killed() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let store = SqliteStore::open(path).await.unwrap();
    let mut out = std::io::stdout();
    loop {
        for answer in store.submit(&[new_prd(2), new_prd(1)]).await.unwrap() {
            writeln!(out, "answered {}", answer.unwrap().prd.id).unwrap();
        }
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_there_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aura.db");
    let mut answered: Vec<PrdId> = Vec::new();
    for _ in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::submits_until_it_is_killed", "--nocapture"])
            .env(DATABASE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ids = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("answered ")?.parse::<PrdId>().ok());
        answered.extend(ids.take(ANSWERED_PER_ROUND));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(answered.len(), ROUNDS * ANSWERED_PER_ROUND);

    let store = SqliteStore::open(&path).await.unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&by_hand(&path).await).await.unwrap();
    assert_eq!(verdict, "ok");
    let kept = store.prds(&answered).await.unwrap();
    assert_eq!(kept.iter().map(|prd| prd.id).collect::<Vec<_>>(), answered);
    let mut check = ChainCheck::default();
    loop {
        let page = store.audit(check.last(), 500).await.unwrap();
        if page.is_empty() || !check.extend(&page) {
            break;
        }
    }
    let report = check.finish();
    assert_eq!(report.first_bad, None);
    // Each PRD leaves one entry, which names its jobs: no job is without its PRD, and no PRD without its entry.
    let all = store.recent_prds(None, 100_000).await.unwrap();
    assert!(all.iter().all(|prd| !prd.jobs.is_empty()));
    assert_eq!(report.checked, all.len() as u64);
}
