//! Reads what Gemini answers, whole or event by event: every event is a whole answer with a piece of the text.

use std::time::Duration;

use aura_core::{AdapterError, Confidence, Usage};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{Endpoint, Failure},
    model::{
        answer::{Answer, Logprobs},
        vendor::{self, read_json},
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    avg_logprobs: Option<f64>,
    logprobs_result: Option<LogprobsResult>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    /// What the model thought on its way, which is no part of the answer.
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogprobsResult {
    #[serde(default)]
    chosen_candidates: Vec<Chosen>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chosen {
    log_probability: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl From<UsageMetadata> for Usage {
    fn from(usage: UsageMetadata) -> Self {
        let thoughts = usage.thoughts_token_count;
        // An answer that was all thought has no count of candidates.
        let written = usage.candidates_token_count.or(thoughts.map(|_| 0));
        Self {
            input_tokens: usage.prompt_token_count,
            cached_input_tokens: usage.cached_content_token_count,
            output_tokens: written.map(|written| written.saturating_add(thoughts.unwrap_or(0))),
        }
    }
}

/// An answer under way.
#[derive(Default)]
pub(super) struct Pieces {
    text: String,
    average: Option<f64>,
    logprobs: Logprobs,
    usage: Option<UsageMetadata>,
    finish: Option<(String, String)>,
    blocked: Option<String>,
    /// Whether there was a candidate at all.
    begun: bool,
}

impl vendor::Pieces for Pieces {
    fn whole(body: &[u8], endpoint: &Endpoint) -> Result<Self, AdapterError> {
        let mut pieces = Self::default();
        pieces.add(body, endpoint)?;
        Ok(pieces)
    }

    fn add(&mut self, message: &[u8], endpoint: &Endpoint) -> Result<(), AdapterError> {
        if message.first() == Some(&b'[') && endpoint.said(message).is_an_error {
            return Err(endpoint.error_within(message));
        }
        let response: Response = read_json(message, endpoint)?;
        if response.error.is_some() {
            return Err(endpoint.error_within(message));
        }
        // Each event may have one; the last one counts.
        self.usage = response.usage_metadata.or(self.usage.take());
        self.blocked = response.prompt_feedback.and_then(|feedback| feedback.block_reason).or(self.blocked.take());
        let Some(candidate) = response.candidates.into_iter().next() else { return Ok(()) };
        self.begun = true;
        let parts = candidate.content.map(|content| content.parts).unwrap_or_default();
        for part in parts.into_iter().filter(|part| !part.thought) {
            self.text.push_str(&part.text.unwrap_or_default());
        }
        self.average = candidate.avg_logprobs.or(self.average);
        for chosen in candidate.logprobs_result.map(|result| result.chosen_candidates).unwrap_or_default() {
            self.logprobs.add(chosen.log_probability);
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            self.finish = Some((reason, candidate.finish_message.unwrap_or_default()));
        }
        Ok(())
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn end(self, endpoint: &Endpoint) -> Result<Answer, AdapterError> {
        if let Some(reason) = self.blocked {
            return Err(endpoint.refused(format!("the vendor blocked the prompt: {}", endpoint.excerpt(&reason))));
        }
        let Some((reason, message)) = self.finish else {
            return Err(match self.begun {
                true => endpoint.truncated("it ended without a reason to end"),
                false => endpoint.malformed("there is no candidate in it"),
            });
        };
        let said = if message.is_empty() {
            endpoint.excerpt(&reason)
        } else {
            format!("{}: {}", endpoint.excerpt(&reason), endpoint.excerpt(&message))
        };
        match reason.as_str() {
            "STOP" | "MAX_TOKENS" if self.text.is_empty() => {
                return Err(endpoint.no_answer(format!("there is no text in it, and it ended with {said}")));
            }
            "STOP" | "MAX_TOKENS" => {}
            // SAFETY, RECITATION, BLOCKLIST, and whatever is invented next: what there is of it is not to be used.
            _ => return Err(endpoint.refused(format!("the vendor took the answer away: {said}"))),
        }
        Ok(Answer {
            confidence: self.average.map_or_else(|| self.logprobs.confidence(), of_average),
            text: self.text,
            usage: self.usage.map(Usage::from).unwrap_or_default(),
            timings: aura_core::Timings::default(),
            cut: (reason == "MAX_TOKENS").then(|| "the answer was cut at the token limit".to_owned()),
        })
    }
}

/// `exp(avgLogprobs)`. The average is taken as one token's.
fn of_average(average: f64) -> Option<Confidence> {
    let mut sum = Logprobs::default();
    sum.add(Some(average));
    sum.confidence()
}

/// A vendor's error: by its status, and by its details where the status does not tell all.
pub(super) fn failure(mut failure: Failure) -> AdapterError {
    let details = details(&failure.body);
    let kinds = |kind: &'static str| {
        details.iter().filter(move |detail| detail.kind.ends_with(kind)).map(|detail| &detail.value)
    };
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    // A key that is wrong is answered as a bad request.
    if kinds("ErrorInfo").any(|info| text(info, "reason") == "API_KEY_INVALID")
        || failure.said.message.contains("API key not valid")
    {
        let (status, message) = (failure.status.as_u16(), failure.said.message);
        return AdapterError::Unauthorized { provider: failure.provider, status, message };
    }
    let violations = kinds("QuotaFailure").filter_map(|quota| quota.get("violations")?.as_array()).flatten();
    // What a day allows does not come back by waiting a little.
    if failure.status.as_u16() == 429
        && violations.into_iter().any(|violation| text(violation, "quotaId").contains("PerDay"))
    {
        return AdapterError::QuotaExhausted { provider: failure.provider, message: failure.said.message };
    }
    let asked = kinds("RetryInfo").find_map(|info| seconds(&text(info, "retryDelay")));
    failure.wait = failure.wait.or(asked);
    failure.by_status()
}

struct Detail {
    kind: String,
    value: Value,
}

fn details(body: &[u8]) -> Vec<Detail> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = json.get(0).unwrap_or(&json).get("error");
    let details = error.and_then(|error| error.get("details")).and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = |value: &Value| value.get("@type").and_then(Value::as_str).unwrap_or_default().to_owned();
    details.into_iter().map(|value| Detail { kind: kind(&value), value }).collect()
}

/// A duration as protobuf writes it: `17s`, `0.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_protobuf_writes_them() {
        assert_eq!(seconds("17s"), Some(Duration::from_secs(17)));
        assert_eq!(seconds("0.5s"), Some(Duration::from_millis(500)));
        for bad in ["", "s", "17", "-1s", "NaNs"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn thoughts_are_paid_for_as_what_is_written() {
        let usage = UsageMetadata {
            prompt_token_count: Some(10),
            cached_content_token_count: None,
            candidates_token_count: None,
            thoughts_token_count: Some(5),
        };
        assert_eq!(Usage::from(usage).output_tokens, Some(5));
    }
}
