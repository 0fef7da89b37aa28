//! Reports: a worker hands in, once, however often it says so.

use aura_core::{
    Action, Actor, FencingToken, Job, JobState, StoreError, WorkerId,
    contract::{Report, Reported, store::Each},
};
use serde_json::json;

use super::{
    super::{
        SqliteStore,
        row::Named,
        write::{Write, answer},
    },
    record::{self, job_columns},
};
use crate::{
    facts::{facts, facts_of_all, groups},
    sql::ReportBody,
};

pub(super) async fn report(store: &SqliteStore, reports: &[Report]) -> Result<Each<Reported>, StoreError> {
    let mut write = store.write("take reports").await?;
    let mut answers = Vec::with_capacity(reports.len());
    let mut taken = Vec::new();
    for report in reports {
        answer(report_one(&mut write, report, &mut taken).await, &mut answers)?;
    }
    leave_trail(&mut write, &taken).await?;
    write.commit().await?;
    Ok(answers)
}

/// Leaves a line for each job, and an entry for all that was handed in of one claim with the same success, by model and attempt.
async fn leave_trail(write: &mut Write<'_>, taken: &[Job]) -> Result<(), StoreError> {
    let keyed = taken.iter().filter_map(|job| match &job.state {
        JobState::Submitted { model, delivery } => {
            Some(((&delivery.worker, delivery.claimed_at, *model, job.attempt, delivery.success), job))
        }
        _ => None,
    });
    for ((worker, _, model, _, success), jobs) in groups(keyed) {
        let name = write.name_of(Some(model)).await?;
        let more = || json!({ "worker": worker, "success": success });
        for job in &jobs {
            write.trail.event(job.id, Action::JobSubmitted, facts(*job, name.as_deref(), more()));
        }
        let details = facts_of_all(&jobs, name.as_deref(), more());
        write.trail.entry(&Actor::worker(worker), Action::JobSubmitted, details);
    }
    Ok(())
}

async fn report_one(write: &mut Write<'_>, report: &Report, taken: &mut Vec<Job>) -> Result<Reported, StoreError> {
    let proof = &report.proof;
    let body = ReportBody { success: report.success, details: report.details.clone() };
    let query = sqlx::query(concat!(
        "UPDATE jobs SET status = 'SUBMITTED', report = ?1, report_token = lease_token, report_worker = worker_id,
             reported_at = ?2, updated_at = ?2, lease_until = NULL
         WHERE id = ?3 AND status = 'IN_PROGRESS' AND worker_id = ?4 AND (lease_token = ?5 OR (?5 IS NULL AND door = 'remote'))
           AND lease_until > ?2 RETURNING ",
        job_columns!()
    ));
    let query = query
        .bind(json!(body).to_string())
        .bind(write.now_text())
        .bind(proof.job.to_string())
        .bind(proof.worker.as_str())
        .bind(proof.token.map(|token| token.0));
    let Some(row) = write.row(query).await? else {
        return repeated(write, report, &body).await;
    };
    let job = record::job(&row)?;
    taken.push(job);
    Ok(Reported { job: proof.job, repeated: false })
}

/// The lease does not allow it: it is the report taken before, another one in its place, or too late.
async fn repeated(write: &mut Write<'_>, report: &Report, body: &ReportBody) -> Result<Reported, StoreError> {
    let proof = &report.proof;
    let query = sqlx::query("SELECT id, report, report_token, report_worker FROM jobs WHERE id = ?");
    let Some(row) = write.row(query.bind(proof.job.to_string())).await? else {
        return Err(StoreError::not_found("job", proof.job));
    };
    let named = Named::new("job", &row);
    let taken: Option<ReportBody> = named.maybe_json("report")?;
    let token = named.get::<Option<i64>>("report_token")?.map(FencingToken);
    let worker: Option<WorkerId> = named.maybe_parsed("report_worker")?;
    let is_theirs = worker.as_ref() == Some(&proof.worker) && (proof.token.is_none() || proof.token == token);
    match taken {
        Some(taken) if is_theirs && taken == *body => Ok(Reported { job: proof.job, repeated: true }),
        Some(_) if is_theirs => {
            let reason = "another report of this attempt was taken already: one attempt is reported once";
            Err(StoreError::conflict("job", proof.job, reason))
        }
        _ => Err(StoreError::LeaseLost { job: proof.job, worker: Some(proof.worker.clone()) }),
    }
}
