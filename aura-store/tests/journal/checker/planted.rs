//! Each fault, planted into a round without one, is found and has its name.

use aura_core::{
    Action, Actor, AuditEntry, AuditSeq, JobId, JobStatus, PrdId,
    audit::{EntryHash, NewEntry},
};
use chrono::DateTime;
use serde_json::{Value, json};

use super::{Kind, check};
use crate::{
    database::{Database, JobRow, PrdRow},
    journal::{Answer, Asked, Entry, Held, Line, Written},
};

/// A round of one PRD with one job: its first worker lost the lease, the second one's work was sent back, the third one's accepted.
struct Round {
    job: JobId,
    prd: PrdId,
    history: Vec<NewEntry>,
    user: Written,
    manager: Written,
    workers: [Written; 3],
    database: Database,
}

impl Round {
    fn good() -> Self {
        let (job, prd) = (JobId::new(), PrdId::new());
        let database = Database {
            prds: vec![PrdRow { id: prd, key: "k".to_owned(), settled: true }],
            jobs: vec![JobRow { id: job, prd, status: JobStatus::Validated, attempt: 3, max_attempts: 20 }],
            runs: vec![(job, 2), (job, 3)],
            counted: 2,
            totals: [(JobStatus::Validated, 1)].into(),
            ..Database::default()
        };
        let workers = std::array::from_fn(|n| Written { process: format!("w{n}"), lines: Vec::new() });
        let (user, manager) = (Written::default(), Written::default());
        let mut round = Self { job, prd, history: Vec::new(), user, manager, workers, database };
        round.happen();
        round
    }

    fn happen(&mut self) {
        let (job, prd) = (self.job, self.prd);
        let submit = Asked::Submit { key: "k".to_owned(), prd, jobs: vec![job] };
        call(&mut self.user, submit, Some(Answer::Submitted { prd, jobs: vec![job] }));
        self.told(&Actor::submitter(), Action::PrdSubmitted, json!({ "prd_id": prd, "jobs": [job] }));
        for (attempt, n) in (1..).zip(0..3) {
            call(&mut self.manager, Asked::Assign { job }, Some(Answer::Done));
            self.told(&Actor::scheduler(), Action::JobAssigned, json!({ "job_id": job, "attempt": attempt - 1 }));
            let held = self.held(attempt);
            let worker = format!("w{n}");
            call(&mut self.workers[n], Asked::Claim { worker: worker.clone() }, Some(Answer::Claimed(vec![held])));
            let claimed = json!({ "job_id": job, "attempt": attempt, "token": held.token, "worker": worker });
            self.told(&Actor::scheduler(), Action::JobClaimed, claimed);
            self.workers[n].lines.push(line(0, Entry::Effect(held)));
            let report = Asked::Report { worker: worker.clone(), held };
            if n == 0 {
                call(&mut self.manager, Asked::Expire, Some(Answer::Expired(vec![job])));
                self.told(&Actor::scheduler(), Action::JobRequeued, json!({ "job_id": job, "attempt": 1 }));
                call(&mut self.workers[n], report, Some(Answer::LeaseLost));
                continue;
            }
            call(&mut self.workers[n], report.clone(), None);
            call(&mut self.workers[n], report, Some(Answer::Taken { repeated: true }));
            self.told(
                &Actor::scheduler(),
                Action::JobSubmitted,
                json!({ "job_id": job, "attempt": attempt, "worker": worker }),
            );
            call(&mut self.manager, Asked::Judge { job, attempt }, Some(Answer::Done));
            let facts = json!({ "job_id": job, "attempt": attempt });
            self.told(&Actor::accountant(), Action::RunScored, facts.clone());
            let next = if n == 1 { Action::JobRequeued } else { Action::JobValidated };
            self.told(&Actor::accountant(), next, facts);
        }
        call(&mut self.manager, Asked::Settle { prd }, Some(Answer::Settled(true)));
        self.told(&Actor::accountant(), Action::PrdSettled, json!({ "prd_id": prd }));
    }

    /// The claim of an attempt.
    fn held(&self, attempt: u32) -> Held {
        Held { job: self.job, attempt, token: i64::from(attempt) * 10 }
    }

    fn told(&mut self, actor: &Actor, action: Action, details: Value) {
        self.history.push(NewEntry { actor: actor.clone(), action, details });
    }

    /// Tells the first entry of this kind once more, at the end.
    fn tells_again(&mut self, action: Action) {
        let again = self.history.iter().find(|entry| entry.action == action).unwrap().clone();
        self.history.push(again);
    }

    fn is_not_told(&mut self, action: Action) {
        self.history.retain(|entry| entry.action != action);
    }

    /// What the checker finds.
    fn found(mut self) -> Vec<(Kind, String)> {
        let mut head = EntryHash::genesis();
        for (seq, entry) in (1..).zip(self.history) {
            let sealed = AuditEntry::seal(entry, AuditSeq(seq), DateTime::UNIX_EPOCH, &head);
            head = sealed.hash.clone().unwrap();
            self.database.history.push(sealed);
        }
        let journals: Vec<_> = [self.user, self.manager].into_iter().chain(self.workers).collect();
        check(&journals, &self.database).into_iter().map(|fault| (fault.kind, fault.what)).collect()
    }
}

fn line(call: u64, entry: Entry) -> Line {
    Line { at: DateTime::UNIX_EPOCH, call, entry }
}

fn call(journal: &mut Written, asked: Asked, answer: Option<Answer>) {
    let call = journal.lines.len() as u64;
    journal.lines.push(line(call, Entry::Asked(asked)));
    journal.lines.extend(answer.map(|answer| line(call, Entry::Answered(answer))));
}

/// A round in which this was done has a fault of this kind, told with these words.
fn finds(kind: Kind, words: &str, plant: impl FnOnce(&mut Round)) {
    let mut round = Round::good();
    plant(&mut round);
    let found = round.found();
    assert!(found.iter().any(|(of, what)| *of == kind && what.contains(words)), "{kind:?} {words:?}: {found:?}");
}

#[test]
fn a_good_round_has_no_fault() {
    assert_eq!(Round::good().found(), []);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    finds(Kind::Lost, "PRD", |round| round.database.prds.clear());
    finds(Kind::Lost, "with jobs", |round| round.database.jobs.clear());
    finds(Kind::Lost, "the claim", |round| round.is_not_told(Action::JobClaimed));
    finds(Kind::Lost, "the report", |round| round.is_not_told(Action::JobSubmitted));
    finds(Kind::Lost, "was assigned 0 times", |round| round.is_not_told(Action::JobAssigned));
    finds(Kind::Lost, "was taken back 0 times", |round| round.is_not_told(Action::JobRequeued));
    finds(Kind::Lost, "the run", |round| round.database.runs.truncate(1));
    finds(Kind::Lost, "in the statistics", |round| round.database.counted = 1);
    finds(Kind::Lost, "the verdict", |round| round.database.prds[0].settled = false);
}

#[test]
fn what_never_ends_is_lost() {
    finds(Kind::Lost, "stays SUBMITTED", |round| round.database.jobs[0].status = JobStatus::Submitted);
    finds(Kind::Lost, "no verdict", |round| round.database.prds[0].settled = false);
    finds(Kind::Lost, "attempts left", |round| round.database.jobs[0].status = JobStatus::Failed);
    finds(Kind::Disorder, "left over", |round| round.database.left.push("a row".to_owned()));
}

#[test]
fn what_nobody_asked_for_is_unexpected() {
    finds(Kind::Unexpected, "PRD", |round| {
        round.database.prds.push(PrdRow { id: PrdId::new(), key: "other".to_owned(), settled: true });
    });
    finds(Kind::Unexpected, "or its jobs", |round| {
        let job = JobRow { id: JobId::new(), ..round.database.jobs[0].clone() };
        round.database.jobs.push(job);
    });
    finds(Kind::Unexpected, "unknown PRD", |round| round.database.jobs[0].prd = PrdId::new());
    finds(Kind::Unexpected, "has claims", |round| round.workers[1].lines.clear());
    finds(Kind::Unexpected, "a report of job", |round| round.workers[2].lines.truncate(3));
    finds(Kind::Unexpected, "was assigned 3 times", |round| round.manager.lines.clear());
    finds(Kind::Unexpected, "was taken back 1 times", |round| round.manager.lines.clear());
    finds(Kind::Unexpected, "the run", |round| round.manager.lines.clear());
    finds(Kind::Unexpected, "nobody asks for such a thing", |round| {
        let details = json!({ "job_id": round.job });
        round.told(&Actor::operator(), Action::JobCancelled, details);
    });
}

#[test]
fn an_effect_applied_twice_is_found() {
    finds(Kind::Twice, "several PRDs", |round| {
        let twin = PrdRow { id: PrdId::new(), ..round.database.prds[0].clone() };
        round.database.prds.push(twin);
    });
    finds(Kind::Twice, "made before", |round| round.tells_again(Action::PrdSubmitted));
    finds(Kind::Twice, "it had ended", |round| round.tells_again(Action::JobValidated));
    finds(Kind::Twice, "handed in before", |round| round.tells_again(Action::JobSubmitted));
    finds(Kind::Twice, "scored before", |round| round.tells_again(Action::RunScored));
    finds(Kind::Twice, "settled 2 times", |round| round.tells_again(Action::PrdSettled));
    finds(Kind::Twice, "several runs", |round| {
        let run = round.database.runs[0];
        round.database.runs.push(run);
    });
    finds(Kind::Twice, "in the statistics", |round| round.database.counted = 3);
    finds(Kind::Twice, "two had the lease", |round| {
        let effect = Entry::Effect(round.held(1));
        round.workers[1].lines.push(line(0, effect));
    });
    finds(Kind::Twice, "was claimed twice", |round| {
        let held = vec![round.held(3)];
        call(&mut round.workers[1], Asked::Claim { worker: "w2".to_owned() }, Some(Answer::Claimed(held)));
    });
    finds(Kind::Twice, "was taken anew", |round| {
        let report = Asked::Report { worker: "w2".to_owned(), held: round.held(3) };
        call(&mut round.workers[2], report.clone(), Some(Answer::Taken { repeated: false }));
        call(&mut round.workers[2], report, Some(Answer::Taken { repeated: false }));
    });
    finds(Kind::Twice, "stored anew", |round| {
        let again = Asked::Judge { job: round.job, attempt: 3 };
        call(&mut round.manager, again, Some(Answer::Done));
    });
    finds(Kind::Twice, "settled anew", |round| {
        let again = Asked::Settle { prd: round.prd };
        call(&mut round.manager, again, Some(Answer::Settled(true)));
    });
}

#[test]
fn a_late_report_that_was_accepted_is_found() {
    // Between the end of the first lease and the claim of the second worker.
    finds(Kind::Late, "held no lease", |round| {
        let details = json!({ "job_id": round.job, "attempt": 1, "worker": "w0" });
        let at = round.history.iter().position(|entry| entry.action == Action::JobRequeued).unwrap();
        round.history.insert(at + 1, NewEntry { actor: Actor::scheduler(), action: Action::JobSubmitted, details });
    });
    // In the name of the one that holds the lease now.
    finds(Kind::Late, "held no lease", |round| {
        let mut reports = round.history.iter_mut().filter(|entry| entry.action == Action::JobSubmitted);
        reports.next().unwrap().details["worker"] = json!("w0");
    });
    finds(Kind::Late, "was lost, then taken", |round| {
        let report = Asked::Report { worker: "w0".to_owned(), held: round.held(1) };
        call(&mut round.workers[0], report, Some(Answer::Taken { repeated: false }));
    });
    finds(Kind::Late, "was lost, then extended", |round| {
        let beat = Asked::Heartbeat { held: round.held(1) };
        call(&mut round.workers[0], beat, Some(Answer::Done));
    });
}

#[test]
fn a_history_that_cannot_be_is_found() {
    finds(Kind::Disorder, "token and attempt", |round| {
        let mut claims = round.history.iter_mut().filter(|entry| entry.action == Action::JobClaimed);
        claims.nth(1).unwrap().details["token"] = json!(10);
    });
    finds(Kind::Disorder, "it was QUEUED, not ASSIGNED", |round| round.is_not_told(Action::JobAssigned));
    finds(Kind::Disorder, "judged without a run", |round| round.is_not_told(Action::RunScored));
    finds(Kind::Disorder, "never made", |round| round.is_not_told(Action::PrdSubmitted));
    finds(Kind::Disorder, "is told 0 times", |round| round.is_not_told(Action::PrdSubmitted));
    finds(Kind::Disorder, "its history says", |round| round.database.jobs[0].attempt = 2);
    finds(Kind::Disorder, "the store counts", |round| round.database.totals.clear());
}

#[test]
fn a_gap_or_a_changed_row_of_the_audit_log_is_found() {
    let mut round = Round::good();
    let mut head = EntryHash::genesis();
    for (seq, entry) in (1..).zip(std::mem::take(&mut round.history)) {
        let seq = if seq > 4 { seq + 1 } else { seq };
        let sealed = AuditEntry::seal(entry, AuditSeq(seq), DateTime::UNIX_EPOCH, &head);
        head = sealed.hash.clone().unwrap();
        round.database.history.push(sealed);
    }
    let mut changed = Round::good();
    changed.database.history = round.database.history.clone();
    changed.database.history.truncate(4);
    changed.database.history[2].actor = "nobody".to_owned();
    changed.history.clear();
    for (round, words) in [(round, "missing"), (changed, "not what was written")] {
        let found = round.found();
        assert!(found.iter().any(|(kind, what)| *kind == Kind::Disorder && what.contains(words)), "{words}: {found:?}");
    }
}

#[test]
fn a_process_that_met_what_must_not_happen_is_named() {
    finds(Kind::Broken, "w1: panicked", |round| {
        round.workers[1].lines.push(line(0, Entry::Broken("panicked".to_owned())));
    });
    finds(Kind::Broken, "out of its mind", |round| {
        let answer = Answer::Failed("out of its mind".to_owned());
        call(&mut round.manager, Asked::Expire, Some(answer));
    });
}
