//! Where Aura Orchestra keeps its jobs, models, runs and audit log: memory or SQLite.
//!
//! | feature | adds |
//! | --- | --- |
//! | `sqlite` | `SqliteStore`: one file, durable, for one machine |

mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
