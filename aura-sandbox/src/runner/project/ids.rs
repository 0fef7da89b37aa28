//! The ids that a report has to hold: no more, no fewer, each once.

use std::collections::HashMap;

use aura_core::{TestCase, TestOutcome};

use super::{not_skipped, plan::Planned};
use crate::report::MAX_ID;

/// How many ids a complaint names.
const NAMED: usize = 3;

/// A report's tests, by the test that each belongs to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sorted {
    /// For each test: how it ended, once for each of its parameters.
    pub(super) tests: Vec<Vec<TestCase>>,
    /// What ended badly and is no test: files that could not be collected.
    pub(super) strays: Vec<TestCase>,
}

impl Sorted {
    /// How many tests passed.
    pub(super) fn passed(&self) -> usize {
        self.tests.iter().flatten().filter(|case| case.outcome == TestOutcome::Passed).count()
    }

    /// Whether any test was run.
    pub(super) fn ran(&self) -> bool {
        self.tests.iter().any(|group| !group.is_empty())
    }

    /// All of it, where the copies are the tests themselves.
    pub(super) fn into_cases(self, tests: &[Planned]) -> Vec<TestCase> {
        let mut cases = self.strays;
        for (test, mut group) in tests.iter().zip(self.tests) {
            if !test.may_skip {
                group.iter_mut().for_each(not_skipped);
            }
            cases.append(&mut group);
        }
        cases
    }
}

/// Sorts a report's tests by the name that each test's copy has in it; a complaint when they do not fit.
pub(super) fn sort<N: AsRef<str>>(tests: &[Planned], names: &[N], cases: Vec<TestCase>) -> Result<Sorted, String> {
    let numbers: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_ref(), at)).collect();
    let mut sorted = Sorted { tests: names.iter().map(|_| Vec::new()).collect(), strays: Vec::new() };
    let (mut extra, mut repeated) = (Vec::new(), Vec::new());
    let mut places: HashMap<String, (usize, usize)> = HashMap::new();
    for case in cases {
        // A bracket begins parameters only where there are some: a name may hold one too.
        let base = || {
            let base = case.id.find('[').and_then(|at| case.id.get(..at))?;
            numbers.get(base).copied().filter(|at| tests.get(*at).is_some_and(|test| test.many))
        };
        let number = numbers.get(case.id.as_str()).copied().or_else(base);
        match number.and_then(|at| Some((at, sorted.tests.get_mut(at)?))) {
            Some((at, group)) => match places.get(&case.id).filter(|_| case.id.len() < MAX_ID) {
                // pytest lists a test twice when it fails and then cannot be cleaned up.
                Some((_, first)) => match group.get_mut(*first) {
                    Some(first) if worse(case.outcome) || worse(first.outcome) => {
                        if !worse(first.outcome) {
                            *first = case;
                        }
                    }
                    _ => repeated.push(case.id),
                },
                None => {
                    places.insert(case.id.clone(), (at, group.len()));
                    group.push(case);
                }
            },
            None if worse(case.outcome) => sorted.strays.push(case),
            None => extra.push(case.id),
        }
    }
    let mut missing = Vec::new();
    let passed = sorted.passed() > 0;
    if sorted.ran() {
        for (test, group) in tests.iter().zip(&mut sorted.tests) {
            let failed = sorted.strays.iter().any(|stray| is_part(test, &stray.id));
            if group.is_empty() && failed {
                group.push(TestCase::new(&test.id, TestOutcome::Error).message("its file could not be collected"));
            } else if !passed {
                // A report in which nothing passed proves nothing, and is kept for what it says.
            } else if group.is_empty() || test.count.is_some_and(|count| group.len() < count) {
                missing.push(test.id.clone());
            } else if test.count.is_some_and(|count| group.len() > count) {
                extra.push(test.id.clone());
            }
        }
    }
    complaint(&missing, &extra, &repeated).map_or(Ok(sorted), Err)
}

/// Whether a test is part of what could not be collected: a module, a class in it, a file, or a group.
fn is_part(test: &Planned, stray: &str) -> bool {
    let module = test.id.split("::").next().unwrap_or_default();
    let is_below = |whole: &str, stray: &str, mark: &str| {
        whole.strip_prefix(stray).is_some_and(|rest| rest.is_empty() || rest.starts_with(mark))
    };
    let is_file = !test.file.is_empty() && is_file_at(stray, &test.file);
    is_below(module, stray.trim_start_matches("::"), ".") || is_below(&test.id, stray, " > ") || is_file
}

/// Whether a report calls a file by this path, or by one that leads to it.
fn is_file_at(stray: &str, file: &str) -> bool {
    stray.strip_suffix(file).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

const fn worse(outcome: TestOutcome) -> bool {
    matches!(outcome, TestOutcome::Failed | TestOutcome::Error)
}

/// What is wrong with a report of a suite that gives its ids. One in which nothing passed proves nothing, and is kept for what it says.
pub(super) fn check(expected: &[String], cases: &[TestCase]) -> Option<String> {
    if expected.is_empty() || cases.iter().all(|case| case.outcome != TestOutcome::Passed) {
        return None;
    }
    let mut open: HashMap<&str, bool> = expected.iter().map(|id| (id.as_str(), true)).collect();
    let (mut extra, mut repeated) = (Vec::new(), Vec::new());
    for case in cases {
        match open.get_mut(case.id.as_str()) {
            Some(open) if *open => *open = false,
            Some(_) => repeated.push(case.id.clone()),
            None => extra.push(case.id.clone()),
        }
    }
    let missing: Vec<String> =
        expected.iter().filter(|id| open.get(id.as_str()).copied().unwrap_or(false)).cloned().collect();
    complaint(&missing, &extra, &repeated)
}

fn complaint(missing: &[String], extra: &[String], repeated: &[String]) -> Option<String> {
    let parts = [("lacks", missing), ("holds what is no test of the suite:", extra), ("repeats", repeated)];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(verb, ids)| {
            let first: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
            let more = ids.len().saturating_sub(NAMED);
            format!("{verb} {}{}", first.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
        })
        .collect();
    (!said.is_empty()).then(|| format!("the report {}", said.join("; it ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TestOutcome::{Error, Failed, Passed, Skipped};

    fn cases(cases: &[(&str, TestOutcome)]) -> Vec<TestCase> {
        cases.iter().map(|(id, outcome)| TestCase::new(*id, *outcome)).collect()
    }

    fn planned() -> Vec<Planned> {
        let one = |id: &str, many, count| Planned { id: id.to_owned(), many, count, ..Planned::default() };
        vec![one("t::a", false, Some(1)), one("t::b", true, Some(2)), one("t::c", true, None)]
    }

    fn sorted(given: &[(&str, TestOutcome)]) -> Result<Sorted, String> {
        sort(&planned(), &["t::a", "t::b", "t::c"], cases(given))
    }

    const ALL: [(&str, TestOutcome); 4] =
        [("t::a", Passed), ("t::b[1]", Passed), ("t::b[2]", Failed), ("t::c", Passed)];

    #[test]
    fn a_report_that_fits_is_sorted() {
        let sorted = sorted(&ALL).unwrap();
        assert_eq!(sorted.tests.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!(sorted.passed(), 3);
    }

    #[test]
    fn fewer_more_other_and_repeated_ids_do_not_fit() {
        for (change, said) in [
            (&ALL[1..], "lacks t::a"),
            (&[ALL[0], ALL[1], ALL[3]], "lacks t::b"),
            (&[ALL[0], ALL[1], ALL[2], ALL[3], ("t::b[3]", Passed)], "no test of the suite: t::b"),
            (&[ALL[0], ALL[1], ALL[2], ALL[3], ("t::x", Passed)], "no test of the suite: t::x"),
            (&[ALL[0], ALL[1], ALL[2], ALL[3], ("t::x", Skipped)], "no test of the suite: t::x"),
            (&[ALL[0], ALL[0], ALL[1], ALL[2], ALL[3]], "repeats t::a"),
            (&[("t::a[1]", Passed), ALL[1], ALL[2], ALL[3]], "lacks t::a"),
        ] {
            let complaint = sorted(change).unwrap_err();
            assert!(complaint.contains(said), "{complaint}");
        }
    }

    #[test]
    fn a_test_that_fails_twice_is_one_failure() {
        let report = [ALL[0], ("t::a", Error), ALL[1], ALL[2], ALL[2], ALL[3]];
        let sorted = sorted(&report).unwrap();
        assert_eq!(sorted.tests[0], cases(&[("t::a", Error)]));
        assert_eq!(sorted.tests[1].len(), 2);
    }

    #[test]
    fn what_could_not_be_collected_is_kept_and_costs_its_tests() {
        let import = sorted(&[("t", Error)]).unwrap();
        assert_eq!((import.strays.len(), import.passed()), (1, 0));
        let two =
            [Planned { id: "t::a".into(), ..Planned::default() }, Planned { id: "u::b".into(), ..Planned::default() }];
        let partly = sort(&two, &["t::a", "u::b"], cases(&[("t::a", Passed), ("u", Error)])).unwrap();
        assert_eq!(partly.tests[1][0].outcome, Error);
        let failed = sort(&two, &["t::a", "u::b"], cases(&[("t::a", Failed), ("u", Error)])).unwrap();
        assert_eq!((failed.tests[1][0].outcome, failed.passed()), (Error, 0));
    }

    #[test]
    fn a_bracket_in_a_name_begins_no_parameters() {
        let test = |id: &str, many| Planned { id: id.to_owned(), many, ..Planned::default() };
        let names = ["g [x] > a", "g [x] > b [1]", "t::c"];
        let tests = [test(names[0], false), test(names[1], false), test(names[2], true)];
        let report = [(names[0], Passed), (names[1], Failed), ("t::c[1]", Passed), ("t::c[2]", Passed)];
        let sorted = sort(&tests, &names, cases(&report)).unwrap();
        assert_eq!(sorted.tests.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 2]);
        let other = [(names[0], Passed), ("g [x] > b [2]", Passed), ("t::c", Passed)];
        assert!(sort(&tests, &names, cases(&other)).unwrap_err().contains("b [2]"));
    }

    #[test]
    fn a_file_or_a_group_that_failed_costs_its_tests() {
        let test = |id: &str, file: &str| Planned { id: id.into(), file: file.into(), ..Planned::default() };
        let tests = [test("a", "t/a.js"), test("g > b", "t/b.js"), test("g > c > d", "t/b.js")];
        let names = ["x", "g > y", "g > c > z"];
        for (stray, given, errors) in [
            ("/work/t/a.js", &[("g > y", Passed), ("g > c > z", Passed)][..], vec![0]),
            ("g", &[("x", Passed)], vec![1, 2]),
        ] {
            let mut report = cases(given);
            report.push(TestCase::new(stray, Failed));
            let sorted = sort(&tests, &names, report).unwrap();
            for (at, group) in sorted.tests.iter().enumerate() {
                assert_eq!(group[0].outcome == Error, errors.contains(&at), "{stray}: {at}");
            }
        }
        let other = cases(&[("x", Passed), ("/work/not/a.js", Failed)]);
        assert!(sort(&tests, &names, other).unwrap_err().contains("lacks g > b"));
    }

    #[test]
    fn ids_that_the_suite_gives_are_held_against_the_report() {
        let expected = ["a".to_owned(), "b".to_owned()];
        assert_eq!(check(&expected, &cases(&[("b", Passed), ("a", Failed)])), None);
        assert_eq!(check(&[], &cases(&[("b", Passed)])), None);
        assert_eq!(check(&expected, &cases(&[("build", Error)])), None);
        for (report, said) in [
            (cases(&[("a", Passed)]), "lacks b"),
            (cases(&[("a", Passed), ("b", Passed), ("c", Failed)]), "no test of the suite: c"),
            (cases(&[("a", Passed), ("b", Passed), ("b", Passed)]), "repeats b"),
        ] {
            assert!(check(&expected, &report).unwrap().contains(said));
        }
    }

    #[test]
    fn a_complaint_names_the_first_few() {
        let many: Vec<String> = (0..9).map(|n| format!("t{n}")).collect();
        assert_eq!(complaint(&many, &[], &[]).unwrap(), "the report lacks t0, t1, t2 and 6 more");
    }
}
