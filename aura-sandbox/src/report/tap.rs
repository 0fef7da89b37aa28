//! Reads the Test Anything Protocol, versions 13 and 14, as `node --test --test-reporter=tap` prints it.

use std::time::Duration;

use aura_core::{TestCase, TestOutcome};

use super::{
    MAX_CASES, Reading, Remains,
    excerpt::{MAX_ID, MAX_MESSAGE, head},
};
use crate::path::WorkPath;

/// Deepest nesting of subtests.
const MAX_DEPTH: usize = 64;
/// Blanks before each level of subtests.
const STEP: usize = 4;
/// Most bytes of a test's own report that are looked at.
const MAX_DETAILS: usize = 16 << 10;

/// Longest name of a kind of failure that is kept, in bytes.
const MAX_CODE: usize = 80;

/// What was read on one level and has no parent yet.
#[derive(Debug, Default)]
struct Level {
    points: usize,
    plan: Option<usize>,
    /// Tests without subtests.
    leaves: Vec<TestCase>,
}

/// The block that follows a test.
#[derive(Debug)]
struct Details {
    indent: usize,
    text: String,
    /// The kind of its failure, which stands behind what may be long.
    code: Option<String>,
}

/// One `ok` or `not ok` line.
#[derive(Debug)]
struct Point<'a> {
    ok: bool,
    number: Option<usize>,
    name: &'a str,
    directive: Option<TestOutcome>,
}

/// Reads standard output. `counting` holds the test files: Node reports one that ended without a test as a test of its own.
pub(super) fn read(remains: &Remains, counting: &[WorkPath]) -> Reading {
    let stdout = String::from_utf8_lossy(&remains.stdout);
    match Reader::default().read(&stdout, counting) {
        Ok(cases) => Reading::of(cases),
        Err(why) => Reading::unreadable(why),
    }
}

#[derive(Debug, Default)]
struct Reader {
    levels: Vec<Level>,
    cases: usize,
    has_version: bool,
}

impl Reader {
    fn read(mut self, text: &str, counting: &[WorkPath]) -> Result<Vec<TestCase>, String> {
        self.levels.push(Level::default());
        let mut block: Option<Details> = None;
        for line in text.lines() {
            let line = line.trim_end_matches('\r');
            let blanks = line.len() - line.trim_start_matches(' ').len();
            let rest = line.get(blanks..).unwrap_or_default();
            if let Some(open) = &mut block {
                if rest == "..." && blanks == open.indent {
                    self.finish(block.take());
                    continue;
                }
                let line = line.get(open.indent.min(blanks)..).unwrap_or_default();
                if open.code.is_none() && line.starts_with("code: ") {
                    open.code = Some(head(line, MAX_CODE));
                }
                if open.text.len() < MAX_DETAILS {
                    open.text.push_str(line);
                    open.text.push('\n');
                }
                continue;
            }
            if rest == "---" && blanks % STEP == 2 {
                block = Some(Details { indent: blanks, text: String::new(), code: None });
            } else if blanks % STEP == 0 {
                self.line(blanks / STEP, rest, counting)?;
            }
        }
        if block.is_some() {
            return Err("the report ends within a test".to_owned());
        }
        self.close_above(0)?;
        let root = self.levels.pop().unwrap_or_default();
        match root.plan {
            None => Err("the report has no plan: it ended too early, or is no TAP".to_owned()),
            Some(plan) if plan != root.points => Err(mismatch(plan, root.points)),
            Some(_) => Ok(root.leaves),
        }
    }

    fn line(&mut self, depth: usize, rest: &str, counting: &[WorkPath]) -> Result<(), String> {
        if rest.starts_with("Bail out!") {
            return Err(format!("the tests were given up: {}", head(rest, 200)));
        }
        if depth == 0 && rest.starts_with("TAP version ") {
            if self.has_version || !matches!(rest, "TAP version 13" | "TAP version 14") {
                return Err(format!("it cannot be read: {}", head(rest, 60)));
            }
            self.has_version = true;
        } else if let Some(plan) = plan(rest) {
            let level = self.level(depth)?;
            if level.plan.replace(plan).is_some() {
                return Err("the report has two plans for the same tests".to_owned());
            }
        } else if let Some(point) = Point::of(rest) {
            self.point(depth, &point, counting)?;
        }
        Ok(())
    }

    /// The level of this depth; those below are none of its own yet.
    fn level(&mut self, depth: usize) -> Result<&mut Level, String> {
        if depth > MAX_DEPTH {
            return Err(format!("subtests are nested more than {MAX_DEPTH} deep"));
        }
        while self.levels.len() <= depth {
            self.levels.push(Level::default());
        }
        self.levels.get_mut(depth).ok_or_else(|| "it is nested in itself".to_owned())
    }

    fn point(&mut self, depth: usize, point: &Point<'_>, counting: &[WorkPath]) -> Result<(), String> {
        let children = if self.levels.len() > depth + 1 {
            self.close_above(depth + 1)?;
            self.levels.pop()
        } else {
            None
        };
        self.cases += 1;
        if self.cases > MAX_CASES {
            return Err(format!("there are more than {MAX_CASES} tests"));
        }
        let level = self.level(depth)?;
        level.points += 1;
        if point.number.is_some_and(|number| number != level.points) {
            return Err(format!("test {} of the report is numbered otherwise", level.points));
        }
        let name = head(&unescaped(point.name), MAX_ID);
        let outcome = point.directive.unwrap_or(if point.ok { TestOutcome::Passed } else { TestOutcome::Failed });
        if outcome == TestOutcome::Passed && depth == 0 && children.is_none() && is_file(&name, counting) {
            return Err("a test file ended before it had run a test".to_owned());
        }
        let mut leaves = children.map(|children| children.check()).transpose()?.unwrap_or_default();
        for leaf in &mut leaves {
            leaf.id = head(&format!("{name} > {}", leaf.id), MAX_ID);
        }
        let failed = leaves.iter().any(|leaf| leaf.outcome == TestOutcome::Failed);
        if failed && outcome == TestOutcome::Passed {
            return Err(format!("{name} is ok though one of its subtests is not"));
        }
        // A group that fails by itself, in a hook of its own, is a failure too.
        if leaves.is_empty() || (outcome == TestOutcome::Failed && !failed) {
            leaves.push(TestCase::new(name, outcome));
        }
        level.leaves.append(&mut leaves);
        Ok(())
    }

    /// A block of details belongs to the test just read.
    fn finish(&mut self, block: Option<Details>) {
        let Some(block) = block else { return };
        let depth = block.indent / STEP;
        if self.levels.len() > depth + 1 {
            return;
        }
        let Some(last) = self.levels.get_mut(depth).and_then(|level| level.leaves.last_mut()) else { return };
        let millis = block.text.lines().find_map(|line| line.strip_prefix("duration_ms: ")?.parse::<f64>().ok());
        if last.time.is_none() {
            last.time = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
        }
        if last.outcome == TestOutcome::Failed && last.message.is_empty() {
            let from = block.text.find("error:").unwrap_or(0);
            let said = block.text.get(from..).unwrap_or_default();
            let said = said.split("\nstack:").next().unwrap_or(said);
            last.message = head(said, MAX_MESSAGE);
            if let Some(code) = block.code.filter(|code| !last.message.contains(code)) {
                last.message = format!("{}\n{code}", head(said, MAX_MESSAGE - MAX_CODE - 1));
            }
        }
    }

    /// Subtests whose parent never came were cut off.
    fn close_above(&mut self, depth: usize) -> Result<(), String> {
        if self.levels.iter().skip(depth + 1).any(|level| level.points > 0 || level.plan.is_some()) {
            return Err("there are subtests without the test that they belong to".to_owned());
        }
        self.levels.truncate(depth + 1);
        Ok(())
    }
}

impl Level {
    fn check(self) -> Result<Vec<TestCase>, String> {
        match self.plan {
            Some(plan) if plan == self.points => Ok(self.leaves),
            Some(plan) => Err(mismatch(plan, self.points)),
            None => Err("subtests have no plan".to_owned()),
        }
    }
}

fn mismatch(plan: usize, points: usize) -> String {
    format!("{plan} tests were planned, and {points} are told of")
}

/// `1..6`, with or without a reason.
fn plan(line: &str) -> Option<usize> {
    let count = line.strip_prefix("1..")?;
    count.split(' ').next()?.parse().ok()
}

impl<'a> Point<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (ok, rest) = match line.strip_prefix("not ok") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok")?),
        };
        if !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        let rest = rest.trim_start();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest.get(..digits).and_then(|digits| digits.parse().ok());
        let rest = rest.get(digits..).unwrap_or_default().trim_start();
        let rest = rest.strip_prefix("- ").or_else(|| rest.strip_prefix('-')).unwrap_or(rest);
        let (name, directive) = match directive_at(rest) {
            Some((at, outcome)) => (rest.get(..at).unwrap_or_default(), Some(outcome)),
            None => (rest, None),
        };
        Some(Self { ok, number, name: name.trim(), directive })
    }
}

/// Where an unescaped `#` begins `SKIP` or `TODO`, neither of which counts.
fn directive_at(text: &str) -> Option<(usize, TestOutcome)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' => escaped = !escaped,
            '#' if !escaped => {
                let word = text.get(at + 1..)?.trim_start().get(..4).unwrap_or_default();
                if word.eq_ignore_ascii_case("skip") || word.eq_ignore_ascii_case("todo") {
                    return Some((at, TestOutcome::Skipped));
                }
            }
            _ => escaped = false,
        }
    }
    None
}

fn unescaped(name: &str) -> String {
    name.replace("\\#", "#").replace("\\\\", "\\")
}

/// Whether a test is called like a test file.
fn is_file(name: &str, counting: &[WorkPath]) -> bool {
    let ends =
        |path: &WorkPath| name.strip_suffix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let script = [".js", ".mjs", ".cjs", ".ts"].iter().any(|end| name.ends_with(end));
    counting.iter().any(ends) || (script && std::path::Path::new(name).is_absolute())
}

#[cfg(test)]
mod tests {
    use aura_core::evidence::RunEnd;
    use proptest::prelude::*;

    use super::*;
    use TestOutcome::{Failed, Passed, Skipped};

    fn reading(code: i32, stdout: &str) -> Reading {
        let remains = Remains { code: Some(code), stdout: stdout.as_bytes().to_vec(), ..Remains::default() };
        let counting = [WorkPath::parse("solution.test.js").unwrap()];
        super::super::read(aura_core::ReportFormat::Tap, &remains, &counting)
    }

    const NODE: &str = "TAP version 13\n# ok 99 - printed\n# Subtest: adds\nok 1 - adds\n  ---\n  duration_ms: 1.5\n  ...\n\
        # Subtest: fails \\# hash\nnot ok 2 - fails \\# hash\n  ---\n  duration_ms: 2\n  error: |-\n    3 !== 4\n    ok 7 - no\n  \
        code: 'E'\n  stack: |-\n    far away\n  ...\nok 3 - later # SKIP why\nnot ok 4 - todo # TODO\n# Subtest: outer\n    ok 1 - a\n    \
        # Subtest: b\n        ok 1 - c\n        1..1\n    ok 2 - b\n      ---\n      duration_ms: 1\n      ...\n    1..2\nok 5 - \
        outer\n1..5\n# tests 6\n";

    #[test]
    fn leaves_of_nested_tests_count_with_their_details() {
        let reading = reading(1, NODE);
        let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
        let expected = [
            ("adds", Passed),
            ("fails # hash", Failed),
            ("later", Skipped),
            ("todo", Skipped),
            ("outer > a", Passed),
            ("outer > b > c", Passed),
        ];
        assert_eq!(seen, expected, "{}", reading.complaint);
        assert_eq!(reading.cases[0].time, Some(Duration::from_micros(1500)));
        let message = &reading.cases[1].message;
        assert!(message.contains("3 !== 4") && !message.contains("far away"), "{message}");
    }

    #[test]
    fn a_failure_keeps_its_kind_however_long_it_is() {
        for length in [10, MAX_MESSAGE, MAX_DETAILS] {
            let long = "x".repeat(length);
            let text = format!(
                "TAP version 13\nnot ok 1 - a\n  ---\n  error: |-\n    {long}\n  code: 'ERR_ASSERTION'\n  ...\n1..1\n"
            );
            let message = &reading(1, &text).cases[0].message;
            assert!(message.contains("ERR_ASSERTION") && message.len() <= MAX_MESSAGE, "{message}");
        }
    }

    #[test]
    fn a_group_that_fails_by_itself_is_a_failure() {
        let reading = reading(1, "TAP version 14\n    ok 1 - a\n    1..1\nnot ok 1 - group\n1..1\n");
        let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
        assert_eq!(seen, [("group > a", Passed), ("group", Failed)]);
    }

    #[test]
    fn what_does_not_add_up_is_unreadable() {
        for text in [
            "",
            "hello\n",
            "TAP version 12\n1..0\n",
            "TAP version 13\nok 1 - a\n",
            "TAP version 13\nok 1 - a\n1..2\n",
            "TAP version 13\n1..1\nok 1 - a\nok 2 - b\n",
            "TAP version 13\nok 1 - a\nok 3 - b\n1..2\n",
            "TAP version 13\nok 1 - a\n1..1\n1..1\n",
            "TAP version 13\n    ok 1 - a\n    1..2\nok 1 - b\n1..1\n",
            "TAP version 13\n    ok 1 - a\nok 1 - b\n1..1\n",
            "TAP version 13\nok 1 - b\n    ok 1 - a\n    1..1\n1..1\n",
            "TAP version 13\n    not ok 1 - a\n    1..1\nok 1 - b\n1..1\n",
            "TAP version 13\nok 1 - a\nBail out! no\n1..1\n",
            "TAP version 13\nok 1 - a\n  ---\n  duration_ms: 1\n1..1\n",
            "TAP version 13\nok 1 - /ws/solution.test.js\n1..1\n",
            "TAP version 13\nok 1 - solution.test.js\n1..1\n",
        ] {
            let reading = reading(0, text);
            assert_eq!((reading.end, reading.cases.len()), (RunEnd::Unreadable, 0), "{text}");
        }
        assert_eq!(
            reading(1, "TAP version 13\nok 1 - a\n1..1\n").end,
            RunEnd::Unreadable,
            "the exit code says otherwise"
        );
    }

    #[test]
    fn a_file_that_cannot_be_loaded_is_one_failure() {
        let reading = reading(1, "TAP version 13\nnot ok 1 - /ws/solution.test.js\n1..1\n");
        assert_eq!((reading.end, reading.cases[0].outcome), (RunEnd::Finished, Failed));
    }

    #[test]
    fn depth_number_and_names_are_bounded() {
        let deep = format!("TAP version 13\n{}ok 1 - a\n1..1\n", " ".repeat(STEP * 100_000));
        assert_eq!(reading(0, &deep).end, RunEnd::Unreadable);
        let many: String = (1..=MAX_CASES + 1).map(|n| format!("ok {n}\n")).collect();
        assert_eq!(reading(0, &format!("TAP version 13\n{many}1..{}\n", MAX_CASES + 1)).end, RunEnd::Unreadable);
        let long = format!("TAP version 13\nnot ok 1 - {0}\n  ---\n  error: {0}\n  ...\n1..1\n", "x".repeat(100_000));
        let reading = reading(1, &long);
        assert_eq!((reading.cases[0].id.len(), reading.cases[0].message.len()), (MAX_ID, MAX_MESSAGE));
    }

    proptest! {
        #[test]
        fn no_output_makes_the_reader_panic(text in r"((TAP version 1[34]|ok|not ok|1\.\.[0-9]{1,25}|[0-9]{1,25}| - |a|é|#|SKIP|\\|    |  ---|  \.\.\.|Bail out!|\n){1}){0,40}") {
            let _ = reading(0, &text);
        }

        #[test]
        fn what_is_well_formed_is_read_as_it_is(outcomes in proptest::collection::vec(any::<bool>(), 1..20)) {
            let lines: String = outcomes.iter().enumerate()
                .map(|(at, ok)| format!("{}ok {} - t{at}\n", if *ok { "" } else { "not " }, at + 1)).collect();
            let code = i32::from(outcomes.contains(&false));
            let reading = reading(code, &format!("TAP version 14\n1..{}\n{lines}", outcomes.len()));
            let seen: Vec<bool> = reading.cases.iter().map(|case| case.outcome == Passed).collect();
            prop_assert_eq!(seen, outcomes);
        }
    }
}
