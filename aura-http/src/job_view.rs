//! Jobs as they are shown: with the name of their model and what their PRD asks for.

use std::collections::HashMap;

use aura_core::{
    Job, JobId, JobState, JobStatus, Language, ModelId, ModelName, Orchestra, Prd, PrdId, ProjectId, Role, Score,
    SourceFile, TestSuite, Tests, WorkerId,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Problem;

/// One assignment of a PRD to one model, with what there is to do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobView {
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: JobId,
    #[schema(value_type = uuid::Uuid)]
    prd_id: PrdId,
    #[schema(value_type = i32)]
    project_id: ProjectId,
    /// The kind of work, `coder` unless the PRD says otherwise.
    #[schema(value_type = String)]
    role: Role,
    /// QUEUED, ASSIGNED, IN_PROGRESS, SUBMITTED, VALIDATED, FAILED or CANCELLED.
    #[schema(value_type = String)]
    pub(crate) status: JobStatus,
    /// The model that has it, or had it last.
    #[schema(value_type = Option<String>)]
    assigned_model: Option<ModelName>,
    title: String,
    /// The task, as the model is to read it.
    prompt: String,
    /// Files the work starts from: `[{path, text}]`.
    #[schema(value_type = Vec<Object>)]
    context: Vec<SourceFile>,
    /// python, rust, javascript or text.
    #[schema(value_type = String)]
    language: Language,
    /// The tests that decide, with the command that runs them; null without tests, and where they are cases: no worker sees what is
    /// right for them.
    #[schema(value_type = Option<Object>)]
    tests: Option<TestSuite>,
    /// Claims used up so far.
    attempt: u32,
    max_attempts: u32,
    /// Who has it, or handed it in.
    #[schema(value_type = Option<String>)]
    worker_id: Option<WorkerId>,
    /// When the lease ends unless it is extended.
    lease_until: Option<DateTime<Utc>>,
    /// What it earned, once accepted.
    #[schema(value_type = Option<f64>)]
    pub(crate) score: Option<Score>,
    /// What went wrong last.
    last_error: Option<String>,
    /// Why it still waits, as far as this process knows.
    waiting: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A job without what its PRD asks for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobBrief {
    #[schema(value_type = uuid::Uuid)]
    id: JobId,
    /// QUEUED, ASSIGNED, IN_PROGRESS, SUBMITTED, VALIDATED, FAILED or CANCELLED.
    #[schema(value_type = String)]
    status: JobStatus,
    /// The model that has it, or had it last.
    #[schema(value_type = Option<String>)]
    assigned_model: Option<ModelName>,
    attempt: u32,
    max_attempts: u32,
    #[schema(value_type = Option<f64>)]
    score: Option<Score>,
    last_error: Option<String>,
    /// Why it still waits, as far as this process knows.
    waiting: Option<String>,
    updated_at: DateTime<Utc>,
}

/// The names of all models.
#[derive(Debug)]
pub(crate) struct Names(HashMap<ModelId, ModelName>);

impl Names {
    /// Reads them.
    pub(crate) async fn read(orchestra: &Orchestra) -> Result<Self, Problem> {
        let models = orchestra.models().await?;
        Ok(Self(models.into_iter().map(|model| (model.id, model.profile.name)).collect()))
    }

    /// The name of one.
    pub(crate) fn get(&self, id: ModelId) -> Option<ModelName> {
        self.0.get(&id).cloned()
    }
}

/// What a worker may see of the tests: all but what is right for cases.
pub(crate) fn shown_to_workers(tests: Option<TestSuite>) -> Option<TestSuite> {
    tests.filter(|suite| matches!(suite.tests, Tests::Project(_)))
}

impl JobView {
    /// A job with its PRD.
    pub(crate) fn new(orchestra: &Orchestra, job: &Job, prd: &Prd, names: &Names) -> Self {
        let asked = &prd.request;
        let brief = JobBrief::new(orchestra, job, names);
        Self {
            id: job.id,
            prd_id: job.prd_id,
            project_id: job.project_id,
            role: job.role.clone(),
            status: brief.status,
            assigned_model: brief.assigned_model,
            title: asked.headline(),
            prompt: asked.prompt.clone(),
            context: asked.context.clone(),
            language: asked.language,
            tests: shown_to_workers(asked.tests.clone()),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            worker_id: worker(&job.state).cloned(),
            lease_until: match &job.state {
                JobState::InProgress { lease, .. } => Some(lease.until),
                _ => None,
            },
            score: brief.score,
            last_error: brief.last_error,
            waiting: brief.waiting,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }

    /// One job by its id.
    pub(crate) async fn read(orchestra: &Orchestra, id: JobId) -> Result<Self, Problem> {
        let job = orchestra.job(id).await?;
        let prd = orchestra.prd(job.prd_id).await?;
        Ok(Self::new(orchestra, &job, &prd, &Names::read(orchestra).await?))
    }
}

impl JobBrief {
    /// A job in short.
    pub(crate) fn new(orchestra: &Orchestra, job: &Job, names: &Names) -> Self {
        let score = match &job.state {
            JobState::Validated { score, .. } => Some(*score),
            _ => None,
        };
        let last_error = match &job.state {
            JobState::Failed { reason, .. } | JobState::Cancelled { reason } => Some(reason.clone()),
            _ => job.last_error.clone(),
        };
        Self {
            id: job.id,
            status: job.state.status(),
            assigned_model: job.state.model().and_then(|model| names.get(model)),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            score,
            last_error,
            waiting: if job.state == JobState::Queued { orchestra.waiting_reason(job.id) } else { None },
            updated_at: job.updated_at,
        }
    }
}

fn worker(state: &JobState) -> Option<&WorkerId> {
    match state {
        JobState::InProgress { lease, .. } => Some(&lease.worker),
        JobState::Submitted { delivery, .. } => Some(&delivery.worker),
        _ => None,
    }
}
