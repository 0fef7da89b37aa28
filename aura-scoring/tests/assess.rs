//! What each signal of an assessment says of the evidence it was drawn from.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aura_core::{
    Evidence, Language, ModelIdentity, Penalty, PenaltyMark, Scorer, Sibling, Submission, TestEvidence, TestOutcome::*,
    TestReport, evidence::RunEnd,
};
use aura_scoring::FormulaScorer;

use given::{evidence, report, sibling};

mod given;

const ADD: &str = "def add(a, b):\n    return a + b\n";

/// The value of a component, and how it was measured.
fn read(evidence: &Evidence, name: &str) -> (Option<f64>, String) {
    let components = FormulaScorer::new().assess(evidence).components;
    let component = components.into_iter().find(|component| component.name == name).unwrap();
    (component.value.map(|value| value.get()), component.why)
}

fn agreement(text: &str, siblings: Vec<Sibling>) -> (Option<f64>, String) {
    read(&evidence(text, siblings), "cross_model_agreement")
}

fn tested(tests: TestEvidence, name: &str) -> (Option<f64>, String) {
    read(&Evidence { tests, ..evidence(ADD, vec![]) }, name)
}

#[test]
fn skipped_tests_count_neither_for_nor_against() {
    let tests = report(&[Passed, Passed, Passed, Failed, Skipped], RunEnd::Finished, true);
    assert_eq!(tested(tests, "test_score"), (Some(0.75), "3 of 4 tests passed".to_owned()));
    let tests = report(&[Passed, Error], RunEnd::Finished, true);
    assert_eq!(tested(tests, "test_score"), (Some(0.5), "1 of 2 tests passed".to_owned()));
}

#[test]
fn a_run_that_gave_no_count_scores_nothing_even_if_tests_passed_before() {
    for end in [RunEnd::TimedOut, RunEnd::Unreadable, RunEnd::TooMuchOutput] {
        assert_eq!(tested(report(&[Passed], end, true), "test_score").0, Some(0.0), "{end:?}");
    }
    assert_eq!(tested(report(&[], RunEnd::Finished, true), "test_score").0, Some(0.0));
    assert_eq!(tested(report(&[Skipped], RunEnd::Finished, true), "test_score").0, Some(0.0));
}

#[test]
fn work_that_faked_its_result_earns_nothing_by_anything_else() {
    let TestEvidence::Ran(passed) = report(&[Passed], RunEnd::Finished, true) else { unreachable!() };
    let forgeries = vec!["a twin passed".to_owned()];
    let documented = "def add(a, b):\n    \"\"\"Gives the sum of two numbers.\"\"\"\n    return a + b\n";
    let evidence = evidence(documented, vec![sibling("other", documented)]);
    let assessment = FormulaScorer::new()
        .assess(&Evidence { tests: TestEvidence::Ran(TestReport { forgeries, ..passed }), ..evidence });
    assert_eq!(assessment.score.get(), 0.0);
    assert!(assessment.attainable.get() > 0.89, "it is held against all that could be earned");
    assert!(assessment.components.iter().all(|component| component.why.contains("a twin passed")));
}

/// Agreement of work that answers probes with siblings that answer them, and are written in another way.
fn agreement_of_behaviour(mine: &[Option<&str>], others: &[&[Option<&str>]]) -> (Option<f64>, String) {
    let behaviour = |answers: &[Option<&str>]| answers.iter().map(|answer| answer.map(str::to_owned)).collect();
    let siblings = others.iter().enumerate().map(|(n, answers)| Sibling {
        behaviour: behaviour(answers),
        ..sibling(&format!("other-{n}"), "import sys\nadd = lambda *of: sum(of)\n")
    });
    let TestEvidence::Ran(passed) = report(&[Passed], RunEnd::Finished, true) else { unreachable!() };
    let tests = TestEvidence::Ran(TestReport { behaviour: behaviour(mine), ..passed });
    read(&Evidence { tests, ..evidence(ADD, siblings.collect()) }, "cross_model_agreement")
}

#[test]
fn works_that_answered_the_same_probes_agree_by_what_they_answered() {
    let mine = [Some("a"), Some("b"), Some("c"), None];
    let (value, why) = agreement_of_behaviour(&mine, &[&[Some("a"), Some("b"), Some("x"), None]]);
    assert_eq!(value, Some(0.5), "that both answered nothing is no agreement: {why}");
    assert!(why.contains("behaviour: 2 of 4 probes answered alike"), "{why}");
    let (value, _) = agreement_of_behaviour(&mine, &[&[Some("a"), Some("b"), Some("c"), Some("d")], &[None; 4]]);
    assert_eq!(value, Some(0.375), "the mean over the others");
}

#[test]
fn works_of_which_one_answered_no_probes_are_compared_as_text() {
    let text = agreement_of_behaviour(&[], &[&[]]);
    assert_eq!(agreement_of_behaviour(&[Some("a")], &[&[]]), text);
    assert_eq!(agreement_of_behaviour(&[Some("a")], &[&[Some("a"), Some("b")]]), text, "other probes");
    assert!(text.1.contains("text "), "{}", text.1);
}

#[test]
fn tests_that_were_not_asked_for_or_not_run_are_absent() {
    assert_eq!(tested(TestEvidence::NotAsked, "test_score"), (None, "absent: the PRD has no tests".to_owned()));
    let refused = || TestEvidence::NotRun { reason: "no sandbox".to_owned() };
    assert_eq!(tested(refused(), "test_score"), (None, "absent: the tests were not run: no sandbox".to_owned()));
    assert_eq!(tested(refused(), "performance_ok").0, None);
}

#[test]
fn performance_is_all_or_nothing() {
    assert_eq!(tested(report(&[Passed], RunEnd::Finished, true), "performance_ok").0, Some(1.0));
    assert_eq!(tested(report(&[Passed], RunEnd::Finished, false), "performance_ok").0, Some(0.0));
    assert_eq!(tested(report(&[], RunEnd::TimedOut, true), "performance_ok").0, Some(0.0));
    assert_eq!(tested(report(&[], RunEnd::TooMuchOutput, true), "performance_ok").0, Some(0.0));
    assert_eq!(tested(report(&[], RunEnd::Unreadable, true), "performance_ok").0, None);
}

#[test]
fn the_same_code_in_another_layout_agrees_in_full() {
    let other = "# my own\r\ndef add( a,b ):\r\n\t\"\"\"Adds.\"\"\"\r\n\treturn a+b";
    let (value, why) = agreement(ADD, vec![sibling("other", other)]);
    assert_eq!(value, Some(1.0));
    assert_eq!(
        why,
        "mean over 1 other model: lab/other 1.00 (text 1.00, function names 1.00, \
         signatures 1.00)"
    );
}

#[test]
fn agreement_is_half_text_a_quarter_names_and_a_quarter_signatures() {
    // Tokens: `def add ( a , b ) : return a + b` are 12. The other has `, c` more, so 14, with 2 edits: text 12/14.
    // Names: 1 of 1. Signatures: add/2 and add/3 share nothing.
    let (value, _) = agreement(ADD, vec![sibling("other", "def add(a, b, c):\n    return a + b\n")]);
    let by_hand = 0.5 * (12.0 / 14.0) + 0.25;
    assert!((value.unwrap() - by_hand).abs() < 1e-12, "{value:?}");
}

#[test]
fn without_functions_on_either_side_text_alone_counts() {
    // Of `x = 1` and `x = 2` one token of three differs.
    let (value, why) = agreement("x = 1", vec![sibling("other", "x = 2")]);
    assert!((value.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert!(why.contains("no functions"), "{why}");
}

#[test]
fn alone_there_is_no_agreement_to_measure() {
    assert_eq!(agreement(ADD, vec![]), (None, "absent: no other model worked on this".to_owned()));
    let empty = vec![sibling("other", "  \n# nothing\n")];
    assert_eq!(agreement(ADD, empty), (None, "absent: no other model handed in code".to_owned()));
}

#[test]
fn a_model_does_not_agree_with_itself_under_another_name() {
    let mut copy = sibling(given::ME, ADD);
    let absent = (None, "absent: only copies of the same model worked on this".to_owned());
    assert_eq!(agreement(ADD, vec![copy.clone()]), absent);
    copy.identity = ModelIdentity { provider: " LAB".to_owned(), model: "Me ".to_owned() };
    assert_eq!(agreement(ADD, vec![copy]), absent);
}

#[test]
fn copies_of_one_model_are_one_voice() {
    let (alike, unlike) = (|| sibling("copied", ADD), || sibling("other", "print('hello')\n"));
    let once = agreement(ADD, vec![alike(), unlike()]);
    assert_eq!(agreement(ADD, vec![alike(), unlike(), alike(), alike()]), once);
    // Two different works of one model are still one voice, their mean.
    let two_works = agreement(ADD, vec![alike(), sibling("copied", "print('hello')\n")]).0.unwrap();
    let other = agreement(ADD, vec![unlike()]).0.unwrap();
    assert!((two_works - f64::midpoint(1.0, other)).abs() < 1e-12);
}

#[test]
fn handing_in_nothing_agrees_with_nobody() {
    let others = || vec![sibling("other", ADD)];
    assert_eq!(agreement("", others()).0, Some(0.0));
    assert_eq!(agreement("# only a comment\n", others()).0, Some(0.0));
    assert_eq!(read(&Evidence { work: Submission::default(), ..evidence("", others()) }, "docs_quality").0, None);
}

#[test]
fn work_longer_than_is_compared_exactly_says_that_it_is_an_estimate() {
    let long = |seed: usize| (0..6000).map(|n| format!("x{} = {n}\n", n * seed)).collect::<String>();
    let (value, why) = agreement(&long(1), vec![sibling("other", &long(2))]);
    assert!(value.is_some() && why.contains("estimated for its length"), "{why}");
}

#[test]
fn penalties_are_summed_and_held_to_the_most_there_is() {
    let mark = |weight: f64| PenaltyMark { reason: "r".to_owned(), weight: Penalty::new(weight).unwrap() };
    let total = |penalties| FormulaScorer::new().assess(&Evidence { penalties, ..evidence(ADD, vec![]) }).penalties;
    assert_eq!(total(vec![]), 0.0);
    assert_eq!(total(vec![mark(1.0), mark(0.5)]), 1.5);
    assert_eq!(total(vec![mark(100.0), mark(100.0)]), Penalty::MAX);
}

#[test]
fn a_patch_without_a_new_function_has_no_docs_to_measure() {
    let patch = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n".to_owned();
    let work = Submission { patches: vec![patch], ..Submission::default() };
    assert_eq!(read(&Evidence { work, ..evidence("", vec![]) }, "docs_quality").0, None);
}

#[test]
fn work_in_a_language_whose_functions_cannot_be_read_is_compared_as_text() {
    let mut evidence = evidence("func main() {}", vec![sibling("other", "func main() {}")]);
    evidence.language = Language::Text;
    evidence.work.files[0].path = "main.go".to_owned();
    evidence.siblings[0].work.files[0].path = "main.go".to_owned();
    assert_eq!(read(&evidence, "cross_model_agreement").0, Some(1.0));
    assert_eq!(read(&evidence, "docs_quality").0, None);
}

/// `docs/scoring.md` works this one out by hand.
#[test]
fn the_worked_example_of_the_documentation_holds() {
    let mine = "def add(a, b):\n    \"\"\"Returns the sum of both numbers.\"\"\"\n    return a + b\n";
    let siblings = vec![
        sibling("x", "def add( a, b ):\n  # the same\n  return a+b\n"),
        sibling("y", "def add(a, b, c=0):\n    return a + b + c\n"),
    ];
    let penalties = vec![PenaltyMark { reason: "r".to_owned(), weight: Penalty::new(0.5).unwrap() }];
    let outcomes = [Passed, Passed, Passed, Passed, Passed, Passed, Passed, Failed];
    let tests = report(&outcomes, RunEnd::Finished, true);
    let assessment = FormulaScorer::new().assess(&Evidence { tests, penalties, ..evidence(mine, siblings) });
    let adds: Vec<f64> = assessment.components.iter().map(|part| part.contribution()).collect();
    for (adds, by_hand) in adds.iter().zip([0.35, 0.2375, 0.08, 0.10]) {
        assert!((adds - by_hand).abs() < 1e-12, "{assessment:#?}");
    }
    assert!((assessment.score.get() - 0.6425).abs() < 1e-12, "{}", assessment.score);
    assert!((assessment.attainable.get() - 0.90).abs() < 1e-12);
}
