//! Promises about giving jobs to models.

use serde_json::json;

use super::scene::{LEASE, Scene, assert_conflict, only, proof, report, worker};
use crate::{
    Actor, HrAction, JobId, JobStatus, Model, ModelId, NewAlert, Severity, Standing, StoreError,
    audit::Action,
    conformance::StoreHarness,
    contract::store::{Assignment, Claim, ClaimedJob, ModelLoad, Next, Schedulable, StandingChange, Wanted},
    job::Door,
};

/// Twice is once too often; unknown jobs and models are not found.
pub async fn only_a_queued_job_is_assigned(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.assigned(&model).await;
    assert_eq!(scene.job(job).await.state.model(), Some(model.id));
    assert_conflict(scene.assign(job, &model).await, "ASSIGNED");
    assert!(matches!(scene.assign(JobId::new(), &model).await, Err(StoreError::NotFound { .. })));
    let nobody = Model { id: ModelId(99), ..model };
    let queued = scene.prd(1).await.jobs[0];
    assert!(matches!(scene.assign(queued, &nobody).await, Err(StoreError::NotFound { .. })));
}

/// A worker that waits gets what was just assigned; one that wants another model's jobs gets nothing,
/// and what nobody took can be claimed.
pub async fn what_is_assigned_is_claimed_in_the_same_go_by_workers_that_wait(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (model, other) = (scene.model("m").await, scene.model("other").await);
    let prd = scene.prd(1).await;
    let (held, queued) = (scene.assigned(&model).await, scene.prd(1).await.jobs[0]);
    scene.claim(held, "before").await.expect("claimed");
    let assignment =
        |job, model: &Model| Assignment { job, model: model.id, probe: false, reason: json!({ "why": "w" }) };
    let assignments = [assignment(prd.jobs[0], &model), assignment(queued, &model), assignment(held, &model)];
    let claim = |name: &str, model: &Model, max| Claim {
        worker: worker(name),
        door: Door::Remote,
        wanted: Wanted::Any { models: vec![model.id], max },
        lease: LEASE,
    };
    let claims = [claim("idle", &other, 5), claim("w", &model, 1)];
    let before = scene.audit().await.len();
    let done = scene.store.dispatch(&assignments, &claims).await.expect("dispatched");
    let [first, second, third] = done.assigned.try_into().expect("an answer for each");
    first.and(second).expect("assigned");
    assert_conflict(third, "IN_PROGRESS");
    let claimed: Vec<Vec<ClaimedJob>> = done.claimed.into_iter().map(|claimed| claimed.expect("claimed")).collect();
    let ids = |claimed: &[ClaimedJob]| claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>();
    assert_eq!(claimed.iter().map(|claimed| ids(claimed)).collect::<Vec<_>>(), [vec![], vec![prd.jobs[0]]]);
    let got = claimed[1].first().expect("one job");
    assert_eq!(got.prd, prd);
    assert_eq!(got.job, scene.job(prd.jobs[0]).await);
    assert_eq!(scene.status(queued).await, JobStatus::Assigned);
    assert_eq!(ids(&scene.claim_any(&[&model], "late", 9).await), [queued]);
    let entries = scene.audit().await;
    let of = |action: Action| entries[before..].iter().filter(|entry| entry.action == action.as_str()).count();
    assert_eq!((of(Action::JobAssigned), of(Action::JobClaimed)), (2, 2));
    let events = scene.store.job_events(prd.jobs[0]).await.expect("readable");
    let actions: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(actions, ["job.queued", "job.assigned", "job.claimed"]);
    let load = ModelLoad { model: model.id, assigned: 0, in_progress: 3 };
    assert_eq!(scene.store.load().await.expect("readable"), [load]);
}

/// Every job is begun, and no worker is left over; the same job twice is begun once.
pub async fn all_that_is_begun_in_the_same_go_is_counted_once_and_its_flags_are_closed(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (model, other) = (scene.model("m").await, scene.model("other").await);
    let jobs = [scene.prd(1).await.jobs[0], scene.prd(1).await.jobs[0], scene.prd(1).await.jobs[0]];
    let flag = NewAlert {
        job_id: Some(jobs[0]),
        severity: Severity::Warning,
        rule: Some("waits".to_owned()),
        reason: "long".to_owned(),
    };
    let auditor = Actor::auditor();
    let raise = || scene.store.raise(&flag, &auditor);
    raise().await.expect("raised").expect("no flag was open");
    let assignment =
        |job, model: &Model| Assignment { job, model: model.id, probe: false, reason: json!({ "why": "w" }) };
    let claim = |name: &str, model: &Model, max| Claim {
        worker: worker(name),
        door: Door::InProcess,
        wanted: Wanted::Any { models: vec![model.id], max },
        lease: LEASE,
    };
    let assignments = [assignment(jobs[0], &model), assignment(jobs[1], &other)];
    let claims = [claim("w1", &model, 1), claim("w2", &other, 1)];
    let done = scene.store.dispatch(&assignments, &claims).await.expect("dispatched");
    assert!(done.assigned.iter().all(Result::is_ok), "{done:?}");
    let begun: Vec<_> = done.claimed.into_iter().flat_map(|claimed| claimed.expect("claimed")).collect();
    assert_eq!(begun.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), jobs[..2]);
    assert!(raise().await.expect("raised").is_some(), "its flag was closed when it moved");
    let twice = [assignment(jobs[2], &model), assignment(jobs[2], &model)];
    let done = scene.store.dispatch(&twice, &[claim("w3", &model, 2)]).await.expect("dispatched");
    let [once, again] = done.assigned.try_into().expect("an answer for each");
    once.expect("assigned");
    assert_conflict(again, "");
    assert_eq!(done.claimed.len(), 1);
    let counts = scene.store.job_counts().await.expect("readable");
    let in_progress: Vec<_> = counts.iter().filter(|count| count.status == JobStatus::InProgress).collect();
    assert!(counts.iter().all(|count| count.jobs == 0 || count.status == JobStatus::InProgress), "{counts:?}");
    assert_eq!(in_progress.iter().map(|count| count.jobs).sum::<u64>(), 3, "{counts:?}");
    let load = |model: &Model, in_progress| ModelLoad { model: model.id, assigned: 0, in_progress };
    assert_eq!(scene.store.load().await.expect("readable"), [load(&model, 2), load(&other, 1)]);
    for job in jobs {
        assert_eq!(scene.count(job, Action::JobClaimed).await, (1, 1));
    }
}

/// A hold works at once, on what is assigned already too.
pub async fn a_held_model_is_assigned_nothing_and_its_jobs_are_not_claimed(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (held, free) = (scene.model("held").await, scene.model("free").await);
    let (waits, goes_on) = (scene.assigned(&held).await, scene.assigned(&free).await);
    let hold = Some("maintenance".to_owned());
    scene.store.set_hold(held.id, hold, &Actor::operator()).await.expect("held");
    assert_conflict(scene.assign(scene.prd(1).await.jobs[0], &held).await, "");
    assert_conflict(scene.claim(waits, "w").await, "");
    let claimed = scene.claim_any(&[&held, &free], "w", 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), [goes_on]);
    scene.store.set_hold(held.id, None, &Actor::operator()).await.expect("released");
    assert_eq!(scene.claim(waits, "w").await.expect("claimed").id, waits);
}

/// A suspended model gets its probe share and nothing else.
pub async fn a_suspended_model_is_assigned_only_as_a_probe(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let change = StandingChange {
        model: model.id,
        from: Standing::Trial,
        action: HrAction::Demote,
        reason: "0.2 over 5 runs".to_owned(),
    };
    only(scene.store.change_standings(&[change]).await.expect("a batch")).expect("demoted");
    let job = scene.prd(1).await.jobs[0];
    assert_conflict(scene.assign(job, &model).await, "suspended");
    let probe = Assignment { job, model: model.id, probe: true, reason: json!({}) };
    only(scene.store.assign(&[probe]).await.expect("a batch")).expect("assigned as a probe");
    assert_eq!(scene.claim_any(&[&model], "w", 1).await.len(), 1, "what it was given it may do");
}

/// A panel is of different models.
pub async fn one_model_works_on_one_job_of_a_prd_only(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    let prd = scene.prd(2).await;
    scene.assign(prd.jobs[0], &a).await.expect("assigned");
    assert_conflict(scene.assign(prd.jobs[1], &a).await, "");
    scene.assign(prd.jobs[1], &b).await.expect("assigned");
    let both = scene.prd(2).await;
    let assign = |job, model: &Model| Assignment { job, model: model.id, probe: false, reason: json!({}) };
    let answers = scene.store.assign(&[assign(both.jobs[0], &a), assign(both.jobs[1], &a)]).await.expect("a batch");
    assert!(answers[0].is_ok() && answers[1].is_err(), "also within one batch: {answers:?}");
}

/// A panel wants different models, and an attempt that failed leaves its model free for another job.
pub async fn siblings_are_the_models_of_live_jobs_of_the_same_prd(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let models = [scene.model("a").await, scene.model("b").await, scene.model("c").await];
    let (panel, other, third) = (scene.prd(4).await, scene.prd(1).await, scene.prd(1).await);
    let siblings = async |jobs: &[JobId]| {
        let mut pairs = scene.store.siblings(jobs).await.expect("readable");
        pairs.sort();
        pairs
    };
    assert_eq!(siblings(&panel.jobs).await, [], "all are queued");
    for (job, model) in panel.jobs.iter().zip(&models) {
        scene.assign(*job, model).await.expect("assigned");
    }
    scene.assign(other.jobs[0], &models[0]).await.expect("assigned");
    scene.assign(third.jobs[0], &models[0]).await.expect("assigned");
    for (job, next) in panel.jobs.iter().zip([Next::Validate, Next::Fail { reason: "tests".to_owned() }]) {
        let claimed = scene.claim(*job, "w").await.expect("claimed");
        scene.report(&report(proof(&claimed, "w"), json!({}))).await.expect("reported");
        scene.judge(&scene.job(*job).await, 0.6, next).await.expect("judged");
    }
    let mut expected = vec![(panel.id, models[0].id), (panel.id, models[2].id), (other.id, models[0].id)];
    expected.sort();
    let asked = [panel.jobs[3], panel.jobs[0], other.jobs[0], JobId::new()];
    assert_eq!(siblings(&asked).await, expected, "validated and assigned ones, each once; not the failed one");
    assert_eq!(siblings(&[]).await, []);
    let Schedulable { jobs: queued, siblings: mut with } =
        scene.store.schedulable_with_siblings(100).await.expect("readable");
    assert_eq!(queued, scene.store.schedulable(100).await.expect("readable"));
    assert!(!queued.is_empty(), "some of the panel still wait");
    with.sort_unstable();
    assert_eq!(with, siblings(&queued.iter().map(|job| job.id).collect::<Vec<_>>()).await, "in one look");
}

/// Taking a job back ends where it began.
pub async fn only_an_assigned_job_is_unassigned(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.assigned(&model).await;
    let unassign = async |job| only(scene.store.unassign(&[job], "its model is on hold").await.expect("a batch"));
    unassign(job).await.expect("unassigned");
    assert_eq!(scene.status(job).await, JobStatus::Queued);
    assert_conflict(unassign(job).await, "");
    assert_conflict(unassign(scene.claimed(&model).await.id).await, "");
}

/// The load follows every step.
pub async fn load_counts_what_is_assigned_and_what_is_in_progress(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    scene.model("idle").await;
    assert_eq!(scene.store.load().await.expect("readable"), []);
    let job = scene.claimed(&model).await;
    scene.assigned(&model).await;
    let load = async || scene.store.load().await.expect("readable");
    assert_eq!(load().await, [ModelLoad { model: model.id, assigned: 1, in_progress: 1 }]);
    let report = report(proof(&job, "w"), json!({}));
    scene.report(&report).await.expect("reported");
    assert_eq!(load().await, [ModelLoad { model: model.id, assigned: 1, in_progress: 0 }]);
}

/// An inner error concerns its item only.
pub async fn a_bad_item_of_a_batch_leaves_the_others(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let (first, last) = (scene.prd(1).await.jobs[0], scene.prd(1).await.jobs[0]);
    let assign = |job| Assignment { job, model: model.id, probe: false, reason: json!({}) };
    let answers = scene.store.assign(&[assign(first), assign(JobId::new()), assign(last)]).await.expect("a batch");
    assert!(answers[0].is_ok() && answers[1].is_err() && answers[2].is_ok(), "{answers:?}");
    for job in [first, last] {
        assert_eq!(scene.status(job).await, JobStatus::Assigned);
    }
}
