//! A job: one assignment of a PRD to one model, in one or more attempts.

mod lease;
mod state;

pub use lease::{FencingToken, Lease, LeaseProof};
pub use state::{JobState, JobStatus};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{JobId, ModelId, PrdId, ProjectId, Role, WorkerId};

/// One assignment of a PRD to one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// The PRD it works on.
    pub prd_id: PrdId,
    /// The project of the PRD.
    pub project_id: ProjectId,
    /// The kind of work.
    pub role: Role,
    /// Where it stands, and what belongs to that.
    #[serde(flatten)]
    pub state: JobState,
    /// Claims used up so far; the attempt under way counts.
    pub attempt: u32,
    /// Claims it may use up.
    pub max_attempts: u32,
    /// The one model it may go to.
    pub pinned: Option<ModelId>,
    /// Models that have had an attempt at it, each once, in that order.
    pub tried: Vec<ModelId>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Not to be assigned before; a retry waits a little.
    pub not_before: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Moves on every sign of life.
    pub updated_at: DateTime<Utc>,
}

impl Job {
    /// Whether another claim is left.
    #[must_use]
    pub const fn has_attempts_left(&self) -> bool {
        self.attempt < self.max_attempts
    }
}

/// What a worker said when it handed in its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Who handed it in.
    pub worker: WorkerId,
    /// Whether the worker thinks that it worked; data, not evidence.
    pub success: bool,
    /// Anything else it said: `self_confidence`, `usage`, `duration_ms`, `error`.
    pub details: Value,
    /// Which door it came through; decides whether in-house code may be trusted.
    pub door: Door,
    /// When the attempt was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When it was handed in.
    pub reported_at: DateTime<Utc>,
}

/// Which door a worker came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Another process, or nobody knows.
    #[default]
    Remote,
    /// A worker that this process started itself.
    InProcess,
}

/// One line of a job's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Its number in the store.
    pub id: i64,
    /// The job.
    pub job_id: JobId,
    /// What happened: the same words as the audit log's actions.
    pub event_type: String,
    /// What belongs to it.
    pub details: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}
