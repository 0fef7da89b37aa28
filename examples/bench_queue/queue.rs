//! The phases: jobs in bulk, and drained.

use std::time::Duration;

use aura_orchestra::{
    core::{
        Actor, JobId, JobState, LeaseProof, ModelId, NewRun, Outcome, Usage, WorkerId,
        contract::{
            JobStore as _, ModelStore as _, Report, RunStore as _,
            store::{Assignment, Claim, ClaimedJob, Judgement, Next, Wanted},
        },
        job::Door,
    },
    prelude::*,
};
use serde_json::json;

/// Jobs a submitting call brings, as the peers' bulk calls do.
const BULK: usize = 5_000;
/// Jobs a claim takes: as many as the peers take into their local queues.
const CLAIM: u32 = 5_000;

fn profile(name: &str) -> ModelProfile {
    ModelProfile::new(name, ModelKind::Cloud, "bench", name).expect("a name").concurrency(1000)
}

pub(crate) async fn employ(store: &PgStore) -> ModelId {
    store.register(&profile("no_op"), &Actor::operator()).await.expect("registered").id
}

pub(crate) async fn submit(store: &PgStore, jobs: usize) -> Vec<JobId> {
    let mut ids = Vec::with_capacity(jobs);
    while ids.len() < jobs {
        let records: Vec<_> = (0..BULK.min(jobs - ids.len())).map(|_| crate::one_by_one::record()).collect();
        for submitted in store.submit(&records).await.expect("stored") {
            ids.extend(submitted.expect("stored").prd.jobs);
        }
    }
    ids
}

pub(crate) async fn assign(store: &PgStore, jobs: &[JobId], model: ModelId) {
    for some in jobs.chunks(BULK) {
        let assignment = |job: &JobId| Assignment { job: *job, model, probe: false, reason: json!({}) };
        let assignments: Vec<_> = some.iter().map(assignment).collect();
        for answer in store.assign(&assignments).await.expect("assigned") {
            answer.expect("assigned");
        }
    }
}

/// Two workers that claim, do nothing, and report, until all jobs are handed in. While one waits for a commit, the other one
/// prepares its next.
pub(crate) async fn drain(store: &PgStore, model: ModelId, jobs: usize) {
    let workers = ["w1", "w2"].map(|name| {
        let store = store.clone();
        tokio::spawn(async move {
            let worker = WorkerId::new(name).expect("a name");
            let mut done = 0;
            loop {
                match claim_and_report(&store, model, &worker).await.len() {
                    0 => return done,
                    reported => done += reported,
                }
            }
        })
    });
    let mut done = 0;
    for worker in workers {
        done += worker.await.expect("a worker ends");
    }
    assert_eq!(done, jobs, "each job is handed in once");
}

/// Answers with what was claimed, and is handed in now.
async fn claim_and_report(store: &PgStore, model: ModelId, worker: &WorkerId) -> Vec<ClaimedJob> {
    let wanted = Wanted::Any { models: vec![model], max: CLAIM };
    let claim = Claim { worker: worker.clone(), door: Door::Remote, wanted, lease: Duration::from_secs(30) };
    let claimed = store.claim(&claim).await.expect("claims");
    let report = |job: &Job| {
        let JobState::InProgress { lease, .. } = &job.state else { panic!("{job:?} is not claimed") };
        let proof = LeaseProof { job: job.id, worker: worker.clone(), token: Some(lease.token) };
        Report { proof, success: true, details: json!({}) }
    };
    let reports: Vec<_> = claimed.iter().map(|claimed| report(&claimed.job)).collect();
    if !reports.is_empty() {
        for answer in store.report(&reports).await.expect("reported") {
            answer.expect("the lease holds");
        }
    }
    claimed
}

/// Whole lives, submitted to VALIDATED and settled, with run, history and audit: three programs of the store's own verbs, each for
/// jobs of its own, as many at once as a bulk call takes.
pub(crate) async fn lives(store: &PgStore, jobs: usize) {
    let mut hands = Vec::new();
    for (n, name) in ["life_1", "life_2", "life_3"].into_iter().enumerate() {
        let model = store.register(&profile(name), &Actor::operator()).await.expect("registered").id;
        let store = store.clone();
        hands.push(tokio::spawn(async move {
            let mut left = (jobs + n) / 3;
            while left > 0 {
                let some = left.min(BULK);
                live(&store, model, some).await;
                left -= some;
            }
        }));
    }
    for hand in hands {
        hand.await.expect("it ends");
    }
}

async fn live(store: &PgStore, model: ModelId, jobs: usize) {
    let ids = submit(store, jobs).await;
    assign(store, &ids, model).await;
    let claimed = claim_and_report(store, model, &WorkerId::new("w1").expect("a name")).await;
    assert_eq!(claimed.len(), jobs, "nobody else takes them");
    let judgements: Vec<_> = claimed
        .iter()
        .map(|claimed| Judgement { run: run_of(&claimed.job), next: Next::Validate, tests_failed: false })
        .collect();
    for answer in store.judge(&judgements).await.expect("judged") {
        answer.expect("judged");
    }
    let verdicts: Vec<_> = claimed.iter().map(|claimed| verdict_of(&claimed.job)).collect();
    for answer in store.settle(&verdicts).await.expect("settled") {
        assert!(answer.expect("settled"), "no verdict was there before");
    }
}

fn run_of(job: &Job) -> NewRun {
    NewRun {
        model_id: job.state.model().expect("it is claimed"),
        job_id: job.id,
        attempt: job.attempt,
        prd_id: job.prd_id,
        project_id: job.project_id,
        role: job.role.clone(),
        success: true,
        confidence: None,
        score: Score::new(0.5).expect("a score"),
        attainable: Score::new(1.0).expect("a score"),
        strength: None,
        counts: true,
        usage: Usage::default(),
        cost: None,
        details: json!({}),
    }
}

fn verdict_of(job: &Job) -> Verdict {
    let model = "life".parse().expect("a name");
    let outcome = Outcome::Won { job: job.id, model, score: Score::new(0.5).expect("a score") };
    Verdict {
        prd: job.prd_id,
        outcome,
        entries: Vec::new(),
        why: String::new(),
        spent: Spent::default(),
        settled_at: job.updated_at,
    }
}
