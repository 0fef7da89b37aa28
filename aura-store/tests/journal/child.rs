//! The processes that take part: this test executable again, with orders in its environment.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aura_core::{
    Model,
    contract::{DutyStore as _, ModelStore as _},
};
use aura_store::PgStore;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::{
    chance::Chance,
    journal::{ENDING, Followed, Journal},
    manager, submitter, worker,
};

const ORDERS: &str = "AURA_TEST_JOURNAL_ORDERS";
/// How long to wait before asking a store again that could not be used.
const AGAIN: Duration = Duration::from_millis(10);
/// How long to wait for news of other processes before looking.
const LOOK: Duration = Duration::from_millis(40);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// A user: submits, and asks again with the same key when it does not know what came of it.
    Submitter,
    /// A server process: schedules when that is its duty, judges and settles.
    Manager,
    Worker,
}

/// What a process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) role: Role,
    /// Which of its role; a process that takes the place of a killed one has the same.
    pub(crate) slot: usize,
    /// How many had this place before.
    pub(crate) life: usize,
    /// Where the journals are.
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) settings: Settings,
}

/// What is the same for all of a round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) lease: Duration,
    /// How long a worker works on a job, besides what it asks the store.
    pub(crate) work: Duration,
    /// How many things a process does at a time.
    pub(crate) tasks: usize,
    /// Most jobs that wait before users wait too.
    pub(crate) waiting: u64,
    /// Further variables of the environment, by the slot.
    pub(crate) environment: Vec<Vec<(String, String)>>,
}

impl Default for Settings {
    fn default() -> Self {
        let lease = Duration::from_secs(1);
        Self { lease, work: Duration::ZERO, tasks: 2, waiting: 40, environment: Vec::new() }
    }
}

impl Orders {
    pub(crate) fn place(&self) -> String {
        format!("{:?}-{}", self.role, self.slot).to_lowercase()
    }

    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.place(), self.life)
    }

    /// Its journal, to be looked at while it goes on.
    pub(crate) fn follow(&self) -> Followed {
        Followed::new(self.name(), self.file(ENDING))
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name()))
    }

    pub(crate) fn start(&self) -> Child {
        let variables = self.settings.environment.get(self.slot).cloned().unwrap_or_default();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::plays_its_role_until_it_is_killed", "--nocapture"])
            .env(ORDERS, serde_json::to_string(self).unwrap())
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(self.file("log")).unwrap())
            .spawn()
            .unwrap()
    }
}

/// What every role has at hand.
pub(crate) struct Hand {
    pub(crate) orders: Orders,
    pub(crate) journal: Journal,
    pub(crate) store: PgStore,
    pub(crate) models: Vec<Model>,
}

impl Hand {
    pub(crate) fn chance(&self, task: usize) -> Chance {
        let place = self.orders.name().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Chance::from(place ^ u64::from(std::process::id()) ^ (task as u64) << 32)
    }

    /// Whether users are to submit no more.
    pub(crate) fn is_over(&self) -> bool {
        end(&self.orders.folder).exists()
    }

    pub(crate) async fn wait_for_news(&self) {
        // Having waited in vain is as good: it looks then.
        let mut news = self.store.news().unwrap();
        let _ = tokio::time::timeout(LOOK, news.next()).await;
    }

    pub(crate) async fn wait_a_little(&self) {
        tokio::time::sleep(AGAIN).await;
    }
}

/// The file that says that users are to submit no more.
pub(crate) fn end(folder: &Path) -> PathBuf {
    folder.join("over")
}

/// A process that takes part. Does nothing unless a round started it.
#[tokio::test]
async fn plays_its_role_until_it_is_killed() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    // The other end of this pipe is closed when the process that started this one is gone, however that came about.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(3);
    });
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let journal = Journal::open(&orders.file(ENDING));
    let told = journal.clone();
    std::panic::set_hook(Box::new(move |info| told.broken(info.to_string())));
    let (store, models) = open(&orders, &journal).await;
    let hand = Arc::new(Hand { orders, journal, store, models });
    let tasks: Vec<_> = (0..hand.orders.settings.tasks)
        .map(|task| {
            let hand = Arc::clone(&hand);
            tokio::spawn(async move {
                match hand.orders.role {
                    Role::Submitter => submitter::play(&hand, task).await,
                    Role::Manager => manager::play(&hand, task).await,
                    Role::Worker => worker::play(&hand, task).await,
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Tries until the database can be used.
async fn open(orders: &Orders, journal: &Journal) -> (PgStore, Vec<Model>) {
    loop {
        let opened = PgStore::builder(&orders.url).connections(4).open().await;
        let failed = match opened {
            Ok(store) => match store.models().await {
                Ok(models) => return (store, models),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !failed.is_retryable() {
            journal.broken(format!("the store cannot be opened: {failed:?}"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
