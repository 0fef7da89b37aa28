//! The judge of a round: a pure function of the journals and of what the database holds when nothing is left to do.

mod history;
mod planted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use aura_core::{JobId, JobStatus, PrdId};
use chrono::{DateTime, Utc};

use self::history::History;
use crate::{
    database::{Database, PrdRow},
    journal::{Answer, Asked, Entry, Held, Written},
};

/// What kind of wrong it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It was acknowledged and is not there, or never comes to its end.
    Lost,
    /// It is there, and nobody asked for it.
    Unexpected,
    /// It was applied more than once.
    Twice,
    /// A worker's write was accepted without a lease.
    Late,
    /// The history tells what cannot be, or tells it otherwise than the rows.
    Disorder,
    /// A process met what must not happen.
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
struct Faults(BTreeSet<Fault>);

impl Faults {
    fn add(&mut self, kind: Kind, what: impl Into<String>) {
        self.0.insert(Fault { kind, what: what.into() });
    }

    fn unless(&mut self, holds: bool, kind: Kind, what: impl FnOnce() -> String) {
        if !holds {
            self.add(kind, what());
        }
    }
}

/// Every fault there is. The round must be over: users ask for nothing more, and the database is as they left it.
pub(crate) fn check(journals: &[Written], database: &Database) -> Vec<Fault> {
    let mut faults = Faults::default();
    let history = History::replay(&database.history, &mut faults);
    check_submissions(journals, database, &history, &mut faults);
    check_claims(journals, &history, &mut faults);
    check_reports(journals, &history, &mut faults);
    check_scheduling(journals, &history, &mut faults);
    check_judgements(journals, database, &history, &mut faults);
    check_ends(database, &history, &mut faults);
    check_processes(journals, &mut faults);
    faults.0.into_iter().collect()
}

/// All calls of all processes.
fn calls(journals: &[Written]) -> impl Iterator<Item = (&Asked, Option<&Answer>)> {
    journals.iter().flat_map(Written::calls)
}

fn is_open(answer: Option<&Answer>) -> bool {
    answer.is_none_or(Answer::is_unclear)
}

fn check_submissions(journals: &[Written], database: &Database, history: &History, faults: &mut Faults) {
    let mut by_key: HashMap<&str, &PrdRow> = HashMap::new();
    for row in &database.prds {
        let other = by_key.insert(&row.key, row);
        faults.unless(other.is_none(), Kind::Twice, || format!("key {} has several PRDs", row.key));
    }
    let mut jobs_of: HashMap<PrdId, BTreeSet<JobId>> = HashMap::new();
    for job in &database.jobs {
        jobs_of.entry(job.prd).or_default().insert(job.id);
    }
    let set = |jobs: &[JobId]| jobs.iter().copied().collect::<BTreeSet<_>>();
    let mut asked_for: HashMap<(&str, PrdId), BTreeSet<JobId>> = HashMap::new();
    for (asked, answer) in calls(journals) {
        let Asked::Submit { key, prd, jobs } = asked else { continue };
        asked_for.insert((key, *prd), set(jobs));
        let Some(Answer::Submitted { prd, jobs }) = answer else {
            faults.unless(is_open(answer), Kind::Broken, || format!("key {key} was answered {answer:?}"));
            continue;
        };
        let kept = by_key.get(key.as_str()).filter(|row| row.id == *prd);
        faults.unless(kept.is_some(), Kind::Lost, || format!("PRD {prd} of key {key} was acknowledged"));
        let kept = jobs_of.get(prd).is_some_and(|kept| *kept == set(jobs));
        faults.unless(kept, Kind::Lost, || format!("PRD {prd} was acknowledged with jobs {jobs:?}"));
    }
    for row in &database.prds {
        let asked = asked_for.get(&(row.key.as_str(), row.id));
        let is_theirs = asked.is_some() && asked == jobs_of.get(&row.id);
        faults.unless(is_theirs, Kind::Unexpected, || format!("PRD {} of key {}, or its jobs", row.id, row.key));
        let told = history.submissions.get(&row.id.to_string()).copied().unwrap_or_default();
        faults.unless(told == 1, Kind::Disorder, || format!("the submission of PRD {} is told {told} times", row.id));
    }
    let known: HashSet<_> = database.prds.iter().map(|row| row.id).collect();
    for job in database.jobs.iter().filter(|job| !known.contains(&job.prd)) {
        faults.add(Kind::Unexpected, format!("job {} of the unknown PRD {}", job.id, job.prd));
    }
}

fn check_claims(journals: &[Written], history: &History, faults: &mut Faults) {
    let mut answered: HashSet<Held> = HashSet::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for (asked, answer) in calls(journals) {
        let Asked::Claim { worker } = asked else { continue };
        match answer {
            Some(Answer::Claimed(held)) => {
                for held in held {
                    let claim = history.claims.get(&(held.job, held.attempt));
                    let is_told = claim.is_some_and(|claim| claim.token == held.token && claim.worker == *worker);
                    faults.unless(is_told, Kind::Lost, || format!("the claim {held:?} of {worker} was acknowledged"));
                    let first = answered.insert(*held);
                    faults.unless(first, Kind::Twice, || format!("{held:?} was claimed twice"));
                }
            }
            answer if is_open(answer) => *open.entry(worker).or_default() += 1,
            answer => faults.add(Kind::Broken, format!("a claim of {worker} was answered {answer:?}")),
        }
    }
    // What nobody knows to have claimed was claimed by calls without an answer, each in one moment. (A call that finds some of its jobs
    // behind those that came later has two tokens.)
    let mut unanswered: BTreeMap<&str, BTreeSet<DateTime<Utc>>> = BTreeMap::new();
    for ((job, attempt), claim) in &history.claims {
        if !answered.contains(&Held { job: *job, attempt: *attempt, token: claim.token }) {
            unanswered.entry(&claim.worker).or_default().insert(claim.at);
        }
    }
    for (worker, moments) in unanswered {
        let open = open.get(worker).copied().unwrap_or_default();
        faults.unless(moments.len() <= open, Kind::Unexpected, || {
            format!("{worker} has claims of {moments:?}, with {open} calls that were not answered")
        });
    }
    let effects = journals.iter().flat_map(|journal| &journal.lines).filter_map(|line| match &line.entry {
        Entry::Effect(held) => Some(held),
        _ => None,
    });
    let mut done = HashSet::new();
    for held in effects {
        faults.unless(done.insert(held), Kind::Twice, || format!("two had the lease {held:?}"));
    }
}

fn check_reports(journals: &[Written], history: &History, faults: &mut Faults) {
    let mut asked_for: HashSet<(&str, Held)> = HashSet::new();
    let mut taken: HashSet<(JobId, u32)> = HashSet::new();
    for journal in journals {
        let mut lost: HashSet<Held> = HashSet::new();
        for (asked, answer) in journal.calls() {
            let (held, worker) = match asked {
                Asked::Report { worker, held } => (*held, Some(worker)),
                Asked::Heartbeat { held } => (*held, None),
                _ => continue,
            };
            asked_for.extend(worker.map(|worker| (worker.as_str(), held)));
            match answer {
                Some(Answer::LeaseLost) => drop(lost.insert(held)),
                Some(Answer::Taken { repeated }) => {
                    let told = history.reports.get(&(held.job, held.attempt));
                    faults.unless(told.is_some_and(|by| Some(by) == worker), Kind::Lost, || {
                        format!("the report of {held:?} was acknowledged to {worker:?}")
                    });
                    if !repeated {
                        let first = taken.insert((held.job, held.attempt));
                        faults.unless(first, Kind::Twice, || format!("the report of {held:?} was taken anew"));
                        faults.unless(!lost.contains(&held), Kind::Late, || format!("{held:?} was lost, then taken"));
                    }
                }
                Some(Answer::Done) => {
                    faults.unless(!lost.contains(&held), Kind::Late, || format!("{held:?} was lost, then extended"));
                }
                answer => faults.unless(is_open(answer), Kind::Broken, || format!("{asked:?} got {answer:?}")),
            }
        }
    }
    for ((job, attempt), worker) in &history.reports {
        let token = history.claims.get(&(*job, *attempt)).map_or(0, |claim| claim.token);
        let asked = asked_for.contains(&(worker.as_str(), Held { job: *job, attempt: *attempt, token }));
        faults.unless(asked, Kind::Unexpected, || {
            format!("a report of job {job}, attempt {attempt}, token {token}, by {worker}")
        });
    }
}

fn check_scheduling(journals: &[Written], history: &History, faults: &mut Faults) {
    let mut assigned: BTreeMap<JobId, (usize, usize)> = BTreeMap::new();
    let mut expired: BTreeMap<JobId, usize> = BTreeMap::new();
    let mut open_expires = 0;
    for (asked, answer) in calls(journals) {
        match (asked, answer) {
            (Asked::Assign { job }, answer) => {
                let (most, least) = assigned.entry(*job).or_default();
                *most += 1;
                *least += usize::from(answer == Some(&Answer::Done));
            }
            (Asked::Expire, Some(Answer::Expired(jobs))) => {
                jobs.iter().for_each(|job| *expired.entry(*job).or_default() += 1);
            }
            (Asked::Expire, answer) if is_open(answer) => open_expires += 1,
            _ => {}
        }
    }
    for (job, life) in &history.jobs {
        let (most, least) = assigned.remove(job).unwrap_or_default();
        let kind = if life.assigned < least { Kind::Lost } else { Kind::Unexpected };
        faults.unless((least..=most).contains(&life.assigned), kind, || {
            format!(
                "job {job} was assigned {} times, acknowledged {least} times and asked for {most} times",
                life.assigned
            )
        });
        let least = expired.remove(job).unwrap_or_default();
        let kind = if life.expired < least { Kind::Lost } else { Kind::Unexpected };
        faults.unless((least..=least + open_expires).contains(&life.expired), kind, || {
            format!("job {job} was taken back {} times, acknowledged {least} times", life.expired)
        });
    }
    for (job, _) in assigned.into_iter().filter(|(_, (_, least))| *least > 0) {
        faults.add(Kind::Lost, format!("job {job} was assigned, and has no history"));
    }
}

fn check_judgements(journals: &[Written], database: &Database, history: &History, faults: &mut Faults) {
    let mut asked_for = HashSet::new();
    let mut judged = HashSet::new();
    let mut settled = HashSet::new();
    let runs: HashSet<_> = database.runs.iter().copied().collect();
    for (asked, answer) in calls(journals) {
        match (asked, answer) {
            (Asked::Judge { job, attempt }, answer) => {
                let run = (*job, *attempt);
                asked_for.insert(run);
                if answer == Some(&Answer::Done) {
                    faults.unless(runs.contains(&run), Kind::Lost, || format!("the run {run:?} was acknowledged"));
                    faults.unless(judged.insert(run), Kind::Twice, || format!("the run {run:?} was stored anew"));
                }
            }
            (Asked::Settle { prd }, Some(Answer::Settled(true))) => {
                let kept = database.prds.iter().any(|row| row.id == *prd && row.settled);
                faults.unless(kept, Kind::Lost, || format!("the verdict of PRD {prd} was acknowledged"));
                faults.unless(settled.insert(*prd), Kind::Twice, || format!("PRD {prd} was settled anew"));
            }
            _ => {}
        }
    }
    faults.unless(runs.len() == database.runs.len(), Kind::Twice, || "an attempt has several runs".to_owned());
    let counted = usize::try_from(database.counted).unwrap_or_default();
    let kind = if counted > runs.len() { Kind::Twice } else { Kind::Lost };
    faults.unless(counted == runs.len(), kind, || format!("{counted} runs are in the statistics of {}", runs.len()));
    for run in &runs {
        faults.unless(asked_for.contains(run), Kind::Unexpected, || format!("the run {run:?}"));
        faults.unless(history.scored.contains(run), Kind::Disorder, || format!("the run {run:?} is not told"));
    }
    for run in history.scored.difference(&runs) {
        faults.add(Kind::Lost, format!("the run {run:?} is told and not there"));
    }
}

/// What the rows say, against the history that led to them.
fn check_ends(database: &Database, history: &History, faults: &mut Faults) {
    let mut totals: BTreeMap<JobStatus, i64> = BTreeMap::new();
    for job in &database.jobs {
        *totals.entry(job.status).or_default() += 1;
        let Some(life) = history.jobs.get(&job.id) else {
            faults.add(Kind::Disorder, format!("job {} has no history", job.id));
            continue;
        };
        faults.unless(job.status.is_final(), Kind::Lost, || format!("job {} stays {}", job.id, job.status));
        faults.unless(life.status == job.status && life.attempt == job.attempt, Kind::Disorder, || {
            let told = (life.status, life.attempt);
            format!("job {} is {} at attempt {}, its history says {told:?}", job.id, job.status, job.attempt)
        });
        let gave_up = job.status == JobStatus::Failed && job.attempt < job.max_attempts;
        faults.unless(!gave_up, Kind::Lost, || format!("job {} failed with attempts left", job.id));
    }
    for job in history.jobs.keys().filter(|job| !database.jobs.iter().any(|row| row.id == **job)) {
        faults.add(Kind::Lost, format!("job {job} has a history and is not there"));
    }
    faults.unless(totals == database.totals, Kind::Disorder, || {
        format!("there are {totals:?} jobs, and the store counts {:?}", database.totals)
    });
    for prd in &database.prds {
        faults.unless(prd.settled, Kind::Lost, || format!("PRD {} has no verdict", prd.id));
        let told = history.settlements.get(&prd.id.to_string()).copied().unwrap_or_default();
        let kind = if told > 1 { Kind::Twice } else { Kind::Disorder };
        faults.unless(told == usize::from(prd.settled), kind, || format!("PRD {} was settled {told} times", prd.id));
    }
    for left in &database.left {
        faults.add(Kind::Disorder, format!("something is left over: {left}"));
    }
}

fn check_processes(journals: &[Written], faults: &mut Faults) {
    for journal in journals {
        for line in &journal.lines {
            match &line.entry {
                Entry::Broken(what) | Entry::Answered(Answer::Failed(what)) => {
                    faults.add(Kind::Broken, format!("{}: {what}", journal.process));
                }
                _ => {}
            }
        }
    }
}
