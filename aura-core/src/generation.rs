//! What is asked of a model, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    artifact::NewArtifact,
    ids::{JobId, PrdId, Role},
    job::Job,
    prd::{Language, Prd, SourceFile},
    units::Confidence,
};

mod parse;

pub use parse::ParsedAnswer;

/// One question to one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The PRD behind it.
    pub prd: PrdId,
    /// The job it belongs to.
    pub job: JobId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The task.
    pub prompt: String,
    /// Files the work starts from; paths are relative to the workspace.
    pub context: Vec<SourceFile>,
    /// The language of the work.
    pub language: Language,
    /// The kind of work.
    pub role: Role,
    /// Most tokens wanted in the answer.
    pub max_tokens: Option<u32>,
    /// Wall time after which the worker gives up waiting.
    pub timeout: Duration,
}

impl GenerateRequest {
    /// The question that a job of this PRD puts.
    #[must_use]
    pub fn for_job(prd: &Prd, job: &Job) -> Self {
        Self {
            prd: prd.id,
            job: job.id,
            attempt: job.attempt,
            prompt: prd.request.prompt.clone(),
            context: prd.request.context.clone(),
            language: prd.request.language,
            role: prd.request.role.clone(),
            max_tokens: prd.request.limits.max_tokens,
            timeout: prd.request.limits.generation_timeout,
        }
    }
}

/// What one generation used up. A count that the vendor did not give is absent, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written, reasoning included.
    pub output_tokens: Option<u64>,
}

/// What an adapter returns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Generation {
    /// The answer as it came.
    pub output: String,
    /// A unified diff found in it.
    pub patch: Option<String>,
    /// What the model, or the adapter, said about the answer.
    pub explanation: String,
    /// `exp(mean logprob)` where the vendor gives log-probabilities, else absent.
    pub self_confidence: Option<Confidence>,
    /// The pieces to be stored.
    pub artifacts: Vec<NewArtifact>,
    /// What it used up.
    pub usage: Usage,
}

impl Generation {
    /// Takes the code, the patch and the explanation out of a model's answer.
    ///
    /// # Examples
    /// ```
    /// use aura_core::{Generation, Language};
    /// let answer = "Here you are:\n```python\ndef one():\n    return 1\n```\n";
    /// let generation = Generation::from_answer(answer, Language::Python);
    /// assert_eq!(generation.explanation, "Here you are:");
    /// assert_eq!(generation.artifacts.len(), 2); // the result, and the prose around it as docs
    /// ```
    #[must_use]
    pub fn from_answer(answer: &str, language: Language) -> Self {
        let parsed = ParsedAnswer::read(answer, language);
        let artifacts = parsed.artifacts();
        Self {
            output: answer.to_owned(),
            patch: parsed.patch,
            explanation: parsed.prose,
            self_confidence: None,
            artifacts,
            usage: Usage::default(),
        }
    }
}
