//! The setting of a test: a store in a fresh database, by the database's own clock, and a plain connection for SQL by hand.

use std::time::{Duration, Instant};

use aura_core::{
    Actor, FencingToken, Job, JobId, JobState, LeaseProof, Model, ModelKind, ModelProfile, NewPrd, NewRun, PrdId,
    ProjectId, Role, Score, Usage, WorkerId,
    audit::{ChainCheck, ChainReport},
    contract::{
        AuditStore, JobStore, ModelStore, Report,
        store::{Assignment, Claim, Judgement, NewPrdRecord, Next, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;
use serde_json::json;
use sqlx::{
    AssertSqlSafe, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) store: PgStore,
    /// A connection as another program would open it.
    pub(crate) hand: PgPool,
    pub(crate) url: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::at(PrivatePostgres::shared().create_database().unwrap()).await
    }

    pub(crate) async fn at(url: String) -> Self {
        let store = PgStore::builder(&url).connections(4).open().await.unwrap();
        Self::of(store, url)
    }

    pub(crate) fn of(store: PgStore, url: String) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let hand =
            PgPoolOptions::new().max_connections(2).connect_lazy_with(options.options([("search_path", "aura")]));
        Self { store, hand, url }
    }

    /// Another node on the same database.
    pub(crate) async fn node(&self) -> PgStore {
        PgStore::builder(&self.url).connections(4).open().await.unwrap()
    }

    /// Runs SQL as another program would.
    pub(crate) async fn sql(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.hand).await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&self.hand).await.unwrap().get(0)
    }

    /// Waits until this counts something.
    pub(crate) async fn until(&self, sql: &str) {
        let began = Instant::now();
        while self.number(sql).await == 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "{sql}");
        }
    }

    /// Waits until a session waits for another one's lock.
    pub(crate) async fn somebody_waits(&self) {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.number(waits).await == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn model(&self, name: &str) -> Model {
        self.store.register(&profile(name), &Actor::operator()).await.unwrap()
    }

    /// A PRD with this many queued jobs.
    pub(crate) async fn prd(&self, jobs: usize) -> NewPrdRecord {
        let record = new_prd(jobs);
        self.store.submit(std::slice::from_ref(&record)).await.unwrap().remove(0).unwrap();
        record
    }

    /// That many queued jobs, each of a PRD of its own.
    pub(crate) async fn many(&self, jobs: usize) -> Vec<JobId> {
        let records: Vec<_> = (0..jobs).map(|_| new_prd(1)).collect();
        let submitted = self.store.submit(&records).await.unwrap();
        submitted.into_iter().flat_map(|submitted| submitted.unwrap().prd.jobs).collect()
    }

    pub(crate) async fn assign(&self, job: JobId, model: &Model) {
        let assignment = Assignment { job, model: model.id, probe: false, reason: json!("only one") };
        self.store.assign(&[assignment]).await.unwrap().remove(0).unwrap();
    }

    pub(crate) async fn claim(&self, job: JobId) -> LeaseProof {
        let claim = Claim { worker: worker("w1"), door: Door::Remote, wanted: Wanted::Job(job), lease: LEASE };
        let claimed = self.store.claim(&claim).await.unwrap().remove(0);
        LeaseProof { job, worker: worker("w1"), token: Some(token(&claimed.job)) }
    }

    /// A fresh job that a worker holds.
    pub(crate) async fn in_progress(&self, model: &Model) -> LeaseProof {
        let job = self.prd(1).await.jobs[0];
        self.assign(job, model).await;
        self.claim(job).await
    }

    /// A fresh job that was handed in.
    pub(crate) async fn submitted(&self, model: &Model) -> Job {
        let proof = self.in_progress(model).await;
        let job = proof.job;
        self.store.report(&[report(&proof)]).await.unwrap().remove(0).unwrap();
        self.job(job).await
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.unwrap().unwrap()
    }

    /// Checks the whole audit chain.
    pub(crate) async fn check_chain(&self) -> ChainReport {
        let mut check = ChainCheck::default();
        loop {
            let page = self.store.audit(check.last(), 100).await.unwrap();
            if page.is_empty() || !check.extend(&page) {
                return check.finish();
            }
        }
    }
}

pub(crate) fn worker(id: &str) -> WorkerId {
    WorkerId::new(id).unwrap()
}

pub(crate) fn profile(name: &str) -> ModelProfile {
    ModelProfile::new(name, ModelKind::Local, "offline", name).unwrap()
}

pub(crate) fn new_prd(jobs: usize) -> NewPrdRecord {
    let jobs = (0..jobs).map(|_| JobId::new()).collect();
    NewPrdRecord { id: PrdId::new(), request: NewPrd::new("Write slugify(text)"), pinned: None, jobs }
}

pub(crate) fn token(job: &Job) -> FencingToken {
    match &job.state {
        JobState::InProgress { lease, .. } => lease.token,
        state => panic!("job {} is {}, not in progress", job.id, state.status()),
    }
}

pub(crate) fn report(proof: &LeaseProof) -> Report {
    Report { proof: proof.clone(), success: true, details: json!({ "self_confidence": 0.1 + 0.2 }) }
}

/// The judgement that accepts a submitted job.
pub(crate) fn accept(job: &Job, score: f64) -> Judgement {
    let run = NewRun {
        model_id: job.state.model().unwrap(),
        job_id: job.id,
        attempt: job.attempt,
        prd_id: job.prd_id,
        project_id: ProjectId::default(),
        role: Role::default(),
        success: true,
        confidence: None,
        score: Score::new(score).unwrap(),
        attainable: Score::new(0.6).unwrap(),
        strength: None,
        counts: true,
        usage: Usage { input_tokens: Some(12), ..Usage::default() },
        cost: None,
        details: json!({ "signals": { "test_score": score }, "penalties": 0.0 }),
    };
    Judgement { run, next: Next::Validate, tests_failed: false }
}
