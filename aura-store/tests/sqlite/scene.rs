//! The setting of a test: a store in a fresh file under a virtual clock, and a second connection for SQL by hand.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aura_core::{
    Actor, AuditSeq, FencingToken, Job, JobId, JobState, LeaseProof, Model, ModelKind, ModelProfile, NewPrd, NewRun,
    PrdId, ProjectId, Role, Score, Usage, VirtualClock, WorkerId,
    audit::{ChainCheck, ChainReport},
    contract::{
        AuditStore, JobStore, ModelStore, Report,
        store::{Assignment, Claim, Judgement, NewPrdRecord, Next, Wanted},
    },
    job::Door,
};
use aura_store::SqliteStore;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool, sqlite::SqliteConnectOptions};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) store: SqliteStore,
    pub(crate) clock: VirtualClock,
    /// A connection as another program would open it: without foreign keys.
    pub(crate) hand: SqlitePool,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aura.db");
        let clock = VirtualClock::default();
        let store = SqliteStore::open_with_clock(&path, Arc::new(clock.clone())).await.unwrap();
        let hand = by_hand(&path).await;
        Self { store, clock, hand, path, _folder: folder }
    }

    /// Runs SQL as another program would.
    pub(crate) async fn sql(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.hand).await?;
        Ok(done.rows_affected())
    }

    /// Every row of every table, as text.
    pub(crate) async fn dump(&self) -> String {
        let tables = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
        let mut dump = String::new();
        for table in tables.fetch_all(&self.hand).await.unwrap() {
            let table: String = table.get("name");
            let columns = format!(
                "SELECT group_concat('quote(' || name || ')', '||'',''||') AS c FROM pragma_table_info('{table}')"
            );
            let columns: String = sqlx::query(AssertSqlSafe(columns)).fetch_one(&self.hand).await.unwrap().get("c");
            let rows = format!("SELECT {columns} AS line FROM {table} ORDER BY 1");
            for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&self.hand).await.unwrap() {
                dump.push_str(&format!("{table}: {}\n", row.get::<String, _>("line")));
            }
        }
        dump
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

    pub(crate) async fn newest(&self) -> AuditSeq {
        self.store.audit_range().await.unwrap().unwrap().1
    }
}

pub(crate) async fn by_hand(path: &std::path::Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    SqlitePool::connect_with(options).await.unwrap()
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
