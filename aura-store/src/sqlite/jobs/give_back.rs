//! Jobs that come back undone: released by their worker, or taken from one whose lease has ended.

use aura_core::{
    Action, Actor, Job, JobState, JobStatus, StoreError,
    contract::{
        Release,
        store::{Each, Expired},
    },
};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    super::{
        SqliteStore, moment,
        row::each,
        write::{Write, answer},
    },
    record::{self, job_columns},
};
use crate::facts::facts;

pub(super) async fn release(store: &SqliteStore, releases: &[Release]) -> Result<Each<JobStatus>, StoreError> {
    let mut write = store.write("take jobs back from workers").await?;
    let mut answers = Vec::with_capacity(releases.len());
    for release in releases {
        answer(release_one(&mut write, release).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn release_one(write: &mut Write<'_>, release: &Release) -> Result<JobStatus, StoreError> {
    let proof = &release.proof;
    let mut job = write.job(proof.job).await?;
    if release.blameless {
        job.max_attempts = job.max_attempts.saturating_add(1).min(i32::MAX.unsigned_abs());
    }
    let not_before = release.retry_after.map(|wait| moment::after(write.now, wait));
    let query = sqlx::query(
        "UPDATE jobs SET status = iif(attempt < ?7, 'QUEUED', 'FAILED'), updated_at = ?1, lease_until = NULL,
             assigned_model = iif(attempt < ?7, NULL, assigned_model), worker_id = iif(attempt < ?7, NULL, worker_id),
             not_before = iif(attempt < ?7, ?2, NULL), reason = iif(attempt < ?7, NULL, ?3), last_error = ?3, probe = 0,
             max_attempts = ?7
         WHERE id = ?4 AND status = 'IN_PROGRESS' AND worker_id = ?5
           AND (lease_token = ?6 OR (?6 IS NULL AND door = 'remote')) AND lease_until > ?1",
    );
    let query = query
        .bind(write.now_text())
        .bind(not_before.map(moment::text))
        .bind(&release.reason)
        .bind(proof.job.to_string())
        .bind(proof.worker.as_str())
        .bind(proof.token.map(|token| token.0))
        .bind(job.max_attempts);
    if write.run(query).await? == 0 {
        return Err(StoreError::LeaseLost { job: proof.job, worker: Some(proof.worker.clone()) });
    }
    if !release.unbilled {
        write.ended_without_a_run(&job).await?;
    }
    record_return(write, &job, &Actor::worker(&proof.worker), &release.reason, not_before, release.unbilled).await
}

pub(super) async fn expire(store: &SqliteStore, limit: u32) -> Result<Vec<Expired>, StoreError> {
    const ACTION: &str = "take back jobs whose lease has ended";
    // Nearly every pass finds nothing: it is not worth the write lock.
    let query = sqlx::query(
        "SELECT id FROM jobs INDEXED BY jobs_leased WHERE status = 'IN_PROGRESS' AND coalesce(lease_until, '') <= ? LIMIT 1",
    );
    if store.row(ACTION, query.bind(moment::text(store.clock.now()))).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut write = store.write(ACTION).await?;
    let query = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        "FROM jobs INDEXED BY jobs_leased WHERE status = 'IN_PROGRESS' AND coalesce(lease_until, '') <= ?
         ORDER BY coalesce(lease_until, '') LIMIT ?"
    ));
    let query = query.bind(write.now_text()).bind(limit);
    let ended = each(&write.rows(query).await?, record::job)?;
    let mut expired = Vec::with_capacity(ended.len());
    for job in ended {
        let reason = match &job.state {
            JobState::InProgress { lease, .. } => {
                format!("the lease of worker {} ended at {} without a report", lease.worker, moment::text(lease.until))
            }
            _ => continue,
        };
        let query = sqlx::query(
            "UPDATE jobs SET status = iif(attempt < max_attempts, 'QUEUED', 'FAILED'), updated_at = ?1, lease_until = NULL,
                 assigned_model = iif(attempt < max_attempts, NULL, assigned_model),
                 worker_id = iif(attempt < max_attempts, NULL, worker_id),
                 reason = iif(attempt < max_attempts, NULL, ?2), last_error = ?2, probe = 0, not_before = NULL
             WHERE id = ?3 AND status = 'IN_PROGRESS' AND coalesce(lease_until, '') <= ?1",
        );
        if write.run(query.bind(write.now_text()).bind(&reason).bind(job.id.to_string())).await? > 0 {
            write.ended_without_a_run(&job).await?;
            let now = record_return(&mut write, &job, &Actor::scheduler(), &reason, None, false).await?;
            expired.push(Expired { job: job.id, now });
        }
    }
    write.commit().await?;
    Ok(expired)
}

/// Writes the trail of a job that came back; answers with where it stands now. `job` is as it was before.
async fn record_return(
    write: &mut Write<'_>,
    job: &Job,
    actor: &Actor,
    reason: &str,
    not_before: Option<DateTime<Utc>>,
    unbilled: bool,
) -> Result<JobStatus, StoreError> {
    let name = write.name_of(job.state.model()).await?;
    let (status, action) = match job.has_attempts_left() {
        true => (JobStatus::Queued, Action::JobRequeued),
        false => (JobStatus::Failed, Action::JobFailed),
    };
    let mut more = json!({ "reason": reason });
    if let (JobStatus::Queued, Some(at), Some(more)) = (status, not_before, more.as_object_mut()) {
        more.insert("not_before".to_owned(), json!(at));
    }
    if let (true, Some(more)) = (unbilled, more.as_object_mut()) {
        more.insert("unbilled".to_owned(), true.into());
    }
    write.trail.both(actor, job.id, action, facts(job, name.as_deref(), more));
    Ok(status)
}
