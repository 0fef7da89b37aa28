//! The orchestra's trail: the audit log, its live stream and its proof, and the alerts.

use std::{sync::Arc, time::Duration};

use futures::stream::Stream;

use super::{
    Orchestra,
    auditor::{stream, verify::verify},
};
use crate::{
    audit::{Alert, AuditEntry, ChainReport, NewAlert},
    contract::AuditStore,
    error::Result,
    ids::{Actor, AuditSeq},
};

impl Orchestra {
    /// Entries of the audit log after a place, in order.
    ///
    /// # Errors
    /// What the store says.
    pub async fn audit(&self, after: AuditSeq, limit: u32) -> Result<Vec<AuditEntry>> {
        Ok(self.inner.store.audit(after, limit).await?)
    }

    /// The places of the oldest entry kept and of the newest; absent while the log is empty.
    ///
    /// # Errors
    /// What the store says.
    pub async fn audit_range(&self) -> Result<Option<(AuditSeq, AuditSeq)>> {
        Ok(self.inner.store.audit_range().await?)
    }

    /// Checks the chain of the audit log, all of it that is kept, and names the first entry that is not what was written.
    ///
    /// # Errors
    /// What the store says.
    pub async fn verify_audit(&self) -> Result<ChainReport> {
        verify(self.inner.store.as_ref()).await
    }

    /// The live stream: every audit entry after `after`, once and in order, until the orchestra stops. An error does not
    /// end it; asking on tries again.
    pub fn subscribe(&self, after: AuditSeq) -> impl Stream<Item = Result<AuditEntry>> + Send + use<> {
        let store: Arc<dyn AuditStore> = Arc::clone(&self.inner.store) as _;
        stream::tail(store, self.inner.shutdown.signal(), after)
    }

    /// Waits until an entry after `after` may be there, or `timeout` has passed: a hint.
    pub async fn changed(&self, after: AuditSeq, timeout: Duration) {
        self.inner.store.changed(after, timeout).await;
    }

    /// Raises an alert in an operator's name; absent when the same flag is open already.
    ///
    /// # Errors
    /// [`Error::UnknownJob`](crate::Error::UnknownJob), or what the store says.
    pub async fn raise(&self, alert: &NewAlert) -> Result<Option<Alert>> {
        if let Some(job) = alert.job_id {
            self.job(job).await?;
        }
        self.inner.alerts.raise(alert, &Actor::operator()).await
    }

    /// Alerts, newest first, before the one with this number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn alerts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Alert>> {
        Ok(self.inner.store.alerts(before, limit).await?)
    }
}
