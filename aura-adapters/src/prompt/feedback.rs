//! What was wrong with the attempt before, as it is told to whoever tries next.

use aura_core::{Feedback, SourceFile, TestCase};

use super::room::{Room, end, fenced};

/// Most failed tests that are told of.
const MAX_TESTS: usize = 20;
/// Most characters of a test's message.
const MAX_MESSAGE: usize = 1000;
/// Stands where a test's message does not fit.
const NO_ROOM: &str = " (its message is left out for lack of room)";
/// Most bytes of what the tests printed.
const MAX_OUTPUT: usize = 4000;
/// Share of the room that the work before may have: a half.
const WORK_SHARE: usize = 2;

/// The text; it takes its part of the room.
pub(super) fn text(feedback: &Feedback, room: &mut Room) -> String {
    let mut text = format!("Attempt {} at this task was rejected: {}\n", feedback.attempt, one_line(&feedback.why));
    let (names, messages): (Vec<_>, Vec<_>) = feedback.failed.iter().take(MAX_TESTS).map(test).unzip();
    // Which tests failed is told whatever the room; what they said, in what the names leave.
    let named = names.iter().map(String::len).sum::<usize>() + text.len();
    let mut left = room.left().saturating_sub(named);
    for (name, message) in names.into_iter().zip(messages) {
        let message = if message.len() <= left { message } else { NO_ROOM.to_owned() };
        left = left.saturating_sub(message.len());
        text.push_str(&format!("{name}{message}\n"));
    }
    if let Some(more) = feedback.failed.len().checked_sub(MAX_TESTS).filter(|more| *more > 0) {
        text.push_str(&format!("- and {more} more\n"));
    }
    room.take(text.len());
    let output = end(feedback.output.trim(), MAX_OUTPUT.min(room.left()));
    if !output.is_empty() {
        let output = format!("The end of what the tests printed:\n{}\n", fenced(output));
        room.take(output.len());
        text.push_str(&output);
    }
    let work = work(feedback);
    if !work.is_empty() && work.len() <= room.left() / WORK_SHARE {
        room.take(work.len());
        text.push_str("What was handed in:\n");
        text.push_str(&work);
    }
    text.push_str("Do the task anew, so that all tests pass.");
    text
}

/// A failed test: its line, and its message behind that.
fn test(case: &TestCase) -> (String, String) {
    let name = format!("- {} {}", one_line(&case.id), case.outcome);
    let message: String = case.message.trim().chars().take(MAX_MESSAGE).collect();
    (name, if message.is_empty() { message } else { format!(":\n{}", fenced(&message)) })
}

fn work(feedback: &Feedback) -> String {
    let file = |file: &SourceFile| format!("File {}:\n{}\n", file.path, fenced(&file.text));
    let patch = |patch: &String| format!("A diff:\n{}\n", fenced(patch));
    feedback.work.iter().map(file).chain(feedback.patches.iter().map(patch)).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use aura_core::TestOutcome;

    use super::*;

    fn feedback(failed: usize) -> Feedback {
        let case = |n| TestCase::new(format!("test_{n}"), TestOutcome::Failed).message("assert 1 == 2");
        Feedback {
            attempt: 1,
            why: "0 of 3 tests passed".to_owned(),
            failed: (0..failed).map(case).collect(),
            output: "E   assert 1 == 2".to_owned(),
            work: vec![SourceFile::new("solution.py", "x = '```'\n")],
            patches: Vec::new(),
        }
    }

    #[test]
    fn the_next_attempt_is_told_which_tests_failed_what_they_printed_and_what_was_handed_in() {
        let text = text(&feedback(1), &mut Room::new(10_000));
        for part in [
            "Attempt 1",
            "0 of 3 tests passed",
            "- test_0 failed:\n```\nassert 1 == 2",
            "E   assert",
            "````\nx = '```'",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn messages_of_tests_take_no_more_room_than_there_is() {
        let mut much = feedback(20);
        much.failed.iter_mut().for_each(|case| case.message = "x".repeat(900));
        let text = text(&much, &mut Room::new(3000));
        assert!(text.len() < 3500 && text.contains("- test_19 failed"), "{} {text}", text.len());
        assert!(text.contains("- test_0 failed:\n") && text.contains("left out for lack of room"), "{text}");
    }

    #[test]
    fn much_feedback_is_cut_and_says_so() {
        let text = text(&feedback(50), &mut Room::new(0));
        assert!(text.contains("and 30 more") && !text.contains("handed in:"), "{text}");
    }
}
