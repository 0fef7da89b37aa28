//! Reads what a test command left behind. All of it was within reach of the code under test, so every reader is
//! bounded, and what contradicts itself is unreadable rather than believed.

mod cargo;
mod coverage;
mod excerpt;
mod exit_code;
mod junit;
mod shortage;
mod tap;

use aura_core::{ReportFormat, TestCase, evidence::RunEnd};

use crate::path::WorkPath;

pub(crate) use coverage::read as coverage;
pub(crate) use excerpt::{MAX_ID, MAX_MESSAGE, head, tail, with_notes};
pub(crate) use shortage::Shortage;

/// Most tests that a report may hold.
pub(crate) const MAX_CASES: usize = 10_000;
/// Largest report that is read, in bytes.
pub(crate) const MAX_REPORT: u64 = 4 << 20;

/// What a command left behind after all its processes ended.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// The exit code; absent when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed, from its beginning.
    pub(crate) stdout: Vec<u8>,
    /// What it printed as errors, from its beginning.
    pub(crate) stderr: Vec<u8>,
    /// The report file; absent when there is none, or when it is too large or no plain file.
    pub(crate) file: Option<Vec<u8>>,
    /// Memory that ran out.
    pub(crate) shortage: Option<Shortage>,
}

impl Remains {
    /// How the command ended, for people.
    pub(crate) fn ending(&self) -> String {
        let how =
            self.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with exit code {code}"));
        self.shortage.map_or_else(|| how.clone(), |shortage| format!("{how} ({shortage})"))
    }
}

/// Tests, or why there are none to be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) end: RunEnd,
    pub(crate) cases: Vec<TestCase>,
    /// What is wrong with the report; empty when nothing is.
    pub(crate) complaint: String,
}

impl Reading {
    fn of(cases: Vec<TestCase>) -> Self {
        Self { end: RunEnd::Finished, cases, complaint: String::new() }
    }

    /// A report that proves nothing: its cases are dropped, so that none of them can count.
    fn unreadable(complaint: impl Into<String>) -> Self {
        Self { end: RunEnd::Unreadable, cases: Vec::new(), complaint: complaint.into() }
    }
}

/// Reads the remains in the suite's format. `counting` holds the sources of the tests that count; none when all do.
pub(crate) fn read(format: ReportFormat, remains: &Remains, counting: &[WorkPath]) -> Reading {
    let reading = match format {
        ReportFormat::Junit => junit::read(remains),
        ReportFormat::Cargo => cargo::read(remains, counting),
        ReportFormat::Tap => tap::read(remains, counting),
        ReportFormat::ExitCode => exit_code::read(remains),
        _ => Reading::unreadable("this version cannot read such a report"),
    };
    if reading.cases.len() > MAX_CASES {
        return Reading::unreadable(format!("the report has more than {MAX_CASES} tests"));
    }
    contradiction(remains, &reading).map_or(reading, Reading::unreadable)
}

/// A command that failed cannot have left a report in which nothing failed.
fn contradiction(remains: &Remains, reading: &Reading) -> Option<String> {
    use aura_core::TestOutcome::{Error, Failed};
    let failed = reading.cases.iter().any(|case| matches!(case.outcome, Failed | Error));
    (reading.end == RunEnd::Finished && remains.code != Some(0) && !failed)
        .then(|| format!("the command {} though its report shows no failure", remains.ending()))
}
