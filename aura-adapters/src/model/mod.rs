//! The models that can be employed.

#[cfg(feature = "http")]
pub(crate) mod answer;
#[cfg(feature = "http")]
mod employee;
#[cfg(feature = "gemini")]
mod gemini;
mod offline;
#[cfg(feature = "ollama")]
mod ollama;
#[cfg(feature = "openai")]
mod openai;
#[cfg(feature = "http")]
mod vendor;

#[cfg(feature = "gemini")]
pub use gemini::{GeminiAdapter, GeminiBuilder};
pub use offline::{OfflineAdapter, OfflineBuilder, Skill};
#[cfg(feature = "ollama")]
pub use ollama::{InstalledModel, KeepAlive, OllamaAdapter, OllamaBuilder, OllamaServer, ResidentModel};
#[cfg(feature = "openai")]
pub use openai::{MaxTokensName, OpenAiAdapter, OpenAiBuilder};
