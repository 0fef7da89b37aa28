//! The schema's versions, applied forward only.

use std::path::Path;

use aura_core::StoreError;
use sqlx::{SqlitePool, sqlite::SqliteRow};

use super::error::opening;
use sqlx::Row as _;

/// Every version with its SQL, oldest first. A released one is never changed.
const VERSIONS: &[(i64, &str)] = &[
    (1, include_str!("../../migrations/sqlite/0001_tables.sql")),
    (2, include_str!("../../migrations/sqlite/0002_attendance.sql")),
    (3, include_str!("../../migrations/sqlite/0003_money.sql")),
];

/// Brings a database up to the newest version, in one transaction that begins with the write lock: of two processes that
/// open at once, the second finds the work done.
pub(super) async fn bring_up_to_date(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let fail = opening(path);
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS aura_schema (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT",
    )
    .execute(&mut *tx)
    .await
    .map_err(&fail)?;
    let row: SqliteRow = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM aura_schema")
        .fetch_one(&mut *tx)
        .await
        .map_err(&fail)?;
    let there: i64 = row.try_get("version").map_err(&fail)?;
    let newest = VERSIONS.last().map_or(0, |(version, _)| *version);
    if there > newest {
        let message = format!(
            "its schema is version {there}, and this program knows versions up to {newest}: use a newer program, or another file"
        );
        return Err(StoreError::corrupt("database", path.display(), message));
    }
    for (version, sql) in VERSIONS.iter().filter(|(version, _)| *version > there) {
        sqlx::raw_sql(*sql).execute(&mut *tx).await.map_err(&fail)?;
        sqlx::query("INSERT INTO aura_schema (version, applied_at) VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))")
            .bind(version)
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
    }
    tx.commit().await.map_err(&fail)
}
