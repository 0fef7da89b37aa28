//! Reads a chat completion, with an open mind for what compatible servers leave out or add.

use aura_core::{Confidence, Usage};
use serde::Deserialize;

use super::failure::{Said, excerpt};

/// What counts for a token outside the 20 most likely, which is sent as -9999: about one in 500 million.
const LEAST_LOGPROB: f64 = -20.0;
/// A logprob is at most 0; servers that compute in `f32` go over it by less than this.
const ROUNDING: f64 = 1e-4;

/// A model's answer, taken out of the envelope.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) confidence: Option<Confidence>,
    pub(super) usage: Usage,
    /// Why it ended, when it did not come to its end by itself.
    pub(super) cut: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The model declined.
    Refused(String),
    /// The body is not what it should be.
    Malformed(String),
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
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
}

impl Answer {
    /// Reads a body that came with a status of success.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let malformed = |message: String| Unreadable::Malformed(message);
        let completion: Completion = serde_json::from_slice(body)
            .map_err(|error| malformed(format!("{error}; it begins with: {}", excerpt(&start(body)))))?;
        let Some(choice) = completion.choices.into_iter().next() else {
            return Err(malformed(format!("there is no choice in it: {}", Said::read(body).message)));
        };
        let reason = choice.finish_reason.unwrap_or_default();
        if let Some(refusal) = choice.message.refusal.filter(|text| !text.trim().is_empty()) {
            return Err(Unreadable::Refused(excerpt(&refusal)));
        }
        let text = choice.message.content.unwrap_or_default();
        if text.is_empty() && reason == "content_filter" {
            return Err(Unreadable::Refused("the vendor's content filter took the answer away".to_owned()));
        }
        if text.is_empty() && reason != "stop" {
            return Err(malformed(format!("there is no text in it, and it ended with {:?}", excerpt(&reason))));
        }
        let tokens = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        Ok(Self {
            text,
            confidence: confidence(&tokens),
            usage: completion.usage.map_or_else(Usage::default, |usage| Usage {
                input_tokens: usage.prompt_tokens,
                output_tokens: usage.completion_tokens,
            }),
            cut: match reason.as_str() {
                "stop" | "" => None,
                "length" => Some("the answer was cut at the token limit".to_owned()),
                other => Some(format!("the answer ended with {:?}", excerpt(other))),
            },
        })
    }
}

/// `exp(mean logprob)`; absent without tokens, and when a value is none that a log-probability can have.
fn confidence(tokens: &[Token]) -> Option<Confidence> {
    let mut sum = 0.0;
    for token in tokens {
        let logprob = token.logprob?;
        if logprob > ROUNDING {
            tracing::warn!(logprob, "a log-probability above 0 came from the server: no confidence is taken from it");
            return None;
        }
        sum += logprob.clamp(LEAST_LOGPROB, 0.0);
    }
    let count = u32::try_from(tokens.len()).ok().filter(|count| *count > 0)?;
    Confidence::new((sum / f64::from(count)).exp()).ok()
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(logprobs: &[f64]) -> Option<f64> {
        let tokens: Vec<_> = logprobs.iter().map(|l| Token { logprob: Some(*l) }).collect();
        confidence(&tokens).map(Confidence::get)
    }

    fn read(body: &str) -> Result<Answer, Unreadable> {
        Answer::read(body.as_bytes())
    }

    #[test]
    fn confidence_is_exp_of_the_mean_logprob() {
        assert_eq!(of(&[0.0, 0.0]), Some(1.0));
        // (0.25 * 0.5)^(1/2), by hand.
        assert!((of(&[0.25f64.ln(), 0.5f64.ln()]).unwrap() - 0.125f64.sqrt()).abs() < 1e-12);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn minus_9999_counts_as_unlikely_and_not_as_impossible() {
        assert!((of(&[0.0, -9999.0]).unwrap() - (-10.0f64).exp()).abs() < 1e-15);
    }

    #[test]
    fn a_logprob_above_zero_gives_no_confidence() {
        assert_eq!(of(&[0.5]), None);
        assert_eq!(of(&[1e-6]), Some(1.0));
        assert_eq!(confidence(&[Token { logprob: None }]), None);
    }

    #[test]
    fn what_a_compatible_server_leaves_out_or_adds_does_not_matter() {
        let body = r#"{"choices":[{"message":{"content":"hi"},"x":1}],"service_tier":"on_demand","created":1.5}"#;
        assert_eq!(read(body).unwrap(), Answer { text: "hi".to_owned(), ..Answer::default() });
    }

    #[test]
    fn no_text_is_no_answer() {
        for reason in ["length", "tool_calls"] {
            let body = format!(r#"{{"choices":[{{"message":{{"content":null}},"finish_reason":"{reason}"}}]}}"#);
            assert!(matches!(read(&body), Err(Unreadable::Malformed(m)) if m.contains(reason)));
        }
        let filtered = r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#;
        assert!(matches!(read(filtered), Err(Unreadable::Refused(_))));
        assert!(matches!(read(r#"{"choices":[]}"#), Err(Unreadable::Malformed(_))));
        assert!(matches!(read(r#"{"error":{"message":"m"}}"#), Err(Unreadable::Malformed(m)) if m.ends_with("m")));
        assert!(matches!(read(&"[".repeat(100_000)), Err(Unreadable::Malformed(_))));
    }
}
