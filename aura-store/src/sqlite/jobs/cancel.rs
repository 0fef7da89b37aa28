//! Calling off a PRD with all of its jobs that are not final.

use aura_core::{Action, Actor, Job, JobStatus, Outcome, Prd, PrdId, Spent, StoreError, Verdict, VerdictEntry};
use serde_json::json;

use super::{
    super::{SqliteStore, row::each, write::Write},
    list::{PRDS_BY_ID, id_list},
    record::{self, job_columns},
};
use crate::facts::facts;

pub(super) async fn cancel(store: &SqliteStore, id: PrdId, actor: &Actor, reason: &str) -> Result<Prd, StoreError> {
    let mut write = store.write("call off a PRD").await?;
    let Some(row) = write.row(sqlx::query(PRDS_BY_ID).bind(id_list([id]))).await? else {
        return Err(StoreError::not_found("PRD", id));
    };
    let mut prd = record::prd(&row)?;
    if prd.verdict.is_some() {
        return Err(StoreError::conflict("PRD", id, "has its verdict already: there is nothing to call off"));
    }
    let query = sqlx::query(concat!("SELECT ", job_columns!(), "FROM jobs WHERE prd_id = ? ORDER BY seq"));
    let jobs = each(&write.rows(query.bind(id.to_string())).await?, record::job)?;
    let mut entries = Vec::with_capacity(jobs.len());
    for job in &jobs {
        entries.push(cancel_job(&mut write, job, actor, reason).await?);
    }
    let verdict = Verdict {
        spent: Spent::default(),
        prd: id,
        outcome: Outcome::Cancelled,
        entries,
        why: format!("called off: {reason}"),
        settled_at: write.now,
    };
    write.store_verdict(&verdict).await?;
    write.trail.entry(actor, Action::PrdCancelled, json!({ "prd_id": id, "reason": reason }));
    write.commit().await?;
    prd.verdict = Some(verdict);
    Ok(prd)
}

/// Calls off one job, unless it has ended by itself; answers with its part in the verdict.
async fn cancel_job(write: &mut Write<'_>, job: &Job, actor: &Actor, reason: &str) -> Result<VerdictEntry, StoreError> {
    let model = job.state.model().or(job.tried.last().copied());
    let name = write.name_of(model).await?;
    let before = job.state.status();
    let (status, why) = if before.is_final() {
        (before, job.last_error.clone().unwrap_or_else(|| format!("ended as {before} before the PRD was called off")))
    } else {
        write.ended_without_a_run(job).await?;
        write
            .run(
                sqlx::query(
                    "UPDATE jobs SET status = 'CANCELLED', reason = ?, assigned_model = NULL, lease_until = NULL, probe = 0,
                         updated_at = ? WHERE id = ?",
                )
                .bind(reason)
                .bind(write.now_text())
                .bind(job.id.to_string()),
            )
            .await?;
        write.trail.both(actor, job.id, Action::JobCancelled, facts(job, name.as_deref(), json!({ "reason": reason })));
        (JobStatus::Cancelled, reason.to_owned())
    };
    Ok(VerdictEntry {
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
    })
}
