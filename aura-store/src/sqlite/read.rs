//! One reading verb: a single statement on a reading connection.

use aura_core::StoreError;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, error::failed, write::Statement};

impl SqliteStore {
    /// All rows of a statement; `action` completes the sentence "the store failed to …".
    pub(super) async fn rows(
        &self,
        action: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&self.readers).await.map_err(failed(action))
    }

    /// The one row of a statement, if there is one.
    pub(super) async fn row(
        &self,
        action: &'static str,
        statement: Statement<'_>,
    ) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(&self.readers).await.map_err(failed(action))
    }
}
