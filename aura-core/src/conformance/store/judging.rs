//! Promises about artifacts, runs and the statistics that they add up to.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde_json::json;

use super::scene::{LEASE, Scene, assert_conflict, only, proof, report, run_of};
use crate::{
    Actor, ArtifactKind, Confidence, EvidenceStrength, JobState, JobStatus, Model, ModelId, ModelStats, NewArtifact,
    ProjectId, Spending, Usd,
    conformance::StoreHarness,
    contract::{
        Release,
        store::{ArtifactBatch, Judgement, Next, RunFilter},
    },
    generation::Usage,
    run::NewRun,
};

/// A piece in another model's name is refused by naming the owner; a good one is kept whole and is a sign of life.
pub async fn artifacts_belong_to_the_jobs_model_and_extend_the_lease(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (model, other) = (scene.model("owner").await, scene.model("other").await);
    let job = scene.claimed(&model).await;
    assert_conflict(scene.upload(&job, &other, "w", None).await, "owner");
    scene.advance(LEASE - Duration::from_secs(1)).await;
    let items = vec![
        NewArtifact { kind: ArtifactKind::Result, body: json!("a bare string") },
        NewArtifact { kind: ArtifactKind::Diff, body: json!({ "patch": "--- a\n+++ b\n", "n": [1, 2.5, null] }) },
    ];
    let batch = ArtifactBatch { job: job.id, model: model.id, worker: None, token: None, items: items.clone() };
    let stored = only(scene.store.add_artifacts(&[batch], LEASE).await.expect("a batch")).expect("stored");
    assert_eq!(stored.iter().map(|piece| piece.content.clone()).collect::<Vec<_>>(), items);
    assert!(stored.iter().all(|piece| piece.attempt == 1 && piece.model_id == model.id));
    assert_eq!(scene.store.artifacts(job.id).await.expect("readable"), stored);
    scene.advance(LEASE - Duration::from_secs(1)).await;
    scene.report(&report(proof(&job, "w"), json!({}))).await.expect("the lease was extended");
}

/// No attempt is scored twice.
pub async fn an_attempt_is_judged_once_by_twenty_at_a_time(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.submitted(&scene.model("m").await).await;
    let judges = join_all((0..20).map(|_| scene.judge(&job, 0.9, Next::Validate))).await;
    assert_eq!(judges.iter().filter(|answer| answer.is_ok()).count(), 1);
    let filter = RunFilter { job: Some(job.id), ..RunFilter::default() };
    assert_eq!(scene.store.runs(&filter).await.expect("readable").len(), 1);
    let ended = scene.job(job.id).await;
    assert!(matches!(ended.state, JobState::Validated { score, .. } if score == 0.9), "{ended:?}");
}

/// A judgement of an attempt that is over changes nothing.
pub async fn only_submitted_work_of_this_attempt_is_judged(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let job = scene.submitted(&model).await;
    let mut late = job.clone();
    late.attempt = 2;
    let before = scene.trace(job.id).await;
    assert_conflict(scene.judge(&late, 0.9, Next::Validate).await, "attempt");
    assert_eq!(scene.trace(job.id).await, before);
    scene.judge(&job, 0.2, Next::Retry { reason: "1 of 5 tests passed".to_owned() }).await.expect("judged");
    assert_eq!(scene.status(job.id).await, JobStatus::Queued);
    assert_eq!(scene.job(job.id).await.last_error.as_deref(), Some("1 of 5 tests passed"));
    assert_conflict(scene.judge(&job, 0.9, Next::Validate).await, "QUEUED");
}

/// The number of attempts holds for rejected work too.
pub async fn a_retry_without_attempts_left_is_a_failure(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let id = scene.assigned(&model).await;
    for attempt in 1..=3 {
        let claimed = scene.claim(id, "w").await.expect("claimed");
        scene.report(&report(proof(&claimed, "w"), json!({}))).await.expect("reported");
        let job = scene.job(id).await;
        scene.judge(&job, 0.1, Next::Retry { reason: "tests".to_owned() }).await.expect("judged");
        if attempt < 3 {
            scene.assign(id, &model).await.expect("assigned");
        }
    }
    assert_eq!(scene.status(id).await, JobStatus::Failed);
    let filter = RunFilter { job: Some(id), ..RunFilter::default() };
    assert_eq!(scene.store.runs(&filter).await.expect("readable").len(), 3, "one run for each attempt");
}

/// Whatever a run's details hold comes back to the last digit.
pub async fn a_run_comes_back_as_it_was_written(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let job = scene.submitted(&scene.model("m").await).await;
    let run = NewRun {
        confidence: Some(Confidence::new(0.1 + 0.2).expect("in range")),
        strength: Some(EvidenceStrength::SameProcess),
        usage: Usage { input_tokens: Some(12), cached_input_tokens: Some(3), output_tokens: None },
        cost: Some(Usd::from_nanos(1_234_567_891)),
        details: json!({ "x": 0.1 + 0.2, "text": "\u{1f980} 'quoted' \"twice\" \\ \n", "deep": [{ "a": null }] }),
        ..run_of(&job, 1.0 / 3.0)
    };
    let judgement = Judgement { run: run.clone(), next: Next::Validate, tests_failed: false };
    let id = only(scene.store.judge(&[judgement]).await.expect("a batch")).expect("judged");
    let filter = RunFilter { job: Some(job.id), ..RunFilter::default() };
    let stored = scene.store.runs(&filter).await.expect("readable");
    assert_eq!((stored.len(), stored[0].id, &stored[0].run), (1, id, &run));
}

/// What is spent is added up as runs land, by model and project, whether or not a run counts; what is not known is told apart.
pub async fn spending_is_what_the_runs_add_up_to(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let models = [scene.model("a").await, scene.model("b").await];
    let judged = async |model, project, tokens: Option<u64>, cost: Option<u64>| {
        let job = scene.submitted(model).await;
        let run = NewRun {
            counts: tokens.is_some(),
            project_id: ProjectId(project),
            usage: Usage { input_tokens: tokens, output_tokens: tokens, ..Usage::default() },
            cost: cost.map(Usd::from_nanos),
            ..run_of(&job, 0.5)
        };
        let judgement = Judgement { run, next: Next::Validate, tests_failed: false };
        only(scene.store.judge(&[judgement]).await.expect("a batch")).expect("judged");
    };
    judged(&models[0], 0, Some(9), Some(9)).await;
    scene.advance(Duration::from_secs(2 * 86_400)).await;
    let since = scene.job(scene.prd(1).await.jobs[0]).await.created_at;
    judged(&models[0], 0, Some(5), Some(7)).await;
    judged(&models[0], 0, None, None).await;
    scene.advance(Duration::from_secs(86_400)).await;
    judged(&models[0], 0, Some(1), Some(2)).await;
    judged(&models[0], -3, Some(4), None).await;
    judged(&models[1], 0, Some(1), Some(u64::from(u32::MAX))).await;
    let spending = |model: &Model, project, runs, tokens, cost, uncounted, unpriced| Spending {
        model_id: model.id,
        project_id: ProjectId(project),
        runs,
        input_tokens: tokens,
        output_tokens: tokens,
        cost: Usd::from_nanos(cost),
        uncounted,
        unpriced,
    };
    let expected = [
        spending(&models[0], -3, 1, 4, 0, 0, 1),
        spending(&models[0], 0, 3, 6, 9, 1, 1),
        spending(&models[1], 0, 1, 1, u64::from(u32::MAX), 0, 0),
    ];
    assert_eq!(scene.store.spending(since).await.expect("readable"), expected);
}

/// What ends an attempt without a run may have been billed, and is told apart; where a worker is certain that nothing was, the
/// history says so.
pub async fn an_attempt_without_a_run_is_unknown_spending_unless_it_was_not_billed(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let model = scene.model("m").await;
    let start = scene.job(scene.prd(1).await.jobs[0]).await.created_at;
    let unknown = async || {
        let spending = scene.store.spending(start).await.expect("readable");
        spending.iter().map(|spent| (spent.model_id, spent.runs, spent.uncounted, spent.unpriced)).collect::<Vec<_>>()
    };
    for (unbilled, known) in [(true, None), (false, Some(1))] {
        let job = scene.claimed(&model).await;
        let reason = "the vendor is away".to_owned();
        let release = Release { proof: proof(&job, "w"), reason, retry_after: None, blameless: false, unbilled };
        only(scene.store.release(&[release]).await.expect("a batch")).expect("released");
        let expected: Vec<_> = known.map(|known| (model.id, 0, known, known)).into_iter().collect();
        assert_eq!(unknown().await, expected, "unbilled: {unbilled}");
        let history = scene.store.job_events(job.id).await.expect("readable");
        let end = history.last().expect("its return");
        assert_eq!(end.details.get("unbilled"), unbilled.then_some(&json!(true)));
        assert_eq!((&end.details["attempt"], &end.details["model"]), (&json!(1), &json!("m")));
    }
    scene.claimed(&model).await;
    scene.advance(LEASE).await;
    assert_eq!(scene.store.expire(10).await.expect("a batch").len(), 1);
    assert_eq!(unknown().await, [(model.id, 0, 2, 2)], "a lease that ended");
    let (under_way, not_begun) = (scene.claimed(&model).await, scene.assigned(&model).await);
    for job in [under_way.id, not_begun] {
        let prd = scene.job(job).await.prd_id;
        scene.store.cancel(prd, &Actor::operator(), "no longer wanted").await.expect("called off");
    }
    assert_eq!(unknown().await, [(model.id, 0, 3, 3)], "called off under way");
}

/// The statistics that are kept as runs land are those of the runs themselves, without the ones that do not count or are
/// too old.
pub async fn statistics_are_what_the_runs_add_up_to(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let models = [scene.model("a").await, scene.model("b").await, scene.model("idle").await];
    let judged = async |model, score, counts| {
        let job = scene.submitted(model).await;
        let run = NewRun { counts, ..run_of(&job, score) };
        let judgement = Judgement { run, next: Next::Validate, tests_failed: false };
        only(scene.store.judge(&[judgement]).await.expect("a batch")).expect("judged");
    };
    judged(&models[0], 0.7, true).await;
    scene.advance(Duration::from_secs(40 * 86_400)).await;
    let since = scene.job(scene.prd(1).await.jobs[0]).await.created_at - Duration::from_secs(30 * 86_400);
    for (n, score) in [0.1, 0.25, 0.9, 0.33, 0.5].into_iter().enumerate() {
        judged(&models[n % 2], score, true).await;
        scene.advance(Duration::from_secs(86_400)).await;
    }
    judged(&models[1], 0.9, false).await;
    let mut expected: BTreeMap<ModelId, ModelStats> = BTreeMap::new();
    for run in scene.store.runs(&RunFilter::default()).await.expect("readable") {
        if run.run.counts && run.created_at >= since {
            expected.entry(run.run.model_id).or_insert(ModelStats::none(run.run.model_id)).add(&run.run);
        }
    }
    let kept = scene.store.stats(since).await.expect("readable");
    assert_eq!(kept.len(), 2, "a model without runs is left out: {kept:?}");
    for stats in kept {
        let sum = expected[&stats.model_id];
        assert_eq!((stats.runs, stats.successes), (sum.runs, sum.successes));
        for (kept, added) in [
            (stats.sum_score, sum.sum_score),
            (stats.sum_share, sum.sum_share),
            (stats.sum_share_squared, sum.sum_share_squared),
        ] {
            assert!((kept - added).abs() < 1e-9, "{kept} is not {added}");
        }
    }
}

/// Pages put together are all runs, once.
pub async fn runs_are_paged_newest_first(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    for model in [&a, &b, &a, &b, &a] {
        let job = scene.submitted(model).await;
        scene.judge(&job, 0.6, Next::Validate).await.expect("judged");
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let filter = RunFilter { before, limit: 2, ..RunFilter::default() };
        let page = scene.store.runs(&filter).await.expect("readable");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|run| run.id));
    }
    assert!(seen.len() == 5 && seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let of_a = RunFilter { model: Some(a.id), ..RunFilter::default() };
    assert_eq!(scene.store.runs(&of_a).await.expect("readable").len(), 3);
}

/// Neither too early, while a sibling may still hand in, nor after the verdict.
pub async fn prds_wait_for_the_accountant_when_no_job_is_under_way(harness: &impl StoreHarness) {
    let scene = Scene::open(harness).await;
    let (a, b) = (scene.model("a").await, scene.model("b").await);
    let prd = scene.prd(2).await;
    let waiting = async || scene.store.assessable(10).await.expect("readable");
    for (job, model) in prd.jobs.iter().zip([&a, &b]) {
        assert_eq!(waiting().await, [], "a sibling is under way");
        scene.assign(*job, model).await.expect("assigned");
        let claimed = scene.claim(*job, "w").await.expect("claimed");
        scene.report(&report(proof(&claimed, "w"), json!({}))).await.expect("reported");
    }
    assert_eq!(waiting().await, [prd.id]);
    for job in &prd.jobs {
        let job = scene.job(*job).await;
        scene.judge(&job, 0.6, Next::Validate).await.expect("judged");
    }
    assert_eq!(waiting().await, [prd.id], "it waits for its verdict");
}
