//! Promises about claiming, and about who may write under a lease.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;

use super::scene::{LEASE, Scene, assert_conflict, assert_lost, only, proof, report, worker};
use crate::{
    Job, JobId, JobState, JobStatus, LeaseProof, NewArtifact, StoreError,
    conformance::StoreHarness,
    contract::{
        Release,
        store::{ArtifactBatch, Assignment, Claim, Expired, Next, Wanted},
    },
    job::{Door, FencingToken},
};

fn token(job: &Job) -> i64 {
    match &job.state {
        JobState::InProgress { lease, .. } => lease.token.0,
        state => panic!("no lease: {state:?}"),
    }
}

fn release(proof: LeaseProof, retry_after: Option<Duration>) -> Release {
    Release { proof, reason: "the model is busy".to_owned(), retry_after, blameless: false, unbilled: false }
}

/// One live lease a job, however many want it at the same time.
pub async fn a_job_goes_to_one_of_fifty_workers_that_claim_it_by_its_id(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.assigned(&scene.model("m").await).await;
    let names: Vec<_> = (0..50).map(|n| format!("w{n}")).collect();
    let answers = join_all(names.iter().map(|name| scene.claim(job, name))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(scene.job(job).await.attempt, 1);
}

/// The same by batches.
pub async fn fifty_workers_that_claim_batches_never_share_a_job(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    for _ in 0..40 {
        scene.assigned(&model).await;
    }
    let names: Vec<_> = (0..50).map(|n| format!("w{n}")).collect();
    let models = [&model];
    let batches = join_all(names.iter().map(|name| scene.claim_any(&models, name, 3))).await;
    let claimed: Vec<_> = batches.iter().flatten().map(|claimed| claimed.job.id).collect();
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (40, 40));
}

/// The order is that of submission; other models' jobs are left alone.
pub async fn a_batch_is_at_most_what_was_asked_for_and_oldest_first(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (model, other) = (scene.model("m").await, scene.model("other").await);
    scene.assigned(&other).await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(scene.assigned(&model).await);
    }
    let claimed = scene.claim_any(&[&model], "w", 3).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), jobs[..3]);
    assert!(claimed.iter().all(|claimed| claimed.prd.jobs == [claimed.job.id]), "each comes with its PRD");
    assert_eq!(scene.claim_any(&[&model], "w", 3).await.len(), 2);
    assert_eq!(scene.claim_any(&[&model], "w", 3).await, []);
}

/// A person who reads the refusal knows what to do.
pub async fn claiming_by_id_says_why_it_is_refused(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    assert!(matches!(scene.claim(JobId::new(), "w").await, Err(StoreError::NotFound { .. })));
    assert_conflict(scene.claim(scene.prd(1).await.jobs[0], "w").await, "waits for a model");
    assert_conflict(scene.claim(scene.claimed(&model).await.id, "x").await, "w");
    assert_conflict(scene.claim(scene.submitted(&model).await.id, "x").await, "");
}

/// A worker that dies at once has used up an attempt all the same.
pub async fn the_attempt_is_counted_at_the_claim_and_the_token_grows(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let first = scene.claimed(&model).await;
    assert_eq!((first.attempt, first.tried.as_slice()), (1, [model.id].as_slice()));
    scene.advance(LEASE).await;
    scene.store.expire(10).await.expect("expires");
    scene.assign(first.id, &model).await.expect("assigned");
    let second = scene.claim(first.id, "w").await.expect("claimed");
    assert_eq!((second.attempt, second.tried.as_slice()), (2, [model.id].as_slice()), "each model once");
    assert!(token(&second) > token(&first));
}

/// Beating in time, the work may take as long as it likes.
pub async fn a_heartbeat_keeps_the_lease(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.claimed(&scene.model("m").await).await;
    for _ in 0..10 {
        scene.advance(LEASE - Duration::from_secs(1)).await;
        assert_eq!(scene.store.expire(10).await.expect("readable"), []);
        let before = scene.job(job.id).await.updated_at;
        only(scene.store.heartbeat(&[proof(&job, "w")], LEASE).await.expect("a batch")).expect("extended");
        assert!(scene.job(job.id).await.updated_at > before, "it is a sign of life");
    }
    scene.report(&report(proof(&job, "w"), json!({}))).await.expect("still ours");
}

/// Every length of time is one, up to the longest that there is.
pub async fn a_lease_and_a_wait_without_end_end_with_the_year_9999(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let until = |job: &Job| match &job.state {
        JobState::InProgress { lease, .. } => lease.until.to_rfc3339(),
        state => panic!("no lease: {state:?}"),
    };
    const END: &str = "9999-12-31T23:59:59+00:00";
    for by_id in [true, false] {
        let id = scene.assigned(&model).await;
        let wanted = if by_id { Wanted::Job(id) } else { Wanted::Any { models: vec![model.id], max: 1 } };
        let claim = Claim { worker: worker("w"), door: Door::Remote, wanted, lease: Duration::MAX };
        let claimed = scene.store.claim(&claim).await.expect("claimed");
        assert_eq!([until(&claimed[0].job), until(&scene.job(id).await)], [END, END]);
    }
    let beaten = scene.claimed(&model).await;
    let end = only(scene.store.heartbeat(&[proof(&beaten, "w")], Duration::MAX).await.expect("a batch"));
    assert_eq!(end.expect("extended").to_rfc3339(), END);
    let released = release(proof(&beaten, "w"), Some(Duration::MAX));
    only(scene.store.release(&[released]).await.expect("a batch")).expect("released");
    assert_eq!(scene.job(beaten.id).await.not_before.map(|at| at.to_rfc3339()).as_deref(), Some(END));
}

/// Given back until no attempt is left; then it fails and says what went wrong last.
pub async fn an_ended_lease_gives_the_job_back_and_the_last_attempt_ends_it(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let id = scene.assigned(&model).await;
    for attempt in 1..=3 {
        scene.claim(id, "w").await.expect("claimed");
        scene.advance(LEASE - Duration::from_secs(1)).await;
        assert_eq!(scene.store.expire(10).await.expect("readable"), [], "not before its time");
        scene.advance(Duration::from_secs(1)).await;
        let now = if attempt < 3 { JobStatus::Queued } else { JobStatus::Failed };
        assert_eq!(scene.store.expire(10).await.expect("expires"), [Expired { job: id, now }]);
        if attempt < 3 {
            scene.assign(id, &model).await.expect("assigned");
        }
    }
    let job = scene.job(id).await;
    assert_eq!(job.attempt, 3);
    assert!(job.last_error.is_some_and(|error| !error.is_empty()), "the last error is kept");
}

/// Every write of a stranger, and of the worker itself when its lease has ended, is refused and leaves no trace.
pub async fn whoever_has_no_lease_changes_nothing(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.claimed(&model).await;
    let before = scene.trace(job.id).await;
    let stranger = LeaseProof { worker: worker("x"), ..proof(&job, "w") };
    let forged = LeaseProof { token: Some(FencingToken(token(&job) + 1)), ..proof(&job, "w") };
    for lost in [stranger, forged] {
        refused(&scene, &model, &job, lost).await;
        assert_eq!(scene.trace(job.id).await, before);
    }
    scene.advance(LEASE).await;
    refused(&scene, &model, &job, proof(&job, "w")).await;
    assert_eq!(scene.trace(job.id).await, before, "the lease ended, although nobody took the job yet");
}

async fn refused(scene: &Scene<'_>, model: &crate::Model, job: &Job, lost: LeaseProof) {
    assert_lost(only(scene.store.heartbeat(std::slice::from_ref(&lost), LEASE).await.expect("a batch")));
    assert_lost(scene.upload(job, model, lost.worker.as_str(), lost.token).await);
    assert_lost(scene.report(&report(lost.clone(), json!({}))).await);
    assert_lost(only(scene.store.release(&[release(lost, None)]).await.expect("a batch")));
}

/// The same worker with the token of an earlier claim is a stranger.
pub async fn a_stale_token_changes_nothing_after_the_job_was_claimed_again(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let first = scene.claimed(&model).await;
    scene.advance(LEASE).await;
    scene.store.expire(10).await.expect("expires");
    scene.assign(first.id, &model).await.expect("assigned");
    let second = scene.claim(first.id, "w").await.expect("claimed");
    let before = scene.trace(first.id).await;
    refused(&scene, &model, &first, proof(&first, "w")).await;
    assert_eq!(scene.trace(first.id).await, before);
    scene.report(&report(proof(&second, "w"), json!({}))).await.expect("the live lease writes");
    assert_lost(scene.report(&report(proof(&first, "w"), json!({}))).await);
}

/// Old workers know no tokens.
pub async fn a_worker_without_a_token_is_matched_by_its_id(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.claimed(&model).await;
    let bare = |name: &str| LeaseProof { job: job.id, worker: worker(name), token: None };
    assert_lost(scene.report(&report(bare("x"), json!({}))).await);
    scene.upload(&job, &model, "w", None).await.expect("stored");
    let answer = scene.report(&report(bare("w"), json!({ "n": 1 }))).await.expect("reported");
    assert!(!answer.repeated);
    assert!(scene.report(&report(bare("w"), json!({ "n": 1 }))).await.expect("known").repeated);
}

/// Whoever reads a worker's name in a list could otherwise hand in code that is trusted as this program's own.
pub async fn work_claimed_in_process_is_written_only_with_its_token(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let wanted = Wanted::Job(scene.assigned(&model).await);
    let claim = Claim { worker: worker("w"), door: Door::InProcess, wanted, lease: LEASE };
    let job = scene.store.claim(&claim).await.expect("claimed").remove(0).job;
    let before = scene.trace(job.id).await;
    refused(&scene, &model, &job, LeaseProof { job: job.id, worker: worker("w"), token: None }).await;
    let nameless =
        ArtifactBatch { job: job.id, model: model.id, worker: None, token: None, items: vec![NewArtifact::docs("x")] };
    assert_lost(only(scene.store.add_artifacts(&[nameless], LEASE).await.expect("a batch")));
    assert_eq!(scene.trace(job.id).await, before);
    only(scene.store.heartbeat(&[proof(&job, "w")], LEASE).await.expect("a batch")).expect("extended");
    let JobState::InProgress { lease, .. } = &job.state else { panic!("{job:?}") };
    scene.upload(&job, &model, "w", Some(lease.token)).await.expect("stored");
    scene.report(&report(proof(&job, "w"), json!({}))).await.expect("reported");
}

/// An answer that was lost on the way can be asked for again; the first report stands.
pub async fn a_report_is_taken_once_and_another_body_is_refused(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.claimed(&scene.model("m").await).await;
    let first = report(proof(&job, "w"), json!({ "note": "done" }));
    assert!(!scene.report(&first).await.expect("reported").repeated);
    let again = async || {
        assert!(scene.report(&first).await.expect("known").repeated);
        assert_conflict(scene.report(&report(proof(&job, "w"), json!({ "note": "other" }))).await, "");
    };
    again().await;
    let submitted = scene.job(job.id).await;
    let JobState::Submitted { delivery, .. } = &submitted.state else { panic!("{submitted:?}") };
    assert_eq!(delivery.details, json!({ "note": "done" }));
    assert_eq!(scene.count(job.id, crate::Action::JobSubmitted).await, (1, 1));
    scene.judge(&submitted, 0.9, Next::Validate).await.expect("judged");
    again().await;
    assert_eq!(scene.status(job.id).await, JobStatus::Validated);
}

/// A retry waits as long as the vendor asked for.
pub async fn a_released_job_waits_until_its_time(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.claimed(&scene.model("m").await).await;
    let released = release(proof(&job, "w"), Some(Duration::from_secs(60)));
    let status = only(scene.store.release(&[released]).await.expect("a batch")).expect("released");
    assert_eq!(status, JobStatus::Queued);
    assert_eq!(scene.job(job.id).await.last_error.as_deref(), Some("the model is busy"));
    let schedulable = async || scene.store.schedulable(10).await.expect("readable").len();
    scene.advance(Duration::from_secs(59)).await;
    assert_eq!(schedulable().await, 0);
    scene.advance(Duration::from_secs(1)).await;
    assert_eq!(schedulable().await, 1);
}

/// Restarting a node often must not use up anybody's attempts.
pub async fn a_blameless_release_gives_the_attempt_back(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let id = scene.assigned(&model).await;
    for attempt in 1..=5 {
        let job = scene.claim(id, "w").await.expect("claimed");
        assert_eq!((job.attempt, job.max_attempts), (attempt, 2 + attempt), "every claim is an attempt");
        let release = Release { blameless: true, ..release(proof(&job, "w"), None) };
        let status = only(scene.store.release(&[release]).await.expect("a batch")).expect("released");
        assert_eq!((status, scene.status(id).await), (JobStatus::Queued, JobStatus::Queued));
        scene.assign(id, &model).await.expect("assigned");
    }
    for status in [JobStatus::Queued, JobStatus::Queued, JobStatus::Failed] {
        let job = scene.claim(id, "w").await.expect("claimed");
        only(scene.store.release(&[release(proof(&job, "w"), None)]).await.expect("a batch")).expect("released");
        assert_eq!(scene.status(id).await, status);
        if status == JobStatus::Queued {
            scene.assign(id, &model).await.expect("assigned");
        }
    }
}

/// A scheduler that sleeps until then misses nothing.
pub async fn the_next_deadline_is_the_earliest_lease_or_retry(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    assert_eq!(scene.store.next_deadline().await.expect("readable"), None);
    let job = scene.claimed(&model).await;
    let JobState::InProgress { lease, .. } = &job.state else { panic!("{job:?}") };
    assert_eq!(scene.store.next_deadline().await.expect("readable"), Some(lease.until));
    let other = scene.claimed(&model).await;
    let soon = release(proof(&other, "w"), Some(Duration::from_secs(5)));
    only(scene.store.release(&[soon]).await.expect("a batch")).expect("released");
    let not_before = scene.job(other.id).await.not_before;
    assert!(not_before.is_some_and(|at| at < lease.until));
    assert_eq!(scene.store.next_deadline().await.expect("readable"), not_before);
}

/// Every verb that does not fit the state is refused and leaves no trace.
pub async fn illegal_verbs_change_nothing_in_any_state(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let failed = scene.submitted(&model).await;
    scene.judge(&failed, 0.1, Next::Fail { reason: "tests".to_owned() }).await.expect("judged");
    let cancelled = scene.prd(1).await;
    scene.store.cancel(cancelled.id, &crate::Actor::operator(), "not needed").await.expect("cancelled");
    let jobs = [
        scene.prd(1).await.jobs[0],
        scene.assigned(&model).await,
        scene.claimed(&model).await.id,
        scene.submitted(&model).await.id,
        failed.id,
        cancelled.jobs[0],
    ];
    let states: BTreeSet<_> = join_all(jobs.iter().map(|job| scene.status(*job))).await.into_iter().collect();
    assert_eq!(states.len(), jobs.len(), "each in another state");
    for id in jobs {
        let before = scene.trace(id).await;
        let status = before.0.state.status();
        if status != JobStatus::Queued {
            let assignment = Assignment { job: id, model: model.id, probe: false, reason: json!({}) };
            assert!(only(scene.store.assign(&[assignment]).await.expect("a batch")).is_err(), "assign {status}");
        }
        if status != JobStatus::Assigned {
            assert!(scene.claim(id, "x").await.is_err(), "claim {status}");
            assert!(only(scene.store.unassign(&[id], "why").await.expect("a batch")).is_err(), "unassign {status}");
        }
        if status != JobStatus::Submitted {
            let job = Job { state: failed.state.clone(), ..before.0.clone() };
            assert!(scene.judge(&job, 0.9, Next::Validate).await.is_err(), "judge {status}");
        }
        let bare = LeaseProof { job: id, worker: worker("x"), token: None };
        assert!(scene.report(&report(bare.clone(), json!({}))).await.is_err(), "report {status}");
        let released = only(scene.store.release(&[release(bare, None)]).await.expect("a batch"));
        assert!(released.is_err(), "release {status}");
        assert_eq!(scene.trace(id).await, before, "{status}");
    }
}
