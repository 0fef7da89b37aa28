//! Calling off a PRD with all of its jobs that are not final.

use aura_core::{Action, Actor, Job, JobStatus, Outcome, Prd, PrdId, Spent, StoreError, Verdict, VerdictEntry};
use serde_json::json;

use super::{
    super::{
        Core,
        row::each,
        value,
        write::{Write, again},
    },
    list::{PRDS_BY_ID, uuids},
    queue::leave_queue,
    record::{self, job_columns},
};
use crate::facts::facts;

pub(super) async fn cancel(core: &Core, id: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
    again(|| cancel_once(core, id, actor, reason)).await
}

async fn cancel_once(core: &Core, id: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
    let reason = value::text(reason);
    let mut write = core.write("call off a PRD").await?;
    let Some(row) = write.row(sqlx::query(PRDS_BY_ID).bind(uuids([id]))).await? else {
        return Err(StoreError::not_found("PRD", id));
    };
    let mut prd = record::prd(&row)?;
    let settled = || StoreError::conflict("PRD", id, "has its verdict already: there is nothing to call off");
    if prd.verdict.is_some() {
        return Err(settled());
    }
    write.lock_queue(prd.jobs.iter().copied()).await?;
    let query =
        sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE prd_id = $1 ORDER BY id FOR NO KEY UPDATE"));
    let mut jobs = each(&write.rows(query.bind(id.as_uuid())).await?, record::job)?;
    jobs.sort_by_key(|job| prd.jobs.iter().position(|id| *id == job.id));
    let entries = cancel_jobs(&mut write, &jobs, actor, &reason).await?;
    let verdict = Verdict {
        spent: Spent::default(),
        prd: id,
        outcome: Outcome::Cancelled,
        entries,
        why: format!("called off: {reason}"),
        settled_at: write.now,
    };
    // It may have been settled while this transaction waited for its jobs.
    if write.store_verdicts(std::slice::from_ref(&verdict)).await?.is_empty() {
        return Err(settled());
    }
    write.trail.entry(actor, Action::PrdCancelled, json!({ "prd_id": id, "reason": reason }));
    write.commit().await?;
    prd.verdict = Some(verdict);
    Ok(prd)
}

/// Calls off the jobs that have not ended by themselves; answers with each one's part in the verdict.
async fn cancel_jobs(
    write: &mut Write<'_>,
    jobs: &[Job],
    actor: &Actor,
    reason: &str,
) -> Result<Vec<VerdictEntry>, StoreError> {
    let model_of = |job: &Job| job.state.model().or(job.tried.last().copied());
    let names = write.names_of(jobs.iter().filter_map(model_of)).await?;
    let open = uuids(jobs.iter().filter(|job| !job.state.status().is_final()).map(|job| job.id));
    let query = sqlx::query(concat!(
        "WITH gone AS (
             ",
        leave_queue!("SELECT coalesce(assigned_model, 0) AS model, seq FROM jobs WHERE id = ANY($1)"),
        ")
         UPDATE jobs SET status = 'CANCELLED', reason = $2, lease_until = NULL, probe = false, updated_at = $3,
             tried = CASE WHEN status IN ('IN_PROGRESS', 'SUBMITTED') AND (assigned_model = ANY (tried)) IS NOT TRUE
                          THEN tried || assigned_model ELSE tried END,
             assigned_model = NULL
         WHERE id = ANY($1)"
    ));
    write.run(query.bind(open).bind(reason).bind(write.now)).await?;
    let under_way = jobs.iter().filter(|job| job.state.status() == JobStatus::InProgress);
    let cut_off = under_way.filter_map(|job| Some((job.state.model()?, job.project_id))).collect();
    write.ended_without_a_run(cut_off).await?;
    let mut entries = Vec::with_capacity(jobs.len());
    for job in jobs {
        let name = model_of(job).and_then(|model| names.get(&model));
        let before = job.state.status();
        let (status, why) = if before.is_final() {
            let ended = || format!("ended as {before} before the PRD was called off");
            (before, job.last_error.clone().unwrap_or_else(ended))
        } else {
            write.moves.moved(job.id, before, JobStatus::Cancelled, job.state.model());
            let details = facts(job, name.map(String::as_str), json!({ "reason": reason }));
            write.trail.both(actor, job.id, Action::JobCancelled, details);
            (JobStatus::Cancelled, reason.to_owned())
        };
        entries.push(VerdictEntry {
            spent: Spent::default(),
            job: job.id,
            model: name.and_then(|name| name.parse().ok()),
            status,
            attempts: job.attempt,
            assessment: None,
            strength: None,
            isolation: None,
            tests: None,
            stub: None,
            why,
        });
    }
    Ok(entries)
}
