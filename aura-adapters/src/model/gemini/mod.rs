//! Gemini by its own API: `generateContent` and `streamGenerateContent`.

mod answer;
mod builder;

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;
use aura_core::{AnswerFormat, Health};
use serde_json::{Map, Value, json};

use super::vendor::{Dialect, Frames, Question, Vendor, adapter_over_vendor};
use crate::http::{Endpoint, in_one_text};

pub use builder::GeminiBuilder;

const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most texts that Gemini stops at.
const MAX_STOPS: usize = 5;

/// A Gemini model at Google.
///
/// - One `generate` makes at most one billed request; it follows no redirect, and never retries, but for this: a model that refuses
///   log-probabilities is asked once more without them, and without them from then on.
/// - `self_confidence` is `exp(avgLogprobs)`; absent where the vendor gives none.
/// - The key goes into a header, never into an address.
/// - A prompt that is blocked, and an answer that is taken away for its content, are refusals.
///
/// Without a key *and* without a base URL there is nobody to ask: the adapter is then a stub that says so in its
/// profile, in the log and in every answer, and whose runs never count.
///
/// # Examples
/// ```
/// use aura_adapters::GeminiAdapter;
/// use aura_core::ModelAdapter;
/// let employee = GeminiAdapter::builder("gemini-2.5-flash").api_key("key").build()?;
/// assert_eq!(employee.profile().endpoint, "https://generativelanguage.googleapis.com/v1beta");
/// let stub = GeminiAdapter::builder("gemini-2.5-flash").build()?;
/// assert!(stub.profile().stub.is_some());
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
pub struct GeminiAdapter(Vendor<Gemini>);

adapter_over_vendor!(GeminiAdapter);

impl GeminiAdapter {
    /// Starts an adapter for this model, such as `gemini-2.5-flash`.
    pub fn builder(model: impl Into<String>) -> GeminiBuilder {
        GeminiBuilder::new(model.into())
    }
}

/// The dialect.
#[derive(Debug)]
struct Gemini {
    thinking_budget: Option<i32>,
}

impl Gemini {
    fn config(&self, question: &Question<'_>) -> Map<String, Value> {
        let Question { request, asking, logprobs, .. } = *question;
        let mut config = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(name.to_owned(), value);
            }
        };
        set("temperature", asking.temperature.map(Value::from));
        set("maxOutputTokens", asking.max_tokens(request).map(Value::from));
        set("seed", asking.seed.map(Value::from));
        set("responseLogprobs", logprobs.then_some(Value::Bool(true)));
        set("thinkingConfig", self.thinking_budget.map(|budget| json!({ "thinkingBudget": budget })));
        let mut stops = asking.stops(request);
        stops.truncate(MAX_STOPS);
        set("stopSequences", (!stops.is_empty()).then(|| Value::from(stops)));
        match &request.format {
            AnswerFormat::Free => {}
            AnswerFormat::JsonSchema(schema) => {
                set("responseMimeType", Some("application/json".into()));
                set("responseJsonSchema", Some(schema.clone()));
            }
            _ => set("responseMimeType", Some("application/json".into())),
        }
        config
    }
}

#[async_trait]
impl Dialect for Gemini {
    type Body = Map<String, Value>;
    type Pieces = answer::Pieces;
    const FRAMES: Frames = Frames::Events;

    fn path(&self, question: &Question<'_>) -> Cow<'static, str> {
        let model = question.model;
        // Without `alt=sse` a stream would come as one array.
        match question.stream {
            true => format!("models/{model}:streamGenerateContent?alt=sse").into(),
            false => format!("models/{model}:generateContent").into(),
        }
    }

    fn body(&self, question: &Question<'_>) -> Map<String, Value> {
        let mut body = Map::new();
        let parts = |text: &str| json!([{ "text": text }]);
        body.insert("contents".to_owned(), json!([{ "role": "user", "parts": parts(&question.put.user) }]));
        if let Some(system) = &question.put.system {
            body.insert("systemInstruction".to_owned(), json!({ "parts": parts(system) }));
        }
        let config = self.config(question);
        if !config.is_empty() {
            body.insert("generationConfig".to_owned(), config.into());
        }
        body
    }

    /// Asks what the vendor knows of the model, which costs nothing.
    async fn health(&self, endpoint: &Endpoint, model: &str) -> Health {
        match endpoint.get(&format!("models/{model}"), HEALTH_TIMEOUT).await {
            Ok(_) => Health::Healthy,
            Err(error) => Health::Unhealthy(in_one_text(&error)),
        }
    }
}
