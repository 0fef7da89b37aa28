//! The door of workers and validators: claim, hand in, hand back, judge. Leases are kept alive in `heartbeat.rs`.

use std::time::Duration;

use aura_core::{
    Confidence, FencingToken, JobId, JobStatus, LeaseProof, Manager, ModelName, Tick, WorkerId,
    contract::{Claimed, Release, Report, WorkRequest},
    job::Door,
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    Problem,
    body::{self, Body},
    job_view::{JobView, Names, shown_to_workers},
    models,
    params::{self, Id, MAX_WAIT},
    router::App,
};

/// The longest time that a worker may have a job wait for its next attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// Asks for work.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ClaimAnyBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
    /// Models whose jobs it can do; short backend names will do.
    models: Vec<String>,
    /// Most jobs wanted, 1 to 1000 (default 1).
    #[serde(default = "one")]
    max: u32,
    /// How long to wait for the first one, in milliseconds; at most a minute.
    #[serde(default)]
    wait_ms: u64,
}

const fn one() -> u32 {
    1
}

/// Who asks for this very job.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ClaimBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
}

/// The right to a claimed job until a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseView {
    /// Who holds it.
    #[schema(value_type = String)]
    worker: WorkerId,
    /// Show it with every write: it proves that the job was not given to another worker since.
    #[schema(value_type = i64)]
    token: FencingToken,
    /// When it ends unless a heartbeat, an artifact or a report extends it.
    until: DateTime<Utc>,
}

/// A claimed job with all that is needed to do it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedView {
    job: JobView,
    /// The job as it is stored, with its lease; a worker of aura-core reads this one.
    #[schema(value_type = Object)]
    record: aura_core::Job,
    lease: LeaseView,
    /// The model that it was given to.
    #[schema(value_type = String)]
    model: ModelName,
    /// The PRD, as it was submitted, without tests that are cases.
    #[schema(value_type = Object)]
    prd: aura_core::Prd,
    /// What was wrong with the attempt before this one: `{attempt, why, failed, output, work, patches}`; null when none was rejected.
    #[schema(value_type = Option<Object>)]
    feedback: Option<aura_core::Feedback>,
}

/// Claimed jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedJobs {
    jobs: Vec<ClaimedView>,
}

/// Hands work in.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReportBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
    /// Whether the worker thinks that it worked.
    success: bool,
    /// Anything else it says: `self_confidence`, `usage`, `duration_ms`, `error`.
    #[serde(default)]
    details: Value,
    /// The token of the claim; a worker that knows none is matched by its id and the job's state.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
}

/// Hands a job back undone.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReleaseBody {
    #[schema(value_type = String)]
    worker_id: WorkerId,
    /// The token of the claim.
    #[schema(value_type = Option<i64>)]
    token: Option<FencingToken>,
    /// Why; it is kept as the job's `last_error`.
    reason: Option<String>,
    /// How long it is to wait before it is given to a model again, in milliseconds; at most ten minutes.
    #[serde(default)]
    retry_after_ms: u64,
    /// Whether it is certain that the attempt cost nothing (default false). What the job's attempts cost together is not known any
    /// more without that.
    #[serde(default)]
    unbilled: bool,
}

/// What came of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportedView {
    #[serde(flatten)]
    job: JobView,
    /// Whether the same report had been taken before.
    repeated: bool,
}

/// One line of a validator's checklist.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TickBody {
    name: String,
    ok: bool,
}

/// What an outside validator found.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ValidateBody {
    /// What was checked; every tick must be ok for the work to be accepted.
    ticks: Vec<TickBody>,
    /// How sure the validator is, 0 to 1. Data: no part of the score.
    confidence_score: Option<f64>,
}

/// Claims up to `max` jobs; waits up to `wait_ms` for the first one. Empty when there is none.
#[utoipa::path(
    post, path = "/jobs/claim", tag = "work", request_body = ClaimAnyBody,
    responses(
        (status = 200, body = ClaimedJobs),
        (status = 404, body = Problem, description = "One of the models is unknown"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn claim_any(
    State(app): State<App>,
    Body(body): Body<ClaimAnyBody>,
) -> Result<Json<ClaimedJobs>, Problem> {
    models::few_enough(&body.models)?;
    let models = app.orchestra.full_names(&body.models).await?;
    let request = WorkRequest {
        worker_id: body.worker_id,
        models,
        max: body.max,
        wait: Duration::from_millis(body.wait_ms).min(MAX_WAIT),
        door: Door::Remote,
    };
    let claimed = app.orchestra.claim(&request).await?;
    let names = Names::read(&app.orchestra).await?;
    let jobs = claimed.into_iter().map(|claimed| view(&app, claimed, &names)).collect::<Result<_, _>>()?;
    Ok(Json(ClaimedJobs { jobs }))
}

/// Claims this very job. The body is the worker's id as a bare JSON string, or an object with `worker_id`.
#[utoipa::path(
    post, path = "/jobs/{id}/claim", tag = "work", params(("id" = uuid::Uuid, Path)), request_body = ClaimBody,
    responses(
        (status = 200, body = ClaimedView),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Another worker has it, or it is not assigned to a model yet"),
        (status = 422, body = Problem, description = "The body names no worker"),
    )
)]
pub(crate) async fn claim(
    State(app): State<App>,
    Id(id): Id<JobId>,
    Body(body): Body<Value>,
) -> Result<Json<ClaimedView>, Problem> {
    let body = match body {
        Value::String(worker) => json!({ "worker_id": worker }),
        other => other,
    };
    let ClaimBody { worker_id } = body::shape(body)?;
    let claimed = app.orchestra.claim_job(id, worker_id).await?;
    Ok(Json(view(&app, claimed, &Names::read(&app.orchestra).await?)?))
}

/// Hands work in. Sending the same report again is answered in the same way; another one gets 409.
#[utoipa::path(
    post, path = "/jobs/{id}/report", tag = "work", params(("id" = uuid::Uuid, Path)), request_body = ReportBody,
    responses(
        (status = 200, body = ReportedView, description = "The job as the report left it: SUBMITTED"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The lease is lost, or another report was taken"),
    )
)]
pub(crate) async fn report(
    State(app): State<App>,
    Id(job): Id<JobId>,
    Body(body): Body<ReportBody>,
) -> Result<Json<ReportedView>, Problem> {
    let proof = LeaseProof { job, worker: body.worker_id, token: body.token };
    let reported = app.orchestra.report(&Report { proof, success: body.success, details: body.details }).await?;
    let mut view = JobView::read(&app.orchestra, job).await?;
    // The accountant may have been faster than this answer. The answer says what the report did, every time it is sent.
    view.status = JobStatus::Submitted;
    view.score = None;
    Ok(Json(ReportedView { job: view, repeated: reported.repeated }))
}

/// Hands a job back undone; it is given to a model again while attempts are left.
#[utoipa::path(
    post, path = "/jobs/{id}/release", tag = "work", params(("id" = uuid::Uuid, Path)), request_body = ReleaseBody,
    responses((status = 200, body = JobView), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub(crate) async fn release(
    State(app): State<App>,
    Id(job): Id<JobId>,
    Body(body): Body<ReleaseBody>,
) -> Result<Json<JobView>, Problem> {
    let reason = body.reason.unwrap_or_else(|| "handed back by its worker".to_owned());
    params::sentence("reason", &reason)?;
    let proof = LeaseProof { job, worker: body.worker_id, token: body.token };
    let wait = Duration::from_millis(body.retry_after_ms).min(LONGEST_RETRY);
    let retry_after = (!wait.is_zero()).then_some(wait);
    // Never blameless: a worker elsewhere could keep a job from ever running out of attempts.
    app.orchestra.release(&Release { proof, reason, retry_after, blameless: false, unbilled: body.unbilled }).await?;
    Ok(Json(JobView::read(&app.orchestra, job).await?))
}

/// Judges a submitted job by an outside validator's checklist.
#[utoipa::path(
    post, path = "/jobs/{id}/validate", tag = "work", params(("id" = uuid::Uuid, Path)), request_body = ValidateBody,
    responses(
        (status = 200, body = JobView, description = "Accepted, or rejected: see `status`"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not submitted, or was judged already"),
        (status = 422, body = Problem),
    )
)]
pub(crate) async fn validate(
    State(app): State<App>,
    Id(job): Id<JobId>,
    Body(body): Body<ValidateBody>,
) -> Result<Json<JobView>, Problem> {
    let confidence = body.confidence_score.map(confidence).transpose()?;
    let ticks: Vec<Tick> = body.ticks.into_iter().map(|tick| Tick { name: tick.name, ok: tick.ok }).collect();
    app.orchestra.validate(job, &ticks, confidence).await?;
    Ok(Json(JobView::read(&app.orchestra, job).await?))
}

fn confidence(value: f64) -> Result<Confidence, Problem> {
    let refuse = |detail: String| Problem::invalid("confidence_score", format!("confidence_score: {detail}"));
    if value.is_sign_negative() {
        return Err(refuse(format!("{value} is below 0")));
    }
    Confidence::new(value).map_err(|error| refuse(error.to_string()))
}

fn view(app: &App, claimed: Claimed, names: &Names) -> Result<ClaimedView, Problem> {
    let Claimed { job, model, mut prd, feedback } = claimed;
    prd.request.tests = shown_to_workers(prd.request.tests);
    let aura_core::JobState::InProgress { lease, .. } = &job.state else {
        let error = aura_core::StoreError::corrupt("job", job.id, "it is claimed, but not in progress");
        return Err(error.into());
    };
    let lease = LeaseView { worker: lease.worker.clone(), token: lease.token, until: lease.until };
    let view = JobView::new(&app.orchestra, &job, &prd, names);
    Ok(ClaimedView { job: view, record: job, lease, model, prd, feedback })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_confidence_outside_its_range_is_refused() {
        for bad in [-0.0, -3.0, 1.7, f64::NAN, f64::INFINITY] {
            assert_eq!(confidence(bad).unwrap_err().status(), StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        }
        for good in [0.0, 0.5, 1.0] {
            assert_eq!(confidence(good).unwrap().get(), good);
        }
    }
}
