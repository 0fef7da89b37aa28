//! Where Aura Orchestra keeps its jobs, models, runs and audit log: memory, SQLite or PostgreSQL.
//!
//! | feature | adds |
//! | --- | --- |
//! | `sqlite` | `SqliteStore`: one file, durable, for one machine |
//! | `postgres` | `PgStore`: many nodes on one database |

mod facts;
mod memory;
mod moment;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PgStore, PgStoreBuilder};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
