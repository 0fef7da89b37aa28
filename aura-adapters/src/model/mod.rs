//! The models that can be employed.

mod offline;
#[cfg(feature = "openai")]
mod openai;

pub use offline::{OfflineAdapter, OfflineBuilder, Skill};
#[cfg(feature = "openai")]
pub use openai::{MaxTokensName, OpenAiAdapter, OpenAiBuilder, PromptStyle};
