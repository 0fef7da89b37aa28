//! The trail: an append-only, hash-chained record of what everybody did, and the alerts in it.

mod canonical;

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    audit::canonical::canonical,
    ids::{Actor, AuditSeq, JobId},
    standing::text_enum,
};

text_enum!(
    /// What can stand in the audit log and in a job's history.
    Action, "action" {
        /// A PRD was accepted with its jobs.
        PrdSubmitted => "prd.submitted",
        /// A PRD has its verdict.
        PrdSettled => "prd.settled",
        /// A PRD was called off.
        PrdCancelled => "prd.cancelled",
        /// A job was made.
        JobQueued => "job.queued",
        /// A job got its model.
        JobAssigned => "job.assigned",
        /// A job lost its model before a worker claimed it.
        JobUnassigned => "job.unassigned",
        /// A worker has the job.
        JobClaimed => "job.claimed",
        /// A worker gave the job back, or its lease ended.
        JobRequeued => "job.requeued",
        /// A worker handed in its work.
        JobSubmitted => "job.submitted",
        /// The work was accepted.
        JobValidated => "job.validated",
        /// The work was rejected and no attempt is left.
        JobFailed => "job.failed",
        /// The job was called off.
        JobCancelled => "job.cancelled",
        /// A piece was stored.
        ArtifactStored => "artifact.stored",
        /// An attempt was scored.
        RunScored => "run.scored",
        /// Tests of an attempt failed.
        TestFailed => "test_failed",
        /// A model was employed.
        ModelRegistered => "model.registered",
        /// An operator stopped a model.
        ModelHeld => "model.held",
        /// An operator let a model work again.
        ModelReleased => "model.released",
        /// HR changed a standing.
        ModelStanding => "model.standing",
        /// The engines of a process started.
        OrchestraStarted => "orchestra.started",
        /// An alert was raised.
        AlertRaised => "alert.raised",
        /// The auditor flagged a job.
        AuditFlag => "audit_flag",
    }
);

text_enum!(
    /// How bad an alert is.
    Severity, "severity" {
        /// Good to know.
        Info => "info",
        /// Worth a look.
        Warning => "warning",
        /// Somebody must act.
        Critical => "critical",
    }
);

/// An alert that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAlert {
    /// The job it is about.
    pub job_id: Option<JobId>,
    /// How bad it is.
    pub severity: Severity,
    /// The rule that found it; with a rule a job has at most one open flag until its state changes.
    #[serde(default)]
    pub rule: Option<String>,
    /// What is wrong, in a sentence.
    pub reason: String,
}

/// A stored alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number in the store.
    pub id: i64,
    /// What it says.
    #[serde(flatten)]
    pub content: NewAlert,
    /// When it was raised.
    pub created_at: DateTime<Utc>,
}

/// The hash of an entry, as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryHash(pub String);

impl EntryHash {
    /// What stands before the first entry.
    #[must_use]
    pub fn genesis() -> Self {
        Self("0".repeat(64))
    }
}

/// An entry that is not chained yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEntry {
    /// Who did it.
    pub actor: Actor,
    /// What was done, a word of [`Action`].
    pub action: Action,
    /// What belongs to it: `job_id`, `prd_id`, `model` and more. What a worker did with several jobs in one call is one entry,
    /// with `jobs` in place of `job_id` and `prd_id`.
    pub details: Value,
}

/// An entry of which all is known but its place. Its details are written out for the hash already: a store that lets one writer
/// at a time append makes entries ready before it is its turn.
#[derive(Debug, Clone)]
pub struct ReadyEntry {
    actor: String,
    action: Action,
    linked: Vec<u8>,
}

impl ReadyEntry {
    /// Makes an entry ready.
    #[must_use]
    pub fn new(actor: &Actor, action: Action, details: &Value) -> Self {
        let actor = actor.to_string();
        let linked = linked(&actor, action.as_str(), details);
        Self { actor, action, linked }
    }

    /// Who did it.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// What was done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What is hashed of it between its place and its moment, for a store that chains it itself: see [`AuditEntry::hash_after`].
    #[must_use]
    pub fn linked(&self) -> &[u8] {
        &self.linked
    }
}

/// The end of a chain to which entries of one moment are appended.
#[derive(Debug, Clone)]
pub struct ChainEnd {
    seq: AuditSeq,
    hash: EntryHash,
    /// The moment, as it is hashed.
    at: String,
}

impl ChainEnd {
    /// The end behind the entry at this place, which has this hash.
    #[must_use]
    pub fn behind(seq: AuditSeq, hash: EntryHash, at: DateTime<Utc>) -> Self {
        Self { seq, hash, at: written(at) }
    }

    /// Appends an entry; answers with its hash, which is [`AuditEntry::hash_after`] of the whole entry.
    pub fn append(&mut self, entry: &ReadyEntry) -> &EntryHash {
        self.seq.0 += 1;
        self.hash = link(&self.hash, self.seq, &entry.linked, &self.at);
        &self.hash
    }

    /// The place of the last entry.
    #[must_use]
    pub const fn seq(&self) -> AuditSeq {
        self.seq
    }

    /// The hash of the last entry.
    #[must_use]
    pub const fn hash(&self) -> &EntryHash {
        &self.hash
    }
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place.
    pub seq: AuditSeq,
    /// Who did it.
    pub actor: String,
    /// What was done. Text, since a row written by hand may hold any word.
    pub action: String,
    /// What belongs to it.
    pub details: Value,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Hash over the entry before and this one; absent on a row written by hand.
    pub hash: Option<EntryHash>,
}

impl AuditEntry {
    /// Chains an entry behind `previous`. Times are kept to the microsecond, as every store can hold them.
    #[must_use]
    pub fn seal(entry: NewEntry, seq: AuditSeq, at: DateTime<Utc>, previous: &EntryHash) -> Self {
        let at = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        let mut sealed = Self {
            seq,
            actor: entry.actor.into(),
            action: entry.action.as_str().to_owned(),
            details: entry.details,
            created_at: at,
            hash: None,
        };
        sealed.hash = Some(sealed.hash_after(previous));
        sealed
    }

    /// The jobs that it is about: `job_id`, or all of `jobs`, where a worker did the same with several at once, or a PRD with its jobs
    /// was submitted.
    pub fn job_ids(&self) -> impl Iterator<Item = &str> {
        let one = self.details.get("job_id").and_then(Value::as_str);
        let several = self.details.get("jobs").and_then(Value::as_array).into_iter().flatten();
        one.into_iter().chain(several.filter_map(Value::as_str))
    }

    /// The hash that this entry must have behind `previous`: SHA-256 over the previous hash, then this entry's place, actor, action,
    /// details and moment. Each has its length in bytes in front, as eight bytes, the highest first. Details are JSON with sorted keys and
    /// equal numbers alike, the moment is written as `2026-11-30T12:00:00.000000Z`.
    #[must_use]
    pub fn hash_after(&self, previous: &EntryHash) -> EntryHash {
        link(previous, self.seq, &linked(&self.actor, &self.action, &self.details), &written(self.created_at))
    }
}

/// A moment as it is hashed.
fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What is hashed of an entry between its place and its moment.
fn linked(actor: &str, action: &str, details: &Value) -> Vec<u8> {
    let details = canonical(details);
    let mut linked = Vec::with_capacity(actor.len() + action.len() + details.len() + 24);
    for part in [actor.as_bytes(), action.as_bytes(), &details] {
        linked.extend((part.len() as u64).to_be_bytes());
        linked.extend(part);
    }
    linked
}

fn link(previous: &EntryHash, seq: AuditSeq, linked: &[u8], at: &str) -> EntryHash {
    let mut hasher = Sha256::new();
    let mut part = |part: &str| {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    };
    part(&previous.0);
    part(&seq.to_string());
    hasher.update(linked);
    hasher.update((at.len() as u64).to_be_bytes());
    hasher.update(at);
    EntryHash(format!("{:x}", hasher.finalize()))
}

/// The last entry that was dropped because it was too old: the chain that is kept begins behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its place.
    pub seq: AuditSeq,
    /// Its hash.
    pub hash: EntryHash,
}

/// What checking the chain showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainReport {
    /// Behind which entry the check began; absent when it began with the first one ever.
    pub anchor: Option<Anchor>,
    /// How many entries were checked.
    pub checked: u64,
    /// The first entry that is not what was written.
    pub first_bad: Option<BadEntry>,
    /// The hash of the last good entry: keep it elsewhere, and a cut-off tail shows too.
    pub head: EntryHash,
}

/// An entry that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadEntry {
    /// Its place.
    pub seq: AuditSeq,
    /// What is wrong with it.
    pub reason: String,
}

/// Checks a chain from its start, page by page.
#[derive(Debug)]
pub struct ChainCheck {
    report: ChainReport,
    last: AuditSeq,
}

impl Default for ChainCheck {
    fn default() -> Self {
        Self::behind(None)
    }
}

impl ChainCheck {
    /// Checks a chain whose older entries were dropped.
    #[must_use]
    pub fn behind(anchor: Option<Anchor>) -> Self {
        let (last, head) = match &anchor {
            Some(anchor) => (anchor.seq, anchor.hash.clone()),
            None => (AuditSeq(0), EntryHash::genesis()),
        };
        Self { report: ChainReport { anchor, checked: 0, first_bad: None, head }, last }
    }

    /// Checks the next entries; returns whether to go on.
    pub fn extend(&mut self, entries: &[AuditEntry]) -> bool {
        for entry in entries {
            let reason = if entry.seq.0 != self.last.0 + 1 {
                Some(format!("entries {} to {} are missing", self.last.0 + 1, entry.seq.0 - 1))
            } else {
                match &entry.hash {
                    None => Some("the row was not written by the orchestra: it carries no hash".to_owned()),
                    Some(hash) if *hash != entry.hash_after(&self.report.head) => {
                        Some("the row is not what was written, or the one before it was exchanged".to_owned())
                    }
                    Some(_) => None,
                }
            };
            if let Some(reason) = reason {
                self.report.first_bad = Some(BadEntry { seq: entry.seq, reason });
                return false;
            }
            self.report.checked += 1;
            self.report.head = entry.hash.clone().unwrap_or_else(EntryHash::genesis);
            self.last = entry.seq;
        }
        true
    }

    /// The last place checked.
    #[must_use]
    pub const fn last(&self) -> AuditSeq {
        self.last
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> ChainReport {
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chain(n: i64) -> Vec<AuditEntry> {
        let mut head = EntryHash::genesis();
        (1..=n)
            .map(|seq| {
                let new =
                    NewEntry { actor: Actor::hr(), action: Action::ModelStanding, details: json!({"b": seq, "a": 1}) };
                let entry = AuditEntry::seal(new, AuditSeq(seq), DateTime::UNIX_EPOCH, &head);
                head = entry.hash.clone().unwrap();
                entry
            })
            .collect()
    }

    fn first_bad(entries: &[AuditEntry]) -> Option<i64> {
        let mut check = ChainCheck::default();
        check.extend(entries);
        check.finish().first_bad.map(|bad| bad.seq.0)
    }

    #[test]
    fn an_untouched_chain_is_good() {
        assert_eq!(first_bad(&chain(5)), None);
    }

    #[test]
    fn a_chain_whose_oldest_entries_were_dropped_is_checked_behind_them() {
        let entries = chain(5);
        let anchor = Anchor { seq: entries[1].seq, hash: entries[1].hash.clone().unwrap() };
        let mut check = ChainCheck::behind(Some(anchor));
        assert!(check.extend(&entries[2..]));
        assert_eq!(check.finish().checked, 3);
    }

    /// As anybody can compute it from the documentation of [`AuditEntry::hash_after`].
    #[test]
    fn a_hash_is_of_lengths_and_fields() {
        let details = json!({ "whole": 1.0, "score": 0.5, "job_id": "j", "b": [1, null, { "x": "\"\u{1f}\n\u{e9}" }] });
        let entry = NewEntry { actor: Actor::accountant(), action: Action::RunScored, details };
        let entry = AuditEntry::seal(entry, AuditSeq(1), DateTime::UNIX_EPOCH, &EntryHash::genesis());
        let hash = "9cfa6e91cd838b1923159ab3c72c13eecff3d8951a7c9edf11ca1fa7315282ae";
        assert_eq!(entry.hash, Some(EntryHash(hash.to_owned())));
    }

    #[test]
    fn an_entry_that_was_made_ready_has_the_hash_that_it_has_as_a_whole() {
        let mut end = ChainEnd::behind(AuditSeq(0), EntryHash::genesis(), DateTime::UNIX_EPOCH);
        for whole in chain(3) {
            let ready = ReadyEntry::new(&Actor::hr(), Action::ModelStanding, &whole.details);
            assert_eq!(Some(end.append(&ready)), whole.hash.as_ref());
            assert_eq!((end.seq(), Some(end.hash())), (whole.seq, whole.hash.as_ref()));
        }
    }

    #[test]
    fn an_edited_removed_swapped_or_inserted_row_is_named() {
        let good = chain(5);
        let mut edited = good.clone();
        edited[2].details = json!({"b": 3, "a": 2});
        assert_eq!(first_bad(&edited), Some(3));

        let mut removed = good.clone();
        removed.remove(1);
        assert_eq!(first_bad(&removed), Some(3));

        let mut swapped = good.clone();
        swapped.swap(1, 2);
        (swapped[1].seq, swapped[2].seq) = (AuditSeq(2), AuditSeq(3));
        assert_eq!(first_bad(&swapped), Some(2));

        let mut inserted = good;
        inserted.push(AuditEntry { seq: AuditSeq(6), hash: None, ..inserted[0].clone() });
        assert_eq!(first_bad(&inserted), Some(6));
    }
}
