//! Where everything is kept: five small traits, each method one atomic verb.
//!
//! # Contract
//! - **One transaction a verb.** A state changes together with its `job_events` row and its audit entry, or not at all.
//! - **Batches are answered item by item.** The outer error says that nothing was done; an inner one concerns its item
//!   only, and the other items stand.
//! - **Fenced.** Every write of a worker is checked in the statement that writes: worker, token, state, and that the lease
//!   has not ended by the store's own clock. A lease that was claimed [in process](crate::job::Door::InProcess) is written only
//!   by who shows its token: whoever knows the worker's name from a list cannot write in its place.
//! - **Durable before the answer**, where the store is durable at all.
//! - The audit log is chained by [`AuditEntry::seal`](crate::audit::AuditEntry::seal); its places have no gaps.

mod audit;
mod duties;
mod jobs;
mod models;
mod runs;

use std::{fmt, time::Duration};

pub use audit::AuditStore;
pub use duties::{Duty, DutyStore, News, Term};
pub use jobs::{
    Assignment, Claim, ClaimedJob, Dispatched, Expired, JobCount, JobFilter, JobStore, ModelLoad, NewPrdRecord,
    Schedulable, Submitted, Wanted,
};
pub use models::{ModelStore, StandingChange};
pub use runs::{ArtifactBatch, Judgement, Next, RunFilter, RunStore};

#[cfg(feature = "mock")]
pub use self::{
    audit::MockAuditStore, duties::MockDutyStore, jobs::MockJobStore, models::MockModelStore, runs::MockRunStore,
};

use crate::{
    error::BoxError,
    ids::{JobId, WorkerId},
};

/// All parts. Implemented for whatever implements them.
pub trait Store: JobStore + ModelStore + RunStore + AuditStore + DutyStore {}

impl<T: JobStore + ModelStore + RunStore + AuditStore + DutyStore + ?Sized> Store for T {}

/// Answers of a batch, in the order of its items.
pub type Each<T> = Vec<Result<T, StoreError>>;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No such row.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What kind of row.
        what: &'static str,
        /// Which one.
        id: String,
    },
    /// The row is not in a state that allows it.
    #[error("{what} {id}: {reason}")]
    Conflict {
        /// What kind of row.
        what: &'static str,
        /// Which one.
        id: String,
        /// Why not, and the way out.
        reason: String,
    },
    /// The lease ended or went to another worker; nothing was changed.
    #[error("worker {} has no lease on job {job}: it ended, was handed back, or went to another worker", worker.as_ref().map_or("(unnamed)", |w| w.as_str()))]
    LeaseLost {
        /// The job.
        job: JobId,
        /// Who tried.
        worker: Option<WorkerId>,
    },
    /// The store cannot be reached, is locked or full: try again.
    #[error("the store cannot be used now: {message}")]
    Unavailable {
        /// What it said.
        message: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// What is stored cannot be read.
    #[error("{what} {id} cannot be read: {message}")]
    Corrupt {
        /// What kind of row.
        what: &'static str,
        /// Which one.
        id: String,
        /// What is wrong with it.
        message: String,
    },
    /// The store failed in a way that trying again does not mend.
    #[error("the store failed to {action}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The cause.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// No such row.
    pub fn not_found(what: &'static str, id: impl fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// The row is not in a state that allows it.
    pub fn conflict(what: &'static str, id: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::Conflict { what, id: id.to_string(), reason: reason.into() }
    }

    /// What is stored cannot be read.
    pub fn corrupt(what: &'static str, id: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Corrupt { what, id: id.to_string(), message: message.to_string() }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// How long to wait before trying again, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { .. } => Some(Duration::from_millis(200)),
            _ => None,
        }
    }
}
