//! Jobs that come back undone: released by their worker, or taken from one whose lease has ended.

use std::collections::HashMap;

use aura_core::{
    Action, Actor, Job, JobState, JobStatus, ModelId, ProjectId, StoreError,
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
        row::{Named, each},
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
    without_a_run: Vec<(ModelId, ProjectId)>,
}

impl Back {
    fn add(&mut self, job: &Job, reason: &str, not_before: Option<DateTime<Utc>>, unbilled: bool) {
        self.ids.push(job.id.as_uuid());
        self.reasons.push(value::text(reason).into_owned());
        self.not_before.push(not_before);
        self.max_attempts.push(i32::try_from(job.max_attempts).unwrap_or(i32::MAX));
        self.without_a_run.extend(job.state.model().filter(|_| !unbilled).map(|model| (model, job.project_id)));
    }

    /// Moves the jobs, which are locked: to the queue, or to FAILED where no attempt is left.
    async fn go(self, write: &mut Write<'_>) -> Result<(), StoreError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(
            "WITH moved AS (
                 UPDATE jobs SET status = CASE WHEN attempt < back.most THEN 'QUEUED' ELSE 'FAILED' END, updated_at = $5,
                     lease_until = NULL, max_attempts = back.most,
                     tried = CASE WHEN attempt < back.most AND (assigned_model = ANY (tried)) IS NOT TRUE THEN tried || assigned_model
                                  ELSE tried END,
                     leases = CASE WHEN attempt < back.most THEN leases || lease_token ELSE leases END,
                     assigned_model = CASE WHEN attempt < back.most THEN NULL ELSE assigned_model END,
                     worker_id = CASE WHEN attempt < back.most THEN NULL ELSE worker_id END,
                     not_before = CASE WHEN attempt < back.most THEN back.not_before END,
                     reason = CASE WHEN attempt < back.most THEN NULL ELSE back.why END,
                     last_error = back.why, probe = false
                 FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[]) AS back (id, why, not_before, most)
                 WHERE jobs.id = back.id AND status = 'IN_PROGRESS'
                 RETURNING jobs.id, jobs.seq, jobs.status, jobs.not_before
             ), there AS (
                 INSERT INTO queue (model, seq, job, since, not_before)
                 SELECT 0, seq, id, $5, not_before FROM moved WHERE status = 'QUEUED'
             )
             SELECT 0 AS model, min(seq) AS seq FROM moved WHERE status = 'QUEUED' HAVING count(*) > 0",
        );
        let query = query.bind(self.ids).bind(self.reasons).bind(self.not_before).bind(self.max_attempts);
        write.run_back(query.bind(write.now)).await?;
        write.ended_without_a_run(self.without_a_run).await
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
                back.add(job, &release.reason, not_before, release.unbilled);
                let (actor, reason) = (Actor::worker(&proof.worker), &release.reason);
                Ok(record_return(&mut write, job, &names, &actor, reason, not_before, release.unbilled))
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
    let mut all = Vec::new();
    while all.len() < limit as usize {
        // Nearly every pass finds nothing: it is not worth a transaction.
        let query =
            sqlx::query("SELECT id FROM claims WHERE until <= (SELECT coalesce($1, statement_timestamp())) LIMIT 1")
                .bind(core.given_now());
        if core.row(ACTION, query).await?.is_none() {
            break;
        }
        let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
        let (expired, more) = again(|| expire_once(core, left)).await?;
        all.extend(expired);
        if !more {
            break;
        }
    }
    Ok(all)
}

const ACTION: &str = "take back jobs whose lease has ended";

/// How many claims are looked through in one transaction.
const CLAIMS: i64 = 64;

/// Looks through claims whose time is over; answers also whether there may be more of them.
async fn expire_once(core: &Core, limit: u32) -> Result<(Vec<Expired>, bool), StoreError> {
    let mut write = core.write(ACTION).await?;
    let query =
        sqlx::query("SELECT id, jobs FROM claims WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED");
    let due: Vec<(i64, Vec<Uuid>)> = each(&write.rows(query.bind(write.now).bind(CLAIMS)).await?, |row| {
        let named = Named::new("claim", row);
        Ok((named.get("id")?, named.get("jobs")?))
    })?;
    let more = i64::try_from(due.len()).is_ok_and(|found| found == CLAIMS);
    let (claims, jobs): (Vec<i64>, Vec<Vec<Uuid>>) = due.into_iter().unzip();
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs WHERE id = ANY($3) AND status = 'IN_PROGRESS' AND (lease_until IS NULL OR lease_until <= $1)
         ORDER BY lease_until NULLS FIRST, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"
    ));
    let query = query.bind(write.now).bind(i64::from(limit)).bind(jobs.concat());
    let ended = each(&write.rows(query).await?, record::job)?;
    let names = write.names_of(ended.iter().filter_map(|job| job.state.model())).await?;
    let mut back = Back::default();
    let mut expired = Vec::with_capacity(ended.len());
    for job in &ended {
        let JobState::InProgress { lease, .. } = &job.state else { continue };
        let until = lease.until.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let reason = format!("the lease of worker {} ended at {until} without a report", lease.worker);
        back.add(job, &reason, None, false);
        let now = record_return(&mut write, job, &names, &Actor::scheduler(), &reason, None, false);
        expired.push(Expired { job: job.id, now });
    }
    back.go(&mut write).await?;
    look_again_later(&mut write, claims).await?;
    write.commit().await?;
    Ok((expired, more))
}

/// Takes claims away that have no job in progress any more, and finds out when to look at the others again.
async fn look_again_later(write: &mut Write<'_>, claims: Vec<i64>) -> Result<(), StoreError> {
    let query = sqlx::query(
        "WITH looked_at AS (
             SELECT claims.id, (SELECT min(coalesce(lease_until, '-infinity')) FROM jobs
                                WHERE jobs.id = ANY(claims.jobs) AND status = 'IN_PROGRESS') AS until
             FROM claims WHERE claims.id = ANY($1)
         ), over AS (
             DELETE FROM claims USING looked_at WHERE claims.id = looked_at.id AND looked_at.until IS NULL
         )
         UPDATE claims SET until = looked_at.until FROM looked_at
         WHERE claims.id = looked_at.id AND looked_at.until IS NOT NULL",
    );
    write.run(query.bind(claims)).await.map(drop)
}

/// Leaves the trail of a job that comes back; answers with where it stands then. `job` is as it was before.
fn record_return(
    write: &mut Write<'_>,
    job: &Job,
    names: &HashMap<ModelId, String>,
    actor: &Actor,
    reason: &str,
    not_before: Option<DateTime<Utc>>,
    unbilled: bool,
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
    write.moves.moved(job.id, JobStatus::InProgress, status, job.state.model());
    if status.is_final() {
        write.moves.assess_later(job.prd_id);
    }
    if let (true, Some(more)) = (unbilled, more.as_object_mut()) {
        more.insert("unbilled".to_owned(), true.into());
    }
    write.trail.both(actor, job.id, action, facts(job, name.map(String::as_str), more));
    status
}
