//! What came back from the work, call by call. All of it was within reach of the work: it is read as answers, and as nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use aura_core::{Call, Cases, JobId};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::report::{Remains, head, tail};

/// Most characters of an answer that a message shows.
const SHOWN: usize = 600;

/// What came back from one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// A value.
    Returned(Value, Option<Duration>),
    /// An exception: its class and those above it, and what it says.
    Raised(Vec<String>, String),
    /// A program's exit code, absent when it had none, and its standard output.
    Printed(Option<i32>, Vec<u8>),
    /// Something that JSON has no word for, or that cannot be read.
    Unsaid(String),
    /// The process ended instead, and how.
    Ended(String),
    /// Nothing in all the time that it was given.
    TimedOut(Duration),
}

/// Why a round of calls is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process ended by itself, or was ended for what it wrote.
    Itself,
    /// It was ended because a call did not come back in this time.
    Lost(Duration),
    /// It was ended for a call that came back at the last moment.
    BetweenCalls,
    /// The suite's time was over while no call was being made.
    OutOfTime,
}

/// What a function's caller tells.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Told {
    Returned { returned: Value, seconds: Option<f64> },
    Raised { raised: Vec<String>, message: String },
    Unsaid { unsaid: String },
}

/// The answers of all rounds.
#[derive(Debug)]
pub(super) struct Answers {
    /// Begins each line that is an answer; another one for each suite run.
    mark: String,
    calls: usize,
    probes: usize,
    are_programs: bool,
    given: BTreeMap<usize, Answer>,
    forged: BTreeSet<String>,
}

impl Answers {
    pub(super) fn of(cases: &Cases) -> Self {
        Self {
            mark: format!("aura:{}", JobId::new()),
            calls: cases.cases.len(),
            probes: cases.probes.len(),
            are_programs: matches!(cases.call, Call::Program { .. }),
            given: BTreeMap::new(),
            forged: BTreeSet::new(),
        }
    }

    pub(super) fn mark(&self) -> String {
        self.mark.clone()
    }

    const fn asked(&self) -> usize {
        self.calls.saturating_add(self.probes)
    }

    /// The numbers of the calls without an answer. Probes come after the cases.
    pub(super) fn open(&self) -> Vec<usize> {
        (0..self.asked()).filter(|number| !self.given.contains_key(number)).collect()
    }

    pub(super) fn are_complete(&self) -> bool {
        self.given.len() >= self.asked()
    }

    pub(super) fn to(&self, number: usize) -> Option<&Answer> {
        self.given.get(&number)
    }

    /// Lines of the work's making among the answers. Where they come from nobody else, the result is not the work's own.
    pub(super) fn forgeries(&self) -> Vec<String> {
        self.forged.iter().cloned().collect()
    }

    /// For each probe, a hash of what came back.
    pub(super) fn behaviour(&self) -> Vec<Option<String>> {
        (self.calls..self.asked()).map(|number| self.given.get(&number).and_then(Answer::hash)).collect()
    }

    /// Takes the answers of one round. The first call without one is what ended it.
    pub(super) fn take(&mut self, remains: &Remains, ending: Ending) {
        let open: BTreeSet<usize> = self.open().into_iter().collect();
        let (mut seen, mut loading, mut is_ready) = (BTreeSet::new(), None, false);
        for line in remains.stdout.split(|byte| *byte == b'\n') {
            let Some(rest) = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix(&self.mark)) else {
                continue;
            };
            let mut parts = rest.trim_start().splitn(2, ' ');
            let (number, answer) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            match number {
                "ready" => is_ready = true,
                "load" => {
                    loading = serde_json::from_str(answer).ok().map(Told::into_answer).map(|why: Answer| why.text())
                }
                _ => {}
            }
            if matches!(number, "ready" | "load") {
                continue;
            }
            match number.parse().ok().filter(|number| open.contains(number)) {
                Some(number) if seen.insert(number) => drop(self.given.insert(number, self.read(answer))),
                Some(number) => self.forged(format_args!("a second answer to call {number}"), rest),
                None => self.forged(format_args!("an answer to no call"), rest),
            }
        }
        if ending == Ending::BetweenCalls || (ending == Ending::OutOfTime && is_ready) {
            return;
        }
        // A compiler says first what is wrong, a program at last.
        let said = match is_ready {
            true => tail(&remains.stderr, SHOWN),
            false => head(&String::from_utf8_lossy(&remains.stderr), SHOWN),
        };
        let ended = match (ending, loading, said.trim()) {
            (_, Some(why), _) => Answer::Ended(format!("the work could not be loaded: it {why}")),
            (Ending::Lost(waited), ..) => Answer::TimedOut(waited),
            (Ending::OutOfTime, ..) => Answer::Ended("the suite's time was over before the work was loaded".to_owned()),
            (_, None, "") => Answer::Ended(format!("the process {}", remains.ending())),
            (_, None, said) => Answer::Ended(format!("the process {}: {said}", remains.ending())),
        };
        for number in open.into_iter().filter(|number| !seen.contains(number)) {
            self.given.insert(number, ended.clone());
            // Where the work could not be loaded or built, nothing can be called: the rest would end in the same way.
            if is_ready {
                break;
            }
        }
    }

    /// The caller answers each call once: whatever else comes in its name was written by the work.
    fn forged(&mut self, what: fmt::Arguments<'_>, line: &str) {
        self.forged.insert(format!("among the answers of its caller came {what}: {}", head(line.trim(), 200)));
    }

    fn read(&self, answer: &str) -> Answer {
        let unread = || Answer::Unsaid(format!("an answer that cannot be read: {}", head(answer, 200)));
        if self.are_programs {
            let parts = answer.split_once(" -");
            let printed = parts.and_then(|(code, printed)| Some((code.parse().ok(), STANDARD.decode(printed).ok()?)));
            return printed.map_or_else(unread, |(code, printed)| Answer::Printed(code, printed));
        }
        serde_json::from_str(answer).map_or_else(|_| unread(), Told::into_answer)
    }
}

impl Told {
    fn into_answer(self) -> Answer {
        match self {
            Self::Returned { returned, seconds } => {
                Answer::Returned(returned, seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
            }
            Self::Raised { raised, message } => Answer::Raised(raised, message),
            Self::Unsaid { unsaid } => Answer::Unsaid(unsaid),
        }
    }
}

impl Answer {
    /// How long the call took, as its caller says.
    pub(super) const fn time(&self) -> Option<Duration> {
        match self {
            Self::Returned(_, time) => *time,
            _ => None,
        }
    }

    /// Whether the work was refused memory, and could still say so.
    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Raised(kinds, _) if kinds.iter().any(|kind| kind == "MemoryError"))
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Returned(value, _) => format!("returned {}", head(&value.to_string(), SHOWN)),
            Self::Raised(kinds, message) => {
                let kind = kinds.first().map_or("an exception", String::as_str);
                format!("raised {kind}: {}", head(message, SHOWN))
            }
            Self::Printed(code, printed) => {
                let code = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with exit code {code}"));
                format!("{code} and printed {:?}", head(&String::from_utf8_lossy(printed), SHOWN))
            }
            Self::Unsaid(what) => format!("returned what JSON cannot say: {}", head(what, SHOWN)),
            Self::Ended(how) => format!("did not come back: {how}"),
            Self::TimedOut(waited) => format!("timed out: no answer within {:.1} s", waited.as_secs_f64()),
        }
    }

    /// SHA-256 over what came back, as 64 hexadecimal digits; what an exception says and how long it took are left out.
    fn hash(&self) -> Option<String> {
        let what = match self {
            Self::Returned(value, _) => format!("returned {value}"),
            Self::Raised(kinds, _) => format!("raised {}", kinds.first().map_or("", String::as_str)),
            Self::Printed(code, printed) => format!("printed {code:?} {}", STANDARD.encode(printed)),
            Self::Unsaid(_) | Self::Ended(_) | Self::TimedOut(_) => return None,
        };
        Some(Sha256::digest(what).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
