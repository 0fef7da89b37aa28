//! A server whose database goes away says so, stays alive, and is ready again when the database is back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aura_testbed::PrivatePostgres;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::process::Server;

/// Waits for an answer of `/readyz` with this status.
async fn readiness(server: &Server, status: u16) -> serde_json::Value {
    let started = Instant::now();
    loop {
        let asked = Instant::now();
        let (given, body) = server.get("/readyz").await;
        assert!(asked.elapsed() < Duration::from_secs(5), "/readyz took {:?}", asked.elapsed());
        if given == status {
            return body;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "/readyz still says {given}: {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn start(folder: &Path, url: &str) -> Server {
    Server::start(folder, &[("DATABASE_URL", url), ("AURA_LEASE", "2"), ("RUST_LOG", "error")])
}

#[tokio::test]
async fn a_server_is_not_ready_while_its_database_is_down_and_works_on_when_it_is_back() {
    let folder = tempfile::tempdir().expect("folder");
    // Durable, or the crash would take back what the server wrote at its start.
    let database = PrivatePostgres::builder().durable().start().expect("a private PostgreSQL");
    let server = start(folder.path(), &database.create_database().expect("a database"));
    assert_eq!(readiness(&server, 200).await["status"], "ready");

    database.kill9().expect("killed");
    let problem = readiness(&server, 503).await;
    assert_eq!(problem["type"], "urn:aura-orchestra:problem:unavailable", "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("store")), "{problem}");
    assert_eq!(server.get("/healthz").await.0, 200, "the process itself is well");

    database.start_again().expect("started again");
    readiness(&server, 200).await;
    // All its engines go on, without being started again.
    let prd = json!({ "prompt": "Write add(a, b)", "idempotency_key": "after the fall" });
    let started = Instant::now();
    let id = loop {
        let (status, answer) = server.post("/prds", &prd).await;
        if status == 201 || status == 200 {
            break answer["id"].as_str().expect("an id").to_owned();
        }
        assert!(status == 503 && started.elapsed() < Duration::from_secs(30), "{status}: {answer}");
    };
    let path = format!("/prds/{id}/verdict?wait=30s");
    server.until(&path, Duration::from_secs(60), |verdict| verdict["outcome"].is_string()).await;
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_server_is_not_ready_while_its_database_does_not_answer() {
    let folder = tempfile::tempdir().expect("folder");
    let url = PrivatePostgres::shared().create_database().expect("a database");
    let server = start(folder.path(), &url);
    readiness(&server, 200).await;

    let mut other = PgConnection::connect(&url).await.expect("connected");
    let mut transaction = other.begin().await.expect("begun");
    transaction.execute("LOCK TABLE aura.job_totals IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let (status, problem) = server.get("/readyz").await;
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("did not answer")), "{problem}");
    assert_eq!(server.get("/healthz").await.0, 200, "the process itself is well");

    transaction.rollback().await.expect("given up");
    readiness(&server, 200).await;
    assert_eq!(server.stop(), Some(0));
}
