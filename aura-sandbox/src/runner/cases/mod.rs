//! Calls the work and compares what comes back out here: what is right never enters the process that the work runs in.

mod answers;
mod harness;
mod pace;
mod right;
mod rust;

use std::time::Duration;

use aura_core::{
    Case, Cases, EvidenceStrength, SandboxError, TestCase, TestOutcome, TestReport, TestSuite, evidence::RunEnd,
    units::Mebibytes,
};

use self::answers::{Answer, Answers, Ending};
pub(super) use self::pace::Pace;
use super::{Executed, Place, Prepared, Used, execute};
use crate::report::{MAX_MESSAGE, head, with_notes};

/// A call may take the share of one of so many of the time that is left, unless the suite says otherwise: each that is lost leaves
/// something for the others.
const SHARES: u32 = 4;

/// Calls everything, again from where the work's process ended before it was through.
pub(super) async fn run(place: &Place, cases: &Cases, suite: &TestSuite) -> Result<TestReport, SandboxError> {
    let mut answers = Answers::of(cases);
    let (mut wall, mut end, mut output, mut short) = (Duration::ZERO, RunEnd::Finished, Vec::new(), None);
    let mut used = Used::default();
    while !answers.are_complete() {
        let left = suite.timeout.saturating_sub(wall);
        if left.is_zero() {
            end = RunEnd::TimedOut;
            break;
        }
        let pace = Pace::new(&answers.mark(), each(cases, left, answers.open().len()));
        let prepared = {
            let (place, cases, mark, open) = (place.clone(), cases.clone(), answers.mark(), answers.open());
            let prepared = crate::blocking(move || harness::prepare(&place, &cases, &mark, &open)).await?;
            Prepared { pace: Some(pace), ..prepared }
        };
        let executed = execute(place, &prepared, left).await?;
        let Executed { end: ended, lost, wall: took, remains, used: round, last } = executed;
        wall += took;
        used = used.and(round);
        output = last;
        short = short.or(remains.shortage);
        let is_over = ended == RunEnd::TimedOut && took >= left;
        let ending = match (ended, lost) {
            (RunEnd::TimedOut, Some(waited)) => Ending::Lost(waited),
            (RunEnd::TimedOut, None) if is_over => Ending::OutOfTime,
            (RunEnd::TimedOut, None) => Ending::BetweenCalls,
            _ => Ending::Itself,
        };
        answers.take(&remains, ending);
        if is_over || !matches!(ended, RunEnd::Finished | RunEnd::TimedOut) {
            end = ended;
            break;
        }
    }
    let limit = Mebibytes(place.limits.memory_bytes.div_ceil(1 << 20));
    let judged = cases.cases.iter().enumerate();
    let judged = judged.map(|(number, case)| judge(cases, number, case, answers.to(number), limit));
    let report = TestReport::of(judged.collect(), EvidenceStrength::SplitProcess);
    Ok(TestReport {
        end,
        wall,
        fast_enough: wall <= suite.fast_enough,
        output: with_notes(
            &output,
            place.limits.output_kept,
            &[&short.map(|short| short.to_string()).unwrap_or_default()],
        ),
        forgeries: answers.forgeries(),
        behaviour: answers.behaviour(),
        peak_memory: used.peak_memory,
        cpu: used.cpu,
        ..report
    })
}

/// How long a call may take, with so much time left and so many calls without an answer.
fn each(cases: &Cases, left: Duration, open: usize) -> Duration {
    let shares = u32::try_from(open).unwrap_or(SHARES).clamp(1, SHARES);
    cases.case_time.unwrap_or(left / shares)
}

/// One case of the report. The message names what went in and what came back, and not what would have been right: a model that tries
/// again is told the message, and would only have to repeat it. `limit`: how much memory a process may have.
fn judge(cases: &Cases, number: usize, case: &Case, answer: Option<&Answer>, limit: Mebibytes) -> TestCase {
    let judged = TestCase::new(cases.name_of(number), TestOutcome::Failed);
    let Some(answer) = answer else {
        return TestCase {
            outcome: TestOutcome::Error,
            ..judged.message("it was not called: the run was ended before")
        };
    };
    let judged = TestCase { time: answer.time(), ..judged };
    if right::is_right(&case.expected, answer) {
        return TestCase { outcome: TestOutcome::Passed, ..judged };
    }
    let outcome = if matches!(answer, Answer::Ended(_)) { TestOutcome::Error } else { TestOutcome::Failed };
    let limit = if answer.is_out_of_memory() { format!(" (a process may have {limit})") } else { String::new() };
    let text = format!("{} {}{limit}", harness::call_text(&cases.call, &case.input), answer.text());
    let message = head(&text, MAX_MESSAGE);
    TestCase { outcome, ..judged.message(message) }
}
