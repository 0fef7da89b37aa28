//! The test score: passed tests over all that were not skipped.

use aura_core::{Fraction, TestEvidence, TestOutcome, TestReport, evidence::RunEnd};

use super::Measured;

/// Passed over all but the skipped tests.
///
/// 0, and not absent, where tests were run and gave no count: ended at a limit, without a readable report, or without
/// a single test. Absent where no test was asked for or none could be run.
pub(crate) fn test_score(tests: &TestEvidence) -> Measured {
    match tests {
        TestEvidence::NotAsked => Measured::absent("the PRD has no tests"),
        TestEvidence::NotRun { reason } => Measured::absent(format_args!("the tests were not run: {reason}")),
        TestEvidence::Ran(report) => of_report(report),
    }
}

fn of_report(report: &TestReport) -> Measured {
    let nothing = |why: String| Measured::as_value(Fraction::ZERO, why);
    match report.end {
        RunEnd::TimedOut => nothing(format!("the tests were ended after {:.1} s", report.wall.as_secs_f64())),
        RunEnd::Unreadable => nothing("the test command left no report that could be read".to_owned()),
        RunEnd::TooMuchOutput => nothing("the tests were ended because they wrote too much".to_owned()),
        RunEnd::Finished => {
            let passed = report.count(TestOutcome::Passed);
            let total = report.cases.len() as u64 - report.count(TestOutcome::Skipped);
            match Fraction::of(passed, total) {
                Some(share) => Measured::as_value(share, format!("{passed} of {total} tests passed")),
                None => nothing("the run finished without a single test".to_owned()),
            }
        }
    }
}
