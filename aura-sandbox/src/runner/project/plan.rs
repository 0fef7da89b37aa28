//! Which tests the pristine files hold, and the copies of them that are run.

use std::time::Duration;

use aura_core::{Project, SandboxError, SourceFile};
use serde::Deserialize;

use super::{cargo, node, pytest};
use crate::runner::Place;

/// The tests there are, and the runs that try them.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    /// The tests, in the order of their files.
    pub(super) tests: Vec<Planned>,
    /// The runs; none when no test can be given a twin.
    pub(super) runs: Vec<PlannedRun>,
    /// The test files as they were.
    #[serde(skip)]
    pub(super) pristine: Vec<SourceFile>,
    /// What the command of a run is given besides.
    #[serde(skip)]
    pub(super) arguments: Vec<String>,
    /// Whether a copy may be no program, since its language has types that are not known here.
    #[serde(skip)]
    pub(super) may_not_build: bool,
}

/// One test function.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Planned {
    /// What the report calls it.
    pub(super) id: String,
    /// The path of its file; empty where the id tells.
    #[serde(default)]
    pub(super) file: String,
    /// Whether it is run for several parameters, which the report adds in brackets.
    pub(super) many: bool,
    /// For how many; absent where the files do not tell.
    pub(super) count: Option<usize>,
    /// Whether its file marks a skip of it.
    pub(super) may_skip: bool,
    /// Why its passing proves little; empty when it proves much.
    pub(super) weak: String,
    /// The run that has the test itself.
    pub(super) right: usize,
}

/// One run with a copy of every test.
#[derive(Debug, Deserialize)]
pub(super) struct PlannedRun {
    /// The files with the copies.
    pub(super) files: Vec<SourceFile>,
    /// What the report calls the copy of each test.
    pub(super) names: Vec<String>,
    /// For each test that a twin stands in for: the twin.
    pub(super) twins: Vec<Option<Twin>>,
}

/// A copy of a test that expects something wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Twin {
    pub(super) kind: Kind,
    /// What is wrong in each row of a table whose rows are tests of their own; else empty.
    #[serde(default)]
    pub(super) rows: Vec<Kind>,
    /// The exceptions that it is about, where it waits for another one than the test: work may raise one that is of two kinds at once.
    #[serde(default)]
    pub(super) classes: Vec<String>,
    /// Its changed line.
    pub(super) expects: String,
}

impl Twin {
    /// What is wrong in this one of so many rows.
    pub(super) fn kind_of(&self, row: usize, rows: usize) -> Kind {
        self.rows.get(row).copied().filter(|_| rows == self.rows.len()).unwrap_or(self.kind)
    }
}

/// What is wrong with a twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Another value out of many: only who reads the test can give it.
    Value,
    /// The opposite: bad work may give it.
    Other,
    /// Another exception.
    Raises,
    /// Something else that is looked for: what says yes to everything has it too.
    Needle,
}

/// Makes a plan; the reason why there can be none.
pub(super) async fn make(
    place: &Place,
    project: &Project,
    timeout: Duration,
) -> Result<Result<Plan, String>, SandboxError> {
    // Each says nothing of a command that is not its tool's.
    let strange = |made: &Result<Plan, String>| made.as_ref().is_err_and(String::is_empty);
    let made = pytest::plan(place, project, timeout).await?;
    let made = if strange(&made) { node::plan(place, project, timeout).await? } else { made };
    if strange(&made) { cargo::plan(place, project).await } else { Ok(made) }
}
