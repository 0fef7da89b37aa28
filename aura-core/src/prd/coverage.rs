//! Where a project's tests leave word of the lines that they reached.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a coverage report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CoverageFormat {
    /// The tracefile of `lcov`: lines such as `SF:`, `DA:`, `LF:` and `LH:`.
    Lcov,
    /// Cobertura's XML, as most tools for continuous integration read it.
    Cobertura,
}

/// A file in which the test command leaves what share of the code it reached.
///
/// Code under test shares a process with whatever writes the file, so that it is the work's own word: it is shown, and no part of any
/// score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageReport {
    /// Where the command writes it, relative to the workspace, with `/` between its parts. It has to be written in place: a file that is
    /// renamed to this path may not be found.
    pub path: String,
    /// How it is written.
    pub format: CoverageFormat,
}

impl CoverageReport {
    pub(super) fn check(&self) -> Result<()> {
        let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
        if self.path.len() > 1024 || !self.path.split('/').all(is_name) {
            let reason = "is no path within the workspace: give one such as coverage/lcov.info";
            return Err(Error::invalid("tests.coverage.path", reason));
        }
        Ok(())
    }
}
