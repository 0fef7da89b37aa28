//! How tests and plans are written in JSON: in short, as people type them, or in full.

use std::time::Duration;

use aura_core::{Language, Plan, ReportFormat, SourceFile, TestSuite};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Problem, body};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InFull {
    files: Vec<SourceFile>,
    command: Vec<String>,
    report: ReportFormat,
    timeout: Option<f64>,
    fast_enough: Option<f64>,
}

/// Tests: the text of a test file (pytest source for Python, an integration test for Rust), or a whole suite.
pub(crate) fn tests(value: Option<Value>, language: Language) -> Result<Option<TestSuite>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) if source.trim().is_empty() => Ok(None),
        Some(Value::String(source)) => match language {
            Language::Python => Ok(Some(TestSuite::pytest(source))),
            Language::Rust => Ok(Some(TestSuite::cargo(source))),
            _ => Err(Problem::invalid(
                "tests",
                "tests: text is read as tests for python and rust only; for this language give an object with files, command and report",
            )),
        },
        Some(value @ Value::Object(_)) => in_full(value).map(Some),
        Some(_) => Err(Problem::invalid(
            "tests",
            "tests: give the text of a test file, or an object with files, command and report",
        )),
    }
}

fn in_full(value: Value) -> Result<TestSuite, Problem> {
    // One level around it, so that a field that does not fit is named by its whole path.
    #[derive(Deserialize)]
    struct Outer {
        tests: InFull,
    }
    let InFull { files, command, report, timeout, fast_enough } =
        body::shape::<Outer>(json!({ "tests": value }))?.tests;
    let seconds = |field: &str, given: Option<f64>, default| match given {
        None => Ok(default),
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|error| Problem::invalid(field, format!("{field}: a number of seconds is expected: {error}"))),
    };
    Ok(TestSuite::project(files, command, report)
        .timeout(seconds("tests.timeout", timeout, TestSuite::DEFAULT_TIMEOUT)?)
        .fast_enough(seconds("tests.fast_enough", fast_enough, TestSuite::DEFAULT_FAST_ENOUGH)?))
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
        assert!(tests(Some(json!("anything")), Language::Text).is_err());
        assert_eq!(tests(Some(json!(" ")), Language::Python).unwrap(), None);
    }

    #[test]
    fn a_suite_needs_files_command_and_report() {
        let suite = json!({"files": [], "command": ["make", "test"], "report": "exit_code", "timeout": 5});
        let suite = tests(Some(suite), Language::Text).unwrap().unwrap();
        assert_eq!((suite.timeout, suite.fast_enough), (Duration::from_secs(5), TestSuite::DEFAULT_FAST_ENOUGH));
        for (bad, field) in [
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
