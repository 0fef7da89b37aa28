//! Artifacts and scored runs.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Each, StoreError};
use crate::{
    artifact::{Artifact, NewArtifact},
    ids::{JobId, ModelId, RunId, WorkerId},
    job::FencingToken,
    run::{ModelRun, ModelStats, NewRun, Spending},
};

/// Pieces of one attempt, to be stored under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactBatch {
    /// The job.
    pub job: JobId,
    /// The model in whose name they come: it must be the job's.
    pub model: ModelId,
    /// Who holds the lease. Absent: matched by model and state.
    pub worker: Option<WorkerId>,
    /// The token of the claim.
    pub token: Option<FencingToken>,
    /// The pieces.
    pub items: Vec<NewArtifact>,
}

/// What becomes of a submitted job, with the run that says why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The run; (job, attempt) is unique.
    pub run: NewRun,
    /// Where the job goes.
    pub next: Next,
    /// Whether tests were run on it and failed: a `test_failed` event is written.
    pub tests_failed: bool,
}

/// Where a submitted job goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Accepted.
    Validate,
    /// Back to the queue, for another model. Becomes [`Fail`](Self::Fail) when no attempt is left.
    Retry {
        /// What was wrong.
        reason: String,
    },
    /// Rejected for good.
    Fail {
        /// What was wrong.
        reason: String,
    },
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only of this model.
    pub model: Option<ModelId>,
    /// Only those before this one.
    pub before: Option<RunId>,
    /// Most runs wanted.
    pub limit: u32,
}

impl Default for RunFilter {
    /// The newest hundred of all.
    fn default() -> Self {
        Self { job: None, model: None, before: None, limit: 100 }
    }
}

/// Artifacts and runs. See the [contract](super) of all stores.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RunStore: fmt::Debug + Send + Sync {
    /// Stores pieces under their lease. It is a sign of life: `updated_at` moves and the lease is extended to at least
    /// `extend_to` from now. Another model's name is a conflict that says whose job it is.
    async fn add_artifacts(
        &self,
        batches: &[ArtifactBatch],
        extend_to: std::time::Duration,
    ) -> Result<Each<Vec<Artifact>>, StoreError>;

    /// A job's artifacts, oldest first.
    async fn artifacts(&self, job: JobId) -> Result<Vec<Artifact>, StoreError>;

    /// submitted -> validated, queued or failed, together with the run and the statistics. Refused as a conflict for a
    /// job that is not submitted, or whose attempt is another: no attempt is scored twice.
    async fn judge(&self, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError>;

    /// Runs, newest first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError>;

    /// What the counting runs of each model since `since` (rounded down to its UTC day) add up to. Models without runs are
    /// left out. The cost grows with models and days, never with runs.
    async fn stats(&self, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError>;

    /// What all runs since `since` (rounded down to its UTC day) used up, by model and project, in that order. Those without runs are
    /// left out. The cost grows with models, projects and days, never with runs.
    async fn spending(&self, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError>;
}
