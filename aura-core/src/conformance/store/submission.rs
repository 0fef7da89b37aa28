//! Promises about submitting, listing, cancelling and settling.

use std::collections::BTreeSet;

use chrono::DateTime;

use super::scene::{Scene, assert_conflict, only};
use crate::{
    Actor, JobId, JobState, JobStatus, Model, NewPrd, Outcome, Plan, PrdId, StoreError, Verdict,
    conformance::StoreHarness,
    contract::store::{JobFilter, NewPrdRecord, Next},
    run::Spent,
};

/// A PRD is there with all its jobs, queued, as soon as submitting has returned.
pub async fn a_prd_is_stored_with_its_jobs_queued(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let request = NewPrd::new("prompt \u{1f980} with 'quotes'").plan(Plan::Panel(3)).title("a title");
    let jobs: Vec<_> = (0..3).map(|_| JobId::new()).collect();
    let record = NewPrdRecord { id: PrdId::new(), request: request.clone(), pinned: None, jobs: jobs.clone() };
    let submitted = only(scene.store.submit(std::slice::from_ref(&record)).await.expect("a batch")).expect("submitted");
    assert!(submitted.created);
    let stored = scene.store.prds(&[record.id]).await.expect("readable");
    assert_eq!(stored, [submitted.prd]);
    assert_eq!((&stored[0].request, &stored[0].jobs, &stored[0].verdict), (&request, &jobs, &None));
    for id in jobs {
        let job = scene.job(id).await;
        assert_eq!((job.state, job.attempt, job.max_attempts, job.prd_id), (JobState::Queued, 0, 3, record.id));
    }
    let counts = scene.store.job_counts().await.expect("readable");
    assert_eq!(counts.iter().map(|count| (count.status, count.jobs)).collect::<Vec<_>>(), [(JobStatus::Queued, 3)]);
    assert_conflict(only(scene.store.submit(&[record]).await.expect("a batch")), "");
}

/// The same key gives the PRD there is to the same request, and a conflict to another one; also within one batch.
pub async fn the_same_idempotency_key_gives_the_prd_there_is(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let record = |prompt: &str| NewPrdRecord {
        id: PrdId::new(),
        request: NewPrd::new(prompt).idempotency_key("key"),
        pinned: None,
        jobs: vec![JobId::new()],
    };
    let answers = scene.store.submit(&[record("one"), record("one"), record("two")]).await.expect("a batch");
    let [Ok(first), Ok(again), other] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(first.created && !again.created);
    assert_eq!(first.prd, again.prd);
    assert!(other.is_err());
    let later = only(scene.store.submit(&[record("one")]).await.expect("a batch")).expect("known");
    assert_eq!((later.prd.id, later.created), (first.prd.id, false));
    assert_eq!(scene.store.prd_by_key("key").await.expect("readable").as_ref(), Some(&first.prd));
    assert_eq!(scene.store.prd_by_key("another").await.expect("readable"), None);
    assert_eq!(scene.store.jobs(&JobFilter::default()).await.expect("readable").len(), 1);
}

/// PRDs without a key are stored in order; one whose id or whose job is there already is refused alone.
pub async fn a_prd_that_is_there_already_is_refused_without_the_others_of_its_batch(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let record = || NewPrdRecord {
        id: PrdId::new(),
        request: NewPrd::new("one"),
        pinned: None,
        jobs: vec![JobId::new(), JobId::new()],
    };
    let (known, fresh, last) = (record(), record(), record());
    only(scene.store.submit(std::slice::from_ref(&known)).await.expect("a batch")).expect("submitted");
    let same_job = NewPrdRecord { jobs: vec![JobId::new(), known.jobs[1]], ..record() };
    let batch = [fresh.clone(), known.clone(), fresh.clone(), same_job.clone(), last.clone()];
    let answers = scene.store.submit(&batch).await.expect("a batch");
    let stored: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, false, false, true], "{answers:?}");
    let jobs = scene.store.jobs(&JobFilter::default()).await.expect("readable");
    let jobs: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(jobs, [known.jobs, fresh.jobs, last.jobs].concat());
    assert_eq!(scene.store.prds(&[same_job.id]).await.expect("readable"), []);
    let counts = scene.store.job_counts().await.expect("readable");
    assert_eq!(counts.iter().map(|count| (count.status, count.jobs)).collect::<Vec<_>>(), [(JobStatus::Queued, 6)]);
}

/// Reading by ids keeps their order.
pub async fn prds_come_in_the_order_asked_for_and_unknown_ones_are_left_out(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.prd(1).await.id, scene.prd(1).await.id);
    let read = scene.store.prds(&[b, PrdId::new(), a]).await.expect("readable");
    assert_eq!(read.iter().map(|prd| prd.id).collect::<Vec<_>>(), [b, a]);
    assert_eq!(scene.store.job(JobId::new()).await.expect("readable"), None);
}

/// Pages of any size put together are everything, once.
pub async fn paging_sees_every_prd_and_job_once(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let mut prds = BTreeSet::new();
    for _ in 0..7 {
        prds.insert(scene.prd(1).await.id);
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = scene.store.recent_prds(before, 3).await.expect("readable");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|prd| prd.id));
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first: {seen:?}");
    assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), prds);
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let filter = JobFilter { after, limit: 3, ..JobFilter::default() };
        let page = scene.store.jobs(&filter).await.expect("readable");
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        jobs.extend(page.iter().map(|job| job.id));
    }
    assert!(jobs.is_sorted() && jobs.len() == 7, "oldest first: {jobs:?}");
}

/// Each filter alone and together.
pub async fn jobs_are_listed_by_state_model_and_prd(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    let (of_a, of_b, queued) = (scene.assigned(&a).await, scene.assigned(&b).await, scene.prd(1).await);
    let list = async |filter: JobFilter| -> Vec<JobId> {
        scene.store.jobs(&filter).await.expect("readable").iter().map(|job| job.id).collect()
    };
    let none = JobFilter::default;
    assert_eq!(list(JobFilter { model: Some(a.id), ..none() }).await, [of_a]);
    assert_eq!(list(JobFilter { status: Some(JobStatus::Assigned), ..none() }).await, [of_a, of_b]);
    assert_eq!(list(JobFilter { status: Some(JobStatus::Assigned), model: Some(b.id), ..none() }).await, [of_b]);
    assert_eq!(list(JobFilter { prd: Some(queued.id), ..none() }).await, queued.jobs);
    assert_eq!(list(JobFilter { status: Some(JobStatus::Failed), ..none() }).await, []);
}

/// Jobs that have ended are found by how they ended, of one model or of all, and page by page.
pub async fn ended_jobs_are_listed_by_how_they_ended(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for model in [&a, &b, &a] {
        let job = scene.submitted(model).await;
        scene.judge(&job, 0.9, Next::Validate).await.expect("validated");
        good.push(job.id);
        let job = scene.submitted(model).await;
        scene.judge(&job, 0.1, Next::Fail { reason: "wrong".to_owned() }).await.expect("failed");
        bad.push(job.id);
    }
    let off = scene.prd(2).await;
    scene.store.cancel(off.id, &Actor::operator(), "no longer needed").await.expect("cancelled");
    let open = scene.assigned(&a).await;
    let list = async |status, model: Option<&Model>, after, limit| -> Vec<JobId> {
        let filter = JobFilter { status, model: model.map(|model| model.id), after, limit, ..JobFilter::default() };
        scene.store.jobs(&filter).await.expect("readable").iter().map(|job| job.id).collect()
    };
    let (validated, failed) = (Some(JobStatus::Validated), Some(JobStatus::Failed));
    assert_eq!(list(validated, None, None, 9).await, good);
    assert_eq!(list(failed, None, None, 9).await, bad);
    assert_eq!(list(Some(JobStatus::Cancelled), None, None, 9).await, off.jobs);
    assert_eq!(list(validated, Some(&a), None, 9).await, [good[0], good[2]]);
    assert_eq!(list(failed, Some(&b), None, 9).await, [bad[1]]);
    assert_eq!(list(validated, None, None, 2).await, good[..2]);
    assert_eq!(list(validated, None, Some(good[0]), 1).await, [good[1]]);
    assert_eq!(list(failed, Some(&a), Some(bad[0]), 9).await, [bad[2]]);
    assert_eq!(list(None, Some(&a), None, 9).await, [good[0], bad[0], good[2], bad[2], open]);
    assert_eq!(list(None, Some(&a), Some(bad[0]), 2).await, [good[2], bad[2]]);
}

/// Calling off ends what has not ended, leaves what has, and cannot be done twice.
pub async fn a_cancelled_prd_ends_all_its_jobs_and_keeps_its_verdict(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let prd = scene.prd(2).await;
    scene.assign(prd.jobs[0], &model).await.expect("assigned");
    let job = scene.claim(prd.jobs[0], "w").await.expect("claimed");
    let cancelled = scene.store.cancel(prd.id, &Actor::operator(), "no longer needed").await.expect("cancelled");
    assert_eq!(cancelled.verdict.as_ref().map(|verdict| &verdict.outcome), Some(&Outcome::Cancelled));
    for job in &prd.jobs {
        assert_eq!(scene.status(*job).await, JobStatus::Cancelled);
    }
    super::scene::assert_lost(scene.upload(&job, &model, "w", None).await);
    assert_conflict(scene.store.cancel(prd.id, &Actor::operator(), "again").await, "");
    assert!(scene.store.cancel(PrdId::new(), &Actor::operator(), "unknown").await.is_err());
    assert_eq!(scene.store.assessable(10).await.expect("readable"), []);
}

/// The first verdict stands, and keeps no other one of its batch from being stored.
pub async fn a_verdict_is_stored_once(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (prd, other) = (scene.prd(1).await.id, scene.prd(1).await.id);
    let verdict = |prd, why: &str| Verdict {
        spent: Spent::default(),
        prd,
        outcome: Outcome::NobodyWon,
        entries: Vec::new(),
        why: why.to_owned(),
        settled_at: DateTime::UNIX_EPOCH,
    };
    let settle = async |why| only(scene.store.settle(&[verdict(prd, why)]).await.expect("a batch")).expect("settled");
    assert!(settle("first").await);
    assert!(!settle("second").await);
    let batch =
        [verdict(prd, "third"), verdict(other, "its first"), verdict(other, "twice"), verdict(PrdId::new(), "whose?")];
    let answers = scene.store.settle(&batch).await.expect("a batch");
    let is_new: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(is_new, [Some(&false), Some(&true), Some(&false), None]);
    assert!(matches!(answers.last(), Some(Err(StoreError::NotFound { .. }))), "{answers:?}");
    for (prd, why) in [(prd, "first"), (other, "its first")] {
        let stored = scene.store.prds(&[prd]).await.expect("readable").pop().expect("known");
        assert_eq!(stored.verdict, Some(verdict(prd, why)));
    }
    let settled = scene.audit().await.iter().filter(|entry| entry.action == "prd.settled").count();
    assert_eq!(settled, 2);
}
