//! One writing verb: a transaction that holds the write lock from its first statement to its last.

use std::collections::HashMap;

use aura_core::{ModelId, StoreError, contract::store::Each};
use chrono::{DateTime, Utc};
use sqlx::{
    Sqlite, Transaction,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{SqliteStore, error::failed, moment, trail::Trail};
use crate::sql::concerns_one_item;

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A writing verb under way. Dropping it undoes everything.
pub(super) struct Write<'s> {
    store: &'s SqliteStore,
    tx: Transaction<'static, Sqlite>,
    action: &'static str,
    /// The moment of the verb, read after the write lock was taken: a lease cannot end between this and the writing.
    pub(super) now: DateTime<Utc>,
    /// What is written at the end.
    pub(super) trail: Trail,
    /// Names of models that the verb has met, for the trail.
    pub(super) names: HashMap<ModelId, String>,
}

impl SqliteStore {
    /// Begins a verb that writes; `action` completes the sentence "the store failed to …".
    pub(super) async fn write(&self, action: &'static str) -> Result<Write<'_>, StoreError> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(action))?;
        let now = moment::micros(self.clock.now());
        Ok(Write { store: self, tx, action, now, trail: Trail::default(), names: HashMap::new() })
    }
}

impl Write<'_> {
    /// The moment of the verb, as the tables hold it.
    pub(super) fn now_text(&self) -> String {
        moment::text(self.now)
    }

    /// Runs a statement; answers with the number of rows it changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.tx).await.map_err(failed(self.action))?;
        Ok(done.rows_affected())
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(&mut *self.tx).await.map_err(failed(self.action))
    }

    /// Runs a statement that gives rows.
    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut *self.tx).await.map_err(failed(self.action))
    }

    /// Writes the trail and makes everything durable.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let last = self.trail.write(&mut self.tx, self.now).await.map_err(failed(self.action))?;
        self.tx.commit().await.map_err(failed(self.action))?;
        if let Some(seq) = last {
            self.store.saw(seq);
        }
        Ok(())
    }
}

/// Sorts an item's outcome: an error that concerns the item alone becomes its answer, any other ends the verb.
pub(super) fn answer<T>(outcome: Result<T, StoreError>, answers: &mut Each<T>) -> Result<(), StoreError> {
    match outcome {
        Err(error) if !concerns_one_item(&error) => Err(error),
        outcome => {
            answers.push(outcome);
            Ok(())
        }
    }
}
