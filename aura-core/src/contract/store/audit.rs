//! The audit log and the alerts.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::{Alert, Anchor, AuditEntry, NewAlert, NewEntry},
    ids::{Actor, AuditSeq},
};

/// The audit log. See the [contract](super) of all stores.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditStore: fmt::Debug + Send + Sync {
    /// Writes entries that belong to no state change.
    async fn append(&self, entries: &[NewEntry]) -> Result<(), StoreError>;

    /// Entries after a place, in order; none is skipped, also when a lower one commits late.
    async fn audit(&self, after: AuditSeq, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// The place of the oldest entry kept and of the newest; absent while the log is empty.
    async fn audit_range(&self) -> Result<Option<(AuditSeq, AuditSeq)>, StoreError>;

    /// The last entry that was dropped because it was too old; absent when none was.
    async fn anchor(&self) -> Result<Option<Anchor>, StoreError> {
        Ok(None)
    }

    /// Waits until an entry after `after` may be there, or `timeout` has passed. A hint: it may wake for nothing, and a
    /// write of another process may not wake it.
    async fn changed(&self, after: AuditSeq, timeout: Duration);

    /// Stores an alert, with its audit entry and, for a job, its event. With a rule and an open flag of that (job, rule)
    /// nothing is stored and the answer is absent; flags close when the job's state changes.
    async fn raise(&self, alert: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError>;

    /// Alerts, newest first, before the one with this number.
    async fn alerts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Alert>, StoreError>;
}
