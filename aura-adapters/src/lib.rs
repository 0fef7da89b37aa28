//! The outside world: the models that an orchestra can employ, those it tells about alerts, and what it knows of the
//! machine.
//!
//! | feature | adds | on by default |
//! | --- | --- | --- |
//! | `openai` | [`OpenAiAdapter`]: OpenAI and every server that speaks its chat completions | no |
//!
//! Without any feature there are [`OfflineAdapter`], [`LogAlerter`] and [`FixedProbe`], which need no network.

pub mod alert;
pub mod error;
#[cfg(feature = "openai")]
mod http;
pub mod model;
pub mod probe;
pub mod secret;

pub use alert::LogAlerter;
pub use error::BuildError;
#[cfg(feature = "openai")]
pub use model::{MaxTokensName, OpenAiAdapter, OpenAiBuilder, PromptStyle};
pub use model::{OfflineAdapter, OfflineBuilder, Skill};
pub use probe::FixedProbe;
pub use secret::ApiKey;
