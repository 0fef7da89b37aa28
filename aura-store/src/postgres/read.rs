//! One reading verb: a single statement.

use aura_core::StoreError;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, Transaction, postgres::PgRow};

use super::{
    Core,
    error::{failed, failed_there, is_cut},
    value,
    write::Statement,
};

/// Begins a transaction. Behind a pooler the statement also says what the connection itself cannot. Connections that were cut while
/// they lay idle are found here, before anything was done: each is thrown away, and another one taken.
pub(super) async fn begin(pool: &PgPool, with: &str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut cut = 0;
    loop {
        match pool.begin_with(AssertSqlSafe(with.to_owned())).await {
            Err(error) if is_cut(&error) && cut < pool.options().get_max_connections() => cut += 1,
            outcome => return outcome,
        }
    }
}

impl Core {
    /// All rows of a statement, as of the newest commit; `action` completes the sentence "the store failed to …".
    ///
    /// What engines ask all the time hides its values from the planner, as `(SELECT $1)` or `ARRAY(SELECT unnest($1))`: as long as a
    /// plan that sees them looks cheaper than one that does not, PostgreSQL makes it anew each time, which takes ten times as long as
    /// the look itself. A plan that is kept may have been made while the tables were small: `OFFSET 0` keeps a subquery one look by
    /// an index for each row. (Behind a pooler nothing is kept.)
    pub(super) async fn rows(&self, action: &'static str, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        self.rows_from(&self.pool, statement).await.map_err(failed(action))
    }

    /// All rows of a statement, from the replica when there is one: what users look at may be a moment old.
    pub(super) async fn replica_rows(
        &self,
        action: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.rows_from(&self.replica, statement).await.map_err(failed_there(action))
    }

    async fn rows_from(&self, pool: &PgPool, statement: Statement<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        if !self.pooled {
            return statement.fetch_all(pool).await;
        }
        let mut tx = begin(pool, &self.begin).await?;
        let rows = statement.persistent(false).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The one row of a statement, if there is one.
    pub(super) async fn row(
        &self,
        action: &'static str,
        statement: Statement<'_>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.rows(action, statement).await?.pop())
    }

    /// The moment by the clock that judges leases.
    pub(super) async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        if let Some(now) = self.given_now() {
            return Ok(now);
        }
        let action = "read the database's clock";
        let row = self.row(action, sqlx::query("SELECT clock_timestamp() AS now")).await?;
        let row = row.ok_or_else(|| StoreError::Backend { action, source: "it gave no row".into() })?;
        row.try_get("now").map_err(failed(action))
    }

    /// The moment of a clock that stands in for the database's. A statement takes its own where there is none.
    pub(super) fn given_now(&self) -> Option<DateTime<Utc>> {
        self.clock.as_ref().map(|clock| value::micros(clock.now()))
    }
}
