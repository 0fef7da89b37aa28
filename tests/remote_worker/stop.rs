//! A worker that is asked to stop finishes what it has, or hands it back.

use crate::worker::{Worker, history, manager, submit, taken, validated};

#[tokio::test]
async fn sigterm_hands_the_job_back_at_once_and_another_worker_does_it() {
    let folder = tempfile::tempdir().expect("folder");
    // With leases of an hour, only handing back can free the job.
    let server = manager(folder.path(), &[("AURA_LEASE", "3600")]);
    let slow = [("OFFLINE_LATENCY", "600"), ("WORKER_GRACE", "0.2")];
    let leaving = Worker::start(folder.path(), &server.url, "leaving", &slow);
    let (_, job) = submit(&server).await;
    taken(&server, &job, &leaving).await;
    leaving.signal("-TERM");
    leaving.says("stopping");
    leaving.says("stopped");
    assert!(leaving.log().contains("handed back"), "{}", leaving.log());
    assert_eq!(leaving.ended(), Some(0));
    let _heir = Worker::start(folder.path(), &server.url, "heir", &[]);
    validated(&server, &job).await;
    let events = history(&server, &job).await;
    assert_eq!(events.iter().filter(|event| *event == "job.claimed").count(), 2, "{events:?}");
}

#[tokio::test]
async fn sigterm_lets_a_job_finish_that_ends_within_the_grace_time() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let settings = [("OFFLINE_LATENCY", "1"), ("WORKER_GRACE", "30")];
    let worker = Worker::start(folder.path(), &server.url, "finishing", &settings);
    let (_, job) = submit(&server).await;
    taken(&server, &job, &worker).await;
    worker.signal("-TERM");
    worker.says("stopped");
    assert!(worker.log().contains("handed in"), "{}", worker.log());
    validated(&server, &job).await;
    let (_, claims) = (worker.ended(), history(&server, &job).await);
    assert_eq!(claims.iter().filter(|event| *event == "job.claimed").count(), 1, "{claims:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let server = manager(folder.path(), &[]);
    let slow = [("OFFLINE_LATENCY", "600"), ("WORKER_GRACE", "600")];
    let worker = Worker::start(folder.path(), &server.url, "hasty", &slow);
    let (_, job) = submit(&server).await;
    taken(&server, &job, &worker).await;
    worker.signal("-INT");
    worker.says("stopping");
    worker.signal("-INT");
    assert_eq!(worker.ended(), Some(130));
}
