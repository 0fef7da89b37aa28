//! A model's answer, taken out of a vendor's envelope, and the generation that it makes.

use aura_core::{
    AdapterError, AnswerFormat, Confidence, GenerateRequest, Generation, NewArtifact, SourceFile, Timings, Usage,
};
use serde_json::Value;

use crate::{
    http::excerpt,
    prompt::{PromptStyle, Put, continued},
};

/// What counts for a token outside the most likely ones, which OpenAI sends as -9999: about one in 500 million.
const LEAST_LOGPROB: f64 = -20.0;
/// A logprob is at most 0; servers that compute in `f32` go over it by less than this.
const ROUNDING: f64 = 1e-4;

/// A model's answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) usage: Usage,
    pub(crate) timings: Timings,
    /// Why it ended, when it did not come to its end by itself.
    pub(crate) cut: Option<String>,
}

/// Log-probabilities of tokens, added up as they come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Logprobs {
    sum: f64,
    tokens: u32,
    /// Whether one of them was none that a log-probability can be.
    spoilt: bool,
}

impl Logprobs {
    /// The next token's; absent when the server names a token without one.
    pub(crate) fn add(&mut self, logprob: Option<f64>) {
        match logprob {
            Some(logprob) if logprob <= ROUNDING => {
                self.sum += logprob.clamp(LEAST_LOGPROB, 0.0);
                self.tokens = self.tokens.saturating_add(1);
            }
            Some(logprob) => {
                tracing::warn!(
                    logprob,
                    "a log-probability above 0 came from the server: no confidence is taken from it"
                );
                self.spoilt = true;
            }
            None => self.spoilt = true,
        }
    }

    /// `exp(mean logprob)`; absent without tokens, and when a value was none that a log-probability can have.
    pub(crate) fn confidence(self) -> Option<Confidence> {
        if self.spoilt || self.tokens == 0 {
            return None;
        }
        Confidence::new((self.sum / f64::from(self.tokens)).exp()).ok()
    }
}

impl Answer {
    /// The generation that it makes.
    pub(crate) fn generation(
        self,
        request: &GenerateRequest,
        style: PromptStyle,
        put: &Put,
        provider: &str,
    ) -> Result<Generation, AdapterError> {
        let none = |why: &str| {
            let cut = self.cut.as_deref().map(|cut| format!(" ({cut})")).unwrap_or_default();
            AdapterError::NoAnswer { provider: provider.to_owned(), message: format!("{why}{cut}") }
        };
        let mut generation = match (&request.format, style) {
            (AnswerFormat::Free, PromptStyle::Complete) if !self.text.trim_start().starts_with("```") => {
                let code = continued(&request.prompt, &self.text, request.language);
                Generation {
                    artifacts: vec![NewArtifact::files(&[SourceFile::new(request.language.solution_path(), code)])],
                    explanation: "the prompt with the model's continuation".to_owned(),
                    output: self.text,
                    ..Generation::default()
                }
            }
            // A chat model that was asked to continue code answers with a fence all the same.
            (AnswerFormat::Free, _) => {
                let generation = Generation::answering(request, &self.text);
                if generation.artifacts.is_empty() {
                    return Err(none(format!("there is nothing to hand in {}", generation.explanation).trim_end()));
                }
                generation
            }
            _ => json(self.text).map_err(|why| none(&format!("it is not the JSON asked for: {why}")))?,
        };
        generation.self_confidence = self.confidence;
        generation.usage = self.usage;
        generation.timings = self.timings;
        for note in self.cut.iter().chain(&put.notes) {
            generation.remark(note);
        }
        Ok(generation)
    }
}

/// An answer that is one JSON value, in a fence or not.
fn json(text: String) -> Result<Generation, String> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("```json").or_else(|| trimmed.strip_prefix("```"));
    let bare = inner.and_then(|inner| inner.strip_suffix("```")).unwrap_or(trimmed);
    let value: Value =
        serde_json::from_str(bare).map_err(|error| format!("{error}; it begins with: {}", excerpt(bare)))?;
    let file = SourceFile::new("answer.json", format!("{value:#}\n"));
    Ok(Generation { artifacts: vec![NewArtifact::files(&[file])], output: text, ..Generation::default() })
}

/// What a stub answers.
pub(crate) fn stub_answer(why: &str) -> Generation {
    let text = format!("STUB, no model was asked: {why}");
    Generation {
        output: text.clone(),
        explanation: text.clone(),
        artifacts: vec![NewArtifact::docs(&text)],
        ..Generation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(logprobs: &[f64]) -> Option<f64> {
        let mut sum = Logprobs::default();
        logprobs.iter().for_each(|logprob| sum.add(Some(*logprob)));
        sum.confidence().map(Confidence::get)
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
        assert_eq!(of(&[f64::NAN]), None);
        assert_eq!(of(&[1e-6]), Some(1.0));
        let mut sum = Logprobs::default();
        sum.add(None);
        assert_eq!(sum.confidence(), None);
    }

    fn asked(format: AnswerFormat, text: &str, cut: Option<&str>) -> Result<Generation, AdapterError> {
        let request = GenerateRequest { format, ..GenerateRequest::new("x") };
        let answer = Answer { text: text.to_owned(), cut: cut.map(str::to_owned), ..Answer::default() };
        answer.generation(&request, PromptStyle::Instruct, &Put::default(), "p")
    }

    #[test]
    fn json_is_taken_with_and_without_a_fence_and_nothing_else_is() {
        for text in ["{\"a\": 1}", "```json\n{\"a\": 1}\n```", " ```\n{\"a\":1}``` "] {
            let generation = asked(AnswerFormat::Json, text, None).unwrap();
            assert_eq!(
                generation.artifacts,
                [NewArtifact::files(&[SourceFile::new("answer.json", "{\n  \"a\": 1\n}\n")])]
            );
        }
        let error = asked(AnswerFormat::Json, "{\"a\": ", Some("the answer was cut at the token limit")).unwrap_err();
        assert!(error.is_the_models_doing() && error.to_string().contains("token limit"), "{error}");
    }

    #[test]
    fn a_model_that_thought_until_its_end_gave_no_answer() {
        for text in ["<think>\n```python\na = 1\n```\n", "<think>so</think>\n"] {
            let error = asked(AnswerFormat::Free, text, Some("the answer was cut at the token limit")).unwrap_err();
            assert!(error.is_the_models_doing(), "{error:?}");
            assert!(error.to_string().contains("cut at the token limit"), "{error}");
        }
    }

    #[test]
    fn what_was_cut_stands_in_the_explanation() {
        let generation = asked(AnswerFormat::Free, "So:\n```python\na = 1", Some("cut at the limit")).unwrap();
        assert_eq!(generation.explanation, "So: [cut at the limit]");
    }
}
