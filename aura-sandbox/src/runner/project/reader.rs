//! Runs a program of ours that reads the pristine test files, apart from the work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aura_core::{Project, ReportFormat, SandboxError, evidence::RunEnd};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Limits,
    path::WorkPath,
    report::tail,
    runner::{Beside, Executed, Place, Prepared, beside, environment::Environment, execute},
    workspace::Slot,
};

/// How long that may take: it reads a few files.
const WITHIN: Duration = Duration::from_secs(10);
/// Most that it may print, in bytes: every file once for each run.
const MAX_PRINTED: usize = 64 << 20;

/// A program that is ready to read.
pub(super) struct Reader(Prepared);

impl Reader {
    /// Lays out `program` with these arguments, for this input; the reason when it is missing. Blocks.
    ///
    /// # Errors
    /// When the folders beside the work cannot be made.
    pub(super) fn new(
        place: &Place,
        program: &str,
        arguments: &[&str],
        input: &Value,
    ) -> Result<Result<Self, String>, SandboxError> {
        let Beside { report, home, temporary, .. } = beside(place)?;
        let environment = match Environment::find(program, ReportFormat::ExitCode, &home, &temporary) {
            Ok(environment) => environment,
            // The run itself will say so.
            Err(error) => return Ok(Err(error.to_string())),
        };
        let program = environment.program.to_string_lossy().into_owned();
        let argv = std::iter::once(program).chain(arguments.iter().map(|&part| part.to_owned())).collect();
        Ok(Ok(Self(Prepared {
            argv,
            environment,
            counting: Vec::new(),
            report: Arc::new(report),
            input: input.to_string().into_bytes(),
            with_work: false,
            coverage: None,
            pace: None,
        })))
    }

    /// What it answers; the reason when there is no answer.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        place: &Place,
        timeout: Duration,
    ) -> Result<Result<T, String>, SandboxError> {
        let place = Place { limits: Limits { output_total: MAX_PRINTED, ..place.limits }, ..place.clone() };
        let Executed { end, remains, .. } = execute(&place, &self.0, timeout.min(WITHIN)).await?;
        let cannot = |why: &str| Err(format!("the test files could not be read for twins: {why}"));
        if end != RunEnd::Finished || remains.code != Some(0) {
            return Ok(cannot(tail(&remains.stderr, 300).trim()));
        }
        Ok(serde_json::from_slice(&remains.stdout).or_else(|error| cannot(&error.to_string())))
    }
}

/// For people: why tests get no twins.
pub(super) fn no_twins(why: &str) -> String {
    format!("its tests get no twins: {why}")
}

/// The pristine files with their texts: the suite's, and the tests with such an ending that the work was given.
pub(super) fn pristine(slot: &Slot, project: &Project, endings: &[&str]) -> BTreeMap<String, String> {
    let tests = slot.base_tests().into_iter().map(|(path, text)| (path.as_str().to_owned(), text));
    let tests = tests.filter(|(path, _)| endings.iter().any(|ending| path.ends_with(ending)));
    let mut files: BTreeMap<String, String> =
        tests.map(|(path, text)| (path, String::from_utf8_lossy(&text).into_owned())).collect();
    let given = project.files.iter().filter_map(|file| Some((WorkPath::parse(&file.path).ok()?, file)));
    files.extend(given.map(|(path, file)| (path.as_str().to_owned(), file.text.clone())));
    files
}
