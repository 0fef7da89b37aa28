//! Runs a project's own test command on the work, and finds out whether the work tampered with the result.
//!
//! Tests and work share a process, so that the report of one run can say anything. Three things are held against it:
//!
//! - the ids that there have to be ([`ids`]), read from the pristine test files or given by the suite;
//! - skips, which leave the total only where the pristine test files mark them;
//! - for pytest and Node's test runner, twins ([`twins`]): the suite is run several times, each time with one copy of every test under a random name, which is
//!   either the test or a twin of it that expects something wrong and has to fail.

mod cargo;
mod copies;
mod ids;
mod node;
mod plan;
mod pytest;
mod reader;
mod restore;
mod twins;
mod wrong;

#[cfg(fuzzing)]
pub(crate) use self::cargo::read_rust_tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aura_core::{
    EvidenceStrength, Project, SandboxError, SourceFile, TestCase, TestOutcome, TestReport, TestSuite, evidence::RunEnd,
};

use self::{
    ids::Sorted,
    plan::{Plan, Planned},
    restore::Before,
    twins::Judged,
};
use super::{Once, Place, coverage::Coverage, once, process::Used};
use crate::{
    report::{Shortage, with_notes},
    steering,
    workspace::Slot,
};

/// Runs a project as often as it takes.
pub(super) async fn run(place: &Place, project: &Project, suite: &TestSuite) -> Result<TestReport, SandboxError> {
    let started = Instant::now();
    let plan = plan::make(place, project, suite.timeout).await?;
    // The timeout is for all of it.
    let rest = TestSuite { timeout: suite.timeout.saturating_sub(started.elapsed()), ..suite.clone() };
    match plan {
        Ok(plan) if !plan.runs.is_empty() => match run_planned(place, project, &rest, &plan).await? {
            Ok(report) => Ok(report),
            // What its twins cost is not taken from its time.
            Err(why) => run_plain(place, project, suite, Some(&plan.tests), &why).await,
        },
        Ok(plan) => run_plain(place, project, &rest, Some(&plan.tests), "no test can be given a twin").await,
        Err(why) => run_plain(place, project, &rest, None, &why).await,
    }
}

/// Runs it once, as it is.
async fn run_plain(
    place: &Place,
    project: &Project,
    suite: &TestSuite,
    tests: Option<&[Planned]>,
    why: &str,
) -> Result<TestReport, SandboxError> {
    let Once { mut end, wall, used, mut cases, mut complaint, shortage, coverage, last } =
        once(place, project, suite.timeout).await?;
    if end == RunEnd::Finished {
        let names: Vec<&str> = tests.iter().copied().flatten().map(|test| test.id.as_str()).collect();
        let checked = match tests {
            Some(tests) => ids::sort(tests, &names, cases).map(|sorted| sorted.into_cases(tests)),
            None => Ok(without_skips_of_the_work(&place.slot, project, cases)),
        };
        let checked = checked.and_then(|cases| ids::check(&project.expected, &cases).map_or(Ok(cases), Err));
        (end, cases) = match checked {
            Ok(cases) => (end, cases),
            Err(wrong) => {
                complaint = wrong;
                (RunEnd::Unreadable, Vec::new())
            }
        };
    }
    let output =
        with_notes(&last, place.limits.output_kept, &[complaint.as_str(), &said(shortage), &coverage.complaint, why]);
    let report = TestReport::of(cases, EvidenceStrength::SameProcess);
    let Used { peak_memory, cpu, .. } = used;
    let (fast_enough, coverage) = (wall <= suite.fast_enough, coverage.share);
    Ok(TestReport { end, wall, fast_enough, peak_memory, cpu, output, coverage, ..report })
}

/// Runs every copy, and puts the tests themselves together from them; the reason when the suite has to be run as it is instead.
async fn run_planned(
    place: &Place,
    project: &Project,
    suite: &TestSuite,
    plan: &Plan,
) -> Result<Result<TestReport, String>, SandboxError> {
    let started = Instant::now();
    let before = {
        let slot = Arc::clone(&place.slot);
        crate::blocking(move || Ok(Before::of(slot.work()))).await?
    };
    let ended = |end, wall, output| TestReport {
        end,
        wall,
        fast_enough: wall <= suite.fast_enough && end == RunEnd::Finished,
        output,
        ..TestReport::of(Vec::new(), EvidenceStrength::SameProcess)
    };
    let (mut longest, mut used, mut sorted, mut stopped) = (Duration::ZERO, Used::default(), Vec::new(), None);
    let (mut short, mut reached, mut unfit) = (None, Coverage::default(), None);
    for (number, run) in plan.runs.iter().enumerate() {
        let left = suite.timeout.saturating_sub(started.elapsed());
        let command = project.command.iter().chain(&plan.arguments).cloned().collect();
        let copy = Project { files: replaced(&project.files, &run.files), command, ..project.clone() };
        let Once { end, wall, used: round, cases, complaint, shortage, coverage, last } =
            once(place, &copy, left).await?;
        short = short.or(shortage);
        reached = reached.or(coverage);
        longest = longest.max(wall);
        used = used.and(round);
        let checked = if end == RunEnd::Finished { ids::sort(&plan.tests, &run.names, cases) } else { Err(complaint) };
        match checked {
            Ok(one) => {
                // Nothing ran, since something could not even be collected: the other runs would say the same.
                let hopeless = !one.strays.is_empty() && !one.ran();
                let left = suite.timeout.saturating_sub(started.elapsed());
                unfit = if hopeless { unbuilt(plan, &one) } else { slow(plan, number, wall, left) };
                if unfit.is_some() {
                    break;
                }
                sorted.push(one);
                if hopeless {
                    break;
                }
            }
            Err(complaint) => {
                let copies = "some tests are copies under other names, and expect something wrong";
                let output = with_notes(&last, place.limits.output_kept, &[complaint.as_str(), &said(short), copies]);
                let end = if end == RunEnd::Finished { RunEnd::Unreadable } else { end };
                let wall = if end == RunEnd::TimedOut { started.elapsed() } else { longest };
                stopped = Some(ended(end, wall, output));
                break;
            }
        }
        let (slot, kept) = (Arc::clone(&place.slot), before.clone());
        crate::blocking(move || {
            kept.restore(slot.work());
            Ok(())
        })
        .await?;
    }
    let (slot, mut files) = (Arc::clone(&place.slot), plan.pristine.clone());
    files.extend(project.files.iter().cloned());
    let before = unfit.is_some().then_some(before);
    crate::blocking(move || {
        if let Some(before) = before {
            before.restore(slot.work());
        }
        restore::write(slot.work(), &files);
        Ok(())
    })
    .await?;
    if let Some(why) = unfit {
        return Ok(Err(why));
    }
    if let Some(stopped) = stopped {
        return Ok(Ok(stopped));
    }
    let Judged { cases, forgeries, void, strength, notes } = twins::judge(plan, &sorted);
    let short = said(short);
    let notes: Vec<&str> =
        [short.as_str(), reached.complaint.as_str()].into_iter().chain(notes.iter().map(String::as_str)).collect();
    let wrong = void.or_else(|| ids::check(&project.expected, &cases));
    if let Some(wrong) = wrong.filter(|_| forgeries.is_empty()) {
        let output = with_notes(&[], place.limits.output_kept, &[wrong.as_str(), &short]);
        return Ok(Ok(ended(RunEnd::Unreadable, longest, output)));
    }
    let output = with_notes(failures(&cases).as_bytes(), place.limits.output_kept, &notes);
    let fast_enough = longest <= suite.fast_enough;
    let Used { peak_memory, cpu, .. } = used;
    let report = TestReport { peak_memory, cpu, forgeries, ..TestReport::of(cases, strength) };
    Ok(Ok(TestReport { wall: longest, fast_enough, output, coverage: reached.share, ..report }))
}

/// Why the copies cannot be run: the language did not take one of them. The tests themselves may be refused too.
fn unbuilt(plan: &Plan, run: &Sorted) -> Option<String> {
    let mentions = |stray: &TestCase| plan.pristine.iter().any(|file| stray.message.contains(&file.path));
    (plan.may_not_build && run.strays.iter().any(mentions))
        .then(|| "the copies of its tests could not be built, and so they have no twins".to_owned())
}

/// Why there is no time for the copies, as the first run of them tells.
fn slow(plan: &Plan, number: usize, wall: Duration, left: Duration) -> Option<String> {
    let more = plan.runs.len().saturating_sub(1);
    let fits = wall.saturating_mul(u32::try_from(more).unwrap_or(u32::MAX)) <= left;
    (number == 0 && !fits).then(|| {
        let (wall, left) = (wall.as_secs_f64(), left.as_secs_f64());
        format!("its tests have no twins: one run took {wall:.1} s, and {more} more do not fit into the {left:.1} s left of its timeout")
    })
}

/// The files, with some in place of those at the same path.
fn replaced(files: &[SourceFile], by: &[SourceFile]) -> Vec<SourceFile> {
    let kept = files.iter().filter(|file| by.iter().all(|other| other.path != file.path));
    kept.chain(by).cloned().collect()
}

/// For people; nothing when there was enough.
fn said(shortage: Option<Shortage>) -> String {
    shortage.map(|shortage| shortage.to_string()).unwrap_or_default()
}

/// What the tests themselves said when they failed: what all copies printed would tell of twins too.
fn failures(cases: &[TestCase]) -> String {
    let failed = cases.iter().filter(|case| matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error));
    failed.map(|case| format!("{}\n{}\n", case.id, case.message)).collect::<Vec<_>>().join("\n")
}

/// A skip that no test file can have asked for was raised by the work, and leaves the total no smaller.
fn without_skips_of_the_work(slot: &Slot, project: &Project, mut cases: Vec<TestCase>) -> Vec<TestCase> {
    const MARKS: [&str; 5] = ["skip", "xfail", "ignore", "todo", "pending"];
    let marks = |text: &str| MARKS.iter().any(|mark| text.to_lowercase().contains(mark));
    let base = slot.base_tests();
    let tests_are_given = !base.is_empty()
        || project
            .files
            .iter()
            .any(|file| crate::path::WorkPath::parse(&file.path).is_ok_and(|p| steering::is_test(&p)));
    let may_skip = !tests_are_given
        || project.files.iter().any(|file| marks(&file.text))
        || base.values().any(|text| marks(&String::from_utf8_lossy(text)));
    if !may_skip {
        cases.iter_mut().for_each(not_skipped);
    }
    cases
}

/// Counts a skip as a failure.
fn not_skipped(case: &mut TestCase) {
    if case.outcome == TestOutcome::Skipped {
        case.outcome = TestOutcome::Failed;
        case.message = "it was skipped, though its test file marks no skip".to_owned();
    }
}
