//! The orchestra's errors as a problem document carries them for programs: whoever reads one gets the same error again.

use aura_core::{Error, JobId, ModelName, PrdId, StoreError, WorkerId};
use serde::{Deserialize, Serialize};

/// Which error of the orchestra it is. What is our own fault, and what passes by itself, has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum Cause {
    Invalid { field: String, reason: String },
    UnknownPrd { id: PrdId },
    UnknownJob { id: JobId },
    UnknownModel { name: String, employed: String },
    ModelExists { name: ModelName },
    NotFound { what: String, id: String },
    Conflict { what: String, id: String, reason: String },
    LeaseLost { job: JobId, worker: Option<WorkerId> },
}

impl Cause {
    pub(crate) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::Invalid { field, reason } => Self::Invalid { field: (*field).to_owned(), reason: reason.clone() },
            Error::UnknownPrd(id) => Self::UnknownPrd { id: *id },
            Error::UnknownJob(id) => Self::UnknownJob { id: *id },
            Error::UnknownModel { name, employed } => {
                Self::UnknownModel { name: name.clone(), employed: employed.clone() }
            }
            Error::ModelExists(name) => Self::ModelExists { name: name.clone() },
            Error::Store(StoreError::NotFound { what, id }) => {
                Self::NotFound { what: (*what).to_owned(), id: id.clone() }
            }
            Error::Store(StoreError::Conflict { what, id, reason }) => {
                Self::Conflict { what: (*what).to_owned(), id: id.clone(), reason: reason.clone() }
            }
            Error::Store(StoreError::LeaseLost { job, worker }) => {
                Self::LeaseLost { job: *job, worker: worker.clone() }
            }
            _ => return None,
        })
    }
}

#[cfg(feature = "client")]
impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Invalid { field, reason } => Self::invalid(known(&field, FIELDS, "request"), reason),
            Cause::UnknownPrd { id } => Self::UnknownPrd(id),
            Cause::UnknownJob { id } => Self::UnknownJob(id),
            Cause::UnknownModel { name, employed } => Self::UnknownModel { name, employed },
            Cause::ModelExists { name } => Self::ModelExists(name),
            Cause::NotFound { what, id } => StoreError::NotFound { what: known(&what, THINGS, "thing"), id }.into(),
            Cause::Conflict { what, id, reason } => {
                StoreError::Conflict { what: known(&what, THINGS, "thing"), id, reason }.into()
            }
            Cause::LeaseLost { job, worker } => StoreError::LeaseLost { job, worker }.into(),
        }
    }
}

/// Fields of what a worker sends.
#[cfg(feature = "client")]
const FIELDS: &[&str] = &["artifact", "artifacts", "details", "leases", "max", "model", "models", "name", "reason"];
/// What stores name in their errors.
#[cfg(feature = "client")]
const THINGS: &[&str] = &["job", "lease on job", "model", "PRD"];

/// Errors name things by words of the program; one of a newer manager is called by a plain one.
#[cfg(feature = "client")]
fn known(word: &str, words: &[&'static str], otherwise: &'static str) -> &'static str {
    words.iter().copied().find(|known| *known == word).unwrap_or(otherwise)
}
