//! The memory store as the model of the others: whatever is done, in whatever order, all answer alike.
#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's setting stops the test when it cannot be made"
)]

use std::{collections::HashMap, sync::Arc, time::Duration};

use aura_core::{
    Actor, AuditSeq, Confidence, FencingToken, HrAction, Job, JobId, JobState, JobStatus, LeaseProof, ModelId,
    ModelKind, ModelProfile, NewAlert, NewArtifact, NewPrd, NewRun, Outcome, Prd, PrdId, ProjectId, Role, RunId, Score,
    Severity, Standing, Store, StoreError, Usage, Verdict, VirtualClock, WorkerId,
    contract::{
        Release, Report,
        store::{
            ArtifactBatch, Assignment, Claim, JobFilter, Judgement, NewPrdRecord, Next, RunFilter, StandingChange,
            Submitted, Wanted,
        },
    },
    job::Door,
};
use aura_store::{MemoryStore, PgStore, SqliteStore};
use aura_testbed::PrivatePostgres;
use chrono::DateTime;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::json;

const MODELS: i32 = 3;

fn worker(id: &str) -> WorkerId {
    WorkerId::new(id).unwrap()
}

fn profile(name: &str) -> ModelProfile {
    ModelProfile::new(name, ModelKind::Local, "offline", name).unwrap()
}

/// A worker's proof: which token it shows.
#[derive(Debug, Clone, Copy)]
enum Token {
    None,
    Last,
    Stale,
}

#[derive(Debug, Clone)]
enum Step {
    Submit { jobs: usize, key: Option<u8>, prompt: u8, attempts: u32 },
    Assign { job: Index, model: i32, probe: bool },
    Unassign { job: Index },
    ClaimJob { job: Index, worker: u8 },
    ClaimAny { model: i32, max: u32, worker: u8 },
    Beat { job: Index, worker: u8, token: Token },
    Pieces { job: Index, model: i32, worker: Option<u8>, token: Token },
    Report { job: Index, worker: u8, token: Token, success: bool },
    Release { job: Index, worker: u8, token: Token, wait: Option<u8> },
    Expire,
    Advance { seconds: u8 },
    Judge { job: Index, late: bool, next: u8, failed: bool },
    Settle { prd: Index },
    Cancel { prd: Index },
    Hold { model: i32, on: bool },
    Stand { model: i32, from: u8, action: u8 },
    Flag { job: Index, rule: Option<u8> },
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![2 => Just(Token::Last), 1 => Just(Token::None), 1 => Just(Token::Stale)]
}

fn step() -> impl Strategy<Value = Step> {
    let job = any::<Index>;
    let model = 1..=MODELS;
    let who = 0..2_u8;
    prop_oneof![
        3 => (1..3_usize, prop::option::of(0..2_u8), 0..2_u8, 1..3_u32)
            .prop_map(|(jobs, key, prompt, attempts)| Step::Submit { jobs, key, prompt, attempts }),
        6 => (job(), model.clone(), any::<bool>()).prop_map(|(job, model, probe)| Step::Assign { job, model, probe }),
        1 => job().prop_map(|job| Step::Unassign { job }),
        4 => (job(), who.clone()).prop_map(|(job, worker)| Step::ClaimJob { job, worker }),
        2 => (model.clone(), 0..3_u32, who.clone()).prop_map(|(model, max, worker)| Step::ClaimAny { model, max, worker }),
        2 => (job(), who.clone(), token()).prop_map(|(job, worker, token)| Step::Beat { job, worker, token }),
        2 => (job(), model.clone(), prop::option::of(who.clone()), token())
            .prop_map(|(job, model, worker, token)| Step::Pieces { job, model, worker, token }),
        5 => (job(), who.clone(), token(), any::<bool>())
            .prop_map(|(job, worker, token, success)| Step::Report { job, worker, token, success }),
        2 => (job(), who, token(), prop::option::of(0..40_u8))
            .prop_map(|(job, worker, token, wait)| Step::Release { job, worker, token, wait }),
        2 => Just(Step::Expire),
        3 => (0..25_u8).prop_map(|seconds| Step::Advance { seconds }),
        5 => (job(), prop::bool::weighted(0.1), 0..3_u8, any::<bool>())
            .prop_map(|(job, late, next, failed)| Step::Judge { job, late, next, failed }),
        1 => job().prop_map(|prd| Step::Settle { prd }),
        1 => job().prop_map(|prd| Step::Cancel { prd }),
        1 => (model.clone(), any::<bool>()).prop_map(|(model, on)| Step::Hold { model, on }),
        1 => (model, 0..5_u8, 0..4_u8).prop_map(|(model, from, action)| Step::Stand { model, from, action }),
        2 => (job(), prop::option::of(0..2_u8)).prop_map(|(job, rule)| Step::Flag { job, rule }),
    ]
}

/// What the steps refer to.
#[derive(Default)]
struct World {
    prds: Vec<PrdId>,
    jobs: Vec<JobId>,
    /// Which store is asked now. Each chooses its tokens itself.
    store: usize,
    tokens: HashMap<(usize, JobId), i64>,
    last: Option<Job>,
}

impl World {
    fn job(&self, index: &Index) -> JobId {
        index.get(&self.jobs).to_owned()
    }

    fn token(&self, job: JobId, token: Token) -> Option<FencingToken> {
        let last = self.tokens.get(&(self.store, job)).copied().unwrap_or(0);
        match token {
            Token::None => None,
            Token::Last => Some(FencingToken(last)),
            Token::Stale => Some(FencingToken(last - 1)),
        }
    }

    fn proof(&self, index: &Index, who: u8, token: Token) -> LeaseProof {
        let job = self.job(index);
        LeaseProof { job, worker: worker(&format!("w{who}")), token: self.token(job, token) }
    }
}

/// An answer without the words that a store is free to choose.
fn plain<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::NotFound { what, id }) => format!("no {what} {id}"),
        Err(StoreError::Conflict { what, id, .. }) => format!("conflict of {what} {id}"),
        Err(StoreError::LeaseLost { job, worker }) => format!("{worker:?} lost {job}"),
        Err(other) => panic!("{other:?}"),
    }
}

fn only<T: std::fmt::Debug>(answers: Result<Vec<Result<T, StoreError>>, StoreError>) -> String {
    plain(answers.unwrap().remove(0))
}

/// A job without the words that a store is free to choose.
fn stripped(mut job: Job) -> Job {
    job.last_error = job.last_error.map(|_| String::new());
    match &mut job.state {
        JobState::Failed { reason, .. } => reason.clear(),
        JobState::InProgress { lease, .. } => lease.token = FencingToken(0),
        _ => {}
    }
    job
}

/// A verb as data, made once and given to all stores.
async fn take(store: &dyn Store, world: &World, step: &Step, fresh: &NewPrdRecord) -> String {
    let claim = |wanted, who: u8| Claim {
        worker: worker(&format!("w{who}")),
        door: Door::InProcess,
        wanted,
        lease: Duration::from_secs(30),
    };
    let claimed = |answer: Result<Vec<aura_core::contract::store::ClaimedJob>, _>| {
        plain(answer.map(|jobs| jobs.into_iter().map(|one| (stripped(one.job), one.prd)).collect::<Vec<_>>()))
    };
    match step {
        Step::Submit { .. } => {
            let mut answer = store.submit(std::slice::from_ref(fresh)).await.unwrap().remove(0);
            // How much a called-off PRD's verdict tells of its jobs is free too.
            if let Ok(Submitted { prd: Prd { verdict: Some(verdict), .. }, .. }) = &mut answer {
                verdict.entries.clear();
            }
            plain(answer)
        }
        Step::Assign { job, model, probe } => {
            let reason = json!({ "draw": 0.1 });
            let assignment = Assignment { job: world.job(job), model: ModelId(*model), probe: *probe, reason };
            only(store.assign(&[assignment]).await)
        }
        Step::Unassign { job } => only(store.unassign(&[world.job(job)], "because").await),
        Step::ClaimJob { job, worker } => claimed(store.claim(&claim(Wanted::Job(world.job(job)), *worker)).await),
        Step::ClaimAny { model, max, worker } => {
            let wanted = Wanted::Any { models: vec![ModelId(*model), ModelId(1)], max: *max };
            claimed(store.claim(&claim(wanted, *worker)).await)
        }
        Step::Beat { job, worker, token } => {
            only(store.heartbeat(&[world.proof(job, *worker, *token)], Duration::from_secs(20)).await)
        }
        Step::Pieces { job, model, worker: who, token } => {
            let job = world.job(job);
            let batch = ArtifactBatch {
                job,
                model: ModelId(*model),
                worker: who.map(|who| worker(&format!("w{who}"))),
                token: world.token(job, *token),
                items: vec![NewArtifact::docs("x"), NewArtifact::patch("y")],
            };
            only(store.add_artifacts(&[batch], Duration::from_secs(25)).await)
        }
        Step::Report { job, worker, token, success } => {
            let proof = world.proof(job, *worker, *token);
            only(store.report(&[Report { proof, success: *success, details: json!({ "n": 0.3 }) }]).await)
        }
        Step::Release { job, worker, token, wait } => {
            let retry_after = wait.map(|wait| Duration::from_secs(wait.into()));
            let proof = world.proof(job, *worker, *token);
            only(
                store
                    .release(&[Release {
                        proof,
                        reason: "tired".to_owned(),
                        retry_after,
                        blameless: false,
                        unbilled: false,
                    }])
                    .await,
            )
        }
        Step::Expire => format!("{:?}", store.expire(5).await.unwrap()),
        Step::Advance { .. } => String::new(),
        Step::Judge { late, next, failed, .. } => {
            let job = world.last.as_ref().unwrap();
            let judgement = judgement(job, *late, *next, *failed);
            only(store.judge(&[judgement]).await)
        }
        Step::Settle { prd } => {
            let verdict = Verdict {
                spent: aura_core::Spent::default(),
                prd: *prd.get(&world.prds),
                outcome: Outcome::NobodyWon,
                entries: Vec::new(),
                why: String::new(),
                settled_at: DateTime::UNIX_EPOCH,
            };
            only(store.settle(&[verdict]).await)
        }
        Step::Cancel { prd } => {
            let answer = store.cancel(*prd.get(&world.prds), &Actor::operator(), "enough").await;
            plain(answer.map(|prd| (prd.id, prd.jobs, prd.verdict.map(|verdict| verdict.outcome))))
        }
        Step::Hold { model, on } => {
            let hold = on.then(|| "stop".to_owned());
            // Setting what is set already may be recorded or not.
            let there = store.models().await.unwrap().into_iter().find(|there| there.id.0 == *model).unwrap();
            if there.hold == hold {
                return String::new();
            }
            plain(store.set_hold(ModelId(*model), hold, &Actor::operator()).await)
        }
        Step::Stand { model, from, action } => {
            let change = StandingChange {
                model: ModelId(*model),
                from: Standing::ALL[usize::from(*from)],
                action: HrAction::ALL[usize::from(*action)],
                reason: "figures".to_owned(),
            };
            only(store.change_standings(&[change]).await)
        }
        Step::Flag { job, rule } => {
            let alert = NewAlert {
                job_id: Some(world.job(job)),
                severity: Severity::Warning,
                rule: rule.map(|rule| format!("rule{rule}")),
                reason: "look".to_owned(),
            };
            plain(store.raise(&alert, &Actor::auditor()).await)
        }
    }
}

fn judgement(job: &Job, late: bool, next: u8, tests_failed: bool) -> Judgement {
    let score = Score::new(f64::from(job.attempt) / 8.0).unwrap();
    let run = NewRun {
        cost: None,
        model_id: job.state.model().unwrap_or(ModelId(1)),
        job_id: job.id,
        attempt: job.attempt + u32::from(late),
        prd_id: job.prd_id,
        project_id: ProjectId::default(),
        role: Role::default(),
        success: next == 0,
        confidence: Some(Confidence::new(0.7).unwrap()),
        score,
        attainable: Score::new(0.6).unwrap(),
        strength: None,
        counts: job.attempt == 1,
        usage: Usage::default(),
        details: json!({ "penalties": 0.1 }),
    };
    let reason = "red".to_owned();
    let next = match next {
        0 => Next::Validate,
        1 => Next::Retry { reason },
        _ => Next::Fail { reason },
    };
    Judgement { run, next, tests_failed }
}

/// Everything that can be read, without the words that a store is free to choose.
async fn picture(store: &dyn Store, clock: &VirtualClock, world: &World) -> String {
    use aura_core::Clock as _;
    let strip = |jobs: Vec<Job>| jobs.into_iter().map(stripped).collect::<Vec<_>>();
    let jobs = strip(store.jobs(&JobFilter::default()).await.unwrap());
    let mut events = Vec::new();
    let mut artifacts = Vec::new();
    for job in &world.jobs {
        let history = store.job_events(*job).await.unwrap();
        events.push(history.into_iter().map(|event| (event.event_type, event.created_at)).collect::<Vec<_>>());
        artifacts.push(store.artifacts(*job).await.unwrap());
    }
    let mut listed = Vec::new();
    for status in [JobStatus::Submitted, JobStatus::Validated, JobStatus::Failed, JobStatus::Cancelled] {
        for model in [None, Some(ModelId(1))] {
            let filter = JobFilter { status: Some(status), model, ..JobFilter::default() };
            listed.push(store.jobs(&filter).await.unwrap().into_iter().map(|job| job.id).collect::<Vec<_>>());
        }
    }
    let by_model = JobFilter { model: Some(ModelId(1)), ..JobFilter::default() };
    let audit = store.audit(AuditSeq(0), 10_000).await.unwrap();
    let audit: Vec<_> =
        audit.into_iter().map(|entry| (entry.seq, entry.actor, entry.action, entry.created_at)).collect();
    let prds = store.recent_prds(None, 100).await.unwrap();
    let prds: Vec<_> =
        prds.into_iter().map(|prd| (prd.id, prd.jobs, prd.verdict.map(|verdict| verdict.outcome))).collect();
    let runs = RunFilter { job: None, model: None, before: Some(RunId(1000)), limit: 100 };
    let since = clock.now() - chrono::TimeDelta::seconds(60);
    let mut failing = store.failing_jobs(since, 0).await.unwrap();
    failing.sort();
    format!(
        "{jobs:#?}{events:#?}{artifacts:#?}{audit:#?}{prds:#?}{failing:#?}{listed:?}{:#?}",
        (
            strip(store.jobs(&by_model).await.unwrap()),
            store.job_counts().await.unwrap(),
            strip(store.schedulable(100).await.unwrap()),
            store.load().await.unwrap(),
            store.assessable(100).await.unwrap(),
            strip(store.silent_jobs(since, 100).await.unwrap()),
            store.next_deadline().await.unwrap(),
            store.models().await.unwrap(),
            store.promotions(None, 100).await.unwrap(),
            store.runs(&runs).await.unwrap(),
            store.stats(DateTime::UNIX_EPOCH).await.unwrap(),
            store.alerts(None, 100).await.unwrap(),
        )
    )
}

/// The stores, memory first, each with its name.
async fn stores(clock: &VirtualClock) -> Vec<(&'static str, Arc<dyn Store>)> {
    let shared = || Arc::new(clock.clone());
    let url = PrivatePostgres::shared().create_database().unwrap();
    let postgres = PgStore::builder(&url).connections(2).without_listen().clock(shared()).open().await.unwrap();
    vec![
        ("memory", Arc::new(MemoryStore::with_clock(shared()))),
        ("SQLite", Arc::new(SqliteStore::in_memory_with_clock(shared()).await.unwrap())),
        ("PostgreSQL", Arc::new(postgres)),
    ]
}

async fn run(steps: Vec<Step>) {
    let clock = VirtualClock::default();
    let stores = stores(&clock).await;
    for (_, store) in &stores {
        for model in 1..=MODELS {
            store.register(&profile(&format!("m{model}")), &Actor::operator()).await.unwrap();
        }
    }
    let memory = Arc::clone(&stores[0].1);
    let mut world = World::default();
    for step in std::iter::once(Step::Submit { jobs: 2, key: None, prompt: 0, attempts: 2 }).chain(steps) {
        // No two verbs at one moment: what was first is then the same by time and by number.
        clock.advance(Duration::from_micros(1));
        let mut fresh =
            NewPrdRecord { id: PrdId::new(), request: NewPrd::new("Do it"), pinned: None, jobs: Vec::new() };
        if let Step::Submit { jobs, key, prompt, attempts } = &step {
            fresh.request = NewPrd::new(format!("Do {prompt}"));
            fresh.request.limits.max_attempts = *attempts;
            fresh.request.idempotency_key = key.map(|key| format!("k{key}"));
            fresh.jobs = (0..*jobs).map(|_| JobId::new()).collect();
        }
        if let Step::Advance { seconds } = step {
            clock.advance(Duration::from_secs(seconds.into()));
        }
        if let Step::Judge { job, .. } = &step {
            world.last = memory.job(world.job(job)).await.unwrap();
        }
        world.store = 0;
        let expected = take(memory.as_ref(), &world, &step, &fresh).await;
        for (n, (name, store)) in stores.iter().enumerate().skip(1) {
            world.store = n;
            let answer = take(store.as_ref(), &world, &step, &fresh).await;
            assert_eq!(answer, expected, "{name}'s answer differs from memory's at {step:?}");
        }
        if matches!(step, Step::Submit { .. }) && !memory.prds(&[fresh.id]).await.unwrap().is_empty() {
            world.prds.push(fresh.id);
            world.jobs.extend(&fresh.jobs);
        }
        for (n, (name, store)) in stores.iter().enumerate() {
            for job in &world.jobs {
                if let Some(Job { state: JobState::InProgress { lease, .. }, .. }) = store.job(*job).await.unwrap() {
                    let before = world.tokens.insert((n, *job), lease.token.0);
                    assert!(before.unwrap_or(0) <= lease.token.0, "{name} set the token of {job} back");
                }
            }
        }
        let expected = picture(memory.as_ref(), &clock, &world).await;
        for (name, store) in &stores[1..] {
            compare(name, &picture(store.as_ref(), &clock, &world).await, &expected, &step);
        }
    }
}

fn compare(name: &str, ours: &str, expected: &str, step: &Step) {
    if ours == expected {
        return;
    }
    let differ = ours.lines().zip(expected.lines()).position(|(ours, theirs)| ours != theirs).unwrap_or(0);
    let around = |text: &str| text.lines().skip(differ.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n");
    panic!("after {step:?}\n{name}:\n{}\nmemory:\n{}", around(ours), around(expected));
}

/// Some cases for every run of the suite; more when `PROPTEST_CASES` asks for them.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(12),
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn all_stores_answer_alike(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
