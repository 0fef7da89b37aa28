//! What a user submits: a PRD, with its tests and its limits.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    ids::{JobId, ModelName, PrdId, ProjectId, Role},
    plan::Plan,
    verdict::Verdict,
};

/// A file as text, with its path relative to the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Relative path with `/` between its parts.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl SourceFile {
    /// A file.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// The programming language of the work asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Language {
    /// Python 3.
    #[default]
    Python,
    /// Rust.
    Rust,
    /// JavaScript.
    #[serde(alias = "js", alias = "node")]
    Javascript,
    /// Prose, or anything else.
    Text,
}

impl Language {
    /// The file that a single piece of code is written to, e.g. `solution.py`.
    #[must_use]
    pub const fn solution_path(self) -> &'static str {
        match self {
            Self::Python => "solution.py",
            Self::Rust => "src/lib.rs",
            Self::Javascript => "solution.js",
            Self::Text => "solution.txt",
        }
    }

    /// The language that a Markdown fence's info string names, e.g. `py` or `rust`.
    #[must_use]
    pub fn from_fence(info: &str) -> Option<Self> {
        match info.trim().to_ascii_lowercase().as_str() {
            "python" | "py" | "python3" => Some(Self::Python),
            "rust" | "rs" => Some(Self::Rust),
            "javascript" | "js" | "node" | "mjs" => Some(Self::Javascript),
            _ => None,
        }
    }
}

/// The form that an answer must have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerFormat {
    /// As the model likes: prose, code in fences, diffs.
    #[default]
    Free,
    /// One JSON value.
    Json,
    /// One JSON value that fits this JSON Schema.
    JsonSchema(serde_json::Value),
}

impl AnswerFormat {
    /// Largest schema accepted, in bytes of JSON (64 KiB).
    pub const MAX_SCHEMA: usize = 64 << 10;

    /// Whether any answer will do.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Free | Self::Json => Ok(()),
            Self::JsonSchema(schema) if !schema.is_object() => {
                Err(Error::invalid("format.json_schema", "must be a JSON object that holds a JSON Schema"))
            }
            Self::JsonSchema(schema) if schema.to_string().len() > Self::MAX_SCHEMA => {
                Err(Error::invalid("format.json_schema", format!("is longer than {} bytes", Self::MAX_SCHEMA)))
            }
            Self::JsonSchema(_) => Ok(()),
        }
    }
}

/// How the outcome of a test command is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReportFormat {
    /// A JUnit XML file; the command gets its path in place of the argument `{report}` or within one.
    Junit,
    /// The lines that `cargo test` prints.
    Cargo,
    /// The exit code alone: 0 is one passed test.
    ExitCode,
}

/// Tests, and how they are run on a model's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSuite {
    /// Test files, written into the workspace after the model's work, so that they win.
    pub files: Vec<SourceFile>,
    /// Program and arguments, run in the workspace.
    pub command: Vec<String>,
    /// How its outcome is read.
    pub report: ReportFormat,
    /// Wall time after which the run is ended.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// Wall time within which a run counts as fast enough (`performance_ok`).
    #[serde(with = "seconds")]
    pub fast_enough: Duration,
}

impl TestSuite {
    /// Wall time given to a suite unless it says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
    /// Longest wall time a suite may ask for.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
    /// A run is fast enough within this time unless the suite says otherwise.
    pub const DEFAULT_FAST_ENOUGH: Duration = Duration::from_secs(10);

    /// pytest source that imports the work as `solution`.
    #[must_use]
    pub fn pytest(source: impl Into<String>) -> Self {
        let command =
            ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml={report}", "test_solution.py"];
        Self::project(vec![SourceFile::new("test_solution.py", source)], command, ReportFormat::Junit)
    }

    /// Rust tests for the crate `solution`, run offline by `cargo test`.
    #[must_use]
    pub fn cargo(source: impl Into<String>) -> Self {
        let manifest = "[package]\nname = \"solution\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
        let files = vec![SourceFile::new("Cargo.toml", manifest), SourceFile::new("tests/solution.rs", source)];
        Self::project(files, ["cargo", "test", "--offline", "--no-fail-fast"], ReportFormat::Cargo)
    }

    /// Any files and any command.
    pub fn project<S: Into<String>>(
        files: Vec<SourceFile>,
        command: impl IntoIterator<Item = S>,
        report: ReportFormat,
    ) -> Self {
        Self {
            files,
            command: command.into_iter().map(Into::into).collect(),
            report,
            timeout: Self::DEFAULT_TIMEOUT,
            fast_enough: Self::DEFAULT_FAST_ENOUGH,
        }
    }

    /// Ends a run after `timeout` (default 60 s).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Counts a run within `limit` as fast enough (default 10 s).
    #[must_use]
    pub fn fast_enough(mut self, limit: Duration) -> Self {
        self.fast_enough = limit;
        self
    }

    fn check(&self) -> Result<()> {
        if self.command.iter().all(|part| part.trim().is_empty()) {
            return Err(Error::invalid("tests.command", "is empty: name the program that runs the tests"));
        }
        if self.timeout.is_zero() || self.timeout > Self::MAX_TIMEOUT {
            return Err(Error::invalid("tests.timeout", "must be more than 0 and at most 3600 seconds"));
        }
        check_files("tests.files", &self.files)
    }
}

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

fn check_files(field: &'static str, files: &[SourceFile]) -> Result<()> {
    if files.len() > NewPrd::MAX_FILE_COUNT {
        return Err(Error::invalid(field, format!("more than {} files", NewPrd::MAX_FILE_COUNT)));
    }
    if files.iter().map(|file| file.text.len()).sum::<usize>() > NewPrd::MAX_FILES {
        return Err(Error::invalid(field, format!("more than {} bytes in all", NewPrd::MAX_FILES)));
    }
    if let Some(file) = files.iter().find(|file| file.path.is_empty() || file.text.contains('\0')) {
        return Err(Error::invalid(field, format!("file {:?} has no path, or a NUL character", file.path)));
    }
    Ok(())
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

/// Durations as a number of seconds, as people write them in JSON.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(duration.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// As [`seconds`], for a duration that may be absent.
pub(crate) mod maybe_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => to.serialize_f64(duration.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds.map(Duration::try_from_secs_f64).transpose().map_err(D::Error::custom)
    }
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
