//! A store in one SQLite file: durable, for one machine and any number of processes on it.
//!
//! Every verb is one transaction on the one writing connection; readers run beside it, as WAL allows. Times are the
//! injected clock's, kept to the microsecond. Other programs may read and write the same file; what they write by hand is
//! read back like our own rows.

mod audit;
mod error;
mod jobs;
mod models;
mod moment;
mod open;
mod read;
mod row;
mod runs;
mod schema;
mod trail;
mod write;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use aura_core::{Clock, StoreError, SystemClock};
use sqlx::SqlitePool;
use tokio::sync::{Mutex, watch};

/// SQLite's own name for a database that is no file.
const MEMORY: &str = ":memory:";

/// A store in one SQLite file.
///
/// Dropping it closes the file; [`close`](Self::close) also waits until that is done.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), aura_core::StoreError> {
/// use aura_core::contract::ModelStore;
/// use aura_store::SqliteStore;
///
/// let store = SqliteStore::in_memory().await?; // or SqliteStore::open("data/aura.db")
/// assert!(store.models().await?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct SqliteStore {
    path: PathBuf,
    /// Exactly one connection: SQLite has one writer at a time, and waiting here is fairer than its busy handler.
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
    /// The newest audit entry that this process has written or seen.
    seen: watch::Sender<i64>,
    /// When somebody last looked whether another process wrote.
    looked: Mutex<Instant>,
}

impl SqliteStore {
    /// Opens the database at `path`, and makes it, and its folder, when it is not there. Older schemas are brought up to
    /// date. `:memory:` is what it is for SQLite: [`in_memory`](Self::in_memory).
    ///
    /// # Errors
    /// Each names the path: unavailable when it cannot be opened or written, corrupt when it is no database or was made by a
    /// newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with_clock(path, Arc::new(SystemClock)).await
    }

    /// Opens the database at `path` with the clock by which leases are judged.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_clock(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        if path.as_os_str() == MEMORY {
            return Self::in_memory_with_clock(clock).await;
        }
        let (writer, readers) = open::file(&path).await?;
        Ok(Self::new(path, writer, readers, clock))
    }

    /// A database that lives in memory until the store is dropped; for tests.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with_clock(Arc::new(SystemClock)).await
    }

    /// A database in memory with the clock by which leases are judged; for tests.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory_with_clock(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let only = open::memory().await?;
        Ok(Self::new(PathBuf::from(MEMORY), only.clone(), only, clock))
    }

    fn new(path: PathBuf, writer: SqlitePool, readers: SqlitePool, clock: Arc<dyn Clock>) -> Self {
        Self { path, writer, readers, clock, seen: watch::Sender::new(0), looked: Mutex::new(Instant::now()) }
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finishes what is under way and closes the file. Calls after it fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
