//! Runs cargo suites whose tests have twins.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

mod bench;

use std::time::Duration;

use aura_core::{EvidenceStrength, ReportFormat, TestOutcome, TestReport, TestSuite, evidence::RunEnd};
use aura_sandbox::{BackEnd, Limits};
use bench::{Bench, everywhere};

/// Each form of an assertion that can be made wrong, over the work in `GOOD`.
const TESTS: &str = r#"//! What is right: 5.
use solution::*;
use std::cmp::Ordering;

mod numbers {
    use solution::add;

    #[test]
    fn small() {
        // Five, of course.
        assert_eq!(add(2, 3), 5, "it is five");
    }

    /// Nine hundred.
    #[test]
    fn large() {
        assert_eq!(0x384_i32, add(400, 500));
    }

    #[test]
    fn negative() {
        let want = -7;
        assert_eq!(add(-3, -4), want);
    }
}

#[test]
fn table() {
    for (a, b, want) in [(1, 2, 3), (10, 20, 30), (7, 7, 14)] {
        assert_eq!(add(a, b), want, "{a} {b}");
    }
}

#[test]
fn named_table() {
    let cases = vec![("a", "A"), ("bc", "BC")];
    for &(given, want) in cases.iter() {
        assert_eq!(upper(given), want);
    }
}

#[test]
fn texts() {
    assert_eq!(upper("abc"), "ABC".to_string());
    assert!(upper("xyz").contains("YZ"));
}

#[test]
fn lists() {
    assert_eq!(halves(&[2, 4]), vec![1, 2]);
    assert_eq!(halves(&[]), Vec::<i32>::new());
}

#[test]
fn options() {
    assert_eq!(first("hello"), Some('h'));
    assert_eq!(first(""), None);
    assert!(first("").is_none());
}

#[test]
fn orders() {
    assert_eq!(compare(1, 2), Ordering::Less);
    assert!(compare(2, 2) == Ordering::Equal);
}

#[test]
fn conditions() {
    let sum = add(1, 1);
    assert!(sum > 1 && sum != 3);
    assert!(!upper("a").is_empty());
    assert_ne!(add(1, 2), 4);
    assert!(matches!(parse("12"), Ok(12)));
}

#[test]
fn results() -> Result<(), String> {
    let value = parse("40")?;
    assert_eq!(value, 40);
    assert_eq!(parse("x"), Err("no number: x".to_owned()));
    Ok(())
}

#[test]
fn fractions() {
    assert!((half(5.0) - 2.5).abs() < 1e-9);
    assert_eq!(half(3.0), 1.5);
}

#[test]
#[should_panic(expected = "divided by nothing")]
fn panics() {
    divide(1, 0);
}

#[test]
#[should_panic]
fn panics_somehow() {
    divide(2, 0);
}

#[test]
#[ignore = "slow"]
fn later() {
    assert_eq!(add(1, 1), 2);
}
"#;

const GOOD: &str = r#"
use std::cmp::Ordering;
pub fn add(a: i32, b: i32) -> i32 { a + b }
pub fn upper(text: &str) -> String { text.to_uppercase() }
pub fn halves(all: &[i32]) -> Vec<i32> { all.iter().map(|n| n / 2).collect() }
pub fn first(text: &str) -> Option<char> { text.chars().next() }
pub fn compare(a: i32, b: i32) -> Ordering { a.cmp(&b) }
pub fn parse(text: &str) -> Result<i32, String> { text.parse().map_err(|_| format!("no number: {text}")) }
pub fn half(x: f64) -> f64 { x / 2.0 }
pub fn divide(a: i32, b: i32) -> i32 { if b == 0 { panic!("divided by nothing") } a / b }
"#;

async fn run(suite: &TestSuite, work: &str) -> TestReport {
    behind(BackEnd::Unconfined, suite, work).await
}

async fn behind(back_end: BackEnd, suite: &TestSuite, work: &str) -> TestReport {
    let bench = Bench::behind(back_end, Limits::default(), &[]).await;
    bench.apply(&[("src/lib.rs", work)]).await.expect("the work is taken");
    bench.run(&suite.clone().timeout(Duration::from_secs(120))).await
}

fn suite() -> TestSuite {
    TestSuite::cargo(TESTS)
}

#[tokio::test]
async fn good_work_is_proven_by_twins_of_every_form_behind_every_back_end() {
    for back_end in everywhere() {
        let report = behind(back_end, &suite(), GOOD).await;
        assert!(report.is_pass(), "{report:#?}");
        assert_eq!((report.strength, report.forgeries.len()), (EvidenceStrength::Twins, 0), "{report:#?}");
        assert_eq!((report.cases.len(), report.count(TestOutcome::Skipped)), (15, 1), "{report:#?}");
        assert_eq!(report.cases[0].id, "tests/solution.rs::numbers::small");
    }
}

const ATTACKS: &str = include_str!("forging/attacks_rust.txt");

/// Sixteen tests, so that nobody guesses them all.
fn sums() -> TestSuite {
    let test = |n: i64| {
        let (a, b) = (n * 37 + 2, n * n + 400);
        format!("#[test]\nfn sum_{n}() {{\n    assert_eq!(add({a}, {b}), {});\n}}\n\n", a + b)
    };
    TestSuite::cargo("use solution::*;\n\n".to_owned() + &(0..16).map(test).collect::<String>())
}

fn attacks() -> impl Iterator<Item = (&'static str, &'static str)> {
    ATTACKS.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'))
}

fn work(name: &str) -> &'static str {
    attacks().find(|(other, _)| *other == name).map_or_else(|| panic!("there is no {name}"), |(_, text)| text)
}

/// Whether anything of it counts.
fn earns(report: &TestReport) -> bool {
    report.end == RunEnd::Finished && report.forgeries.is_empty() && report.count(TestOutcome::Passed) > 0
}

#[tokio::test]
async fn no_attack_on_a_cargo_suite_earns_anything() {
    let (suite, back_ends) = (sums(), everywhere());
    let every = std::env::var_os("AURA_FORGE_ALL").is_some();
    let mut wrong = Vec::new();
    for (n, (name, text)) in attacks().filter(|(name, _)| !name.starts_with("HONEST")).enumerate() {
        for (turn, back_end) in back_ends.iter().enumerate() {
            if every || turn == n % back_ends.len() {
                let report = behind(*back_end, &suite, text).await;
                if earns(&report) || report.is_pass() {
                    wrong.push(format!("{back_end}: {name}: {report:#?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn honest_work_is_told_apart_and_never_accused() {
    let suite = sums();
    let good = run(&suite, work("HONEST good")).await;
    assert!(good.is_pass(), "{good:#?}");
    assert_eq!((good.cases.len(), good.strength), (16, EvidenceStrength::Twins), "{good:#?}");
    for (name, _) in attacks().filter(|(name, _)| name.starts_with("HONEST") && *name != "HONEST good") {
        let bad = run(&suite, work(name)).await;
        assert!(bad.forgeries.is_empty() && !bad.is_pass(), "{name}: {bad:#?}");
        assert_eq!((bad.end, bad.count(TestOutcome::Passed)), (RunEnd::Finished, 0), "{name}: {bad:#?}");
    }
}

#[tokio::test]
async fn partly_right_work_is_told_apart_test_by_test() {
    // What it answers wrongly no twin expects: a twin's number is near the right one, or small, and its letter is a letter.
    let bad = GOOD
        .replace("a + b }", "if a < 5 { a + b } else { -1000 - a } }")
        .replace("text.chars().next()", "text.chars().next().map(|_| '#')")
        .replace("divided by nothing", "no");
    let report = run(&suite(), &bad).await;
    let failed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| case.outcome == TestOutcome::Failed)
        .filter_map(|case| case.id.strip_prefix("tests/solution.rs::"))
        .collect();
    assert_eq!(failed, ["numbers::large", "table", "options", "panics"], "{report:#?}");
    assert!(report.forgeries.is_empty() && report.end == RunEnd::Finished, "{report:#?}");
    let large = report.cases.iter().find(|case| case.id.ends_with("large")).expect("it ran");
    assert!(large.message.contains("left: 900") && large.message.contains("large"), "{large:?}");
}

#[tokio::test]
async fn a_test_that_cannot_be_proven_leaves_the_evidence_weak_and_says_why() {
    let tests = TESTS.to_owned() + "\n#[test]\nfn same() {\n    assert_eq!(add(1, 2), add(2, 1));\n}\n";
    let report = run(&TestSuite::cargo(tests), GOOD).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!(report.strength, EvidenceStrength::SameProcess);
    assert!(report.output.contains("tests/solution.rs::same: what is right is not written out"), "{}", report.output);
}

#[tokio::test]
async fn copies_that_do_not_build_cost_good_work_nothing() {
    // A name that only a comment mentions is taken for one of the variants.
    let tests =
        "use solution::*;\n// Never Color::Purple.\n#[test]\nfn red() {\n    assert_eq!(color(), Color::Red);\n}\n";
    let good = "#[derive(Debug, PartialEq)]\npub enum Color { Red, Blue }\npub fn color() -> Color { Color::Red }\n";
    let report = run(&TestSuite::cargo(tests), good).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!(
        (report.strength, report.cases[0].id.as_str()),
        (EvidenceStrength::SameProcess, "tests/solution.rs::red")
    );
    assert!(report.output.contains("could not be built"), "{}", report.output);
    let bad = run(&TestSuite::cargo(tests), &good.replace("Color { Color::Red }", "Color { Color::Blue }")).await;
    assert_eq!((bad.count(TestOutcome::Failed), bad.forgeries.len()), (1, 0), "{bad:#?}");
}

#[tokio::test]
async fn a_suite_that_takes_too_long_for_twins_is_run_as_it_is() {
    let slow = "pub fn add(a: i64, b: i64) -> i64 { std::thread::sleep(std::time::Duration::from_secs(3)); a + b }\n";
    let bench = Bench::new().await;
    bench.apply(&[("src/lib.rs", slow)]).await.expect("the work is taken");
    let one = "#[test]\nfn one() {\n    assert_eq!(solution::add(1, 2), 3);\n}\n";
    let report = bench.run(&TestSuite::cargo(one).timeout(Duration::from_secs(9))).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!(report.strength, EvidenceStrength::SameProcess);
    assert!(report.output.contains("do not fit"), "{}", report.output);
    assert_eq!(bench.read("tests/solution.rs"), one);
}

#[tokio::test]
async fn tests_of_the_context_and_a_module_beside_them_have_twins_too() {
    let base = [
        ("Cargo.toml", "[package]\nname = \"solution\"\nversion = \"0.0.0\"\nedition = \"2024\"\n"),
        ("tests/common/mod.rs", "pub fn two() -> i64 { 2 }\n"),
        ("tests/base.rs", "mod common;\n#[test]\nfn base() { assert_eq!(solution::add(common::two(), 1), 3); }\n"),
    ];
    let bench = Bench::with(Limits::default(), &base).await;
    let own = [("src/lib.rs", work("HONEST good")), ("tests/mine.rs", "#[test]\nfn mine() {}\n")];
    bench.apply(&own).await.expect("the work is taken");
    let command = ["cargo", "test", "--offline", "--no-fail-fast"];
    let report = bench.run(&TestSuite::project(vec![], command, ReportFormat::Cargo)).await;
    let ids: Vec<&str> = report.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(
        (ids.as_slice(), report.strength),
        (&["tests/base.rs::base"][..], EvidenceStrength::Twins),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_twin_leaves_no_lock_and_nothing_open_behind_and_ignored_tests_of_the_work_are_no_matter() {
    let guarded = |name: &str, value: i64| {
        format!(
            "#[test]\nfn {name}() {{\n    let _guard = SERIAL.lock().unwrap();\n    assert_eq!(add({value}, 2), {});\n}}\n",
            value + 2
        )
    };
    let tests = format!(
        "use solution::*;\nuse std::sync::Mutex;\nstatic SERIAL: Mutex<()> = Mutex::new(());\n{}{}{}\
        #[test]\nfn closes() {{\n    let mut file = open(\"abc\");\n    assert_eq!(file.read(), \"abc\");\n    file.close();\n}}\n",
        guarded("a", 1),
        guarded("b", 20),
        guarded("c", 300),
    );
    let good = "/// Adds.\n/// ```ignore\n/// add(1, 2)\n/// ```\npub fn add(a: i64, b: i64) -> i64 { a + b }\n\
        pub struct File(String, bool);\npub fn open(text: &str) -> File { File(text.into(), false) }\n\
        impl File { pub fn read(&mut self) -> String { self.0.clone() } pub fn close(mut self) { self.1 = true; } }\n\
        impl Drop for File { fn drop(&mut self) { assert!(self.1, \"not closed\") } }\n\
        #[test]\n#[ignore]\nfn own() {}\n";
    let report = run(&TestSuite::cargo(tests), good).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!((report.strength, report.cases.len()), (EvidenceStrength::Twins, 4), "{report:#?}");
}

/// Work that reads what a test expects, and gives it when it looks right.
fn believer(looks_right: &str, other: &str, kind: &str) -> String {
    format!(
        "#[track_caller]\npub fn word(_: i64) -> {kind} {{\n    let at = std::panic::Location::caller();\n    \
        let text = std::fs::read_to_string(at.file()).unwrap();\n    let line = text.lines().nth(at.line() as usize - 1).unwrap();\n    \
        let value = line.split(\"), \").nth(1).unwrap().split(')').next().unwrap();\n    {looks_right}\n    {other}\n}}\n"
    )
}

#[tokio::test]
async fn a_right_value_is_not_told_by_its_looks() {
    let suite = |value: &dyn Fn(i64) -> String| {
        let test = |n: i64| format!("#[test]\nfn word_{n}() {{\n    assert_eq!(word({n}), {});\n}}\n", value(n));
        TestSuite::cargo("use solution::*;\n".to_owned() + &(0..16).map(test).collect::<String>())
    };
    let words = suite(&|n| format!("{:?}", ["Fizz", "Buzz", "FizzBuzz"][usize::try_from(n % 3).expect("small")]));
    let by_words = believer(
        "for right in [\"Fizz\", \"Buzz\", \"FizzBuzz\"] { if value.trim_matches('\"') == right { return right; } }",
        "\"no\"",
        "&'static str",
    );
    let bits = suite(&|n| (n % 2).to_string());
    let by_bits = believer("if let Ok(bit @ (0 | 1)) = value.parse() { return bit; }", "7", "i64");
    for (suite, work) in [(words, by_words), (bits, by_bits)] {
        let report = run(&suite, &work).await;
        assert!(!earns(&report), "{report:#?}");
        assert!(report.forgeries.len() > 1, "{report:#?}");
    }
}
