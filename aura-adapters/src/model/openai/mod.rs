//! OpenAI, and every server that speaks its chat completions: llama.cpp, vLLM, LiteLLM, Ollama's `/v1`.
//!
//! The request is async-openai's type. The call is made with our own client, and the answer read by our own types,
//! since async-openai's client retries by itself, loses `Retry-After`, refuses a whole answer for one unknown word in an
//! optional field, reads bodies of any size into memory and the log, and takes a key from the environment unasked.

mod answer;
mod builder;
mod failure;
mod prompt;

use std::{error::Error, fmt, time::Duration};

use async_openai::types::chat::{CreateChatCompletionRequest, StopConfiguration};
use async_trait::async_trait;
use aura_core::{AdapterError, GenerateRequest, Generation, Health, ModelAdapter, ModelProfile, NewArtifact};
use reqwest::{Client, RequestBuilder, Response, Url, header::CONTENT_TYPE};

use crate::{
    http::{self, BodyError},
    secret::ApiKey,
};

pub use builder::OpenAiBuilder;
pub use prompt::PromptStyle;

/// Largest answer read, in bytes (16 MiB); a longer one is an error.
const MAX_ANSWER: usize = 16 << 20;
/// How much of an error's body is read, in bytes (64 KiB); a message stands at its start.
const MAX_ERROR_BODY: usize = 64 << 10;
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Under which name the limit of tokens is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaxTokensName {
    /// `max_tokens`: the older name, which every compatible server knows and reasoning models of OpenAI refuse.
    MaxTokens,
    /// `max_completion_tokens`: the newer name.
    MaxCompletionTokens,
}

/// A model behind an OpenAI-compatible endpoint.
///
/// - One `generate` makes at most one request; it never retries, and follows no redirect.
/// - `self_confidence` is `exp(mean logprob)` over the answer's tokens; absent where the server gives none.
/// - The key is sent to the base URL alone, and masked in every text that comes back.
/// - Answers over 16 MiB are an error; memory stays bounded whatever the server sends.
///
/// Without a key *and* without a base URL there is nobody to ask: the adapter is then a stub that says so in its
/// profile, in the log and in every answer, and whose runs never count.
///
/// # Examples
/// ```
/// use aura_adapters::OpenAiAdapter;
/// use aura_core::ModelAdapter;
/// let local = OpenAiAdapter::builder("qwen2.5-coder:7b").base_url("http://127.0.0.1:8080/v1").local().build()?;
/// assert!(local.profile().stub.is_none());
/// let stub = OpenAiAdapter::builder("gpt-4o-mini").build()?;
/// assert!(stub.profile().stub.is_some());
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
pub struct OpenAiAdapter {
    profile: ModelProfile,
    settings: Settings,
    /// Absent in a stub.
    connection: Option<Connection>,
}

/// What is asked of the model besides the task.
#[derive(Debug, Clone)]
struct Settings {
    temperature: Option<f32>,
    max_tokens: Option<u32>,
    max_tokens_name: MaxTokensName,
    logprobs: bool,
    system_prompt: Option<String>,
    style: PromptStyle,
    timeout: Option<Duration>,
}

/// How the endpoint is reached.
struct Connection {
    client: Client,
    completions: Url,
    models: Url,
    key: Option<ApiKey>,
}

impl Connection {
    /// Sends the header only when there is a key: servers on one's own machine need none.
    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.redact(text),
            None => text,
        }
    }
}

impl fmt::Debug for OpenAiAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: its Debug tells nothing, and may some day tell headers.
        let key = self.connection.as_ref().and_then(|connection| connection.key.as_ref());
        f.debug_struct("OpenAiAdapter")
            .field("profile", &self.profile)
            .field("settings", &self.settings)
            .field("key", &key)
            .finish_non_exhaustive()
    }
}

impl OpenAiAdapter {
    /// Starts an adapter for this model, by the name that the server knows it under.
    pub fn builder(model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(model.into())
    }

    fn provider(&self) -> &str {
        &self.profile.identity.provider
    }

    fn body(&self, request: &GenerateRequest) -> CreateChatCompletionRequest {
        let settings = &self.settings;
        let max_tokens = request.max_tokens.into_iter().chain(settings.max_tokens).min();
        let (older, newer) = match settings.max_tokens_name {
            MaxTokensName::MaxTokens => (max_tokens, None),
            MaxTokensName::MaxCompletionTokens => (None, max_tokens),
        };
        #[expect(deprecated, reason = "compatible servers may know only the older name")]
        CreateChatCompletionRequest {
            model: self.profile.identity.model.clone(),
            messages: settings.style.messages(request, settings.system_prompt.as_deref()),
            temperature: settings.temperature,
            max_tokens: older,
            max_completion_tokens: newer,
            logprobs: settings.logprobs.then_some(true),
            stop: settings.style.stops(request.language).map(StopConfiguration::StringArray),
            ..CreateChatCompletionRequest::default()
        }
    }

    async fn ask(&self, connection: &Connection, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        let malformed = |message: String| AdapterError::Malformed { provider: self.provider().to_owned(), message };
        let body = serde_json::to_vec(&self.body(request))
            .map_err(|error| AdapterError::Setup(format!("the request cannot be written as JSON: {error}")))?;
        let call = connection.client.post(connection.completions.clone()).header(CONTENT_TYPE, "application/json");
        let response = connection.authorized(call).body(body).send().await.map_err(|e| self.unreachable(e))?;
        if !response.status().is_success() {
            return Err(self.failure(connection, response).await);
        }
        let bytes = http::read_whole(response, MAX_ANSWER).await.map_err(|error| match error {
            BodyError::TooLong => malformed(format!("it is longer than {MAX_ANSWER} bytes")),
            BodyError::Broken(error) => self.unreachable(error),
        })?;
        let mut answer = answer::Answer::read(&bytes).map_err(|unreadable| match unreadable {
            answer::Unreadable::Refused(reason) => AdapterError::Refused(connection.redact(reason)),
            answer::Unreadable::Malformed(message) => malformed(connection.redact(message)),
        })?;
        answer.text = connection.redact(answer.text);
        Ok(self.settings.style.generation(request, answer))
    }

    async fn failure(&self, connection: &Connection, response: Response) -> AdapterError {
        let (status, wait) = (response.status(), failure::wait_asked_for(response.headers()));
        let body = http::read_start(response, MAX_ERROR_BODY).await;
        let said = failure::Said::read(&body);
        let message = connection.redact(said.message.clone());
        failure::error(self.provider(), status, &said.codes, message, wait)
    }

    fn unreachable(&self, error: reqwest::Error) -> AdapterError {
        AdapterError::Unreachable { endpoint: self.profile.endpoint.clone(), source: Box::new(error.without_url()) }
    }
}

#[async_trait]
impl ModelAdapter for OpenAiAdapter {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        let Some(connection) = &self.connection else {
            return Ok(stub_answer(self.profile.stub.as_deref().unwrap_or_default()));
        };
        let limit = self.settings.timeout.map_or(request.timeout, |own| own.min(request.timeout));
        match tokio::time::timeout(limit, self.ask(connection, request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(AdapterError::TimedOut(limit)),
        }
    }

    /// Asks for the list of models, which costs nothing.
    async fn health(&self) -> Health {
        let Some(connection) = &self.connection else {
            return Health::Unhealthy(self.profile.stub.clone().unwrap_or_default());
        };
        let call = connection.authorized(connection.client.get(connection.models.clone())).timeout(HEALTH_TIMEOUT);
        match call.send().await {
            Ok(response) if response.status().is_success() => Health::Healthy,
            Ok(response) => Health::Unhealthy(self.failure(connection, response).await.to_string()),
            Err(error) => Health::Unhealthy(with_root_cause(&self.unreachable(error))),
        }
    }
}

/// An error with the cause at its bottom, for a text that carries no `source`.
fn with_root_cause(error: &AdapterError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), |root| format!("{error}: {root}"))
}

fn stub_answer(why: &str) -> Generation {
    let text = format!("STUB, no model was asked: {why}");
    Generation {
        output: text.clone(),
        explanation: text.clone(),
        artifacts: vec![NewArtifact::docs(&text)],
        ..Generation::default()
    }
}
