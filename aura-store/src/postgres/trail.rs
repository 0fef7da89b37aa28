//! What a verb leaves behind: lines of job histories and chained audit entries, written in the verb's own transaction.

use aura_core::{
    Action, Actor, AuditEntry, AuditSeq, JobId, StoreError,
    audit::{EntryHash, NewEntry},
};
use serde_json::Value;
use uuid::Uuid;

use super::{row::Named, value, write::Write};

/// Events and entries of one verb, in order.
#[derive(Debug, Default)]
pub(super) struct Trail {
    jobs: Vec<Uuid>,
    events: Vec<&'static str>,
    facts: Vec<String>,
    entries: Vec<NewEntry>,
}

impl Trail {
    /// Adds an audit entry.
    pub(super) fn entry(&mut self, actor: &Actor, action: Action, details: Value) {
        self.entries.push(NewEntry { actor: actor.clone(), action, details: value::json(details) });
    }

    /// Adds a line of a job's history and the audit entry that goes with it. The line is its job's: it does not repeat whose.
    pub(super) fn both(&mut self, actor: &Actor, job: JobId, action: Action, details: Value) {
        self.jobs.push(job.as_uuid());
        self.events.push(action.as_str());
        let details = value::json(details);
        let mut facts = details.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.remove("job_id");
            facts.remove("prd_id");
        }
        self.facts.push(facts.to_string());
        self.entries.push(NewEntry { actor: actor.clone(), action, details });
    }

    /// Writes everything; answers with the place of the last entry, if there was one. The row that is locked here comes last in
    /// every verb and is held until the commit: entries get their places in the order of commits.
    pub(super) async fn write(self, write: &mut Write<'_>) -> Result<Option<i64>, StoreError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let at = write.now;
        let query = sqlx::query("SELECT 0::bigint AS id, seq, encode(hash, 'hex') AS hash FROM audit_head FOR UPDATE");
        let row =
            write.row(query).await?.ok_or_else(|| StoreError::corrupt("audit log", "head", "its row is missing"))?;
        let named = Named::new("audit log", &row);
        let (mut seq, mut head): (i64, _) = (named.get("seq")?, EntryHash(named.get("hash")?));
        let first = seq + 1;
        let (mut actors, mut actions, mut details, mut hashes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in self.entries {
            seq += 1;
            let sealed = AuditEntry::seal(entry, AuditSeq(seq), at, &head);
            head = sealed.hash.unwrap_or_else(EntryHash::genesis);
            actors.push(sealed.actor);
            actions.push(sealed.action);
            details.push(sealed.details.to_string());
            hashes.push(head.0.clone());
        }
        let query = sqlx::query(
            "WITH events AS (
                 INSERT INTO job_events (job_id, event_type, details, created_at)
                 SELECT job, type, facts::jsonb, $1 FROM unnest($2::uuid[], $3::text[], $4::text[]) AS new (job, type, facts)
             ), entries AS (
                 INSERT INTO audit_log (id, actor, action, details, created_at, hash)
                 SELECT $5 + n - 1, actor, action, facts::jsonb, $1, decode(hash, 'hex')
                 FROM unnest($6::text[], $7::text[], $8::text[], $9::text[])
                     WITH ORDINALITY AS new (actor, action, facts, hash, n)
             )
             UPDATE audit_head SET seq = $10, hash = decode($11, 'hex')",
        );
        let query = query
            .bind(at)
            .bind(self.jobs)
            .bind(self.events)
            .bind(self.facts)
            .bind(first)
            .bind(actors)
            .bind(actions)
            .bind(details)
            .bind(hashes)
            .bind(seq)
            .bind(head.0);
        write.run(query).await?;
        Ok(Some(seq))
    }
}
