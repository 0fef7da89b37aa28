//! Everything that a host application names: `use aura_orchestra::prelude::*;`.

pub use aura_adapters::{ApiKey, FixedProbe, LogAlerter, OfflineAdapter, Skill};
#[cfg(feature = "openai")]
pub use aura_adapters::{MaxTokensName, OpenAiAdapter, PromptStyle};
pub use aura_core::*;
pub use aura_sandbox::ProcessSandbox;
pub use aura_scoring::FormulaScorer;
pub use aura_store::MemoryStore;
#[cfg(feature = "postgres")]
pub use aura_store::PgStore;
#[cfg(feature = "sqlite")]
pub use aura_store::SqliteStore;
