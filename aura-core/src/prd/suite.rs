//! The tests of a PRD, and how they are run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    cases::Cases,
    coverage::{CoverageFormat, CoverageReport},
    seconds,
    source::{SourceFile, check_files},
};
use crate::error::{Error, Result};

/// How the outcome of a test command is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReportFormat {
    /// A JUnit XML file; the command gets its path in place of the argument `{report}` or within one.
    Junit,
    /// The lines that `cargo test` prints.
    Cargo,
    /// The lines of the Test Anything Protocol on standard output, as `node --test --test-reporter=tap` prints them.
    Tap,
    /// The exit code alone: 0 is one passed test.
    ExitCode,
}

/// Tests, and how they are run on a model's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSuite {
    /// What is run.
    #[serde(flatten)]
    pub tests: Tests,
    /// Wall time after which the run is ended.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// Wall time within which a run counts as fast enough (`performance_ok`).
    #[serde(with = "seconds")]
    pub fast_enough: Duration,
}

/// What a suite runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tests {
    /// Calls whose right answers never enter the sandbox.
    Cases(Cases),
    /// Test files and a command.
    Project(Project),
}

/// Test files and the command that runs them. Tests and work share a process, so that this proves less than [`Cases`].
///
/// What a sandbox does about it, and how the report names what is left by its [`strength`](crate::EvidenceStrength):
///
/// - Whatever the command: the suite's files win over the work's, files that steer tests are refused, a report that contradicts the
///   exit code or holds other ids than `expected` proves nothing, and a skip that no test file mentions is a failure.
/// - pytest with a JUnit report, and `node --test` with a TAP report and named files: the ids are read from the test files, and the suite
///   is run two to four times, each time with one copy of every test under a random name: the test itself, or a twin that expects
///   something wrong. A test that passes in both forms is a forgery, or makes the result void where only its opposite came true once.
///   When each test that passed has a twin that failed, the strength is `twins`. `timeout` is for all runs together, and the longest one
///   is what may be fast enough.
/// - `cargo test`: the same for the integration tests in `tests`. Where the runs do not fit the timeout, or a copy does not build, a suite
///   is run once more as it is, with the whole timeout: `same_process`.
/// - Anything else, and tests whose right value is not written out where a twin can change it: `same_process`. Code in the same process
///   can patch the tool and write any report.
///
/// What twins cannot stop: work that guesses which copy is the true one, blindly (for `n` tests that it cannot pass honestly it is right
/// in one of `2^n` cases or fewer, and a wrong guess about a value makes the result void or a forgery) or by the looks of a value, such
/// as a word among garbled ones; a table of answers of tests that the model was shown; and, in a sandbox that isolates nothing, a look
/// into the memory of this process or at other workspaces. Use [`Cases`] or keep tests hidden where that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Test files, written into the workspace after the model's work, so that they win.
    pub files: Vec<SourceFile>,
    /// Program and arguments, run in the workspace.
    pub command: Vec<String>,
    /// How its outcome is read.
    pub report: ReportFormat,
    /// The ids of all tests as the report gives them. Where they are given, a report with one more or one less proves nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// Where it leaves word of the lines that it reached; a suite need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageReport>,
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

    /// Tests of Node's own test runner, `node:test`, that load the work from `./solution.js`.
    #[must_use]
    pub fn node(source: impl Into<String>) -> Self {
        // The file is named, so that Node looks for no tests among the work.
        let command = ["node", "--test", "--test-reporter=tap", "solution.test.js"];
        Self::project(vec![SourceFile::new("solution.test.js", source)], command, ReportFormat::Tap)
    }

    /// Any files and any command.
    pub fn project<S: Into<String>>(
        files: Vec<SourceFile>,
        command: impl IntoIterator<Item = S>,
        report: ReportFormat,
    ) -> Self {
        Self::of(Tests::Project(Project::new(files, command, report)))
    }

    /// Calls whose right answers never enter the sandbox.
    #[must_use]
    pub const fn cases(cases: Cases) -> Self {
        Self::of(Tests::Cases(cases))
    }

    /// Anything, with the usual times.
    #[must_use]
    pub const fn of(tests: Tests) -> Self {
        Self { tests, timeout: Self::DEFAULT_TIMEOUT, fast_enough: Self::DEFAULT_FAST_ENOUGH }
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

    /// Bytes of all that the suite brings: its files, or its calls as JSON.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.tests {
            Tests::Cases(cases) => cases.size(),
            Tests::Project(project) => project.files.iter().map(|file| file.text.len()).sum(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.timeout.is_zero() || self.timeout > Self::MAX_TIMEOUT {
            return Err(Error::invalid("tests.timeout", "must be more than 0 and at most 3600 seconds"));
        }
        match &self.tests {
            Tests::Cases(cases) => cases.check(),
            Tests::Project(project) => project.check(),
        }
    }
}

impl Project {
    /// Any files and any command, without ids and without word of its coverage.
    pub fn new<S: Into<String>>(
        files: Vec<SourceFile>,
        command: impl IntoIterator<Item = S>,
        report: ReportFormat,
    ) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { files, command, report, expected: Vec::new(), coverage: None }
    }

    /// Reads at this path, relative to the workspace, what share of the code the tests reached (default: nowhere).
    #[must_use]
    pub fn coverage(mut self, path: impl Into<String>, format: CoverageFormat) -> Self {
        self.coverage = Some(CoverageReport { path: path.into(), format });
        self
    }

    fn check(&self) -> Result<()> {
        if let Some(coverage) = &self.coverage {
            coverage.check()?;
            if self.files.iter().any(|file| file.path == coverage.path) {
                return Err(Error::invalid("tests.coverage.path", "is one of the suite's own files"));
            }
        }
        if self.command.iter().all(|part| part.trim().is_empty()) {
            return Err(Error::invalid("tests.command", "is empty: name the program that runs the tests"));
        }
        check_files("tests.files", &self.files)
    }
}
