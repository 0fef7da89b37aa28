//! The outside world: the models that an orchestra can employ, those it tells about alerts, and what it knows of the
//! machine.
//!
//! | feature | adds | on by default |
//! | --- | --- | --- |
//! | `ollama` | [`OllamaAdapter`], [`OllamaServer`] and [`OllamaProbe`]: models on an Ollama server, by its own API | no |
//! | `openai` | [`OpenAiAdapter`]: OpenAI and every server that speaks its chat completions | no |
//! | `gemini` | [`GeminiAdapter`]: Google's Gemini | no |
//! | `nvml` | [`NvmlProbe`]: the GPUs, as NVIDIA's library tells of them; no driver is needed to build or to start | no |
//! | `host` | [`HostProbe`]: memory and cores of the host, within the limits of our own container | no |
//!
//! Without any feature there are [`OfflineAdapter`], [`LogAlerter`], [`FixedProbe`] and [`Probes`], which need no network, and the
//! [layers](layer) that go around any adapter: [`Trace`], [`CircuitBreaker`], [`Retry`], [`Timeout`], [`ConcurrencyLimit`],
//! [`RateLimit`], [`Budget`] and [`Cache`]. [`with_default_layers`] puts the usual ones on.

pub mod alert;
pub mod error;
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
mod http;
pub mod layer;
pub mod model;
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub mod price;
pub mod probe;
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub mod prompt;
pub mod secret;

pub use alert::LogAlerter;
pub use error::BuildError;
pub use layer::{
    AdapterExt, Amount, Budget, Cache, CacheMode, Cap, CircuitBreaker, ConcurrencyLimit, Ledger, RateLimit, Recordings,
    Retry, RetryBudget, Timeout, Trace, with_default_layers,
};
#[cfg(feature = "gemini")]
pub use model::{GeminiAdapter, GeminiBuilder};
#[cfg(feature = "ollama")]
pub use model::{InstalledModel, KeepAlive, OllamaAdapter, OllamaBuilder, OllamaServer, ResidentModel};
#[cfg(feature = "openai")]
pub use model::{MaxTokensName, OpenAiAdapter, OpenAiBuilder};
pub use model::{OfflineAdapter, OfflineBuilder, Skill};
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub use price::PriceTable;
#[cfg(feature = "host")]
pub use probe::HostProbe;
#[cfg(feature = "nvml")]
pub use probe::NvmlProbe;
#[cfg(feature = "ollama")]
pub use probe::OllamaProbe;
pub use probe::{FixedProbe, Probes};
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub use prompt::{PromptBook, PromptStyle};
pub use secret::ApiKey;
