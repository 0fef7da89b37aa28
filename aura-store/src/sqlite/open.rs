//! Opening the database: its connections, with what SQLite is asked to promise.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aura_core::StoreError;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    error::{is_busy, opening},
    schema,
};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for a connection before it gives up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Reading connections: enough for a page, a stream and the engines beside one another.
const READERS: u32 = 4;

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(256)
}

/// A pool that keeps its connections: an idle one costs little, and a fresh one has to prepare everything again.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Opens a file: one connection that writes, and some that read.
pub(super) async fn file(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Unavailable {
            message: format!("database {}: its folder cannot be made ({error})", path.display()),
            source: Some(Box::new(error)),
        })?;
    }
    let options = options().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let writer = writer(path, &options).await?;
    schema::bring_up_to_date(&writer, path).await?;
    let readers = pool(READERS).connect_with(options.pragma("query_only", "ON")).await.map_err(opening(path))?;
    Ok((writer, readers))
}

/// Opens the writing connection. The switch to WAL needs the file alone and does not wait for it by itself, so a process
/// that opens at the same moment as another tries again.
async fn writer(path: &Path, options: &SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool(1).connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome.map_err(opening(path)),
        }
    }
}

/// Opens a database in memory. It lives in its connection, so there is only one.
pub(super) async fn memory() -> Result<SqlitePool, StoreError> {
    let path = Path::new(":memory:");
    let only = pool(1).connect_with(options().in_memory(true)).await.map_err(opening(path))?;
    schema::bring_up_to_date(&only, path).await?;
    Ok(only)
}
