//! Models: list, register, hold and release them.

use std::collections::HashMap;

use aura_core::{
    Gate, Model, ModelKind, ModelName, ModelProfile, ModelStats, Needs, Orchestra, Price, Role, Spending, Standing,
};
use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Problem,
    body::OptionalBody,
    params::{self, Name},
    router::App,
};

/// An employed model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelView {
    #[schema(value_type = String)]
    name: ModelName,
    /// local or cloud.
    #[schema(value_type = String)]
    kind: ModelKind,
    /// Where it is reached, without credentials.
    endpoint: String,
    /// Who serves it.
    provider: String,
    /// What the provider calls it.
    model: String,
    /// Kinds of work it takes; empty means every kind.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Jobs it works on at once.
    concurrency: u16,
    /// HR's switch: false when suspended.
    is_active: bool,
    /// The operator's switch, with the reason.
    hold: Option<String>,
    /// trial, member, senior, restricted or suspended.
    #[schema(value_type = String)]
    standing: Standing,
    /// Says that its answers are a stub's, and why.
    stub: Option<String>,
    /// Whether it has an adapter in this process; otherwise its jobs wait for a remote worker.
    has_adapter: bool,
    /// Mean score of its runs in HR's window that count; null without any.
    avg_score: Option<f64>,
    /// How many runs that mean is over.
    runs: u64,
    /// What its tokens cost, in dollars for a million: `{input, cached_input, output}`; null when that is not known.
    #[schema(value_type = Option<Object>)]
    price: Option<Price>,
    /// What all of its runs in HR's window used up.
    spent: SpentView,
    /// What stands between callers and the model in this process, such as a circuit breaker or a budget.
    #[schema(value_type = Vec<Object>)]
    gates: Vec<Gate>,
    /// What HR saw of it at its last look; null before the first one.
    hr: Option<HrView>,
    created_at: DateTime<Utc>,
}

/// What runs used up.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct SpentView {
    /// How many runs there were, whether or not they count for the standing.
    runs: u64,
    /// Tokens read, as far as they are known.
    input_tokens: u64,
    /// Tokens written, as far as they are known.
    output_tokens: u64,
    /// Dollars, as far as they are known.
    cost: f64,
    /// Runs whose cost is not known.
    unpriced: u64,
}

/// What HR saw of a model at its last look.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct HrView {
    /// Mean of what HR compares: score over attainable score.
    avg_score: Option<f64>,
    /// Runs in the window.
    tasks_completed: u64,
    promotions: u64,
    /// Demotions and restrictions.
    penalties: u64,
    window_start: DateTime<Utc>,
    window_end: DateTime<Utc>,
}

/// Who is employed. Every field has a default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct RegisterBody {
    /// local (the default) or cloud.
    #[schema(value_type = Option<String>)]
    kind: ModelKind,
    /// Where it is reached, for people to read: this process never calls it. Without credentials.
    endpoint: String,
    /// Who serves it (default `remote`). Models of one provider and model count as one voice when they agree.
    provider: String,
    /// What the provider calls it (default: its name here).
    model: Option<String>,
    /// Kinds of work it takes; empty (the default) means every kind.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Jobs it works on at once, 1 to 1000 (default 1).
    concurrency: u16,
    /// What its tokens cost, in dollars for a million: `{input, cached_input, output}`; left out when that is not known.
    #[schema(value_type = Option<Object>)]
    price: Option<Price>,
    /// Memory that it occupies when loaded, in MiB: `{vram, memory}` (default: not known).
    #[schema(value_type = Option<Object>)]
    needs: Needs,
    /// Says that its answers are a stub's, and why; people are told, and its runs never count for standing.
    stub: Option<String>,
    /// Where the name is known already for the same kind, provider and model: bring the rest up to date instead of refusing.
    update: bool,
}

impl Default for RegisterBody {
    fn default() -> Self {
        Self {
            kind: ModelKind::Local,
            endpoint: String::new(),
            provider: "remote".to_owned(),
            model: None,
            roles: Vec::new(),
            concurrency: 1,
            price: None,
            needs: Needs::default(),
            stub: None,
            update: false,
        }
    }
}

/// Why it is held.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct HoldBody {
    reason: Option<String>,
}

/// All models, in the order they were registered.
#[utoipa::path(get, path = "/models", tag = "models", responses((status = 200, body = Vec<ModelView>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<ModelView>>, Problem> {
    let hr = hr_figures(&app.orchestra).await?;
    let stats = app.orchestra.stats().await?;
    let spending = app.orchestra.spending().await?;
    let mut views = Vec::new();
    for model in app.orchestra.models().await? {
        let figures = hr.get(&model.id).cloned();
        let stats = stats.iter().find(|stats| stats.model_id == model.id);
        let spent = spent(&spending, &model);
        views.push(ModelView { spent, ..view(&app.orchestra, model, stats, figures) });
    }
    Ok(Json(views))
}

/// Employs a model that works elsewhere: its jobs wait for a remote worker.
#[utoipa::path(
    post, path = "/models/{name}/register", tag = "models", params(("name" = String, Path)),
    request_body = Option<RegisterBody>,
    responses(
        (status = 201, body = ModelView),
        (status = 409, body = Problem, description = "A model of that name is employed already"),
        (status = 422, body = Problem, description = "The name or a field cannot be accepted"),
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Name(name): Name,
    OptionalBody(body): OptionalBody<RegisterBody>,
) -> Result<(StatusCode, Json<ModelView>), Problem> {
    let identity = body.model.as_deref().unwrap_or(&name);
    let mut profile = ModelProfile::new(&name, body.kind, &body.provider, identity)
        .map_err(|error| Problem::invalid("name", error.to_string()))?;
    line("provider", &body.provider)?;
    line("model", identity)?;
    check_endpoint(&body.endpoint)?;
    if !(1..=1000).contains(&body.concurrency) {
        return Err(Problem::invalid("concurrency", "concurrency: must be 1 to 1000"));
    }
    if body.roles.len() > 64 {
        return Err(Problem::invalid("roles", "roles: at most 64 are accepted"));
    }
    profile = profile.endpoint(body.endpoint).concurrency(body.concurrency);
    profile.roles = body.roles;
    profile.price = body.price;
    profile.needs = body.needs;
    if let Some(why) = &body.stub {
        params::sentence("stub", why)?;
    }
    profile.stub = body.stub;
    let model = match body.update {
        true => app.orchestra.employ(&profile).await?,
        false => app.orchestra.register(&profile).await?,
    };
    Ok((StatusCode::CREATED, Json(view(&app.orchestra, model, None, None))))
}

/// Stops a model from getting new work, whatever HR thinks of it.
#[utoipa::path(
    post, path = "/models/{name}/hold", tag = "models", params(("name" = String, Path)), request_body = Option<HoldBody>,
    responses((status = 200, body = ModelView), (status = 404, body = Problem))
)]
pub(crate) async fn hold(
    State(app): State<App>,
    Name(name): Name,
    OptionalBody(body): OptionalBody<HoldBody>,
) -> Result<Json<ModelView>, Problem> {
    let reason = body.reason.unwrap_or_else(|| "held by the operator".to_owned());
    params::sentence("reason", &reason)?;
    let model = app.orchestra.hold(&name, &reason).await?;
    with_figures(&app.orchestra, model).await
}

/// Lets a held model work again.
#[utoipa::path(
    post, path = "/models/{name}/release", tag = "models", params(("name" = String, Path)),
    responses((status = 200, body = ModelView), (status = 404, body = Problem))
)]
pub(crate) async fn release(State(app): State<App>, Name(name): Name) -> Result<Json<ModelView>, Problem> {
    let model = app.orchestra.release_hold(&name).await?;
    with_figures(&app.orchestra, model).await
}

/// Most models that one call may name.
const MOST: usize = 1000;

/// Refuses a call that names more models than one may.
pub(crate) fn few_enough(named: &[String]) -> Result<(), Problem> {
    match named.len() {
        0..=MOST => Ok(()),
        more => Err(Problem::invalid("models", format!("models: {more} are named, at most {MOST} are accepted"))),
    }
}

async fn with_figures(orchestra: &Orchestra, model: Model) -> Result<Json<ModelView>, Problem> {
    let figures = hr_figures(orchestra).await?.remove(&model.id);
    let stats = orchestra.stats().await?.into_iter().find(|stats| stats.model_id == model.id);
    let spent = spent(&orchestra.spending().await?, &model);
    Ok(Json(ModelView { spent, ..view(orchestra, model, stats.as_ref(), figures) }))
}

/// What a model's runs for all projects used up.
fn spent(spending: &[Spending], model: &Model) -> SpentView {
    let of_model = spending.iter().filter(|spending| spending.model_id == model.id);
    of_model.fold(SpentView::default(), |sum, one| SpentView {
        runs: sum.runs + one.runs,
        input_tokens: sum.input_tokens.saturating_add(one.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(one.output_tokens),
        cost: sum.cost + one.cost.as_dollars(),
        unpriced: sum.unpriced + one.unpriced,
    })
}

async fn hr_figures(orchestra: &Orchestra) -> Result<HashMap<aura_core::ModelId, HrView>, Problem> {
    let scores = orchestra.latest_scores().await?.into_iter();
    Ok(scores
        .map(|score| {
            let view = HrView {
                avg_score: score.avg_score.map(aura_core::Score::get),
                tasks_completed: score.tasks_completed,
                promotions: score.promotions,
                penalties: score.penalties,
                window_start: score.window_start,
                window_end: score.window_end,
            };
            (score.model_id, view)
        })
        .collect())
}

fn view(orchestra: &Orchestra, model: Model, stats: Option<&ModelStats>, hr: Option<HrView>) -> ModelView {
    let profile = model.profile;
    let gates = orchestra.gates(&profile.name);
    ModelView {
        has_adapter: orchestra.facts().employed.contains(&profile.name),
        name: profile.name,
        kind: profile.kind,
        endpoint: without_credentials(&profile.endpoint),
        provider: profile.identity.provider,
        model: profile.identity.model,
        roles: profile.roles,
        concurrency: profile.concurrency,
        is_active: model.is_active,
        hold: model.hold,
        standing: model.standing,
        stub: profile.stub,
        avg_score: stats.and_then(ModelStats::mean_score),
        runs: stats.map_or(0, |stats| stats.runs),
        price: profile.price,
        spent: SpentView::default(),
        gates,
        hr,
        created_at: model.created_at,
    }
}

fn line(field: &'static str, text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 256 || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(Problem::invalid(field, format!("{field}: must be 1 to 256 printable ASCII characters")));
    }
    Ok(())
}

/// The endpoint is shown to everybody who can see the page, so it must not carry a password.
fn check_endpoint(endpoint: &str) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::invalid("endpoint", format!("endpoint: {detail}")));
    if endpoint.len() > 2048 || !endpoint.chars().all(|c| c.is_ascii_graphic()) {
        return refuse("must be at most 2048 printable ASCII characters without spaces");
    }
    if without_credentials(endpoint) != endpoint {
        return refuse("must not contain credentials: leave out what stands before the @");
    }
    match endpoint.split_once("://") {
        Some((scheme, _)) if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            refuse("must be an http or https address")
        }
        _ => Ok(()),
    }
}

fn without_credentials(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").map_or(("", endpoint), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_endpoint_are_refused_and_never_shown() {
        for bad in ["http://user:canary@host/v1", "user:canary@host", "https://canary@host"] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
            assert!(!without_credentials(bad).contains("canary"), "{bad}");
        }
        for good in ["", "http://127.0.0.1:11434", "localhost:11434", "https://host/path@v1?x=a@b"] {
            assert!(check_endpoint(good).is_ok(), "{good}");
            assert_eq!(without_credentials(good), good);
        }
    }

    #[test]
    fn an_endpoint_of_another_scheme_or_with_controls_is_refused() {
        for bad in ["file:///etc/passwd", "gopher://x", "http://a\r\nb", "http://\u{202e}"] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }
}
