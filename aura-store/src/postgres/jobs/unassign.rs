//! Taking an unclaimed job away from its model again.

use aura_core::{Action, Actor, Job, JobId, JobStatus, StoreError, contract::store::Each};
use serde_json::json;

use super::{
    super::{
        Core,
        write::{Answers, again},
    },
    queue::leave_queue,
};
use crate::facts::facts;

pub(super) async fn unassign(core: &Core, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
    again(|| unassign_once(core, jobs, reason)).await
}

async fn unassign_once(core: &Core, jobs: &[JobId], reason: &str) -> Result<Each<()>, StoreError> {
    let mut write = core.write("take jobs back from models").await?;
    write.lock_queue(jobs.iter().copied()).await?;
    let known = write.lock_jobs(jobs.iter().copied()).await?;
    let names = write.names_of(known.values().filter_map(|job| job.state.model())).await?;
    let mut answers = Answers::of(jobs.len());
    let mut ids = Vec::new();
    for (item, id) in jobs.iter().enumerate() {
        let answer = match known.get(id) {
            None => Err(StoreError::not_found("job", id)),
            Some(job) if job.state.status() != JobStatus::Assigned || ids.contains(&id.as_uuid()) => {
                Err(moved_on(job, JobStatus::Assigned))
            }
            Some(job) => {
                ids.push(id.as_uuid());
                write.moves.moved(*id, JobStatus::Assigned, JobStatus::Queued, job.state.model());
                let name = job.state.model().and_then(|model| names.get(&model));
                let details = facts(job, name.map(String::as_str), json!({ "reason": reason }));
                write.trail.both(&Actor::scheduler(), *id, Action::JobUnassigned, details);
                Ok(())
            }
        };
        answers.set(item, answer);
    }
    if !ids.is_empty() {
        let query = sqlx::query(concat!(
            "WITH gone AS (
                 ",
            leave_queue!("SELECT assigned_model AS model, seq FROM jobs WHERE id = ANY($1)"),
            "), back AS (
                 UPDATE jobs SET status = 'QUEUED', assigned_model = NULL, probe = false, updated_at = $2
                 WHERE id = ANY($1) AND status = 'ASSIGNED' RETURNING id, seq, not_before
             ), there AS (
                 INSERT INTO queue (model, seq, job, since, not_before) SELECT 0, seq, id, $2, not_before FROM back
             )
             SELECT 0 AS model, min(seq) AS seq FROM back HAVING count(*) > 0"
        ));
        write.run_back(query.bind(ids).bind(write.now)).await?;
    }
    write.commit().await?;
    answers.all()
}

/// The job is not where it was when somebody decided to move it.
pub(super) fn moved_on(job: &Job, expected: JobStatus) -> StoreError {
    StoreError::conflict("job", job.id, format!("is {}, not {expected}: somebody was faster", job.state.status()))
}
