//! Rows of jobs and PRDs as values.

use aura_core::{
    FencingToken, Job, JobId, JobState, JobStatus, Lease, ModelId, Prd, PrdId, ProjectId, StoreError,
    contract::store::Claim,
    job::{Delivery, Door},
};
use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::super::row::Named;
use crate::sql::ReportBody;

/// Jobs that are in progress, or were a moment ago.
macro_rules! claimed_lately {
    () => {
        "ARRAY(SELECT DISTINCT held FROM claims, unnest(claims.jobs) AS held)"
    };
}
pub(crate) use claimed_lately;

/// Jobs that wait for the accountant: those of the PRDs that he has to look at.
macro_rules! submitted {
    () => {
        "ARRAY(SELECT handed.id FROM (
             SELECT prd_id FROM prds_to_assess UNION SELECT prd FROM handed_in, unnest(prds) AS prd
         ) AS due CROSS JOIN LATERAL (
             SELECT jobs.id FROM jobs WHERE jobs.prd_id = due.prd_id AND status = 'SUBMITTED' OFFSET 0) AS handed)"
    };
}
pub(crate) use submitted;

/// The columns that [`job`] reads.
macro_rules! job_columns {
    () => {
        "jobs.id, jobs.prd_id, jobs.project_id, jobs.role, jobs.status, jobs.assigned_model, jobs.worker_id, \
         jobs.created_at, jobs.updated_at, jobs.lease_token, jobs.lease_until, jobs.claimed_at, jobs.door, jobs.attempt, \
         jobs.max_attempts, jobs.pinned_model, jobs.tried, jobs.last_error, jobs.reason, jobs.not_before, jobs.report, \
         jobs.reported_at, jobs.score "
    };
}
pub(crate) use job_columns;

/// The columns that [`prd`] reads, of `prds` and `verdicts`. One statement, so that a PRD and its verdict are of one moment.
macro_rules! prd_columns {
    () => {
        "prds.id, prds.request, prds.created_at, prds.jobs, verdicts.verdict "
    };
}
pub(crate) use prd_columns;

/// The columns that [`claimed`] reads: what the claim did not set.
macro_rules! claimed_columns {
    () => {
        "jobs.id, jobs.prd_id, jobs.project_id, jobs.role, jobs.assigned_model, jobs.created_at, jobs.lease_token, \
         jobs.lease_until, jobs.attempt, jobs.max_attempts, jobs.pinned_model, jobs.tried, jobs.last_error "
    };
}
pub(crate) use claimed_columns;

/// A row of `jobs`.
pub(crate) fn job(row: &PgRow) -> Result<Job, StoreError> {
    let named = Named::new("job", row);
    let state = state(named)?;
    let not_before = named.maybe_time("not_before")?;
    Ok(Job { not_before, ..with_state(named, state, named.time("updated_at")?)? })
}

/// A row of `jobs` whose job was claimed at this moment; the lease's token and its end are in the row.
pub(super) fn claimed(row: &PgRow, claim: &Claim, claimed_at: DateTime<Utc>) -> Result<Job, StoreError> {
    let named = Named::new("job", row);
    let (token, until) = (FencingToken(named.get("lease_token")?), named.time("lease_until")?);
    let lease = Lease { worker: claim.worker.clone(), token, until, claimed_at, door: claim.door };
    let updated_at = claimed_at;
    let state = JobState::InProgress { model: ModelId(named.get("assigned_model")?), lease };
    with_state(named, state, updated_at)
}

/// What a job has in every state; it may start at once.
fn with_state(named: Named<'_>, state: JobState, updated_at: DateTime<Utc>) -> Result<Job, StoreError> {
    let mut tried: Vec<ModelId> = named.get::<Option<Vec<i32>>>("tried")?.into_iter().flatten().map(ModelId).collect();
    // Who has it, or had it at the end, is entered only when the job goes back to the queue.
    let claimed = !matches!(state, JobState::Queued | JobState::Assigned { .. });
    tried.extend(state.model().filter(|model| claimed && !tried.contains(model)));
    Ok(Job {
        id: JobId::from_uuid(named.get("id")?),
        prd_id: PrdId::from_uuid(named.get("prd_id")?),
        project_id: ProjectId(named.get("project_id")?),
        role: named.parsed("role")?,
        state,
        attempt: named.small("attempt")?,
        max_attempts: named.small("max_attempts")?,
        pinned: named.get::<Option<i32>>("pinned_model")?.map(ModelId),
        tried,
        last_error: named.get("last_error")?,
        not_before: None,
        created_at: named.time("created_at")?,
        updated_at,
    })
}

fn state(named: Named<'_>) -> Result<JobState, StoreError> {
    let status: JobStatus = named.parsed("status")?;
    let last: Option<ModelId> = named.get::<Option<i32>>("assigned_model")?.map(ModelId);
    let model =
        last.ok_or_else(|| named.corrupt("assigned_model", format_args!("absent, although the job is {status}")));
    // A row that was moved by hand carries no times of its own: the move's time stands in.
    let time = |column| named.maybe_time(column)?.map_or_else(|| named.time("updated_at"), Ok);
    Ok(match status {
        JobStatus::Queued => JobState::Queued,
        JobStatus::Assigned => JobState::Assigned { model: model? },
        JobStatus::InProgress => JobState::InProgress {
            model: model?,
            lease: Lease {
                worker: named.parsed("worker_id")?,
                token: FencingToken(named.get("lease_token")?),
                until: time("lease_until")?,
                claimed_at: time("claimed_at")?,
                door: door(named)?,
            },
        },
        JobStatus::Submitted => {
            let body: ReportBody = named.maybe_json("report")?.unwrap_or_default();
            JobState::Submitted {
                model: model?,
                delivery: Delivery {
                    worker: named.parsed("worker_id")?,
                    success: body.success,
                    details: body.details,
                    door: door(named)?,
                    claimed_at: time("claimed_at")?,
                    reported_at: time("reported_at")?,
                },
            }
        }
        JobStatus::Validated => JobState::Validated { model: model?, score: named.ranged("score")? },
        JobStatus::Failed => JobState::Failed { model: last, reason: why(named)? },
        JobStatus::Cancelled => JobState::Cancelled { reason: why(named)? },
    })
}

/// The word for a door.
pub(super) fn door_word(door: Door) -> &'static str {
    match door {
        Door::Remote => "remote",
        Door::InProcess => "in_process",
    }
}

fn door(named: Named<'_>) -> Result<Door, StoreError> {
    match named.get("door")? {
        "remote" => Ok(Door::Remote),
        "in_process" => Ok(Door::InProcess),
        other => Err(named.corrupt("door", format_args!("{other:?} is no door"))),
    }
}

fn why(named: Named<'_>) -> Result<String, StoreError> {
    let reason: Option<String> = named.get("reason")?;
    Ok(match reason {
        Some(reason) => reason,
        None => named.get::<Option<String>>("last_error")?.unwrap_or_default(),
    })
}

/// A row of `prds` with its jobs and its verdict.
pub(crate) fn prd(row: &PgRow) -> Result<Prd, StoreError> {
    let named = Named::new("PRD", row);
    Ok(Prd {
        id: PrdId::from_uuid(named.get("id")?),
        request: named.json("request")?,
        jobs: named.get::<Vec<Uuid>>("jobs")?.into_iter().map(JobId::from_uuid).collect(),
        created_at: named.time("created_at")?,
        verdict: named.maybe_json("verdict")?,
    })
}

/// Whether the row of a claimed job has its PRD too.
pub(super) fn has_prd(row: &PgRow) -> bool {
    row.try_column("asked_at").is_ok()
}

/// The PRD of a claimed job, in the same row or in one of its own, where a moment has another name.
pub(super) fn prd_of(named: Named<'_>, job: &Job) -> Result<Prd, StoreError> {
    let created_at = named.maybe_time("asked_at")?.ok_or_else(|| without_prd(job))?;
    Ok(Prd {
        id: job.prd_id,
        request: named.json("request")?,
        jobs: named.get::<Vec<Uuid>>("jobs")?.into_iter().map(JobId::from_uuid).collect(),
        created_at,
        verdict: named.maybe_json("verdict")?,
    })
}

/// A job whose PRD there is not.
pub(super) fn without_prd(job: &Job) -> StoreError {
    StoreError::corrupt("job", job.id, "its PRD is missing")
}

/// The place of a batch's item in a row that has one.
pub(crate) fn item(row: &PgRow) -> Result<usize, StoreError> {
    let named = Named::new("job", row);
    let ordinal: i64 = named.get("n")?;
    usize::try_from(ordinal - 1).map_err(|_| named.corrupt("n", "is not positive"))
}
