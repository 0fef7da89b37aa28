//! What a verb leaves behind: lines of job histories and chained audit entries, written in the verb's own transaction.

use aura_core::{
    Action, Actor, AuditEntry, AuditSeq, JobId,
    audit::{EntryHash, NewEntry},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection};

use super::moment;

/// Events and entries of one verb, in order.
#[derive(Debug, Default)]
pub(super) struct Trail {
    events: Vec<(JobId, Action, Value)>,
    entries: Vec<NewEntry>,
}

impl Trail {
    /// Adds an audit entry.
    pub(super) fn entry(&mut self, actor: &Actor, action: Action, details: Value) {
        self.entries.push(NewEntry { actor: actor.clone(), action, details });
    }

    /// Adds a line of a job's history.
    pub(super) fn event(&mut self, job: JobId, action: Action, details: Value) {
        self.events.push((job, action, details));
    }

    /// Adds a line of a job's history and the audit entry that goes with it.
    pub(super) fn both(&mut self, actor: &Actor, job: JobId, action: Action, details: Value) {
        self.event(job, action, details.clone());
        self.entry(actor, action, details);
    }

    /// Writes everything; answers with the place of the last entry, if there was one.
    pub(super) async fn write(self, tx: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Option<i64>, sqlx::Error> {
        write_events(tx, &self.events, now).await?;
        write_entries(tx, self.entries, now).await
    }
}

/// All rows go in one statement. Details travel as strings within the JSON, so that they arrive letter for letter.
async fn write_events(
    tx: &mut SqliteConnection,
    events: &[(JobId, Action, Value)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = events.iter().map(|(job, action, details)| json!([job, action, details.to_string()])).collect();
    sqlx::query(
        "INSERT INTO job_events (job_id, event_type, details, created_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, ?2 FROM json_each(?1) ORDER BY key",
    )
    .bind(Value::from(rows).to_string())
    .bind(moment::text(now))
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_entries(
    tx: &mut SqliteConnection,
    entries: Vec<NewEntry>,
    now: DateTime<Utc>,
) -> Result<Option<i64>, sqlx::Error> {
    if entries.is_empty() {
        return Ok(None);
    }
    let (mut seq, mut head) = head(tx).await?;
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        seq += 1;
        let sealed = AuditEntry::seal(entry, AuditSeq(seq), now, &head);
        let at = moment::text(sealed.created_at);
        rows.push(json!([seq, sealed.actor, sealed.action, sealed.details.to_string(), at, sealed.hash]));
        head = sealed.hash.unwrap_or_else(EntryHash::genesis);
    }
    sqlx::query(
        "INSERT INTO audit_log (id, actor, action, details, created_at, hash)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
         FROM json_each(?1) ORDER BY key",
    )
    .bind(Value::from(rows).to_string())
    .execute(tx)
    .await?;
    Ok(Some(seq))
}

/// The highest place ever given, and the hash of the last entry that has one.
async fn head(tx: &mut SqliteConnection) -> Result<(i64, EntryHash), sqlx::Error> {
    let row = sqlx::query(
        "SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit_log'), 0),
                    coalesce((SELECT max(id) FROM audit_log), 0)) AS seq,
                (SELECT hash FROM audit_log WHERE hash IS NOT NULL ORDER BY id DESC LIMIT 1) AS hash",
    )
    .fetch_one(tx)
    .await?;
    let hash: Option<String> = row.try_get("hash")?;
    Ok((row.try_get("seq")?, hash.map_or_else(EntryHash::genesis, EntryHash)))
}
