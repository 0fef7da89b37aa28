//! Append-only journals, one for each process, a line of JSON before each call and one after it.
//!
//! A line is one write to a file that is only appended to: it outlives the process that wrote it, which is all that is asked,
//! since processes are killed and the machine is not.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aura_core::{JobId, PrdId, StoreError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// By the clock of the process, which may be wrong.
    pub(crate) at: DateTime<Utc>,
    /// Which call of the process.
    pub(crate) call: u64,
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Asked(Asked),
    Answered(Answer),
    /// The worker did what a lease is for.
    Effect(Held),
    /// Something that must not happen in a process.
    Broken(String),
}

/// A job under one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) token: i64,
}

/// Before a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    Submit { key: String, prd: PrdId, jobs: Vec<JobId> },
    Assign { job: JobId },
    Claim { worker: String },
    Heartbeat { held: Held },
    Report { worker: String, held: Held },
    Expire,
    Judge { job: JobId, attempt: u32 },
    Settle { prd: PrdId },
}

/// After a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Submitted {
        prd: PrdId,
        jobs: Vec<JobId>,
    },
    Claimed(Vec<Held>),
    /// A report was taken; now, or before.
    Taken {
        repeated: bool,
    },
    Expired(Vec<JobId>),
    /// Whether this verdict is the PRD's.
    Settled(bool),
    /// A verb that answers nothing more.
    Done,
    LeaseLost,
    /// Nothing was done.
    Refused(String),
    /// It may have been done, or not.
    Unclear(String),
    /// The store failed in a way that trying again does not mend: that is a fault here.
    Failed(String),
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } => Self::LeaseLost,
            StoreError::NotFound { .. } | StoreError::Conflict { .. } => Self::Refused(error.to_string()),
            error if error.is_retryable() => Self::Unclear(error.to_string()),
            error => Self::Failed(format!("{error:?}")),
        }
    }
}

impl Answer {
    pub(crate) fn of<T>(outcome: Result<T, StoreError>, done: impl FnOnce(T) -> Self) -> Self {
        outcome.map_or_else(Self::from, done)
    }

    pub(crate) fn is_unclear(&self) -> bool {
        matches!(self, Self::Unclear(_))
    }

    /// Whether the store says that it did what was asked.
    pub(crate) fn is_acknowledged(&self) -> bool {
        !matches!(self, Self::LeaseLost | Self::Refused(_) | Self::Unclear(_) | Self::Failed(_))
    }
}

/// A process's own journal.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    file: Arc<File>,
    calls: Arc<AtomicU64>,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Self { file: Arc::new(file), calls: Arc::default() }
    }

    fn write(&self, call: u64, entry: Entry) {
        let mut line = serde_json::to_string(&Line { at: Utc::now(), call, entry }).unwrap();
        line.push('\n');
        (&*self.file).write_all(line.as_bytes()).unwrap();
    }

    /// To be written before the call; answers with its number.
    pub(crate) fn asks(&self, asked: Asked) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.write(call, Entry::Asked(asked));
        call
    }

    pub(crate) fn answers(&self, call: u64, answer: &Answer) {
        self.write(call, Entry::Answered(answer.clone()));
    }

    pub(crate) fn effect(&self, held: Held) {
        self.write(0, Entry::Effect(held));
    }

    pub(crate) fn broken(&self, what: String) {
        self.write(0, Entry::Broken(what));
    }
}

/// What one process wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) process: String,
    pub(crate) lines: Vec<Line>,
}

impl Written {
    /// Each call with its answer, if it got one.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&Asked, Option<&Answer>)> {
        let answers: HashMap<u64, &Answer> = self
            .lines
            .iter()
            .filter_map(|line| match &line.entry {
                Entry::Answered(answer) => Some((line.call, answer)),
                _ => None,
            })
            .collect();
        self.lines.iter().filter_map(move |line| match &line.entry {
            Entry::Asked(asked) => Some((asked, answers.get(&line.call).copied())),
            _ => None,
        })
    }
}

pub(crate) const ENDING: &str = "jsonl";

/// How long each journal is.
pub(crate) type Marks = HashMap<String, u64>;

/// The journals in a folder, with their names.
fn files(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    journals.map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
}

pub(crate) fn marks(folder: &Path) -> Marks {
    files(folder).map(|(process, path)| (process, path.metadata().unwrap().len())).collect()
}

/// All journals of processes whose names begin like this.
pub(crate) fn read(folder: &Path, begins: &str) -> Vec<Written> {
    let journals = files(folder).filter(|(process, _)| process.starts_with(begins));
    let mut all: Vec<_> = journals.map(|(process, path)| written(process, &path, 0)).collect();
    all.sort_by(|one, other| one.process.cmp(&other.process));
    all
}

/// What was written behind the marks.
pub(crate) fn after(folder: &Path, marks: &Marks) -> Vec<Written> {
    let from = |process: &str| marks.get(process).copied().unwrap_or_default();
    files(folder)
        .map(|(process, path)| (from(&process), process, path))
        .map(|(at, process, path)| written(process, &path, at))
        .collect()
}

/// The journal of a process that goes on: each look reads what is new alone, however long it has become.
#[derive(Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    at: u64,
    written: Written,
}

impl Followed {
    pub(crate) fn new(process: String, path: PathBuf) -> Self {
        Self { path, at: 0, written: Written { process, lines: Vec::new() } }
    }

    pub(crate) fn look(&mut self) -> &Written {
        // A process that has only just begun has none.
        if self.path.exists() {
            let (lines, length) = whole_lines(&self.path, self.at);
            self.written.lines.extend(lines);
            self.at += length;
        }
        &self.written
    }
}

fn written(process: String, path: &Path, from: u64) -> Written {
    Written { process, lines: whole_lines(path, from).0 }
}

/// The lines from there on, and how many bytes they are. A last line without its end was being written, or its process was killed
/// then.
fn whole_lines(path: &Path, from: u64) -> (Vec<Line>, u64) {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let whole = text.rfind('\n').and_then(|end| text.get(..=end)).unwrap_or_default();
    (whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), whole.len() as u64)
}
