//! What workers on their own get done, and what is left of one that dies.

use std::time::Duration;

use crate::worker::{PATIENCE, Worker, history, manager, submit, taken, validated};

#[tokio::test]
async fn a_worker_in_its_own_process_solves_a_prd_and_shows_its_machine() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let worker = Worker::start(folder.path(), &server.url, "solver", &[("AURA_TOKEN", "canary")]);
    worker.says("employee_offline is registered");
    worker.says("ready");
    let (prd, job) = submit(&server).await;
    let verdict = server
        .until(&format!("/prds/{prd}/verdict?wait=30s"), PATIENCE, |verdict| verdict["outcome"].is_string())
        .await;
    assert_eq!(verdict["outcome"], "won", "{verdict}");
    validated(&server, &job).await;
    let (_, runs) = server.get(&format!("/jobs/{job}/runs")).await;
    assert_eq!(runs[0]["details"]["signals"]["test_score"], 1.0, "{runs}");

    let shown = |overview: &serde_json::Value| overview["remote_workers"][0]["resources"]["cores"].is_u64();
    let overview = server.until("/overview", PATIENCE, shown).await;
    let seen = &overview["remote_workers"][0];
    assert_eq!((&seen["id"], &seen["models"][0]), (&"solver".into(), &"employee_offline".into()), "{overview}");
    assert_eq!(seen["jobs"].as_array().map(Vec::len), Some(0), "{overview}");

    worker.signal("-TERM");
    worker.says("stopped");
    let log = worker.log();
    assert!(log.contains("a job begins") && log.contains("handed in"), "{log}");
    assert!(!log.contains("canary"), "{log}");
    assert_eq!(worker.ended(), Some(0));
}

#[tokio::test]
async fn another_worker_finishes_what_a_killed_one_had_in_hand() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[("AURA_LEASE", "1.5")]);
    let slow = [("OFFLINE_LATENCY", "600"), ("WORKER_MODEL_CONCURRENCY", "4")];
    let doomed = Worker::start(folder.path(), &server.url, "doomed", &slow);
    let (_, job) = submit(&server).await;
    let first = taken(&server, &job, &doomed).await;
    // It is alive for longer than a lease: its heartbeats keep up with leases that are short.
    let beaten = |job: &serde_json::Value| job["lease_until"].as_str() > first["lease_until"].as_str();
    server.until(&format!("/jobs/{job}"), PATIENCE, beaten).await;
    doomed.kill();

    let heir = Worker::start(folder.path(), &server.url, "heir", &[]);
    heir.says("is registered");
    validated(&server, &job).await;
    let history = history(&server, &job).await;
    let count = |word: &str| history.iter().filter(|event| *event == word).count();
    assert_eq!((count("job.claimed"), count("job.validated")), (2, 1), "{history:?}");
    assert!(heir.log().contains("handed in"), "{}", heir.log());
}

#[tokio::test]
async fn one_worker_does_several_jobs_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let settings = [("WORKER_CONCURRENCY", "3"), ("OFFLINE_LATENCY", "600"), ("WORKER_GRACE", "0")];
    let worker = Worker::start(folder.path(), &server.url, "many", &settings);
    worker.says("ready: 3 jobs at once");
    for _ in 0..3 {
        submit(&server).await;
    }
    let busy = |overview: &serde_json::Value| overview["remote_workers"][0]["jobs"].as_array().map(Vec::len) == Some(3);
    server.until("/overview", Duration::from_secs(30), busy).await;
    worker.signal("-TERM");
    assert_eq!(worker.ended(), Some(0));
    let idle = |jobs: &serde_json::Value| jobs.as_array().is_some_and(Vec::is_empty);
    server.until("/jobs?status=IN_PROGRESS", PATIENCE, idle).await;
}

#[tokio::test]
async fn a_worker_without_its_key_is_a_stub_that_says_so_and_earns_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let worker = Worker::start(folder.path(), &server.url, "keyless", &[("MODEL_BACKEND", "openai")]);
    worker.says("employee_openai is a STUB: no OPENAI_API_KEY");
    worker.says("ready");
    let (_, models) = server.get("/models").await;
    assert!(models[0]["stub"].as_str().is_some_and(|stub| stub.starts_with("no OPENAI_API_KEY")), "{models}");
    let (prd, job) = submit(&server).await;
    let ended = |verdict: &serde_json::Value| verdict["outcome"].is_string();
    let verdict = server.until(&format!("/prds/{prd}/verdict?wait=30s"), PATIENCE, ended).await;
    assert!(verdict["entries"][0]["stub"].is_string(), "{verdict}");
    let (_, runs) = server.get(&format!("/jobs/{job}/runs")).await;
    assert!(
        runs.as_array().is_some_and(|runs| !runs.is_empty() && runs.iter().all(|run| run["counts"] == false)),
        "{runs}"
    );
    worker.signal("-TERM");
    assert_eq!(worker.ended(), Some(0));
}
