//! Reads a chat completion, whole or as a stream, with an open mind for what compatible servers leave out or add.

use std::time::Duration;

use aura_core::{AdapterError, Timings, Usage};
use serde::Deserialize;

use crate::{
    http::Endpoint,
    model::{
        answer::{Answer, Logprobs},
        vendor::{self, read_json},
    },
};

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
    timings: Option<Millis>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
    logprobs: Option<OfTokens>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    usage: Option<Tokens>,
    timings: Option<Millis>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    delta: Message,
    finish_reason: Option<String>,
    logprobs: Option<OfTokens>,
}

#[derive(Deserialize, Default)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct OfTokens {
    content: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Token {
    logprob: Option<f64>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<CachedTokens>,
}

#[derive(Deserialize)]
struct CachedTokens {
    cached_tokens: Option<u64>,
}

/// What llama.cpp adds.
#[derive(Deserialize)]
struct Millis {
    prompt_ms: Option<f64>,
    predicted_ms: Option<f64>,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.prompt_tokens,
            cached_input_tokens: tokens.prompt_tokens_details.and_then(|details| details.cached_tokens),
            output_tokens: tokens.completion_tokens,
        }
    }
}

impl From<Millis> for Timings {
    fn from(millis: Millis) -> Self {
        let duration = |ms: Option<f64>| ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
        Self { load: None, prompt: duration(millis.prompt_ms), output: duration(millis.predicted_ms) }
    }
}

/// An answer as its pieces are read.
#[derive(Default)]
pub(super) struct Pieces {
    text: String,
    refusal: String,
    logprobs: Logprobs,
    usage: Option<Tokens>,
    timings: Option<Millis>,
    finish_reason: Option<String>,
}

impl vendor::Pieces for Pieces {
    fn whole(body: &[u8], endpoint: &Endpoint) -> Result<Self, AdapterError> {
        let completion: Completion = read_json(body, endpoint)?;
        let Some(choice) = completion.choices.into_iter().next() else {
            let said = endpoint.said(body);
            return Err(match said.is_an_error {
                true => endpoint.error_within(body),
                false => endpoint.malformed(format!("there is no choice in it: {}", said.message)),
            });
        };
        let mut pieces = Self { usage: completion.usage, timings: completion.timings, ..Self::default() };
        pieces.take(choice.message, choice.logprobs);
        // Some compatible servers leave it out of a whole answer, which has come to its end all the same.
        pieces.finish_reason = Some(choice.finish_reason.unwrap_or_default());
        Ok(pieces)
    }

    fn add(&mut self, message: &[u8], endpoint: &Endpoint) -> Result<(), AdapterError> {
        let chunk: Chunk = read_json(message, endpoint)?;
        if chunk.choices.is_empty() && endpoint.said(message).is_an_error {
            return Err(endpoint.error_within(message));
        }
        self.usage = chunk.usage.or(self.usage.take());
        self.timings = chunk.timings.or(self.timings.take());
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.take(choice.delta, choice.logprobs);
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        }
        Ok(())
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn held(&self) -> usize {
        self.text.len().saturating_add(self.refusal.len())
    }

    fn end(self, endpoint: &Endpoint) -> Result<Answer, AdapterError> {
        let Some(reason) = self.finish_reason else {
            return Err(endpoint.truncated("it ended without saying why it ended"));
        };
        if !self.refusal.trim().is_empty() {
            return Err(endpoint.refused(endpoint.excerpt(&self.refusal)));
        }
        if self.text.is_empty() && reason == "content_filter" {
            return Err(endpoint.refused("the vendor's content filter took the answer away"));
        }
        if self.text.is_empty() {
            return Err(endpoint
                .no_answer(format!("there is no text in it, and it ended with {:?}", endpoint.excerpt(&reason))));
        }
        Ok(Answer {
            text: self.text,
            confidence: self.logprobs.confidence(),
            usage: self.usage.map(Usage::from).unwrap_or_default(),
            timings: self.timings.map(Timings::from).unwrap_or_default(),
            cut: match reason.as_str() {
                "stop" | "" => None,
                "length" => Some("the answer was cut at the token limit".to_owned()),
                other => Some(format!("the answer ended with {:?}", endpoint.excerpt(other))),
            },
        })
    }
}

impl Pieces {
    fn take(&mut self, message: Message, logprobs: Option<OfTokens>) {
        self.text.push_str(&message.content.unwrap_or_default());
        self.refusal.push_str(&message.refusal.unwrap_or_default());
        for token in logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default() {
            self.logprobs.add(token.logprob);
        }
    }
}
