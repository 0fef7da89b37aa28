//! The models that can be employed.

#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub(crate) mod answer;
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
mod employee;
#[cfg(feature = "gemini")]
mod gemini;
mod offline;
#[cfg(feature = "ollama")]
mod ollama;
#[cfg(feature = "openai")]
mod openai;
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
mod vendor;

#[cfg(feature = "gemini")]
pub use gemini::{GeminiAdapter, GeminiBuilder};
pub use offline::{OfflineAdapter, OfflineBuilder, Skill};
#[cfg(feature = "ollama")]
pub use ollama::{InstalledModel, KeepAlive, OllamaAdapter, OllamaBuilder, OllamaServer, ResidentModel};
#[cfg(feature = "openai")]
pub use openai::{MaxTokensName, OpenAiAdapter, OpenAiBuilder};
