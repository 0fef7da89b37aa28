//! What every alerter promises; a promise that is broken panics.

#![expect(clippy::panic, reason = "a suite fails by panicking")]

use chrono::DateTime;

use crate::{Alert, JobId, NewAlert, Severity, contract::Alerter};

async fn tell(alerter: &dyn Alerter, content: NewAlert) {
    let alert = Alert { id: 1, content, created_at: DateTime::UNIX_EPOCH };
    if let Err(error) = alerter.alert(&alert).await {
        panic!("{error}");
    }
}

/// Every severity, with and without a job.
pub async fn every_kind_of_alert_is_told(alerter: &dyn Alerter) {
    for severity in Severity::ALL {
        for job_id in [None, Some(JobId::new())] {
            let reason = "a job is silent".to_owned();
            tell(alerter, NewAlert { job_id, severity: *severity, rule: Some("silent".to_owned()), reason }).await;
        }
    }
}

/// What a model wrote may stand in the reason: it is data, however it looks.
pub async fn a_long_and_odd_reason_is_told(alerter: &dyn Alerter) {
    let reason = format!("{}\r\nHeader: injected\u{1b}[31m\u{202e}", "x".repeat(100_000));
    tell(alerter, NewAlert { job_id: None, severity: Severity::Critical, rule: None, reason }).await;
}

/// Runs every promise of an alerter as a test of its own. The expression makes a fresh one for each and may await.
#[macro_export]
macro_rules! alerter_conformance {
    ($name:ident, $alerter:expr) => {
        mod $name {
            use super::*;

            $crate::promises! { alerter, $alerter;
                every_kind_of_alert_is_told
                a_long_and_odd_reason_is_told
            }
        }
    };
}
