//! The states of a job, what each carries, and the legal arrows between them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Delivery, Lease};
use crate::{ids::ModelId, standing::text_enum, units::Score};

text_enum!(
    /// The name of a state, as it stands on the wire and in the tables.
    JobStatus, "job status" {
        /// Waits for a model.
        Queued => "QUEUED",
        /// Has a model, waits for a worker.
        Assigned => "ASSIGNED",
        /// A worker holds its lease.
        InProgress => "IN_PROGRESS",
        /// Handed in, waits to be tested and scored.
        Submitted => "SUBMITTED",
        /// Scored and accepted.
        Validated => "VALIDATED",
        /// Rejected, or out of attempts.
        Failed => "FAILED",
        /// Called off.
        Cancelled => "CANCELLED",
    }
);

impl JobStatus {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Validated | Self::Failed | Self::Cancelled)
    }

    /// Whether a job in this state keeps its model from having another job of the same PRD.
    #[must_use]
    pub const fn occupies_its_model(self) -> bool {
        matches!(self, Self::Assigned | Self::InProgress | Self::Submitted | Self::Validated)
    }

    /// Whether an arrow leads from this state to `next`.
    ///
    /// # Examples
    /// ```
    /// use aura_core::JobStatus::*;
    /// assert!(Queued.may_become(Assigned));
    /// assert!(!Queued.may_become(Validated));
    /// ```
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use JobStatus::{Assigned, Cancelled, Failed, InProgress, Queued, Submitted, Validated};
        matches!(
            (self, next),
            (Queued, Assigned | Failed | Cancelled)
                | (Assigned, InProgress | Queued | Failed | Cancelled)
                | (InProgress, Submitted | Queued | Failed | Cancelled)
                | (Submitted, Validated | Queued | Failed | Cancelled)
        )
    }
}

/// Where a job stands, with what belongs to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Waits for a model.
    Queued,
    /// Has a model, waits for a worker.
    Assigned {
        /// The model.
        model: ModelId,
    },
    /// A worker holds its lease.
    InProgress {
        /// The model.
        model: ModelId,
        /// The worker's right to it.
        lease: Lease,
    },
    /// Handed in, waits to be tested and scored.
    Submitted {
        /// The model.
        model: ModelId,
        /// What the worker said.
        delivery: Delivery,
    },
    /// Scored and accepted.
    Validated {
        /// The model.
        model: ModelId,
        /// What it earned.
        score: Score,
    },
    /// Rejected, or out of attempts.
    Failed {
        /// The model of the last attempt.
        model: Option<ModelId>,
        /// Why.
        reason: String,
    },
    /// Called off.
    Cancelled {
        /// Why.
        reason: String,
    },
}

impl JobState {
    /// The name of the state.
    #[must_use]
    pub const fn status(&self) -> JobStatus {
        match self {
            Self::Queued => JobStatus::Queued,
            Self::Assigned { .. } => JobStatus::Assigned,
            Self::InProgress { .. } => JobStatus::InProgress,
            Self::Submitted { .. } => JobStatus::Submitted,
            Self::Validated { .. } => JobStatus::Validated,
            Self::Failed { .. } => JobStatus::Failed,
            Self::Cancelled { .. } => JobStatus::Cancelled,
        }
    }

    /// The model that has it now, or had it last.
    #[must_use]
    pub const fn model(&self) -> Option<ModelId> {
        match self {
            Self::Queued | Self::Cancelled { .. } => None,
            Self::Assigned { model }
            | Self::InProgress { model, .. }
            | Self::Submitted { model, .. }
            | Self::Validated { model, .. } => Some(*model),
            Self::Failed { model, .. } => *model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_final_state() {
        for from in JobStatus::ALL.iter().filter(|status| status.is_final()) {
            assert!(JobStatus::ALL.iter().all(|to| !from.may_become(*to)), "{from}");
        }
    }

    #[test]
    fn every_state_that_is_not_final_can_be_cancelled() {
        for from in JobStatus::ALL.iter().filter(|status| !status.is_final()) {
            assert!(from.may_become(JobStatus::Cancelled), "{from}");
        }
    }
}
