//! What becomes of a submitted job: pure, from what was handed in and what the examination showed.

use super::{
    details::count,
    examine::{Examination, full_penalty},
};
use crate::{
    artifact::Submission,
    contract::store::Next,
    evidence::{RunEnd, TestEvidence},
    job::Delivery,
};

/// All that the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) asked_for_tests: bool,
    pub(crate) delivery: &'a Delivery,
    pub(crate) work: &'a Submission,
    pub(crate) examination: &'a Examination,
    pub(crate) other_model_left: bool,
    pub(crate) attempts_left: bool,
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) accepted: bool,
    pub(crate) why: String,
    pub(crate) next: Next,
}

/// Why a worker reported failure, in its own words.
pub(crate) fn failure_said(delivery: &Delivery) -> String {
    let said = delivery.details.get("error").and_then(serde_json::Value::as_str);
    said.unwrap_or("the worker reported failure without a reason").chars().take(2000).collect()
}

/// Whether a run counts for its model's standing: only evidence does. Work that nobody tested shows nothing of a model, be it
/// accepted or not; work that had to pass tests and was not accepted has failed them, so that giving up is never better
/// than trying. A stub's answers show nothing of anybody.
pub(crate) fn counts(is_stub: bool, asked_for_tests: bool, tests: &TestEvidence, accepted: bool) -> bool {
    !is_stub && (tests.report().is_some() || (asked_for_tests && !accepted))
}

/// Accepts work that was handed in as done, is not empty, is not punished in full, and does not fail its tests.
pub(crate) fn decide(case: &Case<'_>) -> Decision {
    let (accepted, why) = verdict_on(case);
    let next = if accepted {
        Next::Validate
    } else if case.other_model_left && case.attempts_left {
        Next::Retry { reason: why.clone() }
    } else {
        Next::Fail { reason: why.clone() }
    };
    Decision { accepted, why, next }
}

fn verdict_on(case: &Case<'_>) -> (bool, String) {
    if !case.delivery.success {
        return (false, failure_said(case.delivery));
    }
    if let Some(mark) = case.examination.penalties.iter().find(|mark| mark.weight >= full_penalty()) {
        return (false, mark.reason.clone());
    }
    if let Some(refused) = &case.examination.refused {
        return (false, refused.clone());
    }
    if case.work.is_empty() {
        return (false, "nothing was handed in: there is neither code nor a patch among the artifacts".to_owned());
    }
    match &case.examination.tests {
        TestEvidence::Ran(report) => {
            let count = count(report);
            let passed = format!("{} of {} tests passed", count.passed, count.total);
            match report.end {
                RunEnd::Finished => (report.is_pass(), passed),
                RunEnd::TimedOut => (false, format!("the tests were ended after {:.1} s", report.wall.as_secs_f64())),
                RunEnd::Unreadable => (false, "the test command left no report that could be read".to_owned()),
                RunEnd::TooMuchOutput => (false, "the tests were ended because they wrote too much".to_owned()),
            }
        }
        TestEvidence::NotRun { reason } => {
            (true, format!("accepted unproven, which counts for nobody's standing; its tests were not run: {reason}"))
        }
        TestEvidence::NotAsked if case.asked_for_tests => {
            (true, "accepted unproven, which counts for nobody's standing: its tests were not run".to_owned())
        }
        TestEvidence::NotAsked => {
            (true, "accepted unproven, which counts for nobody's standing: the PRD has no tests".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{
        evidence::{EvidenceStrength, TestCase, TestOutcome, TestReport},
        ids::WorkerId,
        job::Door,
        prd::SourceFile,
    };

    fn ran(outcomes: &[TestOutcome]) -> TestEvidence {
        let cases = outcomes.iter().map(|outcome| TestCase::new("t", *outcome)).collect();
        let report = TestReport::of(cases, EvidenceStrength::SameProcess);
        TestEvidence::Ran(TestReport { wall: std::time::Duration::from_secs(1), fast_enough: true, ..report })
    }

    fn decide_on(success: bool, text: &str, tests: TestEvidence, other_model_left: bool) -> Decision {
        let delivery = Delivery {
            worker: WorkerId::new("w").unwrap(),
            success,
            details: json!({}),
            door: Door::Remote,
            claimed_at: DateTime::UNIX_EPOCH,
            reported_at: DateTime::UNIX_EPOCH,
        };
        let work = Submission { files: vec![SourceFile::new("a", text)], ..Submission::default() };
        let examination = Examination { tests, ..Examination::default() };
        decide(&Case {
            asked_for_tests: true,
            delivery: &delivery,
            work: &work,
            examination: &examination,
            other_model_left,
            attempts_left: true,
        })
    }

    #[test]
    fn work_that_passes_all_its_tests_is_accepted() {
        let decision = decide_on(true, "x", ran(&[TestOutcome::Passed, TestOutcome::Skipped]), true);
        assert_eq!((decision.next, decision.why.as_str()), (Next::Validate, "1 of 1 tests passed"));
    }

    #[test]
    fn work_that_fails_one_test_goes_to_another_model_or_fails() {
        let tests = || ran(&[TestOutcome::Passed, TestOutcome::Failed]);
        assert!(matches!(decide_on(true, "x", tests(), true).next, Next::Retry { .. }));
        assert!(matches!(decide_on(true, "x", tests(), false).next, Next::Fail { .. }));
    }

    #[test]
    fn only_evidence_counts_for_standing() {
        let (passed, failed) = (ran(&[TestOutcome::Passed]), ran(&[TestOutcome::Failed]));
        assert!(counts(false, true, &passed, true) && counts(false, true, &failed, false));
        assert!(counts(false, false, &passed, true), "an outside validator's checklist is a result too");
        let not_run = TestEvidence::NotRun { reason: String::new() };
        assert!(!counts(false, true, &not_run, true), "unproven work shows nothing");
        assert!(counts(false, true, &not_run, false), "what was not accepted has failed what it was to pass");
        for accepted in [true, false] {
            assert!(!counts(false, false, &TestEvidence::NotAsked, accepted), "there was nothing to pass");
            assert!(!counts(true, true, &passed, accepted), "a stub's");
        }
    }

    #[test]
    fn a_run_in_which_no_test_ran_accepts_nothing() {
        assert!(!decide_on(true, "x", ran(&[]), false).accepted);
        assert!(!decide_on(true, "x", ran(&[TestOutcome::Skipped]), false).accepted);
    }

    #[test]
    fn empty_work_and_a_reported_failure_are_rejected_whatever_the_tests_say() {
        assert!(!decide_on(true, "  ", ran(&[TestOutcome::Passed]), false).accepted);
        assert!(!decide_on(false, "x", ran(&[TestOutcome::Passed]), false).accepted);
    }
}
