//! Workers that are stopped past the end of their leases, and go on as if nothing had happened: their late reports are refused.

use std::{collections::HashSet, time::Duration};

use aura_core::AuditEntry;
use aura_testbed::{PrivatePostgres, ProcessTree};
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    child::{Role, Settings},
    field::Field,
    journal::{Answer, Asked, Entry, Held, Written},
};

fn stops() -> usize {
    std::env::var("AURA_STOPS").ok().and_then(|stops| stops.parse().ok()).unwrap_or(3)
}

/// Jobs that a process claimed and has not begun to hand in.
fn in_hand(journal: &Written) -> Vec<Held> {
    let mut held = Vec::new();
    for line in &journal.lines {
        match &line.entry {
            Entry::Answered(Answer::Claimed(claimed)) => held.extend_from_slice(claimed),
            Entry::Asked(Asked::Report { held: reported, .. }) => held.retain(|held| held != reported),
            _ => {}
        }
    }
    held
}

/// The last answer to each report.
fn answer_to(journal: &Written, held: Held) -> Option<&Answer> {
    let reports = journal.calls().filter(|(asked, _)| matches!(asked, Asked::Report { held: of, .. } if *of == held));
    reports.last().and_then(|(_, answer)| answer).filter(|answer| !answer.is_unclear())
}

/// Where a worker may be stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    Any,
    /// Within a transaction it may hold what all others wait for, until the server ends it.
    BetweenTransactions,
}

/// Stops these workers while each has jobs in hand, until other workers have claimed all of them, and waits until the stopped
/// ones have handed theirs in. Answers with what they had.
pub(crate) fn stop_past_the_leases(field: &Field, workers: &[usize], moment: Moment) -> Vec<Held> {
    let mut all = Vec::new();
    let workers = workers.iter().filter_map(|n| field.processes.get(*n));
    let mut workers: Vec<_> = workers.map(|worker| (worker, worker.orders.follow())).collect();
    for (worker, journal) in &mut workers {
        let tree = ProcessTree::of(worker.id());
        // What was written so far is read before the worker stands still for it.
        journal.look();
        field.until("a worker to be stopped with jobs in hand", || {
            tree.halt().unwrap();
            let held = in_hand(journal.look());
            let is_good = !held.is_empty() && (moment == Moment::Any || !field.a_transaction_stands_still());
            match is_good {
                true => all.extend(held),
                false => tree.resume().unwrap(),
            }
            is_good
        });
    }
    for held in &all {
        field.until("another worker to claim a stopped one's job", || field.attempt_of(held.job) > held.attempt);
    }
    for (worker, _) in &workers {
        ProcessTree::of(worker.id()).resume().unwrap();
    }
    for (_, journal) in &mut workers {
        field.until("a stopped worker to hand in", || {
            let journal = journal.look();
            let theirs: HashSet<_> = in_hand(journal).into_iter().collect();
            all.iter().all(|held| !theirs.contains(held) && knows(journal, *held))
        });
    }
    all
}

/// Whether a worker's claim, if it is this worker's, was handed in and answered.
fn knows(journal: &Written, held: Held) -> bool {
    let is_theirs = journal
        .lines
        .iter()
        .any(|line| matches!(&line.entry, Entry::Answered(Answer::Claimed(claimed)) if claimed.contains(&held)));
    !is_theirs || answer_to(journal, held).is_some()
}

/// What was answered to reports of these claims that is not a lost lease.
pub(crate) fn not_refused(journals: &[Written], late: &[Held]) -> Vec<(Held, Option<Answer>)> {
    let theirs = |held: Held| journals.iter().find_map(|journal| answer_to(journal, held)).cloned();
    late.iter().map(|held| (*held, theirs(*held))).filter(|(_, answer)| *answer != Some(Answer::LeaseLost)).collect()
}

/// Whose leases were taken back, and how long after their end, by the database's clock.
pub(crate) fn ended(history: &[AuditEntry]) -> Vec<(String, TimeDelta)> {
    let ended = history.iter().filter(|entry| entry.actor == "scheduler" && entry.action == "job.requeued");
    let whose = |entry: &AuditEntry| {
        let (worker, until) = entry.details.get("reason")?.as_str()?.split_once(" ended at ")?;
        let until: DateTime<Utc> = until.split(' ').next()?.parse().ok()?;
        Some((worker.rsplit(' ').next()?.to_owned(), entry.created_at - until))
    };
    ended.map(|entry| whose(entry).unwrap()).collect()
}

#[test]
fn the_late_reports_of_workers_stopped_past_their_leases_are_all_refused() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let settings = Settings { work: Duration::from_millis(100), tasks: 3, ..Settings::default() };
    let mut field = Field::new("stopped workers", &url, &url, [1, 2, 4], &settings);
    let workers: Vec<_> =
        (0..field.processes.len()).filter(|n| field.processes[*n].orders.role == Role::Worker).collect();
    let mut late = Vec::new();
    for n in 0..stops() {
        field.until_written(5_000);
        // One that is stopped within a transaction is waited for by all the others.
        let moment = if n % 3 == 0 { Moment::Any } else { Moment::BetweenTransactions };
        let skip = usize::try_from(field.chance.within(0..workers.len() as u64)).unwrap();
        let two: Vec<_> = workers.iter().cycle().skip(skip).take(2).copied().collect();
        late.extend(stop_past_the_leases(&field, &two, moment));
    }
    let (journals, database) = field.finish(&format!("{} stops, {} late reports", stops() * 2, late.len()));
    assert_eq!(not_refused(&journals, &late), []);
    let early: Vec<_> = ended(&database.history).into_iter().filter(|(_, delay)| *delay < TimeDelta::zero()).collect();
    assert_eq!(early, [], "taken back before their end");
}
