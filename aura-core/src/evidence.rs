//! What a scorer may look at, and what it makes of it.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    artifact::Submission,
    ids::{JobId, ModelId},
    model::ModelIdentity,
    prd::{Language, seconds},
    standing::text_enum,
    units::{Fraction, Mebibytes, Penalty, Score},
};

text_enum!(
    /// How hard a test result is to forge, weakest first.
    EvidenceStrength, "evidence strength" {
        /// Somebody said so.
        Reported => "reported",
        /// Code and tests shared a process: the code could have tampered with the result.
        SameProcess => "same_process",
        /// As above, with copies of the tests that had to fail, and did.
        Twins => "twins",
        /// The code never saw the tests or the expected values.
        SplitProcess => "split_process",
    }
);

text_enum!(
    /// What stood between the code under test and the host.
    Isolation, "isolation" {
        /// Nothing but a process of its own.
        None => "none",
        /// Some of: files, network, processes.
        Partial => "partial",
        /// Namespaces, no network, limits on everything.
        Strong => "strong",
    }
);

text_enum!(
    /// How one test ended.
    TestOutcome, "test outcome" {
        /// As expected.
        Passed => "passed",
        /// Not as expected.
        Failed => "failed",
        /// It could not be run.
        Error => "error",
        /// It was left out.
        Skipped => "skipped",
    }
);

text_enum!(
    /// How the test command as a whole ended.
    RunEnd, "run end" {
        /// By itself, and its report could be read.
        Finished => "finished",
        /// It was ended at its time limit.
        TimedOut => "timed_out",
        /// By itself, but without a report that could be read.
        Unreadable => "unreadable",
        /// It was ended because it wrote too much.
        TooMuchOutput => "too_much_output",
    }
);

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestCase {
    /// Its name as the report gives it.
    pub id: String,
    /// How it ended.
    pub outcome: TestOutcome,
    /// Its message when it did not pass, cut to a bound.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How long it took, as the report says; absent where it does not.
    #[serde(with = "seconds::maybe", rename = "seconds", default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Duration>,
}

impl TestCase {
    /// A test that ended so.
    #[must_use]
    pub fn new(id: impl Into<String>, outcome: TestOutcome) -> Self {
        Self { id: id.into(), outcome, message: String::new(), time: None }
    }

    /// With a message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}

/// One line of an outside validator's checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// What was checked.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
}

/// What running a test suite showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    /// The tests, in the order of the report.
    pub cases: Vec<TestCase>,
    /// How the command as a whole ended.
    pub end: RunEnd,
    /// How hard the result is to forge.
    pub strength: EvidenceStrength,
    /// What stood between the code and the host.
    pub isolation: Isolation,
    /// Wall time of the command.
    #[serde(with = "seconds", rename = "wall_seconds")]
    pub wall: Duration,
    /// Whether the wall time was within what the suite calls fast enough.
    pub fast_enough: bool,
    /// The most memory that all its processes held at once, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<Mebibytes>,
    /// Processor time of all its processes, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds::maybe", rename = "cpu_seconds")]
    pub cpu: Option<Duration>,
    /// The end of what the command printed, cut to a bound.
    pub output: String,
    /// Attempts of the work to fake its result, each with its proof. One is enough: nothing else in the report counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgeries: Vec<String>,
    /// Tests that the work was given and had changed or removed, by their paths. They were put back before anything was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<String>,
    /// For each probe of the suite, a hash of what came back; absent where nothing did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behaviour: Vec<Option<String>>,
    /// Share of the lines that the tests reached, as their command says: whatever else proves the result, this is the work's own word.
    /// Absent where the suite leaves none that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Fraction>,
}

impl TestReport {
    /// A run that finished with these tests; isolated by nothing, and in no time.
    #[must_use]
    pub const fn of(cases: Vec<TestCase>, strength: EvidenceStrength) -> Self {
        Self {
            cases,
            end: RunEnd::Finished,
            strength,
            isolation: Isolation::None,
            wall: Duration::ZERO,
            fast_enough: false,
            peak_memory: None,
            cpu: None,
            output: String::new(),
            forgeries: Vec::new(),
            restored: Vec::new(),
            behaviour: Vec::new(),
            coverage: None,
        }
    }

    /// How many tests ended so.
    #[must_use]
    pub fn count(&self, outcome: TestOutcome) -> u64 {
        self.cases.iter().filter(|case| case.outcome == outcome).count() as u64
    }

    /// Whether the run finished, had at least one test that passed and none that failed, and nothing was faked. Skipped tests do not
    /// count.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.end == RunEnd::Finished
            && self.forgeries.is_empty()
            && self.count(TestOutcome::Passed) > 0
            && self.count(TestOutcome::Failed) == 0
            && self.count(TestOutcome::Error) == 0
    }
}

/// What is known from tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TestEvidence {
    /// The PRD has no tests.
    NotAsked,
    /// There are tests, but they were not run.
    NotRun {
        /// Why, and what would change it.
        reason: String,
    },
    /// They were run.
    Ran(TestReport),
}

impl TestEvidence {
    /// The report, where there is one.
    #[must_use]
    pub const fn report(&self) -> Option<&TestReport> {
        match self {
            Self::Ran(report) => Some(report),
            Self::NotAsked | Self::NotRun { .. } => None,
        }
    }

    /// Whether the work can be accepted as far as tests go: only a run that did not pass speaks against it.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        self.report().is_none_or(TestReport::is_pass)
    }
}

/// Why a run is punished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PenaltyMark {
    /// What was done.
    pub reason: String,
    /// How heavy it is.
    pub weight: Penalty,
}

/// Another model's work on the same PRD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sibling {
    /// Its job.
    pub job: JobId,
    /// Which model really made it.
    pub identity: ModelIdentity,
    /// What it handed in.
    pub work: Submission,
    /// For each probe of the suite, a hash of what its work answered; empty where there are no probes or it was not tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behaviour: Vec<Option<String>>,
}

/// All that a scorer may look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The job to be scored.
    pub job: JobId,
    /// The model that did it.
    pub model: ModelId,
    /// Which model really answers.
    pub identity: ModelIdentity,
    /// The language asked for.
    pub language: Language,
    /// What it handed in.
    pub work: Submission,
    /// What the others handed in.
    pub siblings: Vec<Sibling>,
    /// What the tests showed.
    pub tests: TestEvidence,
    /// What it is punished for.
    pub penalties: Vec<PenaltyMark>,
}

/// The numbers drawn from evidence; an absent one could not be measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Signals {
    /// Passed tests over all tests.
    pub test_score: Option<Fraction>,
    /// How far the work agrees with that of other models.
    pub cross_model_agreement: Option<Fraction>,
    /// How well it is documented.
    pub docs_quality: Option<Fraction>,
    /// Whether it was fast enough: 0 or 1.
    pub performance_ok: Option<Fraction>,
    /// Share of the code that the tests reached; no part of the score.
    pub coverage: Option<Fraction>,
}

/// One term of a score, so that anybody can add it up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Which signal.
    pub name: String,
    /// What it counts: 0.40 for tests.
    pub weight: f64,
    /// What it was; absent when it could not be measured.
    pub value: Option<Fraction>,
    /// How it was measured, or why not.
    pub why: String,
}

impl Component {
    /// What the term adds to the score: `weight * value`, 0 when absent.
    #[must_use]
    pub fn contribution(&self) -> f64 {
        self.value.map_or(0.0, |value| self.weight * value.get())
    }
}

/// What a scorer makes of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The numbers drawn from it.
    pub signals: Signals,
    /// The sum of all punishments.
    pub penalties: Penalty,
    /// Each term of the score.
    pub components: Vec<Component>,
    /// What it earned, by the letter: an absent signal counts 0.
    pub score: Score,
    /// The best that the signals present could have earned.
    pub attainable: Score,
}
