//! Jobs that come back undone: released by their worker, or taken from one whose lease has ended.

use std::collections::HashMap;

use aura_core::{
    Action, Actor, Job, JobState, JobStatus, ModelId, StoreError,
    contract::{
        Release,
        store::{Each, Expired},
    },
    job::Door,
};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Core,
        row::each,
        value,
        write::{Answers, Write, again},
    },
    record::{self, job_columns},
};
use crate::facts::facts;

/// Jobs on their way back.
#[derive(Default)]
struct Back {
    ids: Vec<Uuid>,
    reasons: Vec<String>,
    not_before: Vec<Option<DateTime<Utc>>>,
    max_attempts: Vec<i32>,
}

impl Back {
    fn add(&mut self, job: &Job, reason: &str, not_before: Option<DateTime<Utc>>) {
        self.ids.push(job.id.as_uuid());
        self.reasons.push(value::text(reason).into_owned());
        self.not_before.push(not_before);
        self.max_attempts.push(i32::try_from(job.max_attempts).unwrap_or(i32::MAX));
    }

    /// Moves the jobs, which are locked: to the queue, or to FAILED where no attempt is left.
    async fn go(self, write: &mut Write<'_>) -> Result<(), StoreError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE jobs SET status = CASE WHEN attempt < back.most THEN 'QUEUED' ELSE 'FAILED' END, updated_at = $5,
                 lease_until = NULL, max_attempts = back.most,
                 assigned_model = CASE WHEN attempt < back.most THEN NULL ELSE assigned_model END,
                 worker_id = CASE WHEN attempt < back.most THEN NULL ELSE worker_id END,
                 not_before = CASE WHEN attempt < back.most THEN back.not_before END,
                 reason = CASE WHEN attempt < back.most THEN NULL ELSE back.why END,
                 last_error = back.why, probe = false
             FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[]) AS back (id, why, not_before, most)
             WHERE jobs.id = back.id AND status = 'IN_PROGRESS'",
        );
        let query = query.bind(self.ids).bind(self.reasons).bind(self.not_before).bind(self.max_attempts);
        write.run(query.bind(write.now)).await.map(drop)
    }
}

pub(super) async fn release(core: &Core, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
    again(|| release_once(core, releases)).await
}

async fn release_once(core: &Core, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
    let mut write = core.write("take jobs back from workers").await?;
    let mut jobs = write.lock_jobs(releases.iter().map(|release| release.proof.job)).await?;
    let names = write.names_of(jobs.values().filter_map(|job| job.state.model())).await?;
    let mut answers = Answers::of(releases.len());
    let mut back = Back::default();
    for (item, release) in releases.iter().enumerate() {
        let proof = &release.proof;
        let answer = match jobs.get_mut(&proof.job) {
            None => Err(StoreError::not_found("job", proof.job)),
            Some(job) if holds(job, release, write.now) => {
                let not_before = release.retry_after.map(|wait| value::after(write.now, wait));
                if release.blameless {
                    job.max_attempts = job.max_attempts.saturating_add(1).min(i32::MAX.unsigned_abs());
                }
                back.add(job, &release.reason, not_before);
                Ok(record_return(&mut write, job, &names, &Actor::worker(&proof.worker), &release.reason, not_before))
            }
            Some(_) => Err(StoreError::LeaseLost { job: proof.job, worker: Some(proof.worker.clone()) }),
        };
        if answer.is_ok() {
            // The same job again in this batch has no lease any more.
            if let Some(job) = jobs.get_mut(&proof.job) {
                job.state = JobState::Queued;
            }
        }
        answers.set(item, answer);
    }
    back.go(&mut write).await?;
    write.commit().await?;
    answers.all()
}

/// Whether the lease is this worker's, and has not ended.
fn holds(job: &Job, release: &Release, now: DateTime<Utc>) -> bool {
    let JobState::InProgress { lease, .. } = &job.state else { return false };
    let proof = &release.proof;
    let shown = proof.token.map_or(lease.door == Door::Remote, |token| token == lease.token);
    lease.worker == proof.worker && shown && lease.until > now
}

pub(super) async fn expire(core: &Core, limit: u32) -> Result<Vec<Expired>, StoreError> {
    // Nearly every pass finds nothing: it is not worth a transaction.
    let query = sqlx::query(
        "SELECT id FROM jobs WHERE status = 'IN_PROGRESS' AND (lease_until IS NULL OR lease_until <= $1) LIMIT 1",
    );
    if core.row(ACTION, query.bind(core.now().await?)).await?.is_none() {
        return Ok(Vec::new());
    }
    again(|| expire_once(core, limit)).await
}

const ACTION: &str = "take back jobs whose lease has ended";

async fn expire_once(core: &Core, limit: u32) -> Result<Vec<Expired>, StoreError> {
    let mut write = core.write(ACTION).await?;
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs WHERE status = 'IN_PROGRESS' AND (lease_until IS NULL OR lease_until <= $1)
         ORDER BY lease_until NULLS FIRST LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"
    ));
    let ended = each(&write.rows(query.bind(write.now).bind(i64::from(limit))).await?, record::job)?;
    let names = write.names_of(ended.iter().filter_map(|job| job.state.model())).await?;
    let mut back = Back::default();
    let mut expired = Vec::with_capacity(ended.len());
    for job in &ended {
        let JobState::InProgress { lease, .. } = &job.state else { continue };
        let until = lease.until.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let reason = format!("the lease of worker {} ended at {until} without a report", lease.worker);
        back.add(job, &reason, None);
        let now = record_return(&mut write, job, &names, &Actor::scheduler(), &reason, None);
        expired.push(Expired { job: job.id, now });
    }
    back.go(&mut write).await?;
    write.commit().await?;
    Ok(expired)
}

/// Leaves the trail of a job that comes back; answers with where it stands then. `job` is as it was before.
fn record_return(
    write: &mut Write<'_>,
    job: &Job,
    names: &HashMap<ModelId, String>,
    actor: &Actor,
    reason: &str,
    not_before: Option<DateTime<Utc>>,
) -> JobStatus {
    let name = job.state.model().and_then(|model| names.get(&model));
    let (status, action) = match job.has_attempts_left() {
        true => (JobStatus::Queued, Action::JobRequeued),
        false => (JobStatus::Failed, Action::JobFailed),
    };
    let mut more = json!({ "reason": reason });
    if let (JobStatus::Queued, Some(at), Some(more)) = (status, not_before, more.as_object_mut()) {
        more.insert("not_before".to_owned(), json!(at));
    }
    write.trail.both(actor, job.id, action, facts(job, name.map(String::as_str), more));
    status
}
