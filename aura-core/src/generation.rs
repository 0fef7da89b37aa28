//! What is asked of a model, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    artifact::NewArtifact,
    contract::Claimed,
    ids::{JobId, PrdId, ProjectId, Role},
    prd::{AnswerFormat, Language, SourceFile},
    units::Confidence,
};

mod feedback;
mod mend;
mod names;
mod parse;

pub use feedback::Feedback;
pub use mend::{Mended, mend};
pub use parse::ParsedAnswer;

/// One question to one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The PRD behind it.
    pub prd: PrdId,
    /// The job it belongs to.
    pub job: JobId,
    /// The project it is done for.
    pub project: ProjectId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The task.
    pub prompt: String,
    /// Files the work starts from; paths are relative to the workspace.
    pub context: Vec<SourceFile>,
    /// The language of the work.
    pub language: Language,
    /// The form of the answer.
    pub format: AnswerFormat,
    /// The kind of work.
    pub role: Role,
    /// What was wrong with the attempt before this one.
    pub feedback: Option<Feedback>,
    /// Most tokens wanted in the answer.
    pub max_tokens: Option<u32>,
    /// Wall time after which the worker gives up waiting.
    pub timeout: Duration,
}

impl GenerateRequest {
    /// A question of its own, as for a try: first attempt, Python, role `coder`, 10 minutes.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prd: PrdId::new(),
            job: JobId::new(),
            project: ProjectId::default(),
            attempt: 1,
            prompt: prompt.into(),
            context: Vec::new(),
            language: Language::default(),
            format: AnswerFormat::default(),
            role: Role::default(),
            feedback: None,
            max_tokens: None,
            timeout: Duration::from_secs(600),
        }
    }

    /// The question that a claimed job puts.
    #[must_use]
    pub fn for_job(claimed: &Claimed) -> Self {
        let Claimed { job, prd, feedback, .. } = claimed;
        Self {
            prd: prd.id,
            job: job.id,
            project: job.project_id,
            attempt: job.attempt,
            prompt: prd.request.prompt.clone(),
            context: prd.request.context.clone(),
            language: prd.request.language,
            format: prd.request.format.clone(),
            role: prd.request.role.clone(),
            feedback: feedback.clone(),
            max_tokens: prd.request.limits.max_tokens,
            timeout: prd.request.limits.generation_timeout,
        }
    }
}

/// What one generation used up. A count that the vendor did not give is absent, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: Option<u64>,
    /// Those of the tokens read that the vendor had seen before, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// Tokens written, reasoning included.
    pub output_tokens: Option<u64>,
}

/// Where the time of a generation went, as far as the server tells. What it does not tell is absent, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Loading the model.
    #[serde(with = "crate::prd::seconds::maybe", rename = "load_seconds", skip_serializing_if = "Option::is_none")]
    pub load: Option<Duration>,
    /// Reading the prompt.
    #[serde(with = "crate::prd::seconds::maybe", rename = "prompt_seconds", skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Duration>,
    /// Writing the answer.
    #[serde(with = "crate::prd::seconds::maybe", rename = "output_seconds", skip_serializing_if = "Option::is_none")]
    pub output: Option<Duration>,
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
    /// Where the time went, as far as the server tells.
    #[serde(default)]
    pub timings: Timings,
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
        Self::of_parsed(answer, ParsedAnswer::read(answer, language))
    }

    /// As [`from_answer`](Self::from_answer), with diffs mended against the files that they change, so that small faults in their
    /// line numbers do not cost the whole work. What was mended stands in the explanation.
    ///
    /// # Examples
    /// ```
    /// use aura_core::{GenerateRequest, Generation, SourceFile};
    /// let mut request = GenerateRequest::new("Set y to 3");
    /// request.context.push(SourceFile::new("a.py", "x = 1\ny = 2\n"));
    /// let answer = "```diff\n--- a/a.py\n+++ b/a.py\n@@ -9 +9 @@\n-y = 2\n+y = 3\n```";
    /// let generation = Generation::answering(&request, answer);
    /// assert!(generation.patch.unwrap().contains("@@ -2,1 +2,1 @@"));
    /// assert_eq!(generation.explanation, "[a.py: a hunk was moved from line 9 to line 2]");
    /// ```
    #[must_use]
    pub fn answering(request: &GenerateRequest, answer: &str) -> Self {
        let mut parsed = ParsedAnswer::read(answer, request.language);
        if let Some(patch) = parsed.patch.take() {
            let mended = mend(&patch, &request.context);
            parsed.notes.extend(mended.notes);
            parsed.patch = Some(mended.patch);
        }
        Self::of_parsed(answer, parsed)
    }

    fn of_parsed(answer: &str, parsed: ParsedAnswer) -> Self {
        let mut generation = Self {
            output: answer.to_owned(),
            artifacts: parsed.artifacts(),
            patch: parsed.patch,
            explanation: parsed.prose,
            ..Self::default()
        };
        for note in parsed.notes {
            generation.remark(&note);
        }
        generation
    }

    /// Adds a remark to the explanation, in brackets, so that it is known from what the model wrote.
    pub fn remark(&mut self, remark: &str) {
        if !self.explanation.is_empty() {
            self.explanation.push(' ');
        }
        self.explanation.push_str(&format!("[{remark}]"));
    }
}
