//! What the machine has left.

use std::fmt;

use async_trait::async_trait;

use crate::{error::BoxError, resources::Resources};

/// Looks at the machine.
///
/// # Contract
/// - Cheap enough to be asked before every pass of the scheduler.
/// - What cannot be measured is absent, never 0; a machine without a GPU is no error.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ResourceProbe: fmt::Debug + Send + Sync {
    /// What there is now.
    ///
    /// # Errors
    /// [`ProbeError`] when looking itself failed.
    async fn snapshot(&self) -> Result<Resources, ProbeError>;
}

/// Looking failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at the machine: {message}")]
pub struct ProbeError {
    /// What went wrong.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<BoxError>,
}
