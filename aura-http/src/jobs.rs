//! Jobs: submit one, list them, look at one, its history, its artifacts and its runs.

use std::collections::HashMap;

use aura_core::{
    JobId, JobStatus, Language, ModelId, NewPrd, Orchestra, PrdId, ProjectId, Role, SourceFile,
    contract::store::{JobFilter, RunFilter},
};
use axum::{
    Json,
    extract::{OriginalUri, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Problem,
    body::Body,
    job_view::{JobView, Names},
    params::{self, Id, Params},
    prds,
    router::App,
    suite,
};

/// Jobs whose PRDs are read at once.
const CHUNK: usize = 64;
/// A page of jobs ends early when the texts in it pass this many bytes, so that no request can fill the memory.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// One job for one model.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct JobBody {
    /// A line for lists; the prompt's first line when absent.
    title: Option<String>,
    /// The task, as the model is to read it.
    prompt: String,
    /// Files the work starts from: `[{path, text}]`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    context: Vec<SourceFile>,
    /// The text of a test file that imports the work as `solution`, or a suite as in `POST /prds`.
    tests: Option<Value>,
    /// python (the default), rust, javascript or text.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Language,
    /// The model to give it to; whichever is chosen when absent. A short backend name will do.
    #[serde(alias = "assigned_model")]
    model: Option<String>,
    /// The kind of work, `coder` unless said otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Role,
    /// A number of your own.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    project_id: ProjectId,
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only in this state: QUEUED, ASSIGNED, IN_PROGRESS, SUBMITTED, VALIDATED, FAILED or CANCELLED.
    status: Option<String>,
    /// Only of this model; a short backend name will do.
    model: Option<String>,
    /// Only of this PRD.
    prd: Option<String>,
    /// How many, 1 to 1000 (default 100). A page of large jobs may end earlier: the Link header says whether more follow.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// Only those made after this one.
    after: Option<String>,
}

/// Submits one job: a PRD with the plan `solo`.
#[utoipa::path(
    post, path = "/jobs", tag = "submit", request_body = JobBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Submitting again with the same key gives the job there is")),
    responses(
        (status = 201, body = JobView, description = "Accepted; Location leads to it"),
        (status = 200, body = JobView, description = "It was there already under the same Idempotency-Key"),
        (status = 409, body = Problem, description = "The Idempotency-Key was used for another request"),
        (status = 422, body = Problem, description = "A field cannot be accepted"),
    )
)]
pub(crate) async fn submit(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Body(body): Body<JobBody>,
) -> Result<Response, Problem> {
    let model = match body.model {
        Some(name) => Some(prds::known_model(&app.orchestra, &name).await?),
        None => None,
    };
    let new = NewPrd {
        title: body.title,
        tests: suite::tests(body.tests, body.language)?,
        context: body.context,
        language: body.language,
        role: body.role,
        model,
        project: body.project_id,
        idempotency_key: prds::idempotency_key(&headers, None)?,
        ..NewPrd::new(body.prompt)
    };
    let submitted = app.orchestra.submit_once(new).await?;
    let [job] = submitted.prd.jobs.as_slice() else {
        let detail = "the Idempotency-Key was used for a PRD with more than one job";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    let view = JobView::read(&app.orchestra, *job).await?;
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, format!("{}/{job}", uri.path()))], Json(view)).into_response())
}

/// Jobs, oldest first, as a bare array. The Link header leads to the next page; `after` with the last id does too.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", params(ListParams),
    responses(
        (status = 200, body = Vec<JobView>),
        (status = 400, body = Problem, description = "A parameter is none of the words allowed"),
        (status = 404, body = Problem, description = "There is no such model"),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let limit = params::limit(params.limit.as_deref())?;
    let filter = JobFilter {
        status: params::word::<JobStatus>("status", params.status.as_deref())?,
        model: find(&app.orchestra, params.model.as_deref()).await?,
        prd: params::word::<PrdId>("prd", params.prd.as_deref())?,
        after: params::word::<JobId>("after", params.after.as_deref())?,
        limit,
    };
    // Only a worker has reason to ask what is assigned to a model.
    if let (Some(JobStatus::Assigned), Some(model)) = (filter.status, filter.model) {
        app.orchestra.attend(&[model]).await?;
    }
    let jobs = app.orchestra.jobs(&filter).await?;
    let names = Names::read(&app.orchestra).await?;
    let mut views = Vec::new();
    let mut bytes = 0;
    for chunk in jobs.chunks(CHUNK) {
        let ids: Vec<PrdId> = chunk.iter().map(|job| job.prd_id).collect();
        let prds: HashMap<_, _> = app.orchestra.prds(&ids).await?.into_iter().map(|prd| (prd.id, prd)).collect();
        for job in chunk {
            let prd = prds.get(&job.prd_id).ok_or(aura_core::Error::UnknownPrd(job.prd_id))?;
            bytes += size(&prd.request);
            views.push(JobView::new(&app.orchestra, job, prd, &names));
        }
        if bytes > MAX_PAGE_BYTES {
            break;
        }
    }
    let is_more = views.len() < jobs.len() || jobs.len() >= limit as usize;
    let next = views.last().filter(|_| is_more);
    let link = next.map(|last| [(header::LINK, params::next_page(&uri, "after", last.id))]);
    Ok((link, Json(views)).into_response())
}

/// One job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = JobView), (status = 404, body = Problem))
)]
pub(crate) async fn show(State(app): State<App>, Id(id): Id<JobId>) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::read(&app.orchestra, id).await?))
}

/// What happened to a job, oldest first: `[{id, job_id, event_type, details, created_at}]`.
#[utoipa::path(
    get, path = "/jobs/{id}/events", tag = "jobs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<Object>), (status = 404, body = Problem))
)]
pub(crate) async fn events(State(app): State<App>, Id(id): Id<JobId>) -> Result<Response, Problem> {
    app.orchestra.job(id).await?;
    Ok(Json(app.orchestra.job_events(id).await?).into_response())
}

/// What the models handed in, oldest first: `[{id, job_id, attempt, model_id, artifact_type, artifact, created_at}]`.
#[utoipa::path(
    get, path = "/jobs/{id}/artifacts", tag = "jobs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<Object>), (status = 404, body = Problem))
)]
pub(crate) async fn artifacts(State(app): State<App>, Id(id): Id<JobId>) -> Result<Response, Problem> {
    app.orchestra.job(id).await?;
    Ok(Json(app.orchestra.artifacts(id).await?).into_response())
}

/// The scored attempts, newest first: rows of `model_runs`, whose `details.signals` let anybody recompute the score.
#[utoipa::path(
    get, path = "/jobs/{id}/runs", tag = "jobs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<Object>), (status = 404, body = Problem))
)]
pub(crate) async fn runs(State(app): State<App>, Id(id): Id<JobId>) -> Result<Response, Problem> {
    app.orchestra.job(id).await?;
    let filter = RunFilter { job: Some(id), model: None, before: None, limit: 1000 };
    Ok(Json(app.orchestra.runs(&filter).await?).into_response())
}

async fn find(orchestra: &Orchestra, model: Option<&str>) -> Result<Option<ModelId>, Problem> {
    Ok(match model {
        Some(name) => Some(orchestra.find_model(name).await?.id),
        None => None,
    })
}

fn size(asked: &NewPrd) -> usize {
    let context = asked.context.iter().map(|file| file.text.len()).sum::<usize>();
    asked.prompt.len() + context + asked.tests.as_ref().map_or(0, aura_core::TestSuite::size)
}
