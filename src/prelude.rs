//! Everything that a host application names: `use aura_orchestra::prelude::*;`.

#[cfg(feature = "openai")]
pub use aura_adapters::OpenAiAdapter;
pub use aura_adapters::{ApiKey, LogAlerter, OfflineAdapter, Skill};
pub use aura_core::*;
pub use aura_sandbox::ProcessSandbox;
pub use aura_scoring::FormulaScorer;
pub use aura_store::MemoryStore;
#[cfg(feature = "sqlite")]
pub use aura_store::SqliteStore;
