//! A fresh store with what a promise needs in it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    Job, JobId, JobState, JobStatus, LeaseProof, Model, ModelKind, ModelProfile, NewArtifact, NewPrd, NewRun, Prd,
    PrdId, Score, StoreError, WorkerId,
    audit::{Action, AuditEntry},
    conformance::StoreHarness,
    contract::{
        Report, Store,
        store::{ArtifactBatch, Assignment, Claim, ClaimedJob, Judgement, NewPrdRecord, Next, Wanted},
    },
    generation::Usage,
    ids::AuditSeq,
    job::{Door, FencingToken},
};

/// How long a lease lasts here.
pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) struct Scene<'h> {
    harness: &'h dyn StoreHarness,
    pub(super) store: Arc<dyn Store>,
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).expect("a name")
}

pub(super) fn profile(name: &str) -> ModelProfile {
    ModelProfile::new(name, ModelKind::Local, "test", name).expect("a profile")
}

/// The only answer to a batch of one.
pub(super) fn only<T>(answers: Vec<Result<T, StoreError>>) -> Result<T, StoreError> {
    assert_eq!(answers.len(), 1, "a batch of one has one answer");
    answers.into_iter().next().expect("one answer")
}

pub(super) fn assert_conflict<T: std::fmt::Debug>(answer: Result<T, StoreError>, says: &str) {
    match answer {
        Err(error @ StoreError::Conflict { .. }) => {
            assert!(error.to_string().contains(says), "{error} does not say {says:?}");
        }
        other => panic!("not a conflict: {other:?}"),
    }
}

pub(super) fn assert_lost<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::LeaseLost { .. })), "not a lost lease: {answer:?}");
}

/// What a worker shows: its id and the token of the job as it is now.
pub(super) fn proof(job: &Job, name: &str) -> LeaseProof {
    let token = match &job.state {
        JobState::InProgress { lease, .. } => Some(lease.token),
        _ => None,
    };
    LeaseProof { job: job.id, worker: worker(name), token }
}

pub(super) fn report(proof: LeaseProof, details: Value) -> Report {
    Report { proof, success: true, details }
}

pub(super) fn run_of(job: &Job, score: f64) -> NewRun {
    NewRun {
        model_id: job.state.model().expect("the job has a model"),
        job_id: job.id,
        attempt: job.attempt,
        prd_id: job.prd_id,
        project_id: job.project_id,
        role: job.role.clone(),
        success: score >= 0.5,
        confidence: None,
        score: Score::new(score).expect("in range"),
        attainable: Score::new(0.9).expect("in range"),
        strength: None,
        counts: true,
        usage: Usage::default(),
        cost: None,
        details: json!({ "signals": { "test_score": score }, "penalties": 0.0 }),
    }
}

impl<'h> Scene<'h> {
    pub(super) async fn open(harness: &'h dyn StoreHarness) -> Self {
        Self { store: harness.open().await, harness }
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.harness.advance(by).await;
    }

    pub(super) async fn model(&self, name: &str) -> Model {
        self.store.employ(&profile(name)).await.expect("employed")
    }

    /// A PRD with that many jobs, and 3 attempts for each.
    pub(super) async fn prd(&self, jobs: usize) -> Prd {
        let jobs = (0..jobs).map(|_| JobId::new()).collect();
        let record = NewPrdRecord { id: PrdId::new(), request: NewPrd::new("do it"), pinned: None, jobs };
        only(self.store.submit(&[record]).await.expect("submitted")).expect("submitted").prd
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.expect("readable").expect("known")
    }

    pub(super) async fn status(&self, id: JobId) -> JobStatus {
        self.job(id).await.state.status()
    }

    pub(super) async fn assign(&self, job: JobId, model: &Model) -> Result<(), StoreError> {
        let assignment = Assignment { job, model: model.id, probe: false, reason: json!({ "why": "the scene" }) };
        only(self.store.assign(&[assignment]).await.expect("a batch"))
    }

    pub(super) async fn assigned(&self, model: &Model) -> JobId {
        let job = self.prd(1).await.jobs[0];
        self.assign(job, model).await.expect("assigned");
        job
    }

    pub(super) async fn claim(&self, job: JobId, name: &str) -> Result<Job, StoreError> {
        let wanted = Wanted::Job(job);
        let claim = Claim { worker: worker(name), door: Door::Remote, wanted, lease: LEASE };
        self.store.claim(&claim).await.map(|mut claimed| claimed.pop().expect("one job").job)
    }

    pub(super) async fn claim_any(&self, models: &[&Model], name: &str, max: u32) -> Vec<ClaimedJob> {
        let wanted = Wanted::Any { models: models.iter().map(|model| model.id).collect(), max };
        let claim = Claim { worker: worker(name), door: Door::Remote, wanted, lease: LEASE };
        self.store.claim(&claim).await.expect("claims")
    }

    /// A job that worker `w` has.
    pub(super) async fn claimed(&self, model: &Model) -> Job {
        let job = self.assigned(model).await;
        self.claim(job, "w").await.expect("claimed")
    }

    pub(super) async fn submitted(&self, model: &Model) -> Job {
        let job = self.claimed(model).await;
        self.report(&report(proof(&job, "w"), json!({}))).await.expect("reported");
        self.job(job.id).await
    }

    pub(super) async fn report(&self, report: &Report) -> Result<crate::contract::Reported, StoreError> {
        only(self.store.report(std::slice::from_ref(report)).await.expect("a batch"))
    }

    pub(super) async fn judge(&self, job: &Job, score: f64, next: Next) -> Result<crate::RunId, StoreError> {
        let judgement = Judgement { run: run_of(job, score), next, tests_failed: score < 0.5 };
        only(self.store.judge(&[judgement]).await.expect("a batch"))
    }

    pub(super) async fn upload(
        &self,
        job: &Job,
        model: &Model,
        name: &str,
        token: Option<FencingToken>,
    ) -> Result<Vec<crate::Artifact>, StoreError> {
        let items = vec![NewArtifact::docs("a piece")];
        let batch = ArtifactBatch { job: job.id, model: model.id, worker: Some(worker(name)), token, items };
        only(self.store.add_artifacts(&[batch], LEASE).await.expect("a batch"))
    }

    pub(super) async fn audit(&self) -> Vec<AuditEntry> {
        self.store.audit(AuditSeq(0), 100_000).await.expect("readable")
    }

    /// How many entries of the audit log, and how many events of the job, have this word.
    pub(super) async fn count(&self, job: JobId, action: Action) -> (usize, usize) {
        let id = job.to_string();
        let of_job = |entry: &&AuditEntry| entry.action == action.as_str() && entry.job_ids().any(|named| named == id);
        let entries = self.audit().await.iter().filter(of_job).count();
        let events = self.store.job_events(job).await.expect("readable");
        (entries, events.iter().filter(|event| event.event_type == action.as_str()).count())
    }

    /// All that a refused verb must leave alone.
    pub(super) async fn trace(&self, job: JobId) -> (Job, usize, usize, usize) {
        let events = self.store.job_events(job).await.expect("readable").len();
        let artifacts = self.store.artifacts(job).await.expect("readable").len();
        (self.job(job).await, events, artifacts, self.audit().await.len())
    }
}
