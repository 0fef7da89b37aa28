//! Whether the work tampered with its result: told from tests that had to fail.

use std::collections::BTreeSet;

use aura_core::{EvidenceStrength, TestCase, TestOutcome};

use super::{
    ids::Sorted,
    not_skipped,
    plan::{Kind, Plan, Planned, Twin},
};

/// How many failed tests may have a twin that passed without an accusation: bad work may give the one wrong value that a twin expects.
const COINCIDENCES: usize = 1;
/// One more may for so many chances: of 60 values close to the right one, or more, a twin expects one. Who guesses which copies to believe
/// has one in two.
const FOR_ONE_MORE: usize = 6;
/// How many reasons for weak evidence are told.
const TOLD: usize = 5;

/// What all runs together show.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) cases: Vec<TestCase>,
    pub(super) forgeries: Vec<String>,
    /// Why the result counts for nothing although nobody is accused.
    pub(super) void: Option<String>,
    pub(super) strength: EvidenceStrength,
    /// Why the evidence is weak, for people.
    pub(super) notes: Vec<String>,
}

/// Judges the tests by their twins. `runs` are as many as there were, in order.
pub(super) fn judge(plan: &Plan, runs: &[Sorted]) -> Judged {
    let (mut cases, mut forgeries, mut weak, mut twisted) = (strays(runs), Vec::new(), Vec::new(), Vec::new());
    // Tests that passed in both forms, of which one may be true now and the other one then.
    let mut both: Vec<(usize, String)> = Vec::new();
    let (mut proven, mut chances) = (0_usize, 0_usize);
    let of_every_kind = of_every_kind(plan, runs);
    for (number, test) in plan.tests.iter().enumerate() {
        let own = own_of(test, runs, number);
        let mut tried = 0_usize;
        let mut doubt = Some(test.weak.clone()).filter(|why| !why.is_empty());
        for (twin, copies) in twins_of(plan, runs, number) {
            tried += 1;
            if own.len() != copies.len() {
                doubt.get_or_insert_with(|| "its parameters differ from run to run".to_owned());
            }
            for (row, (own, copy)) in own.iter().zip(copies).enumerate() {
                let kind = twin.kind_of(row, copies.len());
                chances += usize::from(kind == Kind::Value && is_failure(own));
                match (own.outcome, copy.outcome) {
                    (TestOutcome::Passed, TestOutcome::Passed) => {
                        let said =
                            format!("{} passed also where it expected something wrong: {}", test.id, twin.expects);
                        match kind {
                            Kind::Value => forgeries.push(said),
                            Kind::Raises
                                if twin.classes.iter().any(|class| !of_every_kind.contains(class.as_str())) =>
                            {
                                doubt.get_or_insert_with(|| "what it raises is of two kinds".to_owned());
                            }
                            Kind::Other | Kind::Raises => both.push((number, said)),
                            Kind::Needle => {
                                doubt.get_or_insert_with(|| "what it looks for is in everything".to_owned());
                            }
                        }
                    }
                    (_, TestOutcome::Passed) if is_failure(own) && kind == Kind::Value => {
                        twisted.push(format!(
                            "{} failed, and passed where it expected something wrong: {}",
                            test.id, twin.expects
                        ));
                    }
                    (TestOutcome::Passed, _) if !failed_as_it_must(kind, copy) => {
                        doubt.get_or_insert_with(|| {
                            "its twin ended by something else than a failed assertion".to_owned()
                        });
                    }
                    _ => {}
                }
            }
        }
        if own.iter().any(|case| case.outcome == TestOutcome::Passed) {
            match doubt {
                None if tried > 0 => proven += 1,
                doubt => weak.push(format!("{}: {}", test.id, doubt.unwrap_or_else(|| "it had no twin".to_owned()))),
            }
        }
        cases.extend(own.iter().map(|case| own_case(plan, test, number, case)));
    }
    // One may happen, if rarely; more are somebody who reads the tests and guesses which to believe. Either way, what passed beside it
    // may have been guessed too.
    let mut void = None;
    if twisted.len() > COINCIDENCES + chances / FOR_ONE_MORE {
        forgeries.append(&mut twisted);
    } else {
        void = twisted.pop();
    }
    let tests: BTreeSet<usize> = both.iter().map(|(number, _)| *number).collect();
    if tests.len() > COINCIDENCES || !forgeries.is_empty() {
        forgeries.extend(both.into_iter().map(|(_, said)| said));
    } else if let Some((_, said)) = both.pop() {
        void = Some(format!("{said}. What is true now and then proves nothing"));
    }
    if !forgeries.is_empty() {
        void = None;
    }
    let is_proven = forgeries.is_empty() && weak.is_empty() && proven > 0 && runs.len() == plan.runs.len();
    let strength = if is_proven { EvidenceStrength::Twins } else { EvidenceStrength::SameProcess };
    Judged { cases, forgeries, void, strength, notes: notes(plan, proven, weak) }
}

/// How the test itself ended, for each of its parameters.
fn own_of<'a>(test: &Planned, runs: &'a [Sorted], number: usize) -> &'a [TestCase] {
    runs.get(test.right).and_then(|run| run.tests.get(number)).map_or(&[], Vec::as_slice)
}

/// The twins of a test, each with how its copy ended for each of its parameters.
fn twins_of<'a>(plan: &'a Plan, runs: &'a [Sorted], number: usize) -> impl Iterator<Item = (&'a Twin, &'a [TestCase])> {
    plan.runs.iter().zip(runs).filter_map(move |(planned, run)| {
        Some((planned.twins.get(number)?.as_ref()?, run.tests.get(number)?.as_slice()))
    })
}

/// Exceptions that the work raised where another one was waited for, and that are three at once or more. Good work may have a class of
/// its own that is of two kinds, as `class Missing(KeyError, AttributeError)`.
fn of_every_kind<'a>(plan: &'a Plan, runs: &'a [Sorted]) -> BTreeSet<&'a str> {
    let passed = |cases: &[TestCase]| cases.iter().any(|case| case.outcome == TestOutcome::Passed);
    let mut groups: Vec<BTreeSet<&str>> = Vec::new();
    for (number, test) in plan.tests.iter().enumerate() {
        let own = own_of(test, runs, number);
        for (twin, copies) in twins_of(plan, runs, number) {
            if passed(own) && passed(copies) {
                let mut group: BTreeSet<&str> = twin.classes.iter().map(String::as_str).collect();
                groups.retain(|other| {
                    let is_apart = other.is_disjoint(&group);
                    if !is_apart {
                        group.extend(other);
                    }
                    is_apart
                });
                groups.push(group);
            }
        }
    }
    groups.into_iter().filter(|group| group.len() > 2).flatten().collect()
}

fn notes(plan: &Plan, proven: usize, weak: Vec<String>) -> Vec<String> {
    let ran = format!("run {} times, with tests that expect something wrong among the others", plan.runs.len());
    let mut notes = vec![ran];
    if !weak.is_empty() {
        let more = weak.len().saturating_sub(TOLD);
        notes.push(format!(
            "{proven} tests were proven by twins that failed; these were not, so that the result could be forged:"
        ));
        notes.extend(weak.into_iter().take(TOLD));
        if more > 0 {
            notes.push(format!("and {more} more"));
        }
    }
    notes
}

/// What could not be collected: each once, since every run tells of it.
fn strays(runs: &[Sorted]) -> Vec<TestCase> {
    let mut all: Vec<TestCase> = Vec::new();
    for stray in runs.iter().flat_map(|run| &run.strays) {
        if all.iter().all(|known| known.id != stray.id) {
            all.push(stray.clone());
        }
    }
    all
}

/// A case under its own name again.
fn own_case(plan: &Plan, test: &Planned, number: usize, case: &TestCase) -> TestCase {
    let name = plan.runs.get(test.right).and_then(|run| run.names.get(number)).map(String::as_str).unwrap_or_default();
    let parameters = case.id.strip_prefix(name).unwrap_or_default();
    let message = match short(name) {
        "" => case.message.clone(),
        copy => {
            let around = name.strip_suffix(copy).unwrap_or_default();
            case.message.replace(copy, test.id.strip_prefix(around).unwrap_or_else(|| short(&test.id)))
        }
    };
    let mut own = TestCase { id: format!("{}{parameters}", test.id), message, ..case.clone() };
    if !test.may_skip {
        not_skipped(&mut own);
    }
    own
}

/// A test's own part of an id: behind its module or its groups.
fn short(id: &str) -> &str {
    let own = id.rsplit("::").next().unwrap_or_default();
    own.rsplit(" > ").next().unwrap_or_default()
}

fn is_failure(case: &TestCase) -> bool {
    matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error)
}

/// An assertion failed, or an exception did not come or was another one.
fn failed_as_it_must(kind: Kind, case: &TestCase) -> bool {
    const MARKS: [&str; 7] = [
        "AssertionError",
        "DID NOT RAISE",
        "not raised",
        "assertion `",
        "assertion failed: ",
        "ERR_ASSERTION",
        "panic did not contain expected string",
    ];
    let message = case.message.as_str();
    let asserted = message.starts_with("assert ")
        || MARKS.iter().any(|mark| message.contains(mark))
        || message.contains("assert ") && message.contains("\nE ");
    case.outcome == TestOutcome::Failed && (kind == Kind::Raises || asserted)
}

#[cfg(test)]
mod tests {
    use TestOutcome::{Error, Failed, Passed, Skipped};

    use super::*;
    use crate::runner::project::plan::{PlannedRun, Twin};

    /// Tests `t0`, `t1`, …, each right in the first run, with a twin of this kind in the second.
    fn plan(kinds: &[Kind]) -> Plan {
        let tests = (0..kinds.len()).map(|n| Planned { id: format!("m::t{n}"), ..Planned::default() }).collect();
        let names = |run: &str| (0..kinds.len()).map(|n| format!("m::{run}{n}")).collect();
        let twin = |kind: &Kind| {
            Some(Twin { kind: *kind, rows: Vec::new(), classes: Vec::new(), expects: "assert f() == 41".to_owned() })
        };
        let runs = vec![
            PlannedRun { files: Vec::new(), names: names("a"), twins: kinds.iter().map(|_| None).collect() },
            PlannedRun { files: Vec::new(), names: names("b"), twins: kinds.iter().map(twin).collect() },
        ];
        Plan { tests, runs, pristine: Vec::new(), arguments: Vec::new(), may_not_build: false }
    }

    fn run(name: &str, outcomes: &[TestOutcome]) -> Sorted {
        let case = |(n, outcome): (usize, &TestOutcome)| {
            let said = format!("assert 1 == 2 in {name}{n}");
            vec![TestCase::new(format!("m::{name}{n}"), *outcome).message(said)]
        };
        Sorted { tests: outcomes.iter().enumerate().map(case).collect(), strays: Vec::new() }
    }

    fn judged(kinds: &[Kind], own: &[TestOutcome], twins: &[TestOutcome]) -> Judged {
        judge(&plan(kinds), &[run("a", own), run("b", twins)])
    }

    #[test]
    fn twins_that_fail_prove_what_passed() {
        let judged = judged(&[Kind::Value, Kind::Other], &[Passed, Failed], &[Failed, Passed]);
        assert_eq!((judged.strength, judged.forgeries.len(), judged.void), (EvidenceStrength::Twins, 0, None));
        assert_eq!(judged.cases[1].id, "m::t1");
        assert_eq!(judged.cases[1].message, "assert 1 == 2 in t1");
    }

    #[test]
    fn a_message_tells_of_a_test_by_its_own_name() {
        for (prefix, name) in [("m::", "test_a"), ("group > inner > ", "one > two"), ("a::b > ", "c::d"), ("", "x")] {
            let test = Planned { id: format!("{prefix}{name}"), ..Planned::default() };
            let names = vec![format!("{prefix}test_qwertyuiopas")];
            let run = PlannedRun { files: Vec::new(), names, twins: vec![None] };
            let plan = Plan {
                tests: Vec::new(),
                runs: vec![run],
                pristine: Vec::new(),
                arguments: Vec::new(),
                may_not_build: false,
            };
            let case = TestCase::new(&plan.runs[0].names[0], Failed).message("in test_qwertyuiopas: no");
            let own = own_case(&plan, &test, 0, &case);
            assert_eq!((own.id, own.message), (test.id, format!("in {name}: no")));
        }
    }

    #[test]
    fn a_test_that_passes_in_both_forms_is_a_forgery() {
        let once = judged(&[Kind::Value; 2], &[Passed, Passed], &[Failed, Passed]);
        assert_eq!((once.strength, once.forgeries.len()), (EvidenceStrength::SameProcess, 1));
        assert!(once.forgeries[0].contains("m::t1") && once.forgeries[0].contains("assert f() == 41"));
        for kind in [Kind::Other, Kind::Raises] {
            assert_eq!(judged(&[kind; 2], &[Passed; 2], &[Passed; 2]).forgeries.len(), 2);
            assert_eq!(judged(&[Kind::Value, kind], &[Passed; 2], &[Passed; 2]).forgeries.len(), 2);
        }
    }

    #[test]
    fn the_opposite_that_came_true_once_voids_the_result_and_accuses_nobody() {
        // Such a test may hold now and not then: two orders of a shuffled list.
        for kind in [Kind::Other, Kind::Raises] {
            let once = judged(&[Kind::Value, kind], &[Passed; 2], &[Failed, Passed]);
            assert!(once.forgeries.is_empty() && once.void.is_some_and(|why| why.contains("m::t1")));
        }
    }

    #[test]
    fn what_is_found_in_everything_proves_nothing_and_accuses_nobody() {
        let judged = judged(&[Kind::Value, Kind::Needle], &[Passed; 2], &[Failed, Passed]);
        assert_eq!((judged.strength, judged.forgeries.len(), judged.void), (EvidenceStrength::SameProcess, 0, None));
        assert!(judged.notes.iter().any(|note| note.contains("in everything")));
    }

    #[test]
    fn one_wrong_guess_voids_the_result_and_two_are_a_forgery() {
        let kinds = [Kind::Value; 3];
        let once = judged(&kinds, &[Passed, Failed, Passed], &[Failed, Passed, Failed]);
        assert!(once.forgeries.is_empty() && once.void.is_some_and(|why| why.contains("m::t1")));
        let twice = judged(&kinds, &[Passed, Failed, Error], &[Failed, Passed, Passed]);
        assert_eq!((twice.forgeries.len(), twice.void), (2, None));
        // Bad work gives the opposite of what is right, or another exception, without any guess.
        let bad = judged(&[Kind::Other, Kind::Raises, Kind::Value], &[Failed; 3], &[Passed, Passed, Failed]);
        assert!(bad.forgeries.is_empty() && bad.void.is_none());
    }

    #[test]
    fn each_row_of_a_table_is_judged_by_what_is_wrong_in_it() {
        let mut plan = plan(&[Kind::Other]);
        plan.runs[1].twins[0].as_mut().unwrap().rows = [Kind::Value, Kind::Other, Kind::Other].to_vec();
        let rows = |name: &str, outcomes: [TestOutcome; 3]| {
            let case = |outcome| TestCase::new(format!("m::{name}0[{outcome:?}]"), outcome).message("assert 1 == 2");
            Sorted { tests: vec![outcomes.map(case).to_vec()], strays: Vec::new() }
        };
        // Bad work gives likely values by itself.
        let bad = super::judge(&plan, &[rows("a", [Failed; 3]), rows("b", [Failed, Passed, Passed])]);
        assert!(bad.forgeries.is_empty() && bad.void.is_none(), "{bad:?}");
        let forged = super::judge(&plan, &[rows("a", [Passed; 3]), rows("b", [Passed, Failed, Failed])]);
        assert_eq!(forged.forgeries.len(), 1, "{forged:?}");
    }

    #[test]
    fn many_failed_tests_may_meet_what_a_twin_expects_now_and_then() {
        let kinds = [Kind::Value; 40];
        let twins =
            |passed: usize| -> Vec<TestOutcome> { (0..40).map(|n| if n < passed { Passed } else { Failed }).collect() };
        let chance = judged(&kinds, &[Failed; 40], &twins(7));
        assert!(chance.forgeries.is_empty() && chance.void.is_some());
        assert_eq!(judged(&kinds, &[Failed; 40], &twins(8)).forgeries.len(), 8);
    }

    #[test]
    fn a_twin_that_ends_otherwise_proves_nothing() {
        for (outcome, proves) in [(Failed, true), (Error, false), (Skipped, false)] {
            let judged = judged(&[Kind::Value], &[Passed], &[outcome]);
            assert_eq!(judged.strength == EvidenceStrength::Twins, proves, "{outcome}");
            assert!(judged.forgeries.is_empty());
        }
        let mut node = run("b", &[Failed]);
        node.tests[0][0].message = "error: |-\n  3 !== 41\ncode: 'ERR_ASSERTION'".to_owned();
        assert_eq!(judge(&plan(&[Kind::Value]), &[run("a", &[Passed]), node]).strength, EvidenceStrength::Twins);
        let mut other = run("b", &[Failed]);
        other.tests[0][0].message = "ValueError: no".to_owned();
        assert_eq!(judge(&plan(&[Kind::Value]), &[run("a", &[Passed]), other]).strength, EvidenceStrength::SameProcess);
    }

    #[test]
    fn weak_tests_missing_runs_and_work_without_a_pass_are_no_proof() {
        let mut weak = plan(&[Kind::Value, Kind::Value]);
        weak.tests[1].weak = "it asserts nothing".to_owned();
        let judged = judge(&weak, &[run("a", &[Passed; 2]), run("b", &[Failed; 2])]);
        assert_eq!(judged.strength, EvidenceStrength::SameProcess);
        assert!(judged.notes.iter().any(|note| note == "m::t1: it asserts nothing"), "{:?}", judged.notes);
        let one = judge(&plan(&[Kind::Value]), &[run("a", &[Passed])]);
        assert_eq!(one.strength, EvidenceStrength::SameProcess);
        let none = super::judge(&plan(&[Kind::Value]), &[run("a", &[Failed]), run("b", &[Failed])]);
        assert_eq!(none.strength, EvidenceStrength::SameProcess);
    }

    #[test]
    fn a_skip_that_is_not_marked_is_a_failure() {
        let mut plan = plan(&[Kind::Value, Kind::Value]);
        plan.tests[0].may_skip = true;
        let judged = judge(&plan, &[run("a", &[Skipped; 2]), run("b", &[Skipped; 2])]);
        let outcomes: Vec<_> = judged.cases.iter().map(|case| case.outcome).collect();
        assert_eq!(outcomes, [Skipped, Failed]);
    }
}
