//! The audit log, replayed: each job goes along the arrows, under one lease at a time.

use std::collections::{BTreeMap, HashMap, HashSet};

use aura_core::{AuditEntry, JobId, JobStatus, audit::ChainCheck};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Faults, Kind};

/// What the audit log tells.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) jobs: BTreeMap<JobId, Life>,
    /// By job and attempt.
    pub(super) claims: HashMap<(JobId, u32), Claim>,
    /// Whose report of which attempt was taken.
    pub(super) reports: HashMap<(JobId, u32), String>,
    pub(super) scored: HashSet<(JobId, u32)>,
    /// How often the submission of a PRD is told, and its verdict.
    pub(super) submissions: HashMap<String, usize>,
    pub(super) settlements: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) worker: String,
    pub(super) token: i64,
    pub(super) at: DateTime<Utc>,
}

/// Where a job stands.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) status: JobStatus,
    pub(super) attempt: u32,
    token: i64,
    /// Who has its lease.
    worker: Option<String>,
    is_scored: bool,
    /// How often.
    pub(super) assigned: usize,
    pub(super) expired: usize,
}

impl History {
    pub(super) fn replay(entries: &[AuditEntry], faults: &mut Faults) -> Self {
        let mut check = ChainCheck::default();
        check.extend(entries);
        if let Some(bad) = check.finish().first_bad {
            faults.add(Kind::Disorder, format!("audit entry {}: {}", bad.seq, bad.reason));
        }
        let mut history = Self::default();
        for entry in entries {
            let prd = || entry.details.get("prd_id").and_then(Value::as_str).unwrap_or_default().to_owned();
            match entry.action.as_str() {
                "prd.submitted" => {
                    *history.submissions.entry(prd()).or_default() += 1;
                    history.concerns_jobs(entry, faults);
                }
                "prd.settled" => *history.settlements.entry(prd()).or_default() += 1,
                "model.registered" => {}
                _ => history.concerns_jobs(entry, faults),
            }
        }
        history
    }

    fn concerns_jobs(&mut self, entry: &AuditEntry, faults: &mut Faults) {
        let mut any = false;
        for job in entry.job_ids().filter_map(|id| id.parse().ok()) {
            any = true;
            if let Err((kind, why)) = self.step(job, entry) {
                faults.add(kind, format!("audit entry {} ({}) of job {job}: {why}", entry.seq, entry.action));
            }
        }
        faults.unless(any, Kind::Unexpected, || format!("audit entry {} ({})", entry.seq, entry.action));
    }

    fn step(&mut self, job: JobId, entry: &AuditEntry) -> Result<(), (Kind, String)> {
        let detail = |name| entry.details.get(name);
        let attempt = detail("attempt").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let word = |name| detail(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if entry.action == "prd.submitted" {
            let life = Life {
                status: JobStatus::Queued,
                attempt: 0,
                token: 0,
                worker: None,
                is_scored: false,
                assigned: 0,
                expired: 0,
            };
            return match self.jobs.insert(job, life) {
                None => Ok(()),
                Some(_) => Err((Kind::Twice, "it was made before".to_owned())),
            };
        }
        let Some(life) = self.jobs.get_mut(&job) else {
            return Err((Kind::Disorder, "it was never made".to_owned()));
        };
        match entry.action.as_str() {
            "job.assigned" => {
                life.assigned += 1;
                life.go(JobStatus::Queued, JobStatus::Assigned)
            }
            "job.claimed" => {
                let token = detail("token").and_then(Value::as_i64).unwrap_or_default();
                let grows = token > life.token && attempt == life.attempt + 1;
                let before = (life.token, life.attempt);
                (life.token, life.attempt, life.worker, life.is_scored) = (token, attempt, Some(word("worker")), false);
                self.claims.insert((job, attempt), Claim { worker: word("worker"), token, at: entry.created_at });
                if !grows {
                    return Err((
                        Kind::Disorder,
                        format!("token and attempt went from {before:?} to {token}, {attempt}"),
                    ));
                }
                life.go(JobStatus::Assigned, JobStatus::InProgress)
            }
            "job.submitted" => {
                let held = life.status == JobStatus::InProgress
                    && life.attempt == attempt
                    && life.worker.as_ref() == Some(&word("worker"));
                if self.reports.insert((job, attempt), word("worker")).is_some() {
                    return Err((Kind::Twice, "this attempt was handed in before".to_owned()));
                }
                if !held {
                    return Err((Kind::Late, format!("{} held no lease on attempt {attempt}", word("worker"))));
                }
                life.go(JobStatus::InProgress, JobStatus::Submitted)
            }
            "run.scored" => {
                if !self.scored.insert((job, attempt)) || life.is_scored {
                    return Err((Kind::Twice, format!("attempt {attempt} was scored before")));
                }
                life.is_scored = true;
                life.go(JobStatus::Submitted, JobStatus::Submitted)
            }
            "job.validated" if life.status.is_final() => Err((Kind::Twice, "it had ended".to_owned())),
            "job.validated" => life.judged(JobStatus::Validated),
            "job.requeued" if entry.actor == "accountant" => life.judged(JobStatus::Queued),
            "job.failed" if entry.actor == "accountant" => life.judged(JobStatus::Failed),
            "job.requeued" => life.taken_back(JobStatus::Queued),
            "job.failed" => life.taken_back(JobStatus::Failed),
            _ => Err((Kind::Unexpected, "nobody asks for such a thing".to_owned())),
        }
    }
}

impl Life {
    fn go(&mut self, from: JobStatus, to: JobStatus) -> Result<(), (Kind, String)> {
        let was = std::mem::replace(&mut self.status, to);
        if was == from { Ok(()) } else { Err((Kind::Disorder, format!("it was {was}, not {from}"))) }
    }

    fn judged(&mut self, to: JobStatus) -> Result<(), (Kind, String)> {
        if !self.is_scored {
            return Err((Kind::Disorder, "it was judged without a run".to_owned()));
        }
        self.go(JobStatus::Submitted, to)
    }

    fn taken_back(&mut self, to: JobStatus) -> Result<(), (Kind, String)> {
        self.expired += 1;
        self.worker = None;
        self.go(JobStatus::InProgress, to)
    }
}
