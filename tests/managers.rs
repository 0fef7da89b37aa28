//! One worker's view of a manager, in this process and over the wire: the same answers, and the same errors.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

#[expect(dead_code, reason = "what other tests send by hand")]
mod raw_http;

use std::{sync::Arc, time::Duration};

use aura_orchestra::{
    core::{
        contract::{ArtifactUpload, Claimed, Release, Report, Sighting, WorkRequest},
        job::Door,
    },
    http::{HttpManager, HttpOptions},
    prelude::*,
};
use futures::{Stream, StreamExt as _};
use raw_http::House;
use serde_json::json;

/// An orchestra without workers, and a door to it.
struct Stage {
    house: House,
    manager: Arc<dyn Manager>,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    InProcess,
    OverTheWire,
}

impl Stage {
    async fn new(way: Way) -> Self {
        let builder = aura_orchestra::builder().store(MemoryStore::new()).workers(0);
        let house = House::open(builder, HttpOptions::default()).await;
        let url = format!("http://{}", house.address);
        let wire = HttpManager::builder(url).token(aura_orchestra::http::Token::new("canary").expect("a token"));
        let wire = wire.build().expect("a client");
        wire.register(&profile("employee_one")).await.expect("registered");
        let again = wire.register(&profile("employee_one")).await.expect_err("it is there");
        assert!(matches!(again, aura_orchestra::core::Error::ModelExists(name) if name.as_str() == "employee_one"));
        wire.employ(&profile("employee_one")).await.expect("the same one");
        let manager: Arc<dyn Manager> = match way {
            Way::InProcess => Arc::new(house.orchestra.clone()),
            Way::OverTheWire => Arc::new(wire),
        };
        Self { house, manager }
    }

    async fn claim(&self, max: u32) -> Vec<Claimed> {
        self.manager.claim(&request(&["employee_one"], max)).await.expect("claims")
    }
}

fn profile(name: &str) -> ModelProfile {
    let profile = ModelProfile::new(name, ModelKind::Local, "test", "model").expect("a profile");
    profile.concurrency(8).stub("it is a test's")
}

fn worker() -> WorkerId {
    WorkerId::new("w-1").expect("a name")
}

fn request(models: &[&str], max: u32) -> WorkRequest {
    let models = models.iter().map(|name| ModelName::new(*name).expect("a name")).collect();
    WorkRequest { worker_id: worker(), models, max, wait: Duration::from_secs(20), door: Door::Remote }
}

fn proof(claimed: &Claimed) -> LeaseProof {
    let JobState::InProgress { lease, .. } = &claimed.job.state else { panic!("no lease: {claimed:?}") };
    LeaseProof { job: claimed.job.id, worker: lease.worker.clone(), token: Some(lease.token) }
}

fn upload(claimed: &Claimed, items: Vec<NewArtifact>) -> ArtifactUpload {
    let LeaseProof { job, worker, token } = proof(claimed);
    ArtifactUpload { job, model: claimed.model.clone(), worker: Some(worker), token, items }
}

fn piece(text: &str) -> NewArtifact {
    NewArtifact { kind: ArtifactKind::Result, body: json!({ "output": text }) }
}

fn back(proof: LeaseProof) -> Release {
    let retry_after = Some(Duration::from_millis(1));
    Release { proof, reason: "not now".to_owned(), retry_after, blameless: false, unbilled: true }
}

/// Everything a worker does, and what it is told; ids and times are left out, for they differ.
async fn told(way: Way) -> Vec<String> {
    let stage = Stage::new(way).await;
    let (house, manager) = (&stage.house, &stage.manager);
    let mut told = Vec::new();
    let mut tell = |what: &str, answer: String| told.push(format!("{what}: {answer}"));
    let new = NewPrd { project: ProjectId(7), ..NewPrd::new("Write add(a, b)\n\"quoted\"") };
    let prd = house.orchestra.submit(new).await.expect("accepted");
    let id = prd.jobs[0];
    let known = |text: String| text.replace(&id.to_string(), "JOB");

    // What is claimed is the job as it is stored, to the last field.
    let claimed = stage.claim(3).await;
    let [claimed] = claimed.try_into().expect("one job");
    assert_eq!(claimed.job, house.orchestra.job(id).await.expect("the job"));
    assert_eq!(claimed.prd, house.orchestra.prd(prd.id).await.expect("the PRD"));
    tell("claimed", format!("{} {:?} attempt {}", claimed.model, claimed.feedback, claimed.job.attempt));

    // Leases: one that holds, one of a stranger, one of a job that there is not.
    let (good, mut stranger, mut nowhere) = (proof(&claimed), proof(&claimed), proof(&claimed));
    stranger.token = Some(FencingToken(999));
    nowhere.job = JobId::new();
    let beats = manager.heartbeat(&[good.clone(), stranger.clone(), nowhere.clone()]).await.expect("answers");
    let until = beats[0].as_ref().expect("extended");
    let JobState::InProgress { lease, .. } = house.orchestra.job(id).await.expect("the job").state else {
        panic!("not in progress")
    };
    assert_eq!(*until, lease.until);
    for (n, beat) in beats.iter().enumerate().skip(1) {
        tell("beat", known(format!("{n} {beat:?}").replace(&nowhere.job.to_string(), "NOWHERE")));
    }
    tell("no lease", format!("{:?}", manager.heartbeat(&[]).await));

    // Pieces.
    let pieces = vec![piece("one"), piece("two")];
    let stored = manager.upload_artifacts(&upload(&claimed, pieces.clone())).await.expect("stored");
    assert_eq!(stored, house.orchestra.artifacts(id).await.expect("artifacts"));
    let mut other = upload(&claimed, pieces);
    other.token = stranger.token;
    tell("stranger's piece", known(format!("{:?}", manager.upload_artifacts(&other).await)));
    other.model = ModelName::new("nobody").expect("a name");
    tell("unknown model", format!("{:?}", manager.upload_artifacts(&other).await));
    let null = NewArtifact { kind: ArtifactKind::Docs, body: serde_json::Value::Null };
    tell("null", format!("{:?}", manager.upload_artifacts(&upload(&claimed, vec![null])).await));
    let huge = vec![piece(&"x".repeat(NewArtifact::MAX_BYTES))];
    tell("huge", format!("{:?}", manager.upload_artifacts(&upload(&claimed, huge)).await));

    // Reports.
    let report = |proof: &LeaseProof, success| Report { proof: proof.clone(), success, details: json!({ "n": 0.1 }) };
    for (what, report) in [
        ("stranger's report", report(&stranger, true)),
        ("report", report(&good, true)),
        ("the same", report(&good, true)),
        ("another", report(&good, false)),
        ("nowhere", report(&nowhere, true)),
    ] {
        let answer = format!("{:?}", manager.report(&report).await);
        tell(what, known(answer.replace(&nowhere.job.to_string(), "NOWHERE")));
    }

    // Handing back.
    let prd = house.orchestra.submit(NewPrd::new("another")).await.expect("accepted");
    let [claimed] = stage.claim(3).await.try_into().expect("one job");
    let known = |text: String| text.replace(&prd.jobs[0].to_string(), "JOB");
    tell("back", known(format!("{:?}", manager.release(&back(proof(&claimed))).await)));
    tell("back again", known(format!("{:?}", manager.release(&back(proof(&claimed))).await)));
    let entries = house.orchestra.job_events(prd.jobs[0]).await.expect("events");
    tell("history", known(format!("{:?}", entries.iter().map(|e| e.event_type.clone()).take(4).collect::<Vec<_>>())));
    tell("unbilled", format!("{:?}", entries.iter().filter(|entry| entry.details["unbilled"] == true).count()));

    // What cannot be asked for.
    for (what, request) in [
        ("unknown", request(&["nobody"], 1)),
        ("no model", request(&[], 1)),
        ("none", request(&["employee_one"], 0)),
        ("too many", request(&["employee_one"], 1001)),
    ] {
        tell(what, format!("{:?}", manager.claim(&request).await));
    }

    // Who is seen.
    let resources = Resources { free_memory: Some(Mebibytes(512)), cores: Some(2), ..Resources::default() };
    let mut sighting =
        Sighting { worker_id: worker(), models: request(&["employee_one"], 1).models, resources: Some(resources) };
    tell("observe", format!("{:?}", manager.observe(&sighting).await));
    sighting.models = request(&["nobody"], 1).models;
    tell("observe", format!("{:?}", manager.observe(&sighting).await));
    let [seen] = house.orchestra.remote_workers().try_into().expect("one worker");
    assert!(seen.resources_at.is_some());
    tell("seen", format!("{} {:?} {:?} {:?}", seen.id, seen.models, seen.jobs, seen.resources));
    stage.house.close().await;
    told
}

#[tokio::test]
async fn a_worker_is_told_the_same_in_the_process_and_over_the_wire() {
    let (here, there) = (told(Way::InProcess).await, told(Way::OverTheWire).await);
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
    }
    assert_eq!(here.len(), there.len());
    assert!(here.iter().any(|line| line.contains("LeaseLost")), "{here:#?}");
}

#[tokio::test]
async fn a_call_takes_as_many_jobs_as_it_asks_for() {
    for way in [Way::InProcess, Way::OverTheWire] {
        let stage = Stage::new(way).await;
        let prds: Vec<_> = (0..5).map(|n| NewPrd::new(format!("task {n}"))).collect();
        for new in prds {
            stage.house.orchestra.submit(new).await.expect("accepted");
        }
        let mut jobs = Vec::new();
        while jobs.len() < 5 {
            let claimed = stage.claim(2).await;
            assert!((1..=2).contains(&claimed.len()), "{way:?}");
            jobs.extend(claimed.iter().map(|claimed| claimed.job.id));
        }
        jobs.sort();
        jobs.dedup();
        assert_eq!(jobs.len(), 5, "{way:?}");
        stage.house.close().await;
    }
}

#[tokio::test]
async fn pieces_that_are_sent_again_are_stored_once_and_only_under_their_lease() {
    let stage = Stage::new(Way::OverTheWire).await;
    stage.house.orchestra.submit(NewPrd::new("x")).await.expect("accepted");
    let [claimed] = stage.claim(1).await.try_into().expect("one job");
    let sent = upload(&claimed, vec![piece("one"), piece("two")]);
    let first = stage.manager.upload_artifacts(&sent).await.expect("stored");
    assert_eq!(stage.manager.upload_artifacts(&sent).await.expect("answered"), first);
    assert_eq!(stage.house.orchestra.artifacts(claimed.job.id).await.expect("artifacts"), first);
    stage.manager.upload_artifacts(&upload(&claimed, vec![piece("three")])).await.expect("stored");
    assert_eq!(stage.house.orchestra.artifacts(claimed.job.id).await.expect("artifacts").len(), 3);
    stage.manager.release(&back(proof(&claimed))).await.expect("handed back");
    let late = stage.manager.upload_artifacts(&upload(&claimed, vec![piece("three")])).await;
    let late = late.expect_err("the lease is gone");
    assert!(matches!(late, aura_orchestra::core::Error::Store(StoreError::LeaseLost { .. })), "{late:?}");
    stage.house.close().await;
}

#[tokio::test]
async fn a_manager_that_is_not_there_may_be_asked_again_and_a_stranger_may_not() {
    let house =
        House::open(aura_orchestra::builder().store(MemoryStore::new()).workers(0), HttpOptions::default()).await;
    let nested = HttpManager::builder(format!("http://{}/elsewhere", house.address)).build().expect("a client");
    let error = nested.claim(&request(&["one"], 1)).await.expect_err("no such path");
    assert!(!error.is_retryable(), "{error}");
    let manager = HttpManager::builder(format!("http://{}", house.address)).build().expect("a client");
    house.close().await;
    let error = manager.claim(&request(&["one"], 1)).await.expect_err("nobody listens");
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains(manager.place()), "{error}");
}

#[tokio::test]
async fn a_job_that_was_claimed_for_a_worker_who_waited_and_left_goes_back_at_once() {
    let stage = Stage::new(Way::InProcess).await;
    let orchestra = stage.house.orchestra.clone();
    let mut log = Box::pin(orchestra.subscribe(AuditSeq(0)));
    let wanted = request(&["employee_one"], 1);
    let mut waits = stage.manager.claim(&wanted);
    // Everything before the wait is at hand.
    assert!(futures::poll!(&mut waits).is_pending());
    let job = orchestra.submit(NewPrd::new("write one()")).await.expect("accepted").jobs[0];
    until(&mut log, Action::JobClaimed).await;
    assert_eq!(orchestra.job(job).await.expect("known").state.status(), JobStatus::InProgress);
    drop(waits);
    until(&mut log, Action::JobRequeued).await;
    let next = stage.claim(1).await.pop().expect("one job");
    assert_eq!((next.job.id, next.job.attempt, next.job.max_attempts), (job, 2, 4), "the attempt is given back");
    assert_eq!(next.job.last_error.as_deref(), Some("the worker that waited for it had gone"));
    stage.house.close().await;
}

/// Reads on in the audit log up to the next entry of this action.
async fn until(log: &mut (impl Stream<Item = Result<AuditEntry>> + Unpin), action: Action) {
    let read = async { while log.next().await.expect("it goes on").expect("readable").action != action.as_str() {} };
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("no {}", action.as_str()));
}
