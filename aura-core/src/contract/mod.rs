//! The plug-in traits, each with what its implementer owes.

mod adapter;
mod alerter;
mod manager;
mod probe;
mod sandbox;
mod scorer;
mod selection;
pub mod store;

pub use adapter::{AdapterError, DeltaSink, Gate, Health, ModelAdapter, Wait};
pub use alerter::{AlertError, Alerter};
pub use manager::{ArtifactUpload, Claimed, Manager, Release, Report, Reported, Sighting, WorkRequest};
pub use probe::{ProbeError, ResourceProbe};
pub use sandbox::{Capabilities, Enforcement, Sandbox, SandboxError, Snapshot, Workspace};
pub use scorer::Scorer;
pub use selection::{Candidate, Candidates, Choice, SelectionPolicy};
pub use store::{AuditStore, DutyStore, JobStore, ModelStore, RunStore, Store, StoreError};

#[cfg(feature = "mock")]
pub use self::{
    adapter::MockModelAdapter,
    alerter::MockAlerter,
    manager::MockManager,
    probe::MockResourceProbe,
    sandbox::MockSandbox,
    scorer::MockScorer,
    selection::MockSelectionPolicy,
    store::{MockAuditStore, MockDutyStore, MockJobStore, MockModelStore, MockRunStore},
};
