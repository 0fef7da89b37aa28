//! Reports: a worker hands in its work.

use std::collections::HashMap;

use aura_core::{
    Action, Actor, FencingToken, JobId, JobStatus, ModelId, PrdId, StoreError, WorkerId,
    contract::{Report, Reported, store::Each},
};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    super::{
        Core,
        join::Turn,
        row::{Named, each},
        write::{Answers, Write, again},
    },
    list::uuids,
    record::item,
};
use crate::{
    facts::{About, facts_of_all, groups},
    sql::ReportBody,
};

const ACTION: &str = "take reports";

/// Takes the reports that their leases allow.
const TAKE: &str = "
    WITH at AS MATERIALIZED (
        SELECT coalesce($5::timestamptz, clock_timestamp()) AS now
    )
    UPDATE jobs SET status = 'SUBMITTED', report = new.body::json, reported_at = (SELECT now FROM at),
        updated_at = (SELECT now FROM at), lease_until = NULL
    FROM (SELECT unnest($1::uuid[]) AS job, unnest($2::text[]) AS worker, unnest($3::bigint[]) AS token,
              unnest($4::text[]) AS body, unnest($6::bigint[]) AS n ORDER BY job, n) AS new
    WHERE jobs.id = new.job AND status = 'IN_PROGRESS' AND worker_id = new.worker
      AND (lease_token = new.token OR (new.token IS NULL AND door = 'remote')) AND lease_until > (SELECT now FROM at)
    RETURNING new.n, jobs.id, prd_id, assigned_model, attempt, lease_token, (SELECT now FROM at) AS now,
        (SELECT name FROM server_run) AS run";

pub(super) async fn report(core: &Core, reports: &[Report], turn: &Turn) -> Result<Each<Reported>, StoreError> {
    again(|| report_once(core, reports, turn)).await
}

async fn report_once(core: &Core, reports: &[Report], turn: &Turn) -> Result<Each<Reported>, StoreError> {
    let mut answers = Answers::of(reports.len());
    let (mut jobs, mut workers, mut tokens, mut bodies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        jobs.push(report.proof.job.as_uuid());
        workers.push(report.proof.worker.as_str());
        tokens.push(report.proof.token.map(|token| token.0));
        bodies.push(json!(body_of(report)).to_string());
    }
    let places: Vec<i64> = (1..).take(reports.len()).collect();
    let take = |now: Option<DateTime<Utc>>| {
        sqlx::query(TAKE).bind(&jobs).bind(&workers).bind(&tokens).bind(&bodies).bind(now).bind(&places)
    };
    let (mut write, rows) = core.write_by(ACTION, take).await?;
    let mut taken = Vec::new();
    for row in rows {
        let named = Named::new("job", &row);
        let about = About {
            job: JobId::from_uuid(named.get("id")?),
            prd: PrdId::from_uuid(named.get("prd_id")?),
            attempt: named.small("attempt")?,
        };
        let (model, token) = (ModelId(named.get("assigned_model")?), FencingToken(named.get("lease_token")?));
        let item = item(&row)?;
        if let Some(report) = reports.get(item) {
            answers.set(item, Ok(Reported { job: about.job, repeated: false }));
            taken.push((report, token, model, about));
        }
    }
    leave_trail(&mut write, &taken).await?;
    let missing = answers.missing();
    let known = reports_of(&mut write, missing.iter().filter_map(|item| reports.get(*item))).await?;
    for item in missing {
        let Some(report) = reports.get(item) else { continue };
        answers.set(item, repeated(report, known.get(&report.proof.job)));
    }
    let answers = answers.all()?;
    // The worker forgets then what it handed in.
    let repeat = answers.iter().flatten().any(|reported| reported.repeated);
    write.is_awaited = turn.is_awaited();
    write.commit_repeating(repeat, turn.ended()).await?;
    Ok(answers)
}

/// Leaves an entry for all that was handed in of one claim with the same success, by model and attempt.
async fn leave_trail(
    write: &mut Write<'_>,
    taken: &[(&Report, FencingToken, ModelId, About)],
) -> Result<(), StoreError> {
    let names = write.names_of(taken.iter().map(|(_, _, model, _)| *model)).await?;
    for (_, _, model, about) in taken {
        write.moves.moved(about.job, JobStatus::InProgress, JobStatus::Submitted, Some(*model));
        write.moves.assess_later(about.prd);
    }
    let keyed = taken.iter().map(|(report, token, model, about)| {
        ((&report.proof.worker, *token, *model, about.attempt, report.success), *about)
    });
    for ((worker, token, model, _, success), jobs) in groups(keyed) {
        let more = json!({ "worker": worker, "success": success });
        let details = facts_of_all(&jobs, names.get(&model).map(String::as_str), more);
        write.trail.of_claim(&Actor::worker(worker), &jobs, token, Action::JobSubmitted, details);
    }
    Ok(())
}

fn body_of(report: &Report) -> ReportBody {
    ReportBody { success: report.success, details: report.details.clone() }
}

/// A report that was taken under the newest claim, if one was.
struct Taken {
    body: Option<ReportBody>,
    token: FencingToken,
    worker: Option<WorkerId>,
}

async fn reports_of(
    write: &mut Write<'_>,
    reports: impl Iterator<Item = &Report>,
) -> Result<HashMap<JobId, Taken>, StoreError> {
    let ids = uuids(reports.map(|report| report.proof.job));
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = sqlx::query(
        "SELECT id, report, lease_token, coalesce(worker_id, report_worker) AS worker FROM jobs WHERE id = ANY($1)",
    )
    .bind(ids);
    let taken = each(&write.rows(query).await?, |row| {
        let named = Named::new("job", row);
        let taken = Taken {
            body: named.maybe_json("report")?,
            token: FencingToken(named.get("lease_token")?),
            worker: named.maybe_parsed("worker")?,
        };
        Ok((JobId::from_uuid(named.get("id")?), taken))
    })?;
    Ok(taken.into_iter().collect())
}

/// The lease does not allow it: it is the report taken before, another one in its place, or too late.
fn repeated(report: &Report, known: Option<&Taken>) -> Result<Reported, StoreError> {
    let proof = &report.proof;
    let Some(taken) = known else { return Err(StoreError::not_found("job", proof.job)) };
    let is_theirs =
        taken.worker.as_ref() == Some(&proof.worker) && (proof.token.is_none_or(|token| token == taken.token));
    match &taken.body {
        Some(body) if is_theirs && *body == body_of(report) => Ok(Reported { job: proof.job, repeated: true }),
        Some(_) if is_theirs => {
            let reason = "another report of this attempt was taken already: one attempt is reported once";
            Err(StoreError::conflict("job", proof.job, reason))
        }
        _ => Err(StoreError::LeaseLost { job: proof.job, worker: Some(proof.worker.clone()) }),
    }
}
