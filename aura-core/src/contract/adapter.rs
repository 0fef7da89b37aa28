//! The door to one model.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    error::BoxError,
    generation::{GenerateRequest, Generation},
    model::ModelProfile,
};

/// Asks one model to do one job.
///
/// # Contract
/// - One call makes at most one billed request; retry and timeout belong to layers.
/// - Dropping the future ends the request and every child process that it started.
/// - Writes nothing to the store: the worker records what comes back.
/// - The profile is the same for the adapter's whole life.
/// - `self_confidence` is `exp(mean logprob)` where the vendor gives log-probabilities, else absent; never a constant.
/// - `stream` gives the same generation as `generate` does, and the deltas joined are its `output`. An answer that broke off is an
///   error, however much of it came.
/// - No error text holds a key.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ModelAdapter: fmt::Debug + Send + Sync {
    /// Name, kind, identity, needs and price.
    fn profile(&self) -> &ModelProfile;

    /// Produces one generation; paths in `request.context` are relative to the workspace.
    ///
    /// # Errors
    /// [`AdapterError`] says whether trying again can help.
    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError>;

    /// Produces one generation and tells of its text as it comes. The default tells of all of it at the end.
    ///
    /// # Errors
    /// As [`generate`](Self::generate). What was told before is void then.
    async fn stream(&self, request: &GenerateRequest, sink: Arc<dyn DeltaSink>) -> Result<Generation, AdapterError> {
        let generation = self.generate(request).await?;
        sink.delta(&generation.output);
        Ok(generation)
    }

    /// Whether the model can be reached. The default does not look.
    async fn health(&self) -> Health {
        Health::Unknown
    }

    /// What stands between a caller and the model, outermost first: a circuit breaker, a budget. Cheap: it is asked at every
    /// claim. The default has none.
    fn gates(&self) -> Vec<Gate> {
        Vec::new()
    }
}

#[async_trait]
impl<A: ModelAdapter + ?Sized> ModelAdapter for Arc<A> {
    fn profile(&self) -> &ModelProfile {
        (**self).profile()
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        (**self).generate(request).await
    }

    async fn stream(&self, request: &GenerateRequest, sink: Arc<dyn DeltaSink>) -> Result<Generation, AdapterError> {
        (**self).stream(request, sink).await
    }

    async fn health(&self) -> Health {
        (**self).health().await
    }

    fn gates(&self) -> Vec<Gate> {
        (**self).gates()
    }
}

/// Takes the text of an answer as it comes. It must not block.
///
/// # Examples
/// ```
/// use aura_core::DeltaSink;
/// use std::sync::{Arc, Mutex};
/// let text = Arc::new(Mutex::new(String::new()));
/// let shared = Arc::clone(&text);
/// let sink: Arc<dyn DeltaSink> = Arc::new(move |delta: &str| shared.lock().unwrap().push_str(delta));
/// sink.delta("def ");
/// sink.delta("one");
/// assert_eq!(*text.lock().unwrap(), "def one");
/// ```
pub trait DeltaSink: Send + Sync {
    /// The next piece of the text.
    fn delta(&self, text: &str);

    /// What was told so far is void, and the answer begins anew; answers whether that can be. Where it cannot, which is the default,
    /// an answer that broke off in the middle is not asked for again.
    fn restart(&self) -> bool {
        false
    }
}

impl<F: Fn(&str) + Send + Sync> DeltaSink for F {
    fn delta(&self, text: &str) {
        self(text);
    }
}

/// Whether a model can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answered.
    Healthy,
    /// Nobody looked.
    Unknown,
    /// It did not answer, and why.
    Unhealthy(String),
}

/// Something between callers and a model that lets calls pass or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What it is, e.g. `circuit breaker`.
    pub name: String,
    /// Whether a call would pass now. While it would not, the model is given no new work.
    pub passes: bool,
    /// How it stands, in words, e.g. `open after 5 failures in a row, tried again in 12 s`.
    pub state: String,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wait {
    /// Reaching the endpoint.
    Connect,
    /// The first piece of the answer: a model may have to be loaded.
    FirstByte,
    /// The next piece of an answer that had begun.
    NextByte,
    /// The whole answer.
    Whole,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::FirstByte => "no first byte of an answer",
            Self::NextByte => "no further byte of an answer that had begun",
            Self::Whole => "no whole answer",
        })
    }
}

/// Why there is no generation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The endpoint could not be reached, so that it was not asked.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// The vendor asks to slow down, or is overloaded.
    #[error("{provider} is busy: {message}")]
    Busy {
        /// Who.
        provider: String,
        /// What it said.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The vendor failed.
    #[error("{provider} failed with status {status}: {message}")]
    Failed {
        /// Who.
        provider: String,
        /// Its HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The vendor does not accept the key, or what it is to be used for.
    #[error("{provider} does not accept the key (status {status}): {message}")]
    Unauthorized {
        /// Who.
        provider: String,
        /// Its HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The vendor does not know the model.
    #[error("{provider} has no model {model}: {message}")]
    UnknownModel {
        /// Who.
        provider: String,
        /// What was asked for.
        model: String,
        /// What it said.
        message: String,
    },
    /// What was paid for, or what a day allows, is used up; waiting a little does not help.
    #[error("{provider} has no quota left: {message}")]
    QuotaExhausted {
        /// Who.
        provider: String,
        /// What it said.
        message: String,
    },
    /// The vendor refuses the request; sending it again cannot help.
    #[error("{provider} refuses the request with status {status}: {message}")]
    Rejected {
        /// Who.
        provider: String,
        /// Its HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The model declined to do the work, or the vendor's filter took the answer away.
    #[error("the model declined: {0}")]
    Refused(String),
    /// The model came to an end without an answer, such as one that thought until its tokens were used up.
    #[error("{provider} gave no answer: {message}")]
    NoAnswer {
        /// Who.
        provider: String,
        /// How it ended.
        message: String,
    },
    /// The answer broke off before its end, or before it began.
    #[error("the answer of {provider} broke off: {message}")]
    Truncated {
        /// Who.
        provider: String,
        /// How that was seen.
        message: String,
    },
    /// The answer could not be read.
    #[error("the answer of {provider} cannot be read: {message}")]
    Malformed {
        /// Who.
        provider: String,
        /// What is wrong with it.
        message: String,
    },
    /// It took too long.
    #[error("{what} within {limit:?}")]
    TimedOut {
        /// Which wait.
        what: Wait,
        /// How long it was waited.
        limit: Duration,
    },
    /// A gate of ours did not let the call pass, so nobody was asked.
    #[error("the {gate} lets no call pass: {reason}")]
    Shut {
        /// Which gate.
        gate: &'static str,
        /// Why.
        reason: String,
        /// When it may open again.
        retry_after: Option<Duration>,
    },
    /// The adapter itself is set up wrongly.
    #[error("{0}")]
    Setup(String),
    /// As the error within, of the last try of a call whose earlier tries may have been billed.
    #[error(transparent)]
    Repeated(Box<AdapterError>),
}

impl AdapterError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Failed { .. }
            | Self::Truncated { .. }
            | Self::TimedOut { .. }
            | Self::Shut { .. } => true,
            Self::Unauthorized { .. }
            | Self::UnknownModel { .. }
            | Self::QuotaExhausted { .. }
            | Self::Rejected { .. }
            | Self::Refused(_)
            | Self::NoAnswer { .. }
            | Self::Malformed { .. }
            | Self::Setup(_) => false,
            Self::Repeated(last) => last.is_retryable(),
        }
    }

    /// Whether the call can have been billed although nothing came of it. What is not sure counts as billed.
    #[must_use]
    pub const fn may_have_been_billed(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. }
                | Self::Busy { .. }
                | Self::Unauthorized { .. }
                | Self::UnknownModel { .. }
                | Self::QuotaExhausted { .. }
                | Self::Rejected { .. }
                | Self::TimedOut { what: Wait::Connect, .. }
                | Self::Shut { .. }
                | Self::Setup(_)
        )
    }

    /// The error itself, or that of the last try where it is [`Repeated`](Self::Repeated).
    #[must_use]
    pub const fn last_try(&self) -> &Self {
        match self {
            Self::Repeated(last) => last.last_try(),
            error => error,
        }
    }

    /// How long the vendor, or a gate of ours, asks to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.last_try() {
            Self::Busy { retry_after, .. } | Self::Shut { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the model itself failed at the work. Everything else is the fault of a key, a network, a vendor or a setting, and no
    /// evidence about the model.
    #[must_use]
    pub const fn is_the_models_doing(&self) -> bool {
        matches!(self.last_try(), Self::Refused(_) | Self::NoAnswer { .. })
    }

    /// Whether every further request would fail in the same way until somebody changes a setting or pays.
    #[must_use]
    pub const fn needs_an_operator(&self) -> bool {
        matches!(
            self.last_try(),
            Self::Unauthorized { .. } | Self::UnknownModel { .. } | Self::QuotaExhausted { .. } | Self::Setup(_)
        )
    }
}
