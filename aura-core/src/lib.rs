//! The words, contracts and engines of Aura Orchestra.
//!
//! Start with the words in the order of a job's life: [`NewPrd`] becomes [`Job`]s, a [`ModelAdapter`] makes a
//! [`Generation`], its [`Artifact`]s are [`Evidence`], a [`Scorer`] makes an [`Assessment`] of it, and the [`Verdict`] says
//! who won and why. The [`contract`]s are what a host application can plug in; [`Orchestra`] puts them to work.
//!
//! This crate knows no database, HTTP, process, model vendor or similarity algorithm.
//!
//! | feature | adds |
//! | --- | --- |
//! | `mock` | mockall mocks of every trait, for the tests of host applications |
//! | `conformance` | the public suites that every plug-in must pass |

pub mod artifact;
pub mod audit;
pub mod clock;
pub mod contract;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod generation;
pub mod ids;
pub mod job;
pub mod model;
pub mod money;
pub mod plan;
pub mod prd;
pub mod resources;
pub mod run;
pub mod standing;
pub mod units;
pub mod verdict;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use artifact::{Artifact, ArtifactKind, NewArtifact, Submission};
pub use audit::{Action, Alert, AuditEntry, NewAlert, Severity};
pub use clock::{Clock, SystemClock, VirtualClock};
pub use contract::{
    AdapterError, AlertError, Alerter, DeltaSink, Gate, Health, Manager, ModelAdapter, ResourceProbe, Sandbox,
    SandboxError, Scorer, SelectionPolicy, Store, StoreError, Wait,
};
pub use engine::{Orchestra, OrchestraBuilder, Settings, WorkerPool, WorkerPoolBuilder};
pub use error::{Error, Result};
pub use evidence::{
    Assessment, Component, Evidence, EvidenceStrength, Isolation, PenaltyMark, Sibling, Signals, TestCase,
    TestEvidence, TestOutcome, TestReport, Tick,
};
pub use generation::{Feedback, GenerateRequest, Generation, Timings, Usage};
pub use ids::{
    Actor, ArtifactId, AuditSeq, JobId, ModelId, ModelName, NodeId, PrdId, ProjectId, Role, RunId, WorkerId,
};
pub use job::{FencingToken, Job, JobEvent, JobState, JobStatus, Lease, LeaseProof};
pub use model::{Model, ModelIdentity, ModelKind, ModelProfile, Origin};
pub use money::{Price, Usd};
pub use plan::Plan;
pub use prd::{
    AnswerFormat, Call, Case, Cases, CoverageFormat, CoverageReport, Expected, Input, Language, Limits, NewPrd, Prd,
    Project, ReportFormat, SourceFile, TestSuite, Tests,
};
pub use resources::{Gpu, Needs, Resident, Resources};
pub use run::{ModelRun, ModelScore, ModelStats, NewRun, Promotion, Spending, Spent};
pub use standing::{HrAction, Standing};
pub use units::{Confidence, Fraction, Mebibytes, OutOfRange, Penalty, Score};
pub use verdict::{Outcome, Verdict, VerdictEntry};
