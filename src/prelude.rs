//! Everything that a host application names: `use aura_orchestra::prelude::*;`.

#[cfg(feature = "gemini")]
pub use aura_adapters::GeminiAdapter;
#[cfg(feature = "host")]
pub use aura_adapters::HostProbe;
#[cfg(feature = "nvml")]
pub use aura_adapters::NvmlProbe;
#[cfg(feature = "ollama")]
pub use aura_adapters::OllamaProbe;
pub use aura_adapters::{
    AdapterExt, ApiKey, Cap, FixedProbe, Ledger, LogAlerter, OfflineAdapter, Probes, Skill, with_default_layers,
};
#[cfg(feature = "ollama")]
pub use aura_adapters::{KeepAlive, OllamaAdapter, OllamaServer};
#[cfg(feature = "openai")]
pub use aura_adapters::{MaxTokensName, OpenAiAdapter};
#[cfg(any(feature = "ollama", feature = "openai", feature = "gemini"))]
pub use aura_adapters::{PriceTable, PromptBook, PromptStyle};
pub use aura_core::*;
pub use aura_sandbox::{BackEnd, LocalSandbox};
pub use aura_scoring::FormulaScorer;
pub use aura_store::MemoryStore;
#[cfg(feature = "postgres")]
pub use aura_store::PgStore;
#[cfg(feature = "sqlite")]
pub use aura_store::SqliteStore;
