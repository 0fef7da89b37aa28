//! The audit log and the alerts.

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Alert, AuditEntry, AuditSeq, NewAlert, StoreError,
    audit::NewEntry,
    contract::{AuditStore, DutyStore},
};
use serde_json::json;

use super::{MemoryStore, state::State};

impl State {
    fn raise(&mut self, alert: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError> {
        if let (Some(job), Some(rule)) = (alert.job_id, &alert.rule)
            && !self.row_mut(job)?.flags.insert(rule.clone())
        {
            return Ok(None);
        }
        if let Some(job) = alert.job_id {
            self.row(job)?;
        }
        let stored = Alert {
            id: i64::try_from(self.alerts.len()).unwrap_or(i64::MAX - 1) + 1,
            content: alert.clone(),
            created_at: self.now,
        };
        self.alerts.push(stored.clone());
        let details =
            json!({ "alert_id": stored.id, "severity": alert.severity, "rule": alert.rule, "reason": alert.reason });
        let action = if *actor == Actor::auditor() { Action::AuditFlag } else { Action::AlertRaised };
        match alert.job_id {
            Some(job) => self.record(job, actor.clone(), action, details)?,
            None => self.log(actor.clone(), action, details),
        }
        Ok(Some(stored))
    }
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn append(&self, entries: &[NewEntry]) -> Result<(), StoreError> {
        self.verb(|state| {
            for entry in entries {
                state.log(entry.actor.clone(), entry.action, entry.details.clone());
            }
        });
        Ok(())
    }

    async fn audit(&self, after: AuditSeq, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.lock();
        let start = usize::try_from(after.0.max(0)).unwrap_or(usize::MAX);
        Ok(state.audit.iter().skip(start).take(limit as usize).cloned().collect())
    }

    async fn audit_range(&self) -> Result<Option<(AuditSeq, AuditSeq)>, StoreError> {
        let state = self.lock();
        Ok(state.audit.first().zip(state.audit.last()).map(|(first, last)| (first.seq, last.seq)))
    }

    async fn changed(&self, after: AuditSeq, timeout: Duration) {
        let mut head = self.shared.head.subscribe();
        // Either way the caller looks again; the sender lives as long as this store.
        let _either = tokio::time::timeout(timeout, head.wait_for(|head| *head > after.0)).await;
    }

    async fn raise(&self, alert: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError> {
        self.verb(|state| state.raise(alert, actor))
    }

    async fn alerts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Alert>, StoreError> {
        let state = self.lock();
        let newest = state.alerts.iter().rev().filter(|alert| before.is_none_or(|before| alert.id < before));
        Ok(newest.take(limit as usize).cloned().collect())
    }
}

/// Only this process uses it.
#[async_trait]
impl DutyStore for MemoryStore {}
