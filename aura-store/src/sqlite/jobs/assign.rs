//! Assignment: which model gets a queued job, and taking an unclaimed job away from it again.

use aura_core::{
    Action, Actor, Job, JobId, JobState, JobStatus, StoreError,
    contract::store::{Assignment, Each},
};
use serde_json::json;

use super::super::{
    SqliteStore,
    row::Named,
    write::{Write, answer},
};
use crate::facts::facts;

pub(super) async fn assign(store: &SqliteStore, assignments: &[Assignment]) -> Result<Each<()>, StoreError> {
    let mut write = store.write("assign jobs").await?;
    let mut answers = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        answer(assign_one(&mut write, assignment).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn assign_one(write: &mut Write<'_>, assignment: &Assignment) -> Result<(), StoreError> {
    let job = write.job(assignment.job).await?;
    if job.state.status() != JobStatus::Queued {
        return Err(moved_on(&job, JobStatus::Queued));
    }
    if job.pinned.is_some_and(|pinned| pinned != assignment.model) {
        return Err(StoreError::conflict("job", job.id, "asks for another model"));
    }
    let name = may_have(write, &job, assignment).await?;
    let changed = write
        .run(
            sqlx::query(
                "UPDATE jobs SET status = 'ASSIGNED', assigned_model = ?, probe = ?, updated_at = ?
                 WHERE id = ? AND status = 'QUEUED'",
            )
            .bind(assignment.model.0)
            .bind(assignment.probe)
            .bind(write.now_text())
            .bind(job.id.to_string()),
        )
        .await?;
    if changed == 0 {
        return Err(moved_on(&job, JobStatus::Queued));
    }
    let more = json!({ "model_id": assignment.model, "probe": assignment.probe, "reason": assignment.reason });
    write.trail.both(&Actor::scheduler(), job.id, Action::JobAssigned, facts(&job, Some(&name), more));
    Ok(())
}

/// Checks the model; answers with its name.
async fn may_have(write: &mut Write<'_>, job: &Job, assignment: &Assignment) -> Result<String, StoreError> {
    let query = sqlx::query("SELECT id, name, hold, is_active FROM models WHERE id = ?").bind(assignment.model.0);
    let Some(row) = write.row(query).await? else {
        return Err(StoreError::not_found("model", assignment.model));
    };
    let named = Named::new("model", &row);
    let name: String = named.get("name")?;
    if let Some(hold) = named.get::<Option<String>>("hold")? {
        return Err(StoreError::conflict("model", name, format!("is on hold: {hold}")));
    }
    if !named.get::<bool>("is_active")? && !assignment.probe {
        return Err(StoreError::conflict("model", name, "is suspended and gets only its probe share"));
    }
    let query = sqlx::query(
        "SELECT id FROM jobs WHERE prd_id = ? AND id <> ? AND +assigned_model = ?
         AND +status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED') LIMIT 1",
    );
    let query = query.bind(job.prd_id.to_string()).bind(job.id.to_string()).bind(assignment.model.0);
    if let Some(row) = write.row(query).await? {
        let other: String = Named::new("job", &row).get("id")?;
        return Err(StoreError::conflict("model", name, format!("works on the same PRD already, in job {other}")));
    }
    Ok(name)
}

fn moved_on(job: &Job, expected: JobStatus) -> StoreError {
    StoreError::conflict("job", job.id, format!("is {}, not {expected}: somebody was faster", job.state.status()))
}

pub(super) async fn unassign(store: &SqliteStore, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
    let mut write = store.write("take jobs back from models").await?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answer(unassign_one(&mut write, *job, reason).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

async fn unassign_one(write: &mut Write<'_>, id: JobId, reason: &str) -> Result<(), StoreError> {
    let job = write.job(id).await?;
    let JobState::Assigned { model } = job.state else {
        return Err(moved_on(&job, JobStatus::Assigned));
    };
    let changed = write
        .run(
            sqlx::query(
                "UPDATE jobs SET status = 'QUEUED', assigned_model = NULL, probe = 0, updated_at = ?
                 WHERE id = ? AND status = 'ASSIGNED'",
            )
            .bind(write.now_text())
            .bind(id.to_string()),
        )
        .await?;
    if changed == 0 {
        return Err(moved_on(&job, JobStatus::Assigned));
    }
    let name = write.name_of(Some(model)).await?;
    let details = facts(&job, name.as_deref(), json!({ "reason": reason }));
    write.trail.both(&Actor::scheduler(), id, Action::JobUnassigned, details);
    Ok(())
}
