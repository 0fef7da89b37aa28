//! Why an adapter could not be built.

use aura_core::{error::BoxError, ids::InvalidName};

/// A builder was given something that it cannot build from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The employee's name cannot be accepted.
    #[error("cannot employ {name:?}: choose another name with `.name(..)`")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: InvalidName,
    },
    /// A setting cannot be accepted.
    #[error("{setting}: {reason}")]
    Invalid {
        /// The builder's method, or its argument.
        setting: &'static str,
        /// What is wrong with the value, and the way out. Never holds a key.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Http(#[source] BoxError),
}

impl BuildError {
    /// A setting that cannot be accepted.
    #[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
    pub(crate) fn invalid(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { setting, reason: reason.into() }
    }

    /// A name that cannot be accepted.
    pub(crate) fn name(name: &str, source: InvalidName) -> Self {
        Self::Name { name: name.to_owned(), source }
    }
}
