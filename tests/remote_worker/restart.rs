//! The manager goes away and comes back, and the worker goes on.

use std::net::TcpListener;

use crate::worker::{Worker, history, manager, submit, taken, validated};

/// An address that nobody else has, and that a manager can come back to.
fn address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").to_string()
}

#[tokio::test]
async fn work_in_hand_survives_a_kill_and_a_restart_of_the_manager() {
    let (folder, address) = (tempfile::tempdir().expect("folder"), address());
    let settings = [("AURA_LISTEN", address.as_str()), ("AURA_LEASE", "20")];
    let server = manager(folder.path(), &settings);
    let worker = Worker::start(folder.path(), &server.url, "steady", &[("OFFLINE_LATENCY", "2")]);
    let (_, job) = submit(&server).await;
    taken(&server, &job, &worker).await;
    server.kill();
    let server = manager(folder.path(), &settings);
    validated(&server, &job).await;
    let events = history(&server, &job).await;
    assert_eq!(events.iter().filter(|event| *event == "job.claimed").count(), 1, "{events:?}");

    // Idle while the manager is away, it says so once, and then takes what comes.
    assert_eq!(server.stop(), Some(0));
    worker.logs("cannot be reached; it is asked again").await;
    let server = manager(folder.path(), &settings);
    let (_, job) = submit(&server).await;
    validated(&server, &job).await;
    let log = worker.log();
    let said = log.matches("cannot be reached; it is asked again").count();
    assert_eq!(said, log.matches("answers again").count(), "{log}");
    assert!((1..=4).contains(&said), "{log}");
}

#[tokio::test]
async fn a_worker_waits_for_a_manager_that_is_not_there_yet() {
    let (folder, address) = (tempfile::tempdir().expect("folder"), address());
    let worker = Worker::start(folder.path(), &format!("http://{address}"), "early", &[]);
    worker.says("waiting for the manager");
    let server = manager(folder.path(), &[("AURA_LISTEN", address.as_str())]);
    worker.says("ready");
    let (_, job) = submit(&server).await;
    validated(&server, &job).await;
}
