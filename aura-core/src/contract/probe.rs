//! What the machine has left.

use std::fmt;

use async_trait::async_trait;

use crate::{error::BoxError, resources::Resources};

/// Looks at the machine.
///
/// # Contract
/// - Cheap enough to be asked once a second. The scheduler asks no oftener, and goes on without an answer after 2 s; what would
///   block runs apart from the async threads.
/// - What cannot be measured is absent, never 0; a machine without a GPU is no error.
/// - Dropping the future ends the look.
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
