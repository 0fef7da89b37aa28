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

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{Arc, Mutex},
    };

    use aura_core::{JobId, NewAlert};
    use tracing::{
        Event, Level, Metadata, Subscriber,
        field::{Field, Visit},
        span,
    };

    use super::*;

    /// Keeps every event as its level, target and fields.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<(Level, String, String)>>>);

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            let about = event.metadata();
            self.0.lock().unwrap().push((*about.level(), about.target().to_owned(), fields.0));
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test]
    async fn an_alert_is_one_line_of_its_level_whatever_its_reason_holds() {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let job = JobId::new();
        for (severity, level) in
            [(Severity::Info, Level::INFO), (Severity::Warning, Level::WARN), (Severity::Critical, Level::ERROR)]
        {
            let content =
                NewAlert { job_id: Some(job), severity, rule: None, reason: "silent\nERROR forged".to_owned() };
            LogAlerter.alert(&Alert { id: 7, content, created_at: chrono::DateTime::UNIX_EPOCH }).await.unwrap();
            let (seen, target, fields) = lines.0.lock().unwrap().pop().unwrap();
            assert_eq!((seen, target.as_str()), (level, "aura::alert"));
            assert!(fields.contains(&job.to_string()) && fields.contains(r"silent\nERROR") && !fields.contains('\n'));
        }
    }
}
