//! Ollama by its native API: what its OpenAI-compatible `/v1` cannot say, such as context size, layers on the GPU, how long a model
//! stays loaded, what loading took, and what is installed and resident.
//!
//! The crate ollama-rs was looked at and is not used: its client follows redirects, reads bodies of any size, cannot show a key, knows
//! neither `/api/ps` nor log-probabilities, and brings a second copy of reqwest, so nothing of it would be left but a few types.

mod answer;
mod builder;
mod need;
mod server;

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;
use aura_core::{AnswerFormat, Health};
use serde_json::{Map, Value, json};

use super::vendor::{Dialect, Frames, Question, Vendor, adapter_over_vendor};
use crate::{
    http::{Endpoint, in_one_text},
    prompt::PromptStyle,
};

pub use builder::{KeepAlive, OllamaBuilder};
pub use server::{InstalledModel, OllamaServer, ResidentModel};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Context size of a server that was not told another one, in tokens.
const USUAL_CONTEXT: u32 = 4096;

/// A model on an Ollama server.
///
/// - With [`PromptStyle::Instruct`] it is asked by `/api/chat`, with [`PromptStyle::Complete`] by `/api/generate` in raw mode.
/// - One `generate` makes at most one request; it never retries, and follows no redirect.
/// - `self_confidence` is `exp(mean logprob)`; absent where the server is too old to give log-probabilities.
/// - A context file that does not fit into the context size is left out and said to be, since the server itself would cut the
///   beginning of the prompt off without a word.
/// - The server may have to load the model before it answers: give it time by `first_byte_timeout`.
///
/// # Examples
/// ```
/// use aura_adapters::OllamaAdapter;
/// use aura_core::ModelAdapter;
/// let employee = OllamaAdapter::builder("qwen2.5-coder:7b").num_ctx(8192).build()?;
/// assert_eq!(employee.profile().endpoint, "http://127.0.0.1:11434");
/// assert_eq!(employee.profile().identity.provider, "ollama");
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
pub struct OllamaAdapter(Vendor<Ollama>);

adapter_over_vendor!(OllamaAdapter);

impl OllamaAdapter {
    /// Starts an adapter for this model, by the name that the server has it under; `llama3` means `llama3:latest`.
    pub fn builder(model: impl Into<String>) -> OllamaBuilder {
        OllamaBuilder::new(model.into())
    }
}

/// The name of a model with its tag, as the server lists it.
pub(super) fn full_name(model: &str) -> String {
    let last = model.rsplit('/').next().unwrap_or(model);
    if last.contains(':') { model.to_owned() } else { format!("{model}:latest") }
}

/// The dialect.
#[derive(Debug)]
struct Ollama {
    num_ctx: Option<u32>,
    num_gpu: Option<i32>,
    keep_alive: Option<KeepAlive>,
    think: Option<bool>,
}

impl Ollama {
    fn options(&self, question: &Question<'_>) -> Map<String, Value> {
        let Question { request, asking, .. } = *question;
        let mut options = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                options.insert(name.to_owned(), value);
            }
        };
        set("temperature", asking.temperature.map(Value::from));
        set("num_predict", asking.max_tokens(request).map(Value::from));
        set("seed", asking.seed.map(Value::from));
        set("num_ctx", self.num_ctx.map(Value::from));
        set("num_gpu", self.num_gpu.map(Value::from));
        let stops = asking.stops(request);
        set("stop", (!stops.is_empty()).then(|| Value::from(stops)));
        options
    }
}

#[async_trait]
impl Dialect for Ollama {
    type Body = Map<String, Value>;
    type Pieces = answer::Pieces;
    const FRAMES: Frames = Frames::Lines;

    fn path(&self, question: &Question<'_>) -> Cow<'static, str> {
        match question.asking.style {
            PromptStyle::Complete => "api/generate".into(),
            PromptStyle::Instruct => "api/chat".into(),
        }
    }

    fn body(&self, question: &Question<'_>) -> Map<String, Value> {
        let Question { model, request, put, asking, logprobs, stream } = *question;
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        set("model", model.into());
        // The server streams unless it is told not to.
        set("stream", stream.into());
        match asking.style {
            PromptStyle::Complete => {
                set("prompt", put.user.as_str().into());
                set("raw", true.into());
            }
            PromptStyle::Instruct => {
                let system = put.system.iter().map(|system| json!({ "role": "system", "content": system }));
                let user = json!({ "role": "user", "content": put.user });
                set("messages", system.chain([user]).collect());
            }
        }
        let options = self.options(question);
        if !options.is_empty() {
            set("options", options.into());
        }
        match &request.format {
            AnswerFormat::Free => {}
            AnswerFormat::JsonSchema(schema) => set("format", schema.clone()),
            _ => set("format", "json".into()),
        }
        if let Some(keep_alive) = self.keep_alive {
            set("keep_alive", keep_alive.value());
        }
        if let Some(think) = self.think {
            set("think", think.into());
        }
        if logprobs {
            set("logprobs", true.into());
        }
        body
    }

    /// Looks whether the model is installed, which loads nothing.
    async fn health(&self, endpoint: &Endpoint, model: &str) -> Health {
        match server::tags(endpoint, HEALTH_TIMEOUT).await {
            Ok(tags) if tags.iter().any(|installed| installed.name == full_name(model)) => Health::Healthy,
            Ok(_) => Health::Unhealthy(format!("the model is not installed: ollama pull {model}")),
            Err(error) => Health::Unhealthy(in_one_text(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_means_the_latest() {
        assert_eq!(full_name("llama3"), "llama3:latest");
        assert_eq!(full_name("llama3:8b"), "llama3:8b");
        assert_eq!(full_name("host:5000/library/llama3"), "host:5000/library/llama3:latest");
    }
}
