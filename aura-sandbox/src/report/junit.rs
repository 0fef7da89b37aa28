//! Reads JUnit XML.

use std::{thread, time::Duration};

use aura_core::{TestCase, TestOutcome};
use junit_parser::{TestStatus, TestSuite, TestSuites};

use super::{
    MAX_CASES, Reading, Remains,
    excerpt::{MAX_ID, MAX_MESSAGE, head},
};

/// Most `<testsuite>` elements: the parser goes one call deeper for each that lies in another.
const MAX_SUITES: usize = 1_000;
/// Stack of the thread that parses, in bytes: enough for that many calls, and for any other document.
const STACK: usize = 64 << 20;

/// Reads the report file.
pub(super) fn read(remains: &Remains) -> Reading {
    let Some(file) = &remains.file else {
        return Reading::unreadable(format!("the command {} and left no report", remains.ending()));
    };
    if file.windows(10).filter(|window| window == b"<testsuite").count() > MAX_SUITES {
        return Reading::unreadable(format!("the report has more than {MAX_SUITES} suites"));
    }
    match parse(hide_entities(file)) {
        Ok(suites) => {
            let mut cases = Vec::new();
            suites.suites.iter().for_each(|suite| collect(suite, &mut cases));
            Reading::of(cases)
        }
        Err(why) => Reading::unreadable(format!("the report is no JUnit XML: {}", head(&why, 300))),
    }
}

/// Characters written as entities, and what stands for each while junit-parser reads: it drops entities between tags.
/// The stand-ins are noncharacters, which no report may hold.
const ENTITIES: [(&str, char, char); 5] = [
    ("&lt;", '<', '\u{fdd0}'),
    ("&gt;", '>', '\u{fdd1}'),
    ("&quot;", '"', '\u{fdd2}'),
    ("&apos;", '\'', '\u{fdd3}'),
    ("&amp;", '&', '\u{fdd4}'),
];

/// Makes the outermost element a suite like any other: node writes tests straight into it, where the parser sees none.
fn as_suite(text: &str) -> String {
    text.replace("<testsuites", "<testsuite").replace("</testsuites", "</testsuite")
}

fn hide_entities(file: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(file) {
        Ok(text) => ENTITIES
            .iter()
            .fold(as_suite(text), |text, (entity, _, hidden)| text.replace(entity, hidden.encode_utf8(&mut [0; 4])))
            .into_bytes(),
        // Refused by the parser.
        Err(_) => file.to_vec(),
    }
}

fn show_entities(text: &str) -> String {
    let show = |c| ENTITIES.iter().find(|(_, _, hidden)| *hidden == c).map_or(c, |(_, shown, _)| *shown);
    text.chars().map(show).collect()
}

/// Parses on a thread of its own, so that neither depth nor a defect of the parser can end this process's work.
fn parse(file: Vec<u8>) -> Result<TestSuites, String> {
    let parser = thread::Builder::new()
        .name("junit-report".to_owned())
        .stack_size(STACK)
        .spawn(move || junit_parser::from_reader(file.as_slice()).map_err(|error| error.to_string()));
    match parser.map(thread::JoinHandle::join) {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err("the parser failed".to_owned()),
        Err(error) => Err(format!("no thread to parse it: {error}")),
    }
}

/// Adds the tests of a suite and of those in it; one more than allowed, so that the bound can be seen to be passed.
fn collect(suite: &TestSuite, cases: &mut Vec<TestCase>) {
    // Inner suites come from a bounded count of elements, so this goes no deeper than the parser went.
    let mut open = vec![suite];
    while let Some(suite) = open.pop() {
        let room = (MAX_CASES + 1).saturating_sub(cases.len());
        cases.extend(suite.cases.iter().take(room).map(case));
        open.extend(suite.suites.iter().rev());
    }
}

fn case(case: &junit_parser::TestCase) -> TestCase {
    let (outcome, message, text) = match &case.status {
        TestStatus::Success => (TestOutcome::Passed, "", ""),
        TestStatus::Failure(failure) => (TestOutcome::Failed, failure.message.as_str(), failure.text.as_str()),
        TestStatus::Error(error) => (TestOutcome::Error, error.message.as_str(), error.text.as_str()),
        TestStatus::Skipped(skipped) => (TestOutcome::Skipped, skipped.message.as_str(), skipped.text.as_str()),
    };
    // pytest repeats the message at the start of the text.
    let message = if text.contains(message) { text.to_owned() } else { format!("{message}\n{text}") };
    let time = Duration::try_from_secs_f64(case.time).ok();
    let message = head(&show_entities(&message), MAX_MESSAGE);
    TestCase { time, message, ..TestCase::new(head(&show_entities(&case.name), MAX_ID), outcome) }
}

#[cfg(test)]
mod tests {
    use aura_core::evidence::RunEnd;
    use proptest::prelude::*;

    use super::*;

    fn reading(code: i32, file: &[u8]) -> Reading {
        let remains = Remains { code: Some(code), file: Some(file.to_vec()), ..Remains::default() };
        super::super::read(aura_core::ReportFormat::Junit, &remains, &[])
    }

    const MIXED: &str = r#"<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="4">
        <testcase classname="test_a" name="test_one[&lt;&amp;lt;]" time="0.1"/>
        <testcase classname="test_a" name="test_two"><failure message="assert 1 == 2">why &lt;1&gt;</failure></testcase>
        <testcase classname="test_a" name="test_three"><skipped message="later"/></testcase>
        <testcase classname="" name="test_b"><error message="collection failure">ImportError</error></testcase>
        </testsuite></testsuites>"#;

    #[test]
    fn every_outcome_is_read_in_the_order_of_the_report() {
        let reading = reading(1, MIXED.as_bytes());
        let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
        assert_eq!(seen[0], ("test_a::test_one[<&lt;]", TestOutcome::Passed));
        assert_eq!(seen[1], ("test_a::test_two", TestOutcome::Failed));
        assert_eq!(seen[2], ("test_a::test_three", TestOutcome::Skipped));
        assert_eq!(seen[3].1, TestOutcome::Error);
        assert!(reading.cases[1].message.contains("why <1>"), "{:?}", reading.cases[1]);
    }

    #[test]
    fn a_report_without_failures_is_not_believed_when_the_command_failed() {
        let good = br#"<testsuite><testcase name="a"/></testsuite>"#;
        assert_eq!(reading(0, good).end, RunEnd::Finished);
        for code in [1, 2, 3, 5] {
            let reading = reading(code, good);
            assert_eq!((reading.end, reading.cases.len()), (RunEnd::Unreadable, 0));
        }
    }

    #[test]
    fn garbage_nesting_and_entities_are_unreadable_and_harmless() {
        let deep = "<testsuite>".repeat(900);
        let deeper = "<testsuite>".repeat(100_000);
        let other = format!("<testsuite>{}", "<x>".repeat(1_000_000));
        let laughs =
            r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"#;
        let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
        let wide = format!("<testsuite><testcase name=\"x\"{attributes}/>");
        for bad in
            ["", "ok 1 passed", "<html></html>", "<testsuite", &deep, &deeper, &other, laughs, &wide, "\u{feff}\0"]
        {
            let reading = reading(0, bad.as_bytes());
            assert_eq!(reading.end, RunEnd::Unreadable, "{:.60}", bad);
            assert!(!reading.complaint.is_empty());
        }
        assert_eq!(reading(0, &[0xff, 0xfe, 0x00]).end, RunEnd::Unreadable);
    }

    #[test]
    fn tests_outside_of_any_suite_are_read_as_node_writes_them() {
        let xml = "<testsuites>\n<testcase name=\"small\" classname=\"test\"/>\n<testsuite name=\"s\"><testcase \
                   name=\"inner\" classname=\"test\"/></testsuite>\n<testcase name=\"wrong\" classname=\"test\" \
                   failure=\"no\"><failure type=\"testCodeFailure\" message=\"no\">why</failure></testcase></testsuites>";
        let reading = reading(1, xml.as_bytes());
        let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.as_str(), case.outcome)).collect();
        assert_eq!(seen.len(), 3, "{reading:?}");
        assert!(seen.contains(&("test::wrong", TestOutcome::Failed)), "{seen:?}");
    }

    #[test]
    fn suites_nested_as_deep_as_allowed_are_read() {
        let xml = format!("{}<testcase name=\"a\"/>{}", "<testsuite>".repeat(900), "</testsuite>".repeat(900));
        assert_eq!(reading(0, xml.as_bytes()).cases.len(), 1);
    }

    #[test]
    fn more_tests_than_the_bound_are_unreadable() {
        let xml = format!("<testsuite>{}</testsuite>", "<testcase name=\"a\"/>".repeat(MAX_CASES + 1));
        assert_eq!(reading(0, xml.as_bytes()).end, RunEnd::Unreadable);
    }

    #[test]
    fn names_and_messages_are_cut() {
        let long = "x".repeat(100_000);
        let xml = format!(r#"<testsuite><testcase name="{long}"><failure>{long}</failure></testcase></testsuite>"#);
        let reading = reading(1, xml.as_bytes());
        assert_eq!((reading.cases[0].id.len(), reading.cases[0].message.len()), (MAX_ID, MAX_MESSAGE));
    }

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(text in r#"(<(/?)(testsuites?|testcase|failure|error|!--|!\[CDATA\[)( name="[&;a]*")?/?>|[a&;<>\]"]){0,20}"#) {
            let _ = reading(0, text.as_bytes());
        }

        #[test]
        fn what_is_well_formed_is_read_as_it_is(tests in proptest::collection::vec((0..4_usize, r#"[a-z<&>"' é]{0,8}x"#), 0..12)) {
            let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            let inner = ["", "<failure message=\"m\">t</failure>", "<error message=\"m\">t</error>", "<skipped message=\"m\"/>"];
            let xml: String = tests.iter()
                .map(|(kind, name)| format!("<testcase name=\"{}\">{}</testcase>", escaped(name), inner[*kind])).collect();
            let code = i32::from(tests.iter().any(|(kind, _)| matches!(kind, 1 | 2)));
            let reading = reading(code, format!("<testsuites><testsuite name=\"s\">{xml}</testsuite></testsuites>").as_bytes());
            let kinds = [TestOutcome::Passed, TestOutcome::Failed, TestOutcome::Error, TestOutcome::Skipped];
            let expected: Vec<_> = tests.iter().map(|(kind, name)| (name.trim().to_owned(), kinds[*kind])).collect();
            let seen: Vec<_> = reading.cases.iter().map(|case| (case.id.clone(), case.outcome)).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
