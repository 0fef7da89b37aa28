//! OpenAI, and every server that speaks its chat completions: llama.cpp, vLLM, LiteLLM, Ollama's `/v1`.
//!
//! The request is async-openai's type. The call is made with our own client, and the answer read by our own types,
//! since async-openai's client retries by itself, loses `Retry-After`, refuses a whole answer for one unknown word in an
//! optional field, reads bodies of any size into memory and the log, and takes a key from the environment unasked.

mod answer;
mod builder;

use std::{borrow::Cow, time::Duration};

use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
    ChatCompletionStreamOptions, CreateChatCompletionRequest, ResponseFormat, ResponseFormatJsonSchema,
    StopConfiguration,
};
use async_trait::async_trait;
use aura_core::{AnswerFormat, Health};
use serde_json::Value;

use super::vendor::{Dialect, Frames, Question, Vendor, adapter_over_vendor};
use crate::{
    http::{Endpoint, in_one_text},
    prompt::Put,
};

pub use builder::OpenAiBuilder;

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
/// - One `generate` makes at most one billed request; it follows no redirect, and never retries, but for this: a model that refuses
///   log-probabilities is asked once more without them, and without them from then on.
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
#[derive(Debug)]
pub struct OpenAiAdapter(Vendor<OpenAi>);

adapter_over_vendor!(OpenAiAdapter);

impl OpenAiAdapter {
    /// Starts an adapter for this model, by the name that the server knows it under.
    pub fn builder(model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(model.into())
    }
}

/// The dialect.
#[derive(Debug)]
struct OpenAi {
    max_tokens_name: MaxTokensName,
}

#[async_trait]
impl Dialect for OpenAi {
    type Body = CreateChatCompletionRequest;
    type Pieces = answer::Pieces;
    const FRAMES: Frames = Frames::Events;

    fn path(&self, _: &Question<'_>) -> Cow<'static, str> {
        "chat/completions".into()
    }

    fn body(&self, question: &Question<'_>) -> CreateChatCompletionRequest {
        let Question { model, request, put, asking, logprobs, stream } = *question;
        let max_tokens = asking.max_tokens(request);
        let (older, newer) = match self.max_tokens_name {
            MaxTokensName::MaxTokens => (max_tokens, None),
            MaxTokensName::MaxCompletionTokens => (None, max_tokens),
        };
        let mut stops = asking.stops(request);
        stops.truncate(MAX_STOPS);
        let include_usage = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
        #[expect(deprecated, reason = "compatible servers may know only the older name, and the seed")]
        CreateChatCompletionRequest {
            model: model.to_owned(),
            messages: messages(put),
            temperature: asking.temperature,
            seed: asking.seed,
            max_tokens: older,
            max_completion_tokens: newer,
            logprobs: logprobs.then_some(true),
            response_format: response_format(&request.format),
            stop: (!stops.is_empty()).then_some(StopConfiguration::StringArray(stops)),
            stream: stream.then_some(true),
            stream_options: stream.then_some(include_usage),
            ..CreateChatCompletionRequest::default()
        }
    }

    /// Asks for the list of models, which costs nothing. Servers of one model answer to any name, so the name is not looked for.
    async fn health(&self, endpoint: &Endpoint, _: &str) -> Health {
        match endpoint.get("models", HEALTH_TIMEOUT).await {
            Ok(_) => Health::Healthy,
            Err(error) => Health::Unhealthy(in_one_text(&error)),
        }
    }
}

/// Most texts that OpenAI stops at.
const MAX_STOPS: usize = 4;

fn messages(put: &Put) -> Vec<ChatCompletionRequestMessage> {
    let system = put.system.as_deref().map(|system| ChatCompletionRequestSystemMessage::from(system).into());
    system.into_iter().chain([ChatCompletionRequestUserMessage::from(put.user.as_str()).into()]).collect()
}

fn response_format(format: &AnswerFormat) -> Option<ResponseFormat> {
    match format {
        AnswerFormat::JsonSchema(schema) => Some(ResponseFormat::JsonSchema {
            json_schema: ResponseFormatJsonSchema {
                description: None,
                name: "answer".to_owned(),
                schema: schema.clone(),
                strict: Some(is_strict(schema)),
            },
        }),
        AnswerFormat::Json => Some(ResponseFormat::JsonObject),
        _ => None,
    }
}

/// Whether OpenAI takes a schema as strict: every object closed, and every property required.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let closed = match fields.get("properties").and_then(Value::as_object) {
                Some(properties) => {
                    let required = fields.get("required").and_then(Value::as_array);
                    let is_required = |name: &String| {
                        required.is_some_and(|required| required.iter().any(|known| known.as_str() == Some(name)))
                    };
                    fields.get("additionalProperties") == Some(&Value::Bool(false))
                        && properties.keys().all(is_required)
                }
                None => fields.get("type").and_then(Value::as_str) != Some("object"),
            };
            closed && fields.values().all(is_strict)
        }
        Value::Array(parts) => parts.iter().all(is_strict),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_strict_when_every_object_is_closed_and_every_property_required() {
        let object = |required: &[&str], closed: bool| {
            json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "number" } },
                    "required": required, "additionalProperties": !closed })
        };
        assert!(is_strict(&object(&["a", "b"], true)));
        assert!(!is_strict(&object(&["a"], true)) && !is_strict(&object(&["a", "b"], false)));
        assert!(!is_strict(&json!({ "type": "array", "items": object(&["a"], true) })));
        assert!(!is_strict(&json!({ "type": "object" })));
    }
}
