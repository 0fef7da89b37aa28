//! Rows of jobs and PRDs as values, and what the trail says of a job.

use aura_core::{
    FencingToken, Job, JobId, JobState, JobStatus, Lease, ModelId, NewPrd, Prd, ProjectId, StoreError,
    job::{Delivery, Door},
};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use super::super::{row::Named, write::Write};
use crate::sql::ReportBody;

/// The columns that [`job`] reads.
macro_rules! job_columns {
    () => {
        "id, prd_id, project_id, role, status, assigned_model, worker_id, created_at, updated_at, lease_token, \
         lease_until, claimed_at, door, attempt, max_attempts, pinned_model, tried, last_error, reason, not_before, \
         report, reported_at, score "
    };
}
pub(crate) use job_columns;

/// The columns that [`prd`] reads, with the tables they come from. One statement, so that a PRD, its jobs and its verdict
/// are of one moment.
macro_rules! prd_columns {
    () => {
        "prds.id, prds.request, prds.created_at, verdicts.verdict, \
         (SELECT json_group_array(id ORDER BY seq) FROM jobs WHERE jobs.prd_id = prds.id) AS job_ids "
    };
}
pub(crate) use prd_columns;

/// A row of `jobs`.
pub(crate) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    let named = Named::new("job", row);
    Ok(Job {
        id: named.parsed("id")?,
        prd_id: named.parsed("prd_id")?,
        project_id: ProjectId(named.number("project_id")?),
        role: named.parsed("role")?,
        state: state(named)?,
        attempt: named.number("attempt")?,
        max_attempts: named.number("max_attempts")?,
        pinned: named.maybe_number("pinned_model")?.map(ModelId),
        tried: named.json("tried")?,
        last_error: named.get("last_error")?,
        not_before: named.maybe_time("not_before")?,
        created_at: named.time("created_at")?,
        updated_at: named.time("updated_at")?,
    })
}

fn state(named: Named<'_>) -> Result<JobState, StoreError> {
    let status: JobStatus = named.parsed("status")?;
    let last: Option<ModelId> = named.maybe_number("assigned_model")?.map(ModelId);
    let model =
        last.ok_or_else(|| named.corrupt("assigned_model", format_args!("absent, although the job is {status}")));
    // A row that was moved by hand carries no times of its own: the move's time stands in.
    let time = |column| named.maybe_time(column)?.map_or_else(|| named.time("updated_at"), Ok);
    let door = || -> Result<Door, StoreError> {
        let word: String = named.get("door")?;
        serde_json::from_value(Value::from(word)).map_err(|error| named.corrupt("door", error))
    };
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
                door: door()?,
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
                    door: door()?,
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

fn why(named: Named<'_>) -> Result<String, StoreError> {
    let reason: Option<String> = named.get("reason")?;
    Ok(match reason {
        Some(reason) => reason,
        None => named.get::<Option<String>>("last_error")?.unwrap_or_default(),
    })
}

/// A row of `prds` with its jobs and its verdict.
pub(crate) fn prd(row: &SqliteRow) -> Result<Prd, StoreError> {
    let named = Named::new("PRD", row);
    let request: NewPrd = named.json("request")?;
    Ok(Prd {
        id: named.parsed("id")?,
        request,
        jobs: named.json("job_ids")?,
        created_at: named.time("created_at")?,
        verdict: named.maybe_json("verdict")?,
    })
}

impl Write<'_> {
    /// One job, as this transaction sees it.
    pub(crate) async fn job(&mut self, id: JobId) -> Result<Job, StoreError> {
        let query = sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE id = ?")).bind(id.to_string());
        match self.row(query).await? {
            Some(row) => job(&row),
            None => Err(StoreError::not_found("job", id)),
        }
    }

    /// The name of a model, for the trail.
    pub(crate) async fn name_of(&mut self, model: Option<ModelId>) -> Result<Option<String>, StoreError> {
        let Some(model) = model else { return Ok(None) };
        if let Some(name) = self.names.get(&model) {
            return Ok(Some(name.clone()));
        }
        let Some(row) = self.row(sqlx::query("SELECT id, name FROM models WHERE id = ?").bind(model.0)).await? else {
            return Ok(None);
        };
        let name: String = Named::new("model", &row).get("name")?;
        self.names.insert(model, name.clone());
        Ok(Some(name))
    }
}
