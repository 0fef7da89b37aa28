//! Identifiers, each its own type so that one can never stand for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh, time-ordered identifier (UUID version 7).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "two fresh ids differ, so there is no default one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Takes an identifier that was made elsewhere.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The plain UUID.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One submitted PRD.
    PrdId
);
uuid_id!(
    /// One job: an assignment of a PRD to a model.
    JobId
);
number_id!(
    /// One registered model; the `models.id` of the store.
    ModelId(i32)
);
number_id!(
    /// The project that a PRD belongs to; 0 when nobody said otherwise.
    #[derive(Default)]
    ProjectId(i32)
);
number_id!(
    /// One scored attempt; the `model_runs.id` of the store.
    RunId(i64)
);
number_id!(
    /// One stored artifact; the `model_artifacts.id` of the store.
    ArtifactId(i64)
);
number_id!(
    /// The place of an entry in the audit log; grows by commit order, starts at 1. 0 stands before the first entry.
    AuditSeq(i64)
);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {reason}: use 1 to {max} ASCII letters, digits or any of . _ - : / @ +")]
pub struct InvalidName {
    what: &'static str,
    reason: &'static str,
    max: usize,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest name accepted, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Checks a name: printable ASCII without spaces, so that no two names look alike and none breaks a
            /// log line, a header or a path.
            ///
            /// # Errors
            /// [`InvalidName`] when the text is empty, too long or has a character outside the set.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let refuse = |reason| Err(InvalidName { what: $what, reason, max: Self::MAX_LEN });
                if text.is_empty() {
                    return refuse("is empty");
                }
                if text.len() > Self::MAX_LEN {
                    return refuse("is too long");
                }
                if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/@+".contains(&b)) {
                    return refuse("has a character that is not allowed");
                }
                Ok(Self(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name!(
    /// The unique name of an employed model, e.g. `employee_ollama` or `qwen2.5-coder:7b`.
    ModelName,
    "model name",
    128
);
name!(
    /// Who works: one worker process or task.
    WorkerId,
    "worker id",
    128
);
name!(
    /// One process of many that share a store.
    NodeId,
    "node id",
    128
);
name!(
    /// The kind of work asked for, e.g. `coder` or `reviewer`.
    Role,
    "role",
    64
);
name!(
    /// Who did something, as the audit log writes it: `scheduler`, `hr`, `worker:w1`, `submitter`.
    Actor,
    "actor",
    160
);

impl NodeId {
    /// A fresh one, that no other process has.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

impl Default for Role {
    /// `coder`.
    fn default() -> Self {
        Self("coder".to_owned())
    }
}

macro_rules! actors {
    ($($(#[$doc:meta])* $fn:ident => $text:literal),* $(,)?) => {
        impl Actor {
            $($(#[$doc])* #[must_use] pub fn $fn() -> Self { Self($text.to_owned()) })*

            /// A worker.
            #[must_use]
            pub fn worker(id: &WorkerId) -> Self {
                Self(format!("worker:{id}"))
            }
        }
    };
}

actors! {
    /// The engine that assigns jobs to models and takes back expired leases.
    scheduler => "scheduler",
    /// The engine that tests, scores and settles.
    accountant => "accountant",
    /// The engine that changes standings.
    hr => "hr",
    /// The engine that raises flags.
    auditor => "auditor",
    /// Whoever submits PRDs.
    submitter => "submitter",
    /// Whoever runs the orchestra.
    operator => "operator",
    /// An outside validator.
    validator => "validator",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_controls_or_look_alikes_are_refused() {
        for bad in ["", "a b", "a\n", "\u{1b}[31m", "gpt\u{202e}", "gрt", &"x".repeat(129)] {
            assert!(ModelName::new(bad).is_err(), "{bad:?}");
        }
        assert!(ModelName::new("qwen2.5-coder:7b").is_ok());
    }

    #[test]
    fn a_name_in_json_is_checked_too() {
        assert!(serde_json::from_str::<WorkerId>("\"w 1\"").is_err());
    }
}
