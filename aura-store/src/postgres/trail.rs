//! What a verb leaves behind: chained audit entries, written in the verb's own transaction. They are the histories of jobs, too.

use aura_core::{
    Action, Actor, AuditEntry, AuditSeq, FencingToken, JobId, StoreError,
    audit::{EntryHash, NewEntry},
};
use serde_json::Value;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{row::Named, value, write::Write};
use crate::facts::About;

/// Entries of one verb, in order, each with what it is filed under.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<(NewEntry, Option<Uuid>, Option<i64>)>);

impl Trail {
    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an audit entry.
    pub(super) fn entry(&mut self, actor: &Actor, action: Action, details: Value) {
        self.add(actor, action, details, None, None);
    }

    /// Adds an audit entry that is a line of a job's history.
    pub(super) fn both(&mut self, actor: &Actor, job: JobId, action: Action, details: Value) {
        self.add(actor, action, details, Some(job.as_uuid()), None);
    }

    /// Adds an audit entry that is a line in the history of each of these jobs, which were claimed together under this token.
    pub(super) fn of_claim<J: Copy + Into<About>>(
        &mut self,
        actor: &Actor,
        jobs: &[J],
        token: FencingToken,
        action: Action,
        details: Value,
    ) {
        match jobs {
            [one] => self.both(actor, (*one).into().job, action, details),
            _ => self.add(actor, action, details, None, Some(token.0)),
        }
    }

    fn add(&mut self, actor: &Actor, action: Action, details: Value, job: Option<Uuid>, lease: Option<i64>) {
        let entry = NewEntry { actor: actor.clone(), action, details: value::json(details) };
        self.0.push((entry, job, lease));
    }

    /// Writes everything; answers with the place of the last entry, if there was one. The row that is locked here comes last in
    /// every verb and is held until the commit: entries get their places in the order of commits.
    pub(super) async fn write(self, write: &mut Write<'_>, head: Option<PgRow>) -> Result<Option<i64>, StoreError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let at = write.now;
        let row = head.ok_or_else(|| StoreError::corrupt("audit log", "head", "its row is missing"))?;
        let named = Named::new("audit log", &row);
        let (mut seq, mut head): (i64, _) = (named.get("seq")?, EntryHash(named.get("hash")?));
        let first = seq + 1;
        let (mut actors, mut actions, mut details, mut hashes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut jobs, mut leases) = (Vec::new(), Vec::new());
        for (entry, job, lease) in self.0 {
            seq += 1;
            let sealed = AuditEntry::seal(entry, AuditSeq(seq), at, &head);
            head = sealed.hash.unwrap_or_else(EntryHash::genesis);
            actors.push(sealed.actor);
            actions.push(sealed.action);
            details.push(sealed.details.to_string());
            hashes.push(head.0.clone());
            jobs.push(job);
            leases.push(lease);
        }
        let query = sqlx::query(
            "WITH entries AS (
                 INSERT INTO audit_log (id, actor, action, details, created_at, hash, job_id, lease)
                 SELECT $2 + n - 1, actor, action, facts::jsonb, $1, decode(hash, 'hex'), job, lease
                 FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[])
                     WITH ORDINALITY AS new (actor, action, facts, hash, job, lease, n)
             )
             UPDATE audit_head SET seq = $9, hash = decode($10, 'hex')",
        );
        let query = query
            .bind(at)
            .bind(first)
            .bind(actors)
            .bind(actions)
            .bind(details)
            .bind(hashes)
            .bind(jobs)
            .bind(leases)
            .bind(seq)
            .bind(head.0);
        write.run(query).await?;
        Ok(Some(seq))
    }
}
