//! What `model_runs.details` holds: enough for anyone to compute a score again.

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{
        Component, EvidenceStrength, Isolation, PenaltyMark, RunEnd, Signals, TestCase, TestEvidence, TestOutcome,
        TestReport,
    },
    prd::seconds,
    units::{Fraction, Mebibytes, Penalty},
    verdict::TestCount,
};

/// Most test cases that a run's details list by name; failed ones go first.
const MAX_CASES: usize = 200;
/// Most characters of the tests' output that a run's details keep.
const MAX_OUTPUT: usize = 4000;

/// The details of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunDetails {
    pub(crate) signals: Signals,
    pub(crate) penalties: Penalty,
    pub(crate) penalty_marks: Vec<PenaltyMark>,
    pub(crate) components: Vec<Component>,
    pub(crate) tests: Option<TestSummary>,
    /// Why there is no test result although tests were asked for.
    pub(crate) tests_not_run: Option<String>,
    /// SHA-256 over what the workspace held when it was tested.
    pub(crate) snapshot: Option<String>,
    /// Says that the answers are a stub's.
    pub(crate) stub: Option<String>,
    /// In a sentence: why the work was accepted or rejected.
    pub(crate) why: String,
}

/// A test report, cut to a bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TestSummary {
    #[serde(flatten)]
    pub(crate) count: TestCount,
    pub(crate) end: RunEnd,
    pub(crate) strength: EvidenceStrength,
    pub(crate) isolation: Isolation,
    #[serde(with = "seconds", rename = "wall_seconds")]
    pub(crate) wall: std::time::Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peak_memory: Option<Mebibytes>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds::maybe", rename = "cpu_seconds")]
    pub(crate) cpu: Option<std::time::Duration>,
    pub(crate) cases: Vec<TestCase>,
    pub(crate) output: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) forgeries: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) behaviour: Vec<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) coverage: Option<Fraction>,
}

impl TestSummary {
    pub(crate) fn of(evidence: &TestEvidence) -> Option<Self> {
        evidence.report().map(|report| {
            let mut cases = report.cases.clone();
            cases.sort_by_key(|case| matches!(case.outcome, TestOutcome::Passed | TestOutcome::Skipped));
            cases.truncate(MAX_CASES);
            Self {
                count: count(report),
                end: report.end,
                strength: report.strength,
                isolation: report.isolation,
                wall: report.wall,
                peak_memory: report.peak_memory,
                cpu: report.cpu,
                cases,
                output: tail(&report.output, MAX_OUTPUT),
                forgeries: report.forgeries.clone(),
                behaviour: report.behaviour.clone(),
                coverage: report.coverage,
            }
        })
    }
}

/// Passed tests, and all but the skipped ones.
pub(crate) fn count(report: &TestReport) -> TestCount {
    let total = report.cases.len() as u64 - report.count(TestOutcome::Skipped);
    TestCount { passed: report.count(TestOutcome::Passed), total }
}

fn tail(text: &str, characters: usize) -> String {
    let skip = text.chars().count().saturating_sub(characters);
    text.chars().skip(skip).collect()
}
