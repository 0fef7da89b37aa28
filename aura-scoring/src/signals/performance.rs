//! Performance: whether the tests ran within the time that their suite calls fast enough.

use aura_core::{Fraction, TestEvidence, evidence::RunEnd};

use super::Measured;

/// 1 when a finished test run was fast enough, 0 when it was slower or had to be ended at a limit; absent when no run
/// told.
pub(crate) fn performance_ok(tests: &TestEvidence) -> Measured {
    let Some(report) = tests.report() else {
        return Measured::absent("no test was run");
    };
    let seconds = report.wall.as_secs_f64();
    match report.end {
        RunEnd::Finished if report.fast_enough => {
            Measured::as_value(Fraction::MAX, format!("fast enough: {seconds:.1} s"))
        }
        RunEnd::Finished => Measured::as_value(Fraction::ZERO, format!("too slow: {seconds:.1} s")),
        RunEnd::TimedOut => Measured::as_value(Fraction::ZERO, format!("ended after {seconds:.1} s")),
        RunEnd::TooMuchOutput => Measured::as_value(Fraction::ZERO, "ended because it wrote too much"),
        RunEnd::Unreadable => Measured::absent("the test command left no report that could be read"),
    }
}
