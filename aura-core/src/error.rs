//! What can go wrong, and whether trying again can help.

use std::time::Duration;

use crate::{
    contract::{SandboxError, StoreError},
    ids::{InvalidName, JobId, ModelName, PrdId},
    units::OutOfRange,
};

/// A result of the orchestra.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause below an error, kept as the `source`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the [`Orchestra`](crate::Orchestra) answers when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the request cannot be accepted.
    #[error("{field}: {reason}")]
    Invalid {
        /// Path of the field, as the user wrote it.
        field: &'static str,
        /// What is wrong with it, and the way out.
        reason: String,
    },
    /// No such PRD.
    #[error("there is no PRD {0}")]
    UnknownPrd(PrdId),
    /// No such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// No such model.
    #[error("there is no model {name:?}; employed are: {employed}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The names there are, joined by commas.
        employed: String,
    },
    /// A model of that name is employed already.
    #[error("a model named {0:?} is employed already: choose another name, or use the one there is")]
    ModelExists(ModelName),
    /// The orchestra was put together wrongly.
    #[error("{0}")]
    Setup(String),
    /// The orchestra has been stopped, or is stopping.
    #[error("the orchestra is stopping and takes no new work")]
    Stopping,
    /// The manager on another machine cannot be reached, or cannot do it now: the same call may succeed later.
    #[error("the manager cannot be asked now: {message}")]
    ManagerAway {
        /// Where it was looked for, and what came instead of an answer.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox refused or failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Error {
    /// Names a field and what is wrong with it.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::ManagerAway { .. } => true,
            _ => false,
        }
    }

    /// How long to wait before trying again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::ManagerAway { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::invalid(error.what, error.to_string())
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::invalid("name", error.to_string())
    }
}
