//! Alerts as log lines.

use async_trait::async_trait;
use aura_core::{Alert, AlertError, Alerter, Severity};

/// Writes every alert to the log, by `tracing` with target `aura::alert`: info, warning and critical become the levels
/// info, warn and error.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAlerter;

#[async_trait]
impl Alerter for LogAlerter {
    async fn alert(&self, alert: &Alert) -> Result<(), AlertError> {
        let content = &alert.content;
        let job = content.job_id.map(tracing::field::display);
        // Debug escapes control characters, so that a reason taken from a model's words cannot forge a log line.
        let (id, rule, reason) = (alert.id, content.rule.as_deref(), tracing::field::debug(&content.reason));
        match content.severity {
            Severity::Info => tracing::info!(target: "aura::alert", id, job, rule, reason),
            Severity::Warning => tracing::warn!(target: "aura::alert", id, job, rule, reason),
            Severity::Critical => tracing::error!(target: "aura::alert", id, job, rule, reason),
        }
        Ok(())
    }
}
