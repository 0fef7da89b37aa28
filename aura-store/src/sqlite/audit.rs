//! The verbs of the audit log and of alerts.

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Alert, AuditEntry, AuditSeq, NewAlert, StoreError,
    audit::{EntryHash, NewEntry},
    contract::{AuditStore, DutyStore},
};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use tokio::time::{Instant, timeout_at};

use super::{
    SqliteStore,
    row::{Named, each},
    write::Write,
};
use crate::facts::facts;

/// How often somebody who waits looks whether another process wrote.
const LOOK: Duration = Duration::from_millis(250);

/// Whatever stands in `details` is read: a row edited by hand has to be shown, and the chain tells that it is not ours.
fn entry(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
    let named = Named::new("audit entry", row);
    let details: &str = named.get("details")?;
    Ok(AuditEntry {
        seq: AuditSeq(named.get("id")?),
        actor: named.get("actor")?,
        action: named.get("action")?,
        details: serde_json::from_str(details).unwrap_or_else(|_| Value::from(details)),
        created_at: named.time("created_at")?,
        hash: named.get::<Option<String>>("hash")?.map(EntryHash),
    })
}

fn alert(row: &SqliteRow) -> Result<Alert, StoreError> {
    let named = Named::new("alert", row);
    Ok(Alert {
        id: named.get("id")?,
        content: NewAlert {
            job_id: named.maybe_parsed("job_id")?,
            severity: named.parsed("severity")?,
            rule: named.get("rule")?,
            reason: named.get("reason")?,
        },
        created_at: named.time("created_at")?,
    })
}

impl SqliteStore {
    /// Tells those who wait that the log reaches to `seq`.
    pub(super) fn saw(&self, seq: i64) {
        self.seen.send_if_modified(|seen| {
            let is_news = *seen < seq;
            *seen = seq.max(*seen);
            is_news
        });
    }

    async fn newest(&self) -> Result<i64, StoreError> {
        let query = sqlx::query("SELECT 'newest' AS id, coalesce(max(id), 0) AS newest FROM audit_log");
        match self.row("read the newest audit entry", query).await? {
            Some(row) => Named::new("audit entry", &row).get("newest"),
            None => Ok(0),
        }
    }

    /// Looks whether another process wrote, unless somebody else looks, or just did: many may wait, one look serves all.
    async fn look(&self) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.elapsed() < LOOK / 2 {
            return;
        }
        match self.newest().await {
            Ok(seq) => self.saw(seq),
            // The wait goes on: whoever reads the log next gets the error.
            Err(error) => tracing::debug!(%error, "could not look for new audit entries"),
        }
        *looked = std::time::Instant::now();
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append(&self, entries: &[NewEntry]) -> Result<(), StoreError> {
        let mut write = self.write("write audit entries").await?;
        for entry in entries {
            write.trail.entry(&entry.actor, entry.action, entry.details.clone());
        }
        write.commit().await
    }

    async fn audit(&self, after: AuditSeq, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let query = sqlx::query(
            "SELECT id, actor, action, details, created_at, hash FROM audit_log WHERE id > ? ORDER BY id LIMIT ?",
        );
        each(&self.rows("read the audit log", query.bind(after.0).bind(limit)).await?, entry)
    }

    async fn audit_range(&self) -> Result<Option<(AuditSeq, AuditSeq)>, StoreError> {
        let query = sqlx::query(
            "SELECT 'range' AS id, (SELECT min(id) FROM audit_log) AS oldest, (SELECT max(id) FROM audit_log) AS newest",
        );
        let Some(row) = self.row("read the audit log's range", query).await? else { return Ok(None) };
        let named = Named::new("audit log", &row);
        let oldest: Option<i64> = named.get("oldest")?;
        let newest: Option<i64> = named.get("newest")?;
        Ok(oldest.zip(newest).map(|(oldest, newest)| (AuditSeq(oldest), AuditSeq(newest))))
    }

    async fn changed(&self, after: AuditSeq, timeout: Duration) {
        let mut seen = self.seen.subscribe();
        let now = Instant::now();
        let end = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        if let Ok(seq) = self.newest().await {
            self.saw(seq);
        }
        while *seen.borrow_and_update() <= after.0 && Instant::now() < end {
            let next = end.min(Instant::now() + LOOK);
            if timeout_at(next, seen.changed()).await.is_err() && next < end {
                self.look().await;
            }
        }
    }

    async fn raise(&self, new: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError> {
        let mut write = self.write("raise an alert").await?;
        let job = match new.job_id {
            Some(id) => Some(write.job(id).await?),
            None => None,
        };
        if let (Some(job), Some(rule)) = (&job, &new.rule)
            && !open_flag(&mut write, &job.id.to_string(), rule).await?
        {
            return Ok(None);
        }
        let query = sqlx::query(
            "INSERT INTO alerts (job_id, severity, rule, reason, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        );
        let query = query
            .bind(new.job_id.map(|id| id.to_string()))
            .bind(new.severity.as_str())
            .bind(&new.rule)
            .bind(&new.reason)
            .bind(write.now_text());
        let row = write.row(query).await?.ok_or_else(|| StoreError::not_found("alert", "just stored"))?;
        let id: i64 = Named::new("alert", &row).get("id")?;
        let action = if *actor == Actor::auditor() { Action::AuditFlag } else { Action::AlertRaised };
        let more = json!({ "alert_id": id, "severity": new.severity, "rule": new.rule, "reason": new.reason });
        match &job {
            Some(job) => {
                let name = write.name_of(job.state.model()).await?;
                write.trail.both(actor, job.id, action, facts(job, name.as_deref(), more));
            }
            None => write.trail.entry(actor, action, more),
        }
        let created_at = write.now;
        write.commit().await?;
        Ok(Some(Alert { id, content: new.clone(), created_at }))
    }

    async fn alerts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Alert>, StoreError> {
        let query = sqlx::query(
            "SELECT id, job_id, severity, rule, reason, created_at FROM alerts
             WHERE id < coalesce(?, 9223372036854775807) ORDER BY id DESC LIMIT ?",
        );
        each(&self.rows("list alerts", query.bind(before).bind(limit)).await?, alert)
    }
}

/// Processes that share a file are each their own orchestra: the file is one machine's, and the verbs themselves refuse what
/// was decided on an older state.
#[async_trait]
impl DutyStore for SqliteStore {}

/// Opens a flag; answers `false` when one is open already.
async fn open_flag(write: &mut Write<'_>, job: &str, rule: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("INSERT INTO job_flags (job_id, rule, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    Ok(write.run(query.bind(job).bind(rule).bind(write.now_text())).await? > 0)
}
