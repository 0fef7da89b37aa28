//! The schema's versions, applied forward only, by one node at a time.

use std::time::Duration;

use aura_core::StoreError;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::{
    error::{is_locked, opening, run_again},
    read::begin,
};

/// Every version with its SQL, oldest first. A released one is never changed. Version 1 was never released.
const VERSIONS: &[(i64, &str)] = &[
    (2, include_str!("../../migrations/postgres/0002_tables.sql")),
    (3, include_str!("../../migrations/postgres/0003_submissions.sql")),
    (4, include_str!("../../migrations/postgres/0004_money.sql")),
    (5, include_str!("../../migrations/postgres/0005_checks.sql")),
    (6, include_str!("../../migrations/postgres/0006_names.sql")),
    (7, include_str!("../../migrations/postgres/0007_history.sql")),
    (8, include_str!("../../migrations/postgres/0008_lone_commits.sql")),
    (9, include_str!("../../migrations/postgres/0009_fast_compression.sql")),
    (10, include_str!("../../migrations/postgres/0010_ended_jobs.sql")),
    (11, include_str!("../../migrations/postgres/0011_no_joins.sql")),
    (12, include_str!("../../migrations/postgres/0012_free_pages.sql")),
];

/// The oldest server whose SQL is used here.
const OLDEST_SERVER: i32 = 140_000;

/// How often a table that somebody reads is asked for, and how long between two times. While one waits for it, everybody who comes
/// later waits behind; so each wait is short ([`PATIENCE`]), and nodes that are at work go on in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_secs(3);
const PATIENCE: &str = "SET LOCAL lock_timeout = '2s'";

/// A change of tables with millions of rows takes as long as it takes, and so do the nodes that wait for it to be done.
const AS_LONG_AS_IT_TAKES: &str = "SET LOCAL statement_timeout = 0";

/// Brings a schema up to the newest version, while other nodes may be at work on it.
pub(super) async fn bring_up_to_date(pool: &PgPool, schema: &str, place: &str, with: &str) -> Result<(), StoreError> {
    let mut tries = 1;
    loop {
        match bring_once(pool, schema, place, with).await {
            Err(error) if (is_locked(&error) || run_again(&error)) && tries < TRIES => {
                tracing::warn!(
                    schema,
                    tries,
                    "the tables are to be changed, and another session holds them: it is tried again"
                );
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// In one transaction, under an advisory lock that ends with it: of nodes that open at once, one does the work and the others find
/// it done.
async fn bring_once(pool: &PgPool, schema: &str, place: &str, with: &str) -> Result<(), StoreError> {
    let fail = opening(place);
    let mut tx = begin(pool, with).await.map_err(&fail)?;
    let row = sqlx::raw_sql("SELECT current_setting('server_version_num')::int AS version, version() AS text");
    let row = row.fetch_one(&mut *tx).await.map_err(&fail)?;
    if row.try_get::<i32, _>("version").map_err(&fail)? < OLDEST_SERVER {
        let text: String = row.try_get("text").map_err(&fail)?;
        let message = format!("database {place} is served by {text}: PostgreSQL 14 or later is needed");
        return Err(StoreError::Unavailable { message, source: None });
    }
    sqlx::raw_sql(AS_LONG_AS_IT_TAKES).execute(&mut *tx).await.map_err(&fail)?;
    let key = format!("hashtextextended('aura schema {schema}', 0)");
    let lock = format!("SELECT pg_try_advisory_xact_lock({key}) AS held");
    let row = sqlx::raw_sql(AssertSqlSafe(lock)).fetch_one(&mut *tx).await.map_err(&fail)?;
    if !row.try_get::<bool, _>("held").map_err(&fail)? {
        tracing::info!(schema, "another node looks after the tables: this one waits for it");
        let lock = format!("SELECT pg_advisory_xact_lock({key})");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *tx).await.map_err(&fail)?;
    }
    // The name was checked: it needs no quotes.
    let there = format!("SELECT to_regclass('{schema}.aura_schema') IS NOT NULL AS there");
    let row = sqlx::raw_sql(AssertSqlSafe(there)).fetch_one(&mut *tx).await.map_err(&fail)?;
    let mut version = 0;
    if row.try_get::<bool, _>("there").map_err(&fail)? {
        let query = format!("SELECT coalesce(max(version), 0) AS version FROM {schema}.aura_schema");
        let row = sqlx::raw_sql(AssertSqlSafe(query)).fetch_one(&mut *tx).await.map_err(&fail)?;
        version = row.try_get("version").map_err(&fail)?;
    } else {
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE {schema}.aura_schema (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        );
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *tx).await.map_err(&fail)?;
    }
    let newest = VERSIONS.last().map_or(0, |(version, _)| *version);
    if version > newest {
        let message = format!(
            "schema {schema} is version {version}, and this program knows versions up to {newest}: use a newer program, or another schema"
        );
        return Err(StoreError::corrupt("database", place, message));
    }
    if version == 1 {
        let message = format!(
            "schema {schema} was made by a version that was never released: use another schema, or drop it and what it holds"
        );
        return Err(StoreError::corrupt("database", place, message));
    }
    if version > 0 && version < newest {
        tracing::info!(
            schema,
            version,
            newest,
            "the tables are brought up to date: where millions of jobs have ended this may take minutes, and if it is cut off it begins anew"
        );
        sqlx::raw_sql(PATIENCE).execute(&mut *tx).await.map_err(&fail)?;
    }
    for (next, sql) in VERSIONS.iter().filter(|(next, _)| *next > version) {
        sqlx::raw_sql(*sql).execute(&mut *tx).await.map_err(&fail)?;
        let note = format!("INSERT INTO {schema}.aura_schema (version) VALUES ({next})");
        sqlx::raw_sql(AssertSqlSafe(note)).execute(&mut *tx).await.map_err(&fail)?;
    }
    tx.commit().await.map_err(&fail)
}
