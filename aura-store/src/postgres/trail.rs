//! What a verb leaves behind: chained audit entries, written in the verb's own transaction. They are the histories of jobs, too.

use aura_core::{
    Action, Actor, AuditSeq, FencingToken, JobId, StoreError,
    audit::{ChainEnd, EntryHash, ReadyEntry},
};
use serde_json::Value;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    row::Named,
    value,
    write::{Statement, Write},
};
use crate::facts::About;

/// Appends entries. Lists that come as columns are unnested side by side in a SELECT: in a FROM, each would be stored once more before it
/// is read.
macro_rules! append {
    ($closed:literal) => {
        concat!(
            "WITH entries AS (
                 INSERT INTO audit_log (id, actor, action, details, created_at, hash, job_id, lease)
                 SELECT id, actor, action, facts::jsonb, $1, decode(hash, 'hex'), job, lease
                 FROM (SELECT generate_series($2::bigint, $9::bigint) AS id, unnest($3::text[]) AS actor, unnest($4::text[]) AS action,
                           unnest($5::text[]) AS facts, unnest($6::text[]) AS hash, unnest($7::uuid[]) AS job,
                           unnest($8::bigint[]) AS lease) AS new
             )",
            $closed,
            " INSERT INTO audit_head (seq, hash) VALUES ($9, decode($10, 'hex'))"
        )
    };
}
const APPEND: &str = append!("");
/// And closes flags: this statement sees those that were raised until the job was taken, as the one that took it might not. Who raises or
/// closes a flag holds its job, so that nobody is waited for.
const APPEND_AND_CLOSE: &str = append!(
    ", closed AS (
         UPDATE job_flags SET closed_at = $1 WHERE closed_at IS NULL AND job_id = ANY($11)
             AND EXISTS (SELECT 1 FROM job_flags WHERE closed_at IS NULL)
     )"
);

/// The hash of an entry that is chained in the database, the same as [`aura_core::AuditEntry::hash_after`]: of what stands before it, its
/// place, what is hashed of it ([`ReadyEntry::linked`]) and its moment, each of which is a text but for the third.
macro_rules! hash_behind {
    ($previous:literal, $place:literal, $linked:literal, $moment:literal) => {
        concat!(
            "sha256(",
            measured!($previous),
            " || ",
            measured!($place),
            " || ",
            $linked,
            " || ",
            measured!($moment),
            ")"
        )
    };
}
pub(super) use hash_behind;

/// A text of the database behind its length.
macro_rules! measured {
    ($text:literal) => {
        concat!("int8send(length(", $text, ")) || convert_to(", $text, ", 'UTF8')")
    };
}
pub(super) use measured;

/// The end of the audit log, which a verb holds.
pub(super) struct Head {
    seq: AuditSeq,
    hash: EntryHash,
    /// Whether the commit waits for the disk.
    pub(super) waits: bool,
}

impl Head {
    /// A row of what `hold_audit_head` answers.
    pub(super) fn of(row: &PgRow) -> Result<Self, StoreError> {
        let named = Named::new("audit log", row);
        Ok(Self { seq: AuditSeq(named.get("seq")?), hash: EntryHash(named.get("hash")?), waits: named.get("waits")? })
    }
}

/// Entries of one verb, in order. What can be made ready of them is ready before their turn comes: nobody else can append then.
#[derive(Debug, Default)]
pub(super) struct Trail {
    entries: Vec<ReadyEntry>,
    details: Vec<String>,
    /// What each is filed under: a job, or the jobs of a claim.
    jobs: Vec<Option<Uuid>>,
    leases: Vec<Option<i64>>,
}

impl Trail {
    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        let details = value::json(details);
        self.details.push(value::written(&details));
        self.jobs.push(job);
        self.leases.push(lease);
        self.entries.push(ReadyEntry::new(actor, action, &details));
    }

    /// Binds the one entry that there is: its actor, its action, what is hashed of it, its details and what it is filed under.
    pub(super) fn bind_one(mut self, query: Statement<'_>) -> Option<Statement<'_>> {
        let (entry, details, job) = (self.entries.pop()?, self.details.pop()?, self.jobs.pop()?);
        let query = query.bind(entry.actor().to_owned()).bind(entry.action().as_str()).bind(entry.linked().to_owned());
        self.is_empty().then(|| query.bind(details).bind(job))
    }

    /// Writes everything, and closes the flags of these jobs; answers with the place of the last entry, if there was one. The lock on it
    /// comes last in every verb and is held until the commit: entries get their places in the order of commits.
    pub(super) async fn write(
        self,
        write: &mut Write<'_>,
        head: Option<Head>,
        to_close: Vec<Uuid>,
    ) -> Result<Option<i64>, StoreError> {
        if self.is_empty() {
            return Ok(None);
        }
        let Head { seq: last, hash, .. } =
            head.ok_or_else(|| StoreError::corrupt("audit log", "head", "its row is missing"))?;
        let mut end = ChainEnd::behind(last, hash, write.now);
        let hashes: Vec<_> = self.entries.iter().map(|entry| end.append(entry).0.clone()).collect();
        let query = sqlx::query(if to_close.is_empty() { APPEND } else { APPEND_AND_CLOSE });
        let query = query
            .bind(write.now)
            .bind(last.0 + 1)
            .bind(self.entries.iter().map(ReadyEntry::actor).collect::<Vec<_>>())
            .bind(self.entries.iter().map(|entry| entry.action().as_str()).collect::<Vec<_>>())
            .bind(self.details)
            .bind(hashes)
            .bind(self.jobs)
            .bind(self.leases)
            .bind(end.seq().0)
            .bind(end.hash().0.as_str());
        write.run(if to_close.is_empty() { query } else { query.bind(to_close) }).await?;
        Ok(Some(end.seq().0))
    }
}
