//! The verbs of the audit log and of alerts.

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Action, Actor, Alert, AuditEntry, AuditSeq, JobId, NewAlert, StoreError,
    audit::{Anchor, EntryHash, NewEntry},
    contract::AuditStore,
};
use serde_json::json;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    Core, PgStore,
    row::{Named, each},
    value,
    write::{Write, again},
};
use crate::facts::facts;

fn entry(row: &PgRow) -> Result<AuditEntry, StoreError> {
    let named = Named::new("audit entry", row);
    Ok(AuditEntry {
        seq: AuditSeq(named.get("id")?),
        actor: named.get("actor")?,
        action: named.get("action")?,
        details: named.json("details")?,
        created_at: named.time("created_at")?,
        hash: named.get::<Option<String>>("hash")?.map(EntryHash),
    })
}

fn alert(row: &PgRow) -> Result<Alert, StoreError> {
    let named = Named::new("alert", row);
    Ok(Alert {
        id: named.get("id")?,
        content: NewAlert {
            job_id: named.get::<Option<Uuid>>("job_id")?.map(JobId::from_uuid),
            severity: named.parsed("severity")?,
            rule: named.get("rule")?,
            reason: named.get("reason")?,
        },
        created_at: named.time("created_at")?,
    })
}

impl Core {
    /// The place of the newest entry that is committed.
    pub(super) async fn newest(&self) -> Result<i64, StoreError> {
        match self
            .row(
                "read the newest audit entry",
                sqlx::query("SELECT 0::bigint AS id, seq FROM audit_head ORDER BY seq DESC LIMIT 1"),
            )
            .await?
        {
            Some(row) => Named::new("audit log", &row).get("seq"),
            None => Err(StoreError::corrupt("audit log", "head", "its row is missing")),
        }
    }

    async fn raise_once(&self, new: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError> {
        let mut write = self.write("raise an alert").await?;
        let job = match new.job_id {
            Some(id) => match write.lock_jobs(std::iter::once(id)).await?.remove(&id) {
                Some(job) => Some(job),
                None => return Err(StoreError::not_found("job", id)),
            },
            None => None,
        };
        let rule = new.rule.as_deref().map(value::text);
        let reason = value::text(&new.reason);
        if let (Some(job), Some(rule)) = (&job, &rule)
            && !open_flag(&mut write, job.id, rule).await?
        {
            return Ok(None);
        }
        let query = sqlx::query(
            "INSERT INTO alerts (job_id, severity, rule, reason, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        );
        let query = query
            .bind(new.job_id.map(JobId::as_uuid))
            .bind(new.severity.as_str())
            .bind(rule.as_deref())
            .bind(reason.as_ref())
            .bind(write.now);
        let row = write.row(query).await?.ok_or_else(|| StoreError::not_found("alert", "just stored"))?;
        let id: i64 = Named::new("alert", &row).get("id")?;
        let action = if *actor == Actor::auditor() { Action::AuditFlag } else { Action::AlertRaised };
        let more = json!({ "alert_id": id, "severity": new.severity, "rule": rule, "reason": reason });
        match &job {
            Some(job) => {
                let model = job.state.model();
                let names = write.names_of(model).await?;
                let name = model.and_then(|model| names.get(&model));
                write.trail.both(actor, job.id, action, facts(job, name.map(String::as_str), more));
            }
            None => write.trail.entry(actor, action, more),
        }
        let created_at = write.now;
        write.commit().await?;
        let content =
            NewAlert { reason: reason.into_owned(), rule: rule.map(std::borrow::Cow::into_owned), ..new.clone() };
        Ok(Some(Alert { id, content, created_at }))
    }
}

/// Opens a flag; answers `false` when one is open already.
async fn open_flag(write: &mut Write<'_>, job: JobId, rule: &str) -> Result<bool, StoreError> {
    let query =
        sqlx::query("INSERT INTO job_flags (job_id, rule, opened_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
    Ok(write.run(query.bind(job.as_uuid()).bind(rule).bind(write.now)).await? > 0)
}

#[async_trait]
impl AuditStore for PgStore {
    async fn append(&self, entries: &[NewEntry]) -> Result<(), StoreError> {
        again(|| async {
            let mut write = self.core.write("write audit entries").await?;
            for entry in entries {
                write.trail.entry(&entry.actor, entry.action, entry.details.clone());
            }
            write.commit().await
        })
        .await
    }

    async fn audit(&self, after: AuditSeq, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let query = sqlx::query(
            "SELECT id, actor, action, details, created_at, encode(hash, 'hex') AS hash,
                 (SELECT name FROM server_run) AS run
             FROM audit_log WHERE id > $1 ORDER BY id LIMIT $2",
        );
        let rows = self.core.rows("read the audit log", query.bind(after.0).bind(i64::from(limit))).await?;
        let entries = each(&rows, entry)?;
        // What a crash could take back is not shown: its place would go to another entry.
        if let (Some(row), Some(last)) = (rows.last(), entries.last()) {
            let run = Named::new("audit log", row).get("run")?;
            self.core.durable(run, Some(last.seq.0)).await?;
        }
        Ok(entries)
    }

    async fn audit_range(&self) -> Result<Option<(AuditSeq, AuditSeq)>, StoreError> {
        let query = sqlx::query(
            "SELECT 0::bigint AS id, (SELECT min(id) FROM audit_log) AS oldest, (SELECT max(id) FROM audit_log) AS newest",
        );
        let Some(row) = self.core.row("read the audit log's range", query).await? else { return Ok(None) };
        let named = Named::new("audit log", &row);
        let oldest: Option<i64> = named.get("oldest")?;
        let newest: Option<i64> = named.get("newest")?;
        Ok(oldest.zip(newest).map(|(oldest, newest)| (AuditSeq(oldest), AuditSeq(newest))))
    }

    async fn anchor(&self) -> Result<Option<Anchor>, StoreError> {
        let query = sqlx::query("SELECT 0::bigint AS id, seq, encode(hash, 'hex') AS hash FROM audit_anchor");
        let row = self.core.row("read where the audit log begins", query).await?;
        row.map(|row| {
            let named = Named::new("audit log", &row);
            Ok(Anchor { seq: AuditSeq(named.get("seq")?), hash: EntryHash(named.get("hash")?) })
        })
        .transpose()
    }

    async fn changed(&self, after: AuditSeq, timeout: Duration) {
        self.core.changed(after.0, timeout).await;
    }

    async fn raise(&self, alert: &NewAlert, actor: &Actor) -> Result<Option<Alert>, StoreError> {
        again(|| self.core.raise_once(alert, actor)).await
    }

    async fn alerts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Alert>, StoreError> {
        let query = sqlx::query(
            "SELECT id, job_id, severity, rule, reason, created_at FROM alerts
             WHERE id < coalesce($1, 9223372036854775807) ORDER BY id DESC LIMIT $2",
        );
        each(&self.core.replica_rows("list alerts", query.bind(before).bind(i64::from(limit))).await?, alert)
    }
}
