//! A round: a database, the processes that use it, and what is done to them.

use std::{
    path::PathBuf,
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use aura_core::{Actor, JobId, ModelKind, ModelProfile, contract::ModelStore as _};
use aura_store::PgStore;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::runtime::Runtime;

use crate::{
    chance::Chance,
    checker::{self, Fault},
    child::{self, Orders, Role, Settings},
    database::{self, Database},
    journal::{self, Answer, Asked, Entry, Marks, Written},
};

/// How long anything may take that is not measured.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(3);

/// Rounds come one after another: each measures times, and the machine may be small.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A process with the orders that it would be started again with.
pub(crate) struct Process {
    pub(crate) orders: Orders,
    child: Child,
}

impl Process {
    fn kill9(&mut self) {
        // One that has ended by itself is found by its journal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

pub(crate) struct Field {
    pub(crate) processes: Vec<Process>,
    pub(crate) chance: Chance,
    pub(crate) runtime: Runtime,
    /// As another program would read.
    pub(crate) hand: PgPool,
    folder: PathBuf,
    title: String,
    began: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Field {
    /// Processes in these numbers (submitters, managers, workers) on the database at `url`, which they reach at `door`.
    pub(crate) fn new(title: &str, url: &str, door: &str, counts: [usize; 3], settings: &Settings) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::Builder::new().prefix("aura-journals-").tempdir().unwrap().keep();
        let options: PgConnectOptions = url.parse().unwrap();
        let options = options.options([("search_path", "aura")]);
        let hand = runtime.block_on(async {
            let store = PgStore::builder(url).connections(2).open().await.unwrap();
            for name in ["one", "two", "three"] {
                let profile = ModelProfile::new(name, ModelKind::Local, "offline", name).unwrap();
                store.register(&profile, &Actor::operator()).await.unwrap();
            }
            store.close().await;
            PgPoolOptions::new().max_connections(2).test_before_acquire(true).connect_lazy_with(options)
        });
        let roles = [Role::Submitter, Role::Manager, Role::Worker];
        let mut processes = Vec::new();
        for (role, count) in roles.into_iter().zip(counts) {
            for slot in 0..count {
                let (folder, url, settings) = (folder.clone(), door.to_owned(), settings.clone());
                let orders = Orders { role, slot, life: 0, folder, url, settings };
                processes.push(Process { child: orders.start(), orders });
            }
        }
        let (title, began) = (title.to_owned(), Instant::now());
        Self { processes, chance: Chance::new(), runtime, hand, folder, title, began, _alone: alone }
    }

    /// Waits in small steps.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(
                began.elapsed() < DEADLINE,
                "{}: waited {DEADLINE:?} for {what}; {}",
                self.title,
                self.where_to_look()
            );
            thread::sleep(PAUSE);
        }
    }

    /// How many bytes the journals hold: they grow with every call.
    fn written(&self) -> u64 {
        self.marks().values().sum()
    }

    pub(crate) fn marks(&self) -> Marks {
        journal::marks(&self.folder)
    }

    /// What was answered behind the marks.
    pub(crate) fn answers_after(&self, marks: &Marks) -> Vec<Answer> {
        let lines = journal::after(&self.folder, marks).into_iter().flat_map(|journal| journal.lines);
        let answers = lines.filter_map(|line| match line.entry {
            Entry::Answered(answer) => Some(answer),
            _ => None,
        });
        answers.collect()
    }

    /// Waits until the processes have written so much more.
    pub(crate) fn until_written(&self, bytes: u64) {
        let before = self.written();
        self.until("the processes to go on", || self.written() >= before + bytes);
    }

    /// Kills a process, and starts another one in its place.
    pub(crate) fn replace(&mut self, which: usize) {
        let Some(process) = self.processes.get_mut(which) else { return };
        process.kill9();
        process.orders.life += 1;
        process.child = process.orders.start();
    }

    pub(crate) fn journals(&self) -> Vec<Written> {
        journal::read(&self.folder, "")
    }

    /// At which attempt a job is.
    pub(crate) fn attempt_of(&self, job: JobId) -> u32 {
        self.runtime.block_on(database::attempt_of(&self.hand, job)).unwrap_or_default()
    }

    /// Whether somebody has left a transaction open for longer than any process does that is not stopped.
    pub(crate) fn a_transaction_stands_still(&self) -> bool {
        thread::sleep(2 * database::STILL);
        self.runtime.block_on(database::still_transactions(&self.hand)).is_ok_and(|count| count > 0)
    }

    /// Users submit no more; waits until everything has come to its end, ends the processes, and has the checker look.
    pub(crate) fn finish(mut self, done: &str) -> (Vec<Written>, Database) {
        std::fs::write(child::end(&self.folder), "").unwrap();
        for process in self.processes.iter_mut().filter(|process| process.orders.role == Role::Submitter) {
            let began = Instant::now();
            while process.child.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < DEADLINE, "users get no answer; journals are in {}", self.folder.display());
                thread::sleep(PAUSE);
            }
        }
        // What has not ended by then is for the checker to name.
        let began = Instant::now();
        while self.runtime.block_on(database::open_ends(&self.hand)).unwrap_or(1) > 0 && began.elapsed() < DEADLINE {
            thread::sleep(PAUSE);
        }
        self.processes.iter_mut().for_each(Process::kill9);
        let (journals, database) = (self.journals(), self.runtime.block_on(Database::read(&self.hand)));
        let faults = checker::check(&journals, &database);
        self.report(done, &journals, &database, &faults);
        let told: Vec<String> = faults.iter().take(5).map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{}: {} faults: {told:?}; {}", self.title, faults.len(), self.where_to_look());
        std::fs::remove_dir_all(&self.folder).unwrap();
        (journals, database)
    }

    fn where_to_look(&self) -> String {
        format!("AURA_KILL_SEED={}, journals are in {}", self.chance.seed, self.folder.display())
    }

    fn report(&self, done: &str, journals: &[Written], database: &Database, faults: &[Fault]) {
        let unanswered = journals.iter().flat_map(Written::calls).filter(|(_, answer)| answer.is_none()).count();
        let unclear = journals.iter().flat_map(Written::calls);
        let unclear = unclear.filter(|(_, answer)| answer.is_some_and(Answer::is_unclear)).count();
        let repeated = journals.iter().flat_map(Written::calls);
        let repeated = repeated.filter(|(asked, _)| matches!(asked, Asked::Submit { .. })).count();
        eprintln!(
            "{}: {done}; {} PRDs by {repeated} submissions, {} jobs, {} runs, {} audit entries; {unanswered} calls without an \
             answer, {unclear} unclear; {:.1?}",
            self.title,
            database.prds.len(),
            database.jobs.len(),
            database.runs.len(),
            database.history.len(),
            self.began.elapsed()
        );
        for fault in faults.iter().take(40) {
            eprintln!("  {fault}");
        }
    }
}
