//! PRDs: submit, list, look, wait for the verdict, call off.

use aura_core::{
    AnswerFormat, JobId, Language, Limits, ModelName, NewPrd, Orchestra, Outcome, Plan, Prd, PrdId, ProjectId, Role,
    Score, SourceFile, TestSuite, Verdict, contract::store::JobFilter,
};
use axum::{
    Json,
    extract::{OriginalUri, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Problem,
    body::{Body, OptionalBody},
    job_view::{JobBrief, Names},
    params::{self, Id, Params},
    router::App,
    suite,
};

/// What is to be done. Everything but the prompt has a default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrdBody {
    /// A line for lists; the prompt's first line when absent.
    title: Option<String>,
    /// The task, as the model is to read it.
    prompt: String,
    /// Files the work starts from: `[{path, text}]`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    context: Vec<SourceFile>,
    /// python (the default), rust, javascript or text.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Language,
    /// The form of the answer: `"free"` (the default), `"json"`, or `{"json_schema": schema}`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    format: AnswerFormat,
    /// The kind of work, `coder` unless said otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Role,
    /// The text of a test file that imports the work as `solution` (pytest for python, an integration test for rust), or
    /// `{files: [{path, text}], command, report: "junit" | "cargo" | "tap" | "exit_code", expected?,
    /// coverage?: {path, format: "lcov" | "cobertura"}, timeout?, fast_enough?}`, or
    /// `{call, cases: [{args, expected | raises}], probes?, case_time?, timeout?, fast_enough?}`, with times in seconds.
    tests: Option<Value>,
    /// `"solo"` (the default), or `{"panel": n}` for n different models on the same task.
    plan: Option<Value>,
    /// The one model to give it to; only with `solo`. A short backend name will do.
    model: Option<String>,
    /// A number of your own.
    #[serde(default, alias = "project")]
    #[schema(value_type = Option<i32>)]
    project_id: ProjectId,
    /// `{max_attempts, max_tokens, generation_timeout}`, the last in seconds.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    limits: Limits,
    /// As the header `Idempotency-Key`.
    idempotency_key: Option<String>,
}

/// A PRD in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrdBrief {
    #[schema(value_type = uuid::Uuid)]
    id: PrdId,
    title: String,
    /// working, won, nobody_won or cancelled.
    state: &'static str,
    /// `"solo"` or `{"panel": n}`.
    #[schema(value_type = Value)]
    plan: Plan,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = String)]
    language: Language,
    #[schema(value_type = Vec<uuid::Uuid>)]
    jobs: Vec<JobId>,
    /// The model that won.
    #[schema(value_type = Option<String>)]
    winner: Option<ModelName>,
    /// What the winner earned.
    #[schema(value_type = Option<f64>)]
    score: Option<Score>,
    /// Why it ended so.
    why: Option<String>,
    created_at: DateTime<Utc>,
}

/// A PRD with its jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrdView {
    #[schema(value_type = uuid::Uuid)]
    id: PrdId,
    title: String,
    /// working, won, nobody_won or cancelled.
    state: &'static str,
    prompt: String,
    #[schema(value_type = Vec<Object>)]
    context: Vec<SourceFile>,
    #[schema(value_type = String)]
    language: Language,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = Option<Object>)]
    tests: Option<TestSuite>,
    #[schema(value_type = Value)]
    plan: Plan,
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    #[schema(value_type = i32)]
    project_id: ProjectId,
    #[schema(value_type = Object)]
    limits: Limits,
    jobs: Vec<JobBrief>,
    /// How it ended; null while it is worked on.
    #[schema(value_type = Option<Object>)]
    verdict: Option<Verdict>,
    created_at: DateTime<Utc>,
}

/// Which PRDs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// How many, 1 to 1000 (default 100).
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// Only those submitted before this one.
    before: Option<String>,
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitParams {
    /// `500ms`, `30s`, `1m` or a number of seconds; at most a minute. Without it the answer comes at once.
    wait: Option<String>,
}

/// Why it is called off.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct CancelBody {
    reason: Option<String>,
}

/// Submits a PRD. When the answer comes, it is stored.
#[utoipa::path(
    post, path = "/prds", tag = "submit", request_body = PrdBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Submitting again with the same key gives the PRD there is")),
    responses(
        (status = 201, body = PrdView, description = "Accepted; Location leads to it"),
        (status = 200, body = PrdView, description = "It was there already under the same Idempotency-Key"),
        (status = 409, body = Problem, description = "The Idempotency-Key was used for another request"),
        (status = 422, body = Problem, description = "A field cannot be accepted"),
    )
)]
pub(crate) async fn submit(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Body(body): Body<PrdBody>,
) -> Result<Response, Problem> {
    let submitted = app.orchestra.submit_once(body.into_new_prd(&app.orchestra, &headers).await?).await?;
    let location = format!("{}/{}", uri.path(), submitted.prd.id);
    let view = PrdView::read(&app.orchestra, submitted.prd).await?;
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, location)], Json(view)).into_response())
}

/// The newest PRDs, newest first. The Link header leads to older ones.
#[utoipa::path(
    get, path = "/prds", tag = "submit", params(ListParams),
    responses((status = 200, body = Vec<PrdBrief>), (status = 400, body = Problem))
)]
pub(crate) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Result<Response, Problem> {
    let limit = params::limit(params.limit.as_deref())?;
    let before = params::word::<PrdId>("before", params.before.as_deref())?;
    let prds = app.orchestra.recent_prds(before, limit).await?;
    let next = prds.last().filter(|_| prds.len() >= limit as usize);
    let link = next.map(|last| [(header::LINK, params::next_page(&uri, "before", last.id))]);
    let briefs: Vec<PrdBrief> = prds.iter().map(PrdBrief::new).collect();
    Ok((link, Json(briefs)).into_response())
}

/// One PRD with its jobs.
#[utoipa::path(
    get, path = "/prds/{id}", tag = "submit", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = PrdView), (status = 404, body = Problem))
)]
pub(crate) async fn show(State(app): State<App>, Id(id): Id<PrdId>) -> Result<Json<PrdView>, Problem> {
    let prd = app.orchestra.prd(id).await?;
    Ok(Json(PrdView::read(&app.orchestra, prd).await?))
}

/// The verdict: who won, every score with its parts, or why nobody won.
#[utoipa::path(
    get, path = "/prds/{id}/verdict", tag = "submit", params(("id" = uuid::Uuid, Path), WaitParams),
    responses(
        (status = 200, body = Object, description = "The verdict"),
        (status = 202, body = Object, description = "`{\"status\": \"pending\"}`: it is still worked on, ask again"),
        (status = 404, body = Problem),
    )
)]
pub(crate) async fn verdict(
    State(app): State<App>,
    Id(id): Id<PrdId>,
    Params(params): Params<WaitParams>,
) -> Result<Response, Problem> {
    let wait = params::wait(params.wait.as_deref())?;
    Ok(match app.orchestra.verdict_within(id, wait).await? {
        Some(verdict) => Json(verdict).into_response(),
        None => {
            (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")], Json(json!({ "status": "pending" }))).into_response()
        }
    })
}

/// Calls a PRD off: its jobs that have not ended are cancelled.
#[utoipa::path(
    post, path = "/prds/{id}/cancel", tag = "submit", params(("id" = uuid::Uuid, Path)), request_body = Option<CancelBody>,
    responses(
        (status = 200, body = PrdView),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It has its verdict already"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Id(id): Id<PrdId>,
    OptionalBody(body): OptionalBody<CancelBody>,
) -> Result<Json<PrdView>, Problem> {
    let reason = body.reason.unwrap_or_else(|| "called off over HTTP".to_owned());
    params::sentence("reason", &reason)?;
    let prd = app.orchestra.cancel(id, &reason).await?;
    Ok(Json(PrdView::read(&app.orchestra, prd).await?))
}

impl PrdBody {
    async fn into_new_prd(self, orchestra: &Orchestra, headers: &HeaderMap) -> Result<NewPrd, Problem> {
        let model = match self.model {
            Some(name) => Some(known_model(orchestra, &name).await?),
            None => None,
        };
        Ok(NewPrd {
            title: self.title,
            prompt: self.prompt,
            tests: suite::tests(self.tests, self.language)?,
            context: self.context,
            language: self.language,
            format: self.format,
            role: self.role,
            plan: suite::plan(self.plan)?,
            model,
            project: self.project_id,
            limits: self.limits,
            idempotency_key: idempotency_key(headers, self.idempotency_key)?,
        })
    }
}

/// The full name of a model that a submission asks for: an unknown one is a wrong field, not a wrong path.
pub(crate) async fn known_model(orchestra: &Orchestra, name: &str) -> Result<ModelName, Problem> {
    match orchestra.find_model(name).await {
        Ok(model) => Ok(model.profile.name),
        Err(error @ aura_core::Error::UnknownModel { .. }) => Err(Problem::invalid("model", error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// The key from the header or from the body.
pub(crate) fn idempotency_key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(in_body) };
    let refuse = |detail: &str| Err(Problem::invalid("Idempotency-Key", detail));
    match (header.to_str(), in_body) {
        (Ok(""), _) | (Err(_), _) => refuse("Idempotency-Key: must be 1 to 512 printable ASCII characters"),
        (Ok(key), Some(other)) if key != other => {
            refuse("Idempotency-Key: the header and the field idempotency_key differ: give one of them")
        }
        (Ok(key), _) => Ok(Some(key.to_owned())),
    }
}

fn state(verdict: Option<&Verdict>) -> &'static str {
    match verdict.map(|verdict| &verdict.outcome) {
        None => "working",
        Some(Outcome::Won { .. }) => "won",
        Some(Outcome::NobodyWon) => "nobody_won",
        Some(Outcome::Cancelled) => "cancelled",
    }
}

impl PrdBrief {
    fn new(prd: &Prd) -> Self {
        let (winner, score) = match prd.verdict.as_ref().map(|verdict| &verdict.outcome) {
            Some(Outcome::Won { model, score, .. }) => (Some(model.clone()), Some(*score)),
            _ => (None, None),
        };
        Self {
            id: prd.id,
            title: prd.request.headline(),
            state: state(prd.verdict.as_ref()),
            plan: prd.request.plan,
            role: prd.request.role.clone(),
            language: prd.request.language,
            jobs: prd.jobs.clone(),
            winner,
            score,
            why: prd.verdict.as_ref().map(|verdict| verdict.why.clone()),
            created_at: prd.created_at,
        }
    }
}

impl PrdView {
    async fn read(orchestra: &Orchestra, prd: Prd) -> Result<Self, Problem> {
        let filter = JobFilter { prd: Some(prd.id), limit: 1000, ..JobFilter::default() };
        let jobs = orchestra.jobs(&filter).await?;
        let names = Names::read(orchestra).await?;
        let title = prd.request.headline();
        let asked = prd.request;
        Ok(Self {
            id: prd.id,
            title,
            state: state(prd.verdict.as_ref()),
            prompt: asked.prompt,
            context: asked.context,
            language: asked.language,
            role: asked.role,
            tests: asked.tests,
            plan: asked.plan,
            model: asked.model,
            project_id: asked.project,
            limits: asked.limits,
            jobs: jobs.iter().map(|job| JobBrief::new(orchestra, job, &names)).collect(),
            verdict: prd.verdict,
            created_at: prd.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_in_the_header_or_the_body_but_not_differ() {
        let mut headers = HeaderMap::new();
        assert_eq!(idempotency_key(&headers, Some("b".into())).unwrap().as_deref(), Some("b"));
        headers.insert("idempotency-key", "a".parse().unwrap());
        assert_eq!(idempotency_key(&headers, None).unwrap().as_deref(), Some("a"));
        assert_eq!(idempotency_key(&headers, Some("a".into())).unwrap().as_deref(), Some("a"));
        assert!(idempotency_key(&headers, Some("b".into())).is_err());
        headers.insert("idempotency-key", "".parse().unwrap());
        assert!(idempotency_key(&headers, None).is_err());
    }
}
