//! Who is told when something is wrong.

use std::fmt;

use async_trait::async_trait;

use crate::{audit::Alert, error::BoxError};

/// Tells somebody about an alert.
///
/// # Contract
/// - Called after the alert is stored; losing one loses no data.
/// - Called once an alert a process, one after the other; a slow alerter delays the next alert, nothing else.
/// - Does not retry by itself; the caller logs the error and goes on.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Alerter: fmt::Debug + Send + Sync {
    /// Tells about one alert.
    ///
    /// # Errors
    /// [`AlertError`] when nobody could be told.
    async fn alert(&self, alert: &Alert) -> Result<(), AlertError>;
}

/// Nobody could be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell about the alert: {message}")]
pub struct AlertError {
    /// What went wrong.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<BoxError>,
}
