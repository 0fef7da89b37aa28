//! What a user submits: a PRD, with its tests and its limits.

mod cases;
mod coverage;
mod format;
mod language;
pub(crate) mod seconds;
mod source;
mod suite;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use cases::{Call, Case, Cases, Expected, Input};
pub use coverage::{CoverageFormat, CoverageReport};
pub use format::AnswerFormat;
pub use language::Language;
pub use source::SourceFile;
pub use suite::{Project, ReportFormat, TestSuite, Tests};

use crate::{
    error::{Error, Result},
    ids::{JobId, ModelName, PrdId, ProjectId, Role},
    plan::Plan,
    prd::source::check_files,
    verdict::Verdict,
};

/// What a user asks for. Build it with [`NewPrd::new`]; everything but the prompt has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPrd {
    /// A line for lists; the prompt's first line when absent.
    #[serde(default)]
    pub title: Option<String>,
    /// The task, as the model reads it.
    pub prompt: String,
    /// Files the work starts from.
    #[serde(default)]
    pub context: Vec<SourceFile>,
    /// The language of the work.
    #[serde(default)]
    pub language: Language,
    /// The form of the answer.
    #[serde(default, skip_serializing_if = "AnswerFormat::is_free")]
    pub format: AnswerFormat,
    /// The kind of work.
    #[serde(default)]
    pub role: Role,
    /// The tests that decide.
    #[serde(default)]
    pub tests: Option<TestSuite>,
    /// Who works on it.
    #[serde(default)]
    pub plan: Plan,
    /// The one model to give it to; only with [`Plan::Solo`].
    #[serde(default)]
    pub model: Option<ModelName>,
    /// The project it belongs to.
    #[serde(default)]
    pub project: ProjectId,
    /// How often and how long.
    #[serde(default)]
    pub limits: Limits,
    /// Submitting again with the same key gives the PRD there is.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// How often and how long a job may be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Claims a job may use up, `1..=20` (default 3).
    pub max_attempts: u32,
    /// Tokens a generation may have (default: the model's own limit).
    pub max_tokens: Option<u32>,
    /// Wall time of one generation (default 10 minutes).
    #[serde(with = "seconds")]
    pub generation_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_attempts: 3, max_tokens: None, generation_timeout: Duration::from_secs(600) }
    }
}

impl NewPrd {
    /// Longest prompt accepted, in bytes (1 MiB).
    pub const MAX_PROMPT: usize = 1 << 20;
    /// Most bytes accepted in the context files, and again in the test files (4 MiB).
    pub const MAX_FILES: usize = 4 << 20;
    /// Most files accepted in each of the two.
    pub const MAX_FILE_COUNT: usize = 256;

    /// A PRD with this prompt: Python, role `coder`, one model, no tests.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            title: None,
            prompt: prompt.into(),
            context: Vec::new(),
            language: Language::default(),
            format: AnswerFormat::default(),
            role: Role::default(),
            tests: None,
            plan: Plan::default(),
            model: None,
            project: ProjectId::default(),
            limits: Limits::default(),
            idempotency_key: None,
        }
    }

    /// A line for lists (default: the prompt's first line).
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The tests that decide (default: none).
    #[must_use]
    pub fn tests(mut self, tests: TestSuite) -> Self {
        self.tests = Some(tests);
        self
    }

    /// Who works on it (default [`Plan::Solo`]).
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    /// The language of the work (default Python).
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// The form of the answer (default: as the model likes).
    #[must_use]
    pub fn format(mut self, format: AnswerFormat) -> Self {
        self.format = format;
        self
    }

    /// The kind of work (default `coder`).
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// The one model to give it to.
    #[must_use]
    pub fn model(mut self, model: ModelName) -> Self {
        self.model = Some(model);
        self
    }

    /// Adds a file that the work starts from.
    #[must_use]
    pub fn context(mut self, file: SourceFile) -> Self {
        self.context.push(file);
        self
    }

    /// How often and how long (default 3 attempts of 10 minutes).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Submitting again with the same key gives the PRD there is.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field and the way out.
    pub fn check(&self) -> Result<()> {
        if self.prompt.trim().is_empty() {
            return Err(Error::invalid("prompt", "is empty: say what is to be done"));
        }
        if self.prompt.len() > Self::MAX_PROMPT {
            let reason = format!(
                "is {} bytes long, at most {} are accepted: put large material into context files",
                self.prompt.len(),
                Self::MAX_PROMPT
            );
            return Err(Error::invalid("prompt", reason));
        }
        let line = |field, text: Option<&str>| match text {
            Some(text) if text.len() > 512 || text.chars().any(char::is_control) => {
                Err(Error::invalid(field, "must be one line of at most 512 bytes"))
            }
            _ => Ok(()),
        };
        line("title", self.title.as_deref())?;
        line("idempotency_key", self.idempotency_key.as_deref())?;
        // PostgreSQL cannot hold NUL in text; refused everywhere, so that every store takes the same PRDs.
        if self.prompt.contains('\0') {
            return Err(Error::invalid("prompt", "contains a NUL character"));
        }
        match self.plan {
            Plan::Solo => {}
            Plan::Panel(n) if (2..=Plan::MAX_PANEL).contains(&n) => {}
            Plan::Panel(n) => {
                let reason = format!("a panel has 2 to {} models, not {n}: use solo for one", Plan::MAX_PANEL);
                return Err(Error::invalid("plan", reason));
            }
            Plan::Cascade => return Err(Error::invalid("plan", "cascade is not available yet: use solo or panel")),
        }
        if self.model.is_some() && self.plan != Plan::Solo {
            return Err(Error::invalid("model", "only a solo PRD can name its one model"));
        }
        if !(1..=20).contains(&self.limits.max_attempts) {
            return Err(Error::invalid("limits.max_attempts", "must be 1 to 20"));
        }
        if self.limits.generation_timeout.is_zero() || self.limits.generation_timeout > Duration::from_secs(86_400) {
            return Err(Error::invalid("limits.generation_timeout", "must be more than 0 and at most 86400 seconds"));
        }
        check_files("context", &self.context)?;
        self.format.check()?;
        self.tests.as_ref().map_or(Ok(()), TestSuite::check)
    }

    /// The line for lists: the title, or the prompt's first line, cut to 80 characters.
    #[must_use]
    pub fn headline(&self) -> String {
        self.title
            .clone()
            .unwrap_or_else(|| self.prompt.trim_start().lines().next().unwrap_or_default().chars().take(80).collect())
    }
}

/// A submitted PRD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prd {
    /// Its identifier.
    pub id: PrdId,
    /// What was asked for.
    #[serde(flatten)]
    pub request: NewPrd,
    /// Its jobs, in the order they were made.
    pub jobs: Vec<JobId>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// How it ended; absent while it is worked on.
    pub verdict: Option<Verdict>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(prd: &NewPrd) -> &'static str {
        match prd.check() {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_bad_prd_is_refused_by_the_field_that_is_wrong() {
        assert_eq!(field_of(&NewPrd::new(" ")), "prompt");
        assert_eq!(field_of(&NewPrd::new("x".repeat(10 << 20))), "prompt");
        assert_eq!(field_of(&NewPrd::new("x").plan(Plan::Panel(1))), "plan");
        assert_eq!(field_of(&NewPrd::new("x").plan(Plan::Cascade)), "plan");
        assert_eq!(field_of(&NewPrd::new("x").title("a\nb")), "title");
        assert_eq!(field_of(&NewPrd::new("x").tests(TestSuite::pytest("").timeout(Duration::ZERO))), "tests.timeout");
    }

    #[test]
    fn a_prd_needs_nothing_but_a_prompt_in_json() {
        let prd: NewPrd = serde_json::from_str(r#"{"prompt": "add two numbers"}"#).unwrap();
        assert_eq!(prd, NewPrd::new("add two numbers"));
    }
}
