//! Reads what `/api/chat` and `/api/generate` answer, whole or line by line.

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

/// One line, or the whole. All counts are left out when they are 0.
#[derive(Deserialize)]
struct Line {
    error: Option<serde_json::Value>,
    message: Option<Message>,
    /// What `/api/generate` has instead.
    response: Option<String>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    load_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
    prompt_eval_duration: Option<u64>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
    logprobs: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    logprob: Option<f64>,
}

/// An answer under way.
#[derive(Default)]
pub(super) struct Pieces {
    text: String,
    logprobs: Logprobs,
    /// The line that says that it is done.
    last: Option<Last>,
}

struct Last {
    reason: String,
    usage: Usage,
    timings: Timings,
}

impl vendor::Pieces for Pieces {
    fn whole(body: &[u8], endpoint: &Endpoint) -> Result<Self, AdapterError> {
        let mut pieces = Self::default();
        pieces.add(body, endpoint)?;
        Ok(pieces)
    }

    fn add(&mut self, message: &[u8], endpoint: &Endpoint) -> Result<(), AdapterError> {
        let line: Line = read_json(message, endpoint)?;
        if line.error.is_some() {
            return Err(endpoint.error_within(message));
        }
        if self.last.is_some() {
            return Err(endpoint.malformed("it goes on after it said that it was done"));
        }
        if line.message.is_none() && line.response.is_none() && !line.done {
            let start = String::from_utf8_lossy(message);
            return Err(endpoint.malformed(format!("it is no answer of Ollama's: {}", endpoint.excerpt(&start))));
        }
        let text = line.message.and_then(|message| message.content).or(line.response).unwrap_or_default();
        self.text.push_str(&text);
        for token in line.logprobs.unwrap_or_default() {
            self.logprobs.add(token.logprob);
        }
        if line.done {
            let duration = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
            self.last = Some(Last {
                reason: line.done_reason.unwrap_or_default(),
                usage: Usage {
                    input_tokens: line.prompt_eval_count,
                    cached_input_tokens: None,
                    output_tokens: line.eval_count,
                },
                timings: Timings {
                    load: duration(line.load_duration),
                    prompt: duration(line.prompt_eval_duration),
                    output: duration(line.eval_duration),
                },
            });
        }
        Ok(())
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn end(self, endpoint: &Endpoint) -> Result<Answer, AdapterError> {
        let Some(Last { reason, usage, timings }) = self.last else {
            return Err(endpoint.truncated("it ended without saying that it was done"));
        };
        if self.text.is_empty() {
            let reason = if reason.is_empty() { "no reason" } else { reason.as_str() };
            return Err(
                endpoint.no_answer(format!("there is no text in it, and it ended with {:?}", endpoint.excerpt(reason)))
            );
        }
        Ok(Answer {
            text: self.text,
            confidence: self.logprobs.confidence(),
            usage,
            timings,
            cut: match reason.as_str() {
                "stop" | "" => None,
                "length" => Some("the answer was cut at the token limit".to_owned()),
                other => Some(format!("the answer ended with {:?}", endpoint.excerpt(other))),
            },
        })
    }
}
