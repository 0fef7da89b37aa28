//! The door to one model.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{
    error::BoxError,
    generation::{GenerateRequest, Generation},
    model::ModelProfile,
};

/// Asks one model to do one job.
///
/// # Contract
/// - One call makes at most one billed request; retry and timeout belong to layers.
/// - Dropping the future ends the request and every child process that it started.
/// - Writes nothing to the store: the worker records what comes back.
/// - The profile is the same for the adapter's whole life.
/// - `self_confidence` is `exp(mean logprob)` where the vendor gives log-probabilities, else absent; never a constant.
/// - No error text holds a key.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ModelAdapter: fmt::Debug + Send + Sync {
    /// Name, kind, identity and needs.
    fn profile(&self) -> &ModelProfile;

    /// Produces one generation; paths in `request.context` are relative to the workspace.
    ///
    /// # Errors
    /// [`AdapterError`] says whether trying again can help.
    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError>;

    /// Whether the model can be reached. The default does not look.
    async fn health(&self) -> Health {
        Health::Unknown
    }
}

/// Whether a model can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answered.
    Healthy,
    /// Nobody looked.
    Unknown,
    /// It did not answer, and why.
    Unhealthy(String),
}

/// Why there is no generation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The endpoint could not be reached, or the connection broke.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// The vendor asks to slow down, or is overloaded.
    #[error("{provider} is busy: {message}")]
    Busy {
        /// Who.
        provider: String,
        /// What it said.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The vendor failed.
    #[error("{provider} failed with status {status}: {message}")]
    Failed {
        /// Who.
        provider: String,
        /// Its HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The vendor refuses the request; sending it again cannot help.
    #[error("{provider} refuses the request with status {status}: {message}")]
    Rejected {
        /// Who.
        provider: String,
        /// Its HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The model declined to do the work.
    #[error("the model declined: {0}")]
    Refused(String),
    /// The answer could not be read.
    #[error("the answer of {provider} cannot be read: {message}")]
    Malformed {
        /// Who.
        provider: String,
        /// What is wrong with it.
        message: String,
    },
    /// It took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The adapter itself is set up wrongly.
    #[error("{0}")]
    Setup(String),
}

impl AdapterError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Failed { .. } | Self::TimedOut(_) => true,
            Self::Rejected { .. } | Self::Refused(_) | Self::Malformed { .. } | Self::Setup(_) => false,
        }
    }

    /// How long the vendor asks to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
