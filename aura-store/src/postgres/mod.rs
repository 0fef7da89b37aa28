//! A store in PostgreSQL: durable, for any number of nodes on one database.
//!
//! Every verb is one transaction; the verbs that workers and users call by the hundred are joined, so that those who call at
//! the same time share one transaction, and are answered after its commit. Times are the database's. What other programs
//! write by hand is read back like our own rows.

mod audit;
mod durable;
mod duties;
mod error;
mod jobs;
mod join;
mod listen;
mod marks;
mod models;
mod moves;
mod open;
mod read;
mod row;
mod runs;
mod schema;
mod trail;
mod upkeep;
mod value;
mod write;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aura_core::{Clock, ModelId, StoreError, contract::store::Term};
use sqlx::PgPool;

pub use open::PgStoreBuilder;

/// A store in PostgreSQL 14 or later.
///
/// Cloning is cheap: clones share the connections.
///
/// # Examples
/// ```no_run
/// # async fn open() -> Result<(), aura_core::StoreError> {
/// use aura_core::contract::ModelStore;
/// use aura_store::PgStore;
///
/// let store = PgStore::open("postgres://aura@localhost/aura").await?;
/// println!("{} models are employed", store.models().await?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PgStore {
    core: Arc<Core>,
    joins: Arc<jobs::Joins>,
}

/// What all verbs share.
#[derive(Clone)]
struct Core {
    /// Where it is, without the password.
    place: String,
    schema: String,
    pool: PgPool,
    /// For what users read; the same as `pool` unless a replica was named.
    replica: PgPool,
    /// Whether a pooler gives each transaction another connection: nothing may be kept on one.
    pooled: bool,
    /// The statement that begins a transaction; behind a pooler it also says what the connection itself cannot.
    begin: String,
    /// The same for a verb that writes.
    begin_write: String,
    /// Judges leases in place of the database's clock; for tests.
    clock: Option<Arc<dyn Clock>>,
    /// How long histories are kept; absent: for ever.
    retention: Option<Duration>,
    /// Names of models, for the trail.
    names: Arc<RwLock<HashMap<ModelId, String>>>,
    news: Arc<listen::NewsDesk>,
    frontier: Arc<jobs::frontier::Frontier>,
    marks: Arc<marks::Marks>,
    disk: Arc<durable::Disk>,
    /// Within which term is written; absent for what any node may write.
    term: Option<Term>,
}

impl PgStore {
    /// Opens the database at `url` with the usual settings: schema `aura`, which is made or brought up to date.
    ///
    /// # Errors
    /// Each names the database, without its password: unavailable when it cannot be reached or written, corrupt when its
    /// schema was made by a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Settings, then [`open`](PgStoreBuilder::open).
    #[must_use]
    pub fn builder(url: &str) -> PgStoreBuilder {
        PgStoreBuilder::new(url)
    }

    /// The schema that holds the tables.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.core.schema
    }

    /// Finishes what is under way and closes the connections. Calls after it fail.
    pub async fn close(&self) {
        self.core.news.stop();
        self.core.replica.close().await;
        self.core.pool.close().await;
    }
}

impl Core {
    fn known_name(&self, model: ModelId) -> Option<String> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).get(&model).cloned()
    }

    fn learn_names(&self, names: impl IntoIterator<Item = (ModelId, String)>) {
        self.names.write().unwrap_or_else(PoisonError::into_inner).extend(names);
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore").field("place", &self.place).field("schema", &self.schema).finish_non_exhaustive()
    }
}
