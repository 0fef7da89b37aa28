//! How tests and plans are written in JSON: in short, as people type them, or in full.

use std::time::Duration;

use aura_core::{
    Call, Case, Cases, CoverageReport, Input, Language, Plan, Project, ReportFormat, SourceFile, TestSuite, Tests,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Problem, body};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectInFull {
    files: Vec<SourceFile>,
    command: Vec<String>,
    report: ReportFormat,
    #[serde(default)]
    expected: Vec<String>,
    coverage: Option<CoverageReport>,
    timeout: Option<f64>,
    fast_enough: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesInFull {
    call: Call,
    cases: Vec<Case>,
    #[serde(default)]
    probes: Vec<Input>,
    case_time: Option<f64>,
    timeout: Option<f64>,
    fast_enough: Option<f64>,
}

/// Tests: the text of a test file (pytest source for Python, an integration test for Rust, `node:test` source for JavaScript), or a whole
/// suite.
pub(crate) fn tests(value: Option<Value>, language: Language) -> Result<Option<TestSuite>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) if source.trim().is_empty() => Ok(None),
        Some(Value::String(source)) => match language {
            Language::Python => Ok(Some(TestSuite::pytest(source))),
            Language::Rust => Ok(Some(TestSuite::cargo(source))),
            Language::Javascript => Ok(Some(TestSuite::node(source))),
            _ => Err(Problem::invalid(
                "tests",
                "tests: text is read as tests for python, rust and javascript only; for this language give an object with call and cases, or with files, command and report",
            )),
        },
        Some(value @ Value::Object(_)) => in_full(value).map(Some),
        Some(_) => Err(Problem::invalid(
            "tests",
            "tests: give the text of a test file, or an object with call and cases, or with files, command and report",
        )),
    }
}

fn in_full(value: Value) -> Result<TestSuite, Problem> {
    // One level around it, so that a field that does not fit is named by its whole path.
    #[derive(Deserialize)]
    struct Outer<T> {
        tests: T,
    }
    let are_cases = value.get("cases").or(value.get("call")).is_some();
    let value = json!({ "tests": value });
    let (tests, timeout, fast_enough) = if are_cases {
        let CasesInFull { call, cases, probes, case_time, timeout, fast_enough } =
            body::shape::<Outer<_>>(value)?.tests;
        let case_time = seconds("tests.case_time", case_time)?;
        (Tests::Cases(Cases { call, cases, probes, case_time }), timeout, fast_enough)
    } else {
        let ProjectInFull { files, command, report, expected, coverage, timeout, fast_enough } =
            body::shape::<Outer<_>>(value)?.tests;
        (Tests::Project(Project { files, command, report, expected, coverage }), timeout, fast_enough)
    };
    Ok(TestSuite::of(tests)
        .timeout(seconds("tests.timeout", timeout)?.unwrap_or(TestSuite::DEFAULT_TIMEOUT))
        .fast_enough(seconds("tests.fast_enough", fast_enough)?.unwrap_or(TestSuite::DEFAULT_FAST_ENOUGH)))
}

fn seconds(field: &str, given: Option<f64>) -> Result<Option<Duration>, Problem> {
    let read = given.map(Duration::try_from_secs_f64).transpose();
    read.map_err(|error| Problem::invalid(field, format!("{field}: a number of seconds is expected: {error}")))
}

/// A plan: `"solo"`, `{"panel": 3}` or `{"kind": "panel", "n": 3}`.
pub(crate) fn plan(value: Option<Value>) -> Result<Plan, Problem> {
    let said = || Problem::invalid("plan", r#"plan: write "solo" or {"panel": n} with n from 2 to 16"#);
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Plan::default()) };
    let (kind, size) = match &value {
        Value::String(kind) => (kind.as_str(), None),
        Value::Object(map) => match (map.get("kind").and_then(Value::as_str), map.get("panel"), map.len()) {
            (Some(kind), None, 2) => (kind, Some(map.get("n").ok_or_else(said)?)),
            (Some(kind), None, 1) => (kind, None),
            (None, Some(size), 1) => ("panel", Some(size)),
            _ => return Err(said()),
        },
        _ => return Err(said()),
    };
    match (kind, size) {
        ("solo", None) => Ok(Plan::Solo),
        ("cascade", None) => Ok(Plan::Cascade),
        ("panel", Some(size)) => {
            let size = size.as_u64().and_then(|size| u8::try_from(size).ok()).ok_or_else(said)?;
            Ok(Plan::Panel(size))
        }
        _ => Err(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_test_file_of_the_language() {
        let python = tests(Some(json!("from solution import f")), Language::Python).unwrap().unwrap();
        assert_eq!(python, TestSuite::pytest("from solution import f"));
        let rust = tests(Some(json!("use solution::f;")), Language::Rust).unwrap().unwrap();
        assert_eq!(rust, TestSuite::cargo("use solution::f;"));
        let javascript = tests(Some(json!("require('node:test')")), Language::Javascript).unwrap().unwrap();
        assert_eq!(javascript, TestSuite::node("require('node:test')"));
        assert!(tests(Some(json!("anything")), Language::Text).is_err());
        assert_eq!(tests(Some(json!(" ")), Language::Python).unwrap(), None);
    }

    #[test]
    fn a_suite_needs_files_command_and_report() {
        let suite = json!({"files": [], "command": ["make", "test"], "report": "exit_code", "timeout": 5});
        let suite = tests(Some(suite), Language::Text).unwrap().unwrap();
        assert_eq!((suite.timeout, suite.fast_enough), (Duration::from_secs(5), TestSuite::DEFAULT_FAST_ENOUGH));
        let covered = json!({"files": [], "command": ["make"], "report": "exit_code",
                             "coverage": {"path": "coverage/lcov.info", "format": "lcov"}});
        let covered = tests(Some(covered), Language::Text).unwrap().unwrap();
        let expected = Project::new(vec![], ["make"], ReportFormat::ExitCode);
        let expected = expected.coverage("coverage/lcov.info", aura_core::CoverageFormat::Lcov);
        assert_eq!(covered, TestSuite::of(Tests::Project(expected)));
        for (bad, field) in [
            (json!({"files": [], "command": ["x"], "report": "junit", "coverage": "x"}), "tests.coverage"),
            (
                json!({"files": [], "command": ["x"], "report": "junit", "coverage": {"path": "x", "format": "gcov"}}),
                "tests.coverage.format",
            ),
            (json!({"files": [], "report": "junit"}), "tests.command"),
            (json!({"files": [{"path": 1, "text": ""}], "command": ["x"], "report": "junit"}), "tests.files[0].path"),
            (json!({"files": [], "command": ["x"], "report": "xml"}), "tests.report"),
            (json!({"files": [], "command": ["x"], "report": "junit", "timeout": -1}), "tests.timeout"),
            (json!({"files": [], "command": ["x"], "report": "junit", "timeout": 1e300}), "tests.timeout"),
            (json!(7), "tests"),
        ] {
            let problem = serde_json::to_value(tests(Some(bad.clone()), Language::Text).unwrap_err()).unwrap();
            assert_eq!(problem["field"], field, "{bad}");
        }
    }

    #[test]
    fn cases_are_read_in_the_same_place() {
        let call = json!({"function": {"language": "python", "file": "solution.py", "name": "add"}});
        let cases = json!([{"args": [1, 2], "expected": 3}, {"name": "odd", "args": ["x", 2], "raises": "TypeError"}]);
        let suite =
            json!({"call": call, "cases": cases, "probes": [{"args": [5, 6]}], "case_time": 2, "fast_enough": 1});
        let read = tests(Some(suite), Language::Python).unwrap().unwrap();
        let mut expected =
            Cases::python("add").case([json!(1), json!(2)], json!(3)).raises([json!("x"), json!(2)], "TypeError");
        expected.cases[1].name = "odd".to_owned();
        let expected = expected.probe([json!(5), json!(6)]).case_time(Duration::from_secs(2));
        assert_eq!(read, TestSuite::cases(expected).fast_enough(Duration::from_secs(1)));
        for (bad, field) in [
            (json!({"call": call}), "tests.cases"),
            (json!({"cases": []}), "tests.call"),
            (json!({"call": {"function": {"language": "python"}}, "cases": []}), "tests.call.function.file"),
            (json!({"call": call, "cases": [{"args": [1]}]}), "tests.cases[0]"),
            (json!({"call": call, "cases": [], "files": []}), "tests.files"),
            (json!({"call": call, "cases": [], "case_time": -1}), "tests.case_time"),
        ] {
            let problem = serde_json::to_value(tests(Some(bad.clone()), Language::Text).unwrap_err()).unwrap();
            assert_eq!(problem["field"], field, "{bad}: {problem}");
        }
    }

    #[test]
    fn plans_are_read_in_both_spellings() {
        for (text, expected) in [
            (json!(null), Plan::Solo),
            (json!("solo"), Plan::Solo),
            (json!({"kind": "solo"}), Plan::Solo),
            (json!({"panel": 3}), Plan::Panel(3)),
            (json!({"kind": "panel", "n": 3}), Plan::Panel(3)),
            (json!("cascade"), Plan::Cascade),
        ] {
            assert_eq!(plan(Some(text.clone())).unwrap(), expected, "{text}");
        }
        for bad in
            [json!("panel"), json!({"panel": 300}), json!({"panel": "3"}), json!({"panel": 2, "n": 2}), json!([])]
        {
            assert!(plan(Some(bad.clone())).is_err(), "{bad}");
        }
    }
}
