//! Keeping the tables in shape: months made ahead and dropped when they are old, counts folded. Each pass is one short
//! transaction under a lock that ends with it, so any number of nodes may try.

use std::{sync::Arc, time::Duration};

use aura_core::StoreError;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{Core, error::failed, read::begin};

/// How often a node tries.
const EVERY: Duration = Duration::from_secs(5);
/// How many months are made ahead.
const AHEAD: u32 = 2;
/// How many counting rows there may be before they are folded.
const FOLD: i64 = 200;
/// The table that is cut into months.
const BY_MONTH: &str = "audit_log";
const ACTION: &str = "keep the tables in shape";

/// Begins to keep the tables in shape, until the store is gone.
pub(super) fn start(core: &Arc<Core>) {
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(core) = core.upgrade() else { return };
            if core.pool.is_closed() {
                return;
            }
            if let Err(error) = core.upkeep().await {
                tracing::warn!(%error, "the upkeep of the tables failed and will be tried again");
            }
        }
    });
}

impl Core {
    /// One pass.
    pub(super) async fn upkeep(&self) -> Result<(), StoreError> {
        let now = self.now().await?;
        self.upkeep_at(now).await.map_err(failed(ACTION))
    }

    async fn upkeep_at(&self, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let mut tx = begin(&self.pool, &self.begin).await?;
        let lock =
            format!("SELECT pg_try_advisory_xact_lock(hashtextextended('aura upkeep {}', 0)) AS mine", self.schema);
        let row = sqlx::raw_sql(AssertSqlSafe(lock)).fetch_one(&mut *tx).await?;
        if !row.try_get::<bool, _>("mine")? {
            return Ok(());
        }
        // Nobody who works is to wait for a table's lock: another pass will come.
        sqlx::raw_sql("SET LOCAL lock_timeout TO '500ms'").execute(&mut *tx).await?;
        fold_totals(&mut tx).await?;
        forget_ends(&mut tx).await?;
        make_months(&mut tx, now).await?;
        if let Some(keep) = self.retention.and_then(|keep| TimeDelta::from_std(keep).ok())
            && let Some(oldest) = now.checked_sub_signed(keep)
        {
            drop_months(&mut tx, oldest).await?;
        }
        tx.commit().await
    }
}

async fn fold_totals(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let row = sqlx::raw_sql("SELECT count(*) AS rows FROM job_totals").fetch_one(&mut *tx).await?;
    if row.try_get::<i64, _>("rows")? > FOLD {
        sqlx::raw_sql(
            "WITH folded AS (DELETE FROM job_totals RETURNING status, model, jobs)
             INSERT INTO job_totals (status, model, jobs)
             SELECT status, model, sum(jobs) FROM folded GROUP BY status, model HAVING sum(jobs) <> 0",
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Only the last end of the audit log is asked for.
async fn forget_ends(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("DELETE FROM audit_head WHERE seq < (SELECT max(seq) FROM audit_head)").execute(tx).await.map(drop)
}

async fn make_months(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    for ahead in 0..=AHEAD {
        let Some(month) = month(now).checked_add_months(Months::new(ahead)) else { continue };
        let Some(end) = month.checked_add_months(Months::new(1)) else { continue };
        let name = part(BY_MONTH, month);
        let query = format!("SELECT to_regclass('{name}') IS NOT NULL AS there");
        let row = sqlx::raw_sql(AssertSqlSafe(query)).fetch_one(&mut *tx).await?;
        if row.try_get::<bool, _>("there")? {
            continue;
        }
        let make = format!(
            "CREATE TABLE {name} PARTITION OF {BY_MONTH} FOR VALUES FROM ('{month} 00:00:00+00') TO ('{end} 00:00:00+00')"
        );
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Drops the months that ended before `oldest`. The last entry that goes is remembered: the chain that stays is checked behind
/// it.
async fn drop_months(tx: &mut PgConnection, oldest: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let query = format!(
        "SELECT relname::text AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = '{BY_MONTH}'::regclass ORDER BY relname"
    );
    for row in sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut *tx).await? {
        let name: String = row.try_get("name")?;
        if !month_of(BY_MONTH, &name).is_some_and(|month| ended_before(month, oldest)) {
            continue;
        }
        let anchor = format!(
            "INSERT INTO audit_anchor AS anchor (seq, hash)
             SELECT max(id), (SELECT hash FROM {name} WHERE hash IS NOT NULL ORDER BY id DESC LIMIT 1)
             FROM {name} HAVING max(id) IS NOT NULL
             ON CONFLICT (only_row) DO UPDATE SET seq = excluded.seq, hash = excluded.hash
             WHERE anchor.seq < excluded.seq"
        );
        sqlx::raw_sql(AssertSqlSafe(anchor)).execute(&mut *tx).await?;
        tracing::info!(part = name, "a month that is older than the retention is dropped");
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut *tx).await?;
    }
    // Few lines are written by hand.
    let query = format!("DELETE FROM job_events_by_hand WHERE created_at < '{} 00:00:00+00'", month(oldest));
    sqlx::raw_sql(AssertSqlSafe(query)).execute(&mut *tx).await.map(drop)
}

/// The first day of a month.
fn month(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.with_day(1).unwrap_or(day)
}

/// The name of a month's part.
fn part(table: &str, month: NaiveDate) -> String {
    format!("{table}_{}", month.format("%Y_%m"))
}

/// The month of a part, by its name; none for the part that takes the rest.
fn month_of(table: &str, part: &str) -> Option<NaiveDate> {
    let month = part.strip_prefix(table)?.strip_prefix('_')?;
    NaiveDate::parse_from_str(&format!("{month}_01"), "%Y_%m_%d").ok()
}

fn ended_before(month: NaiveDate, oldest: DateTime<Utc>) -> bool {
    month.checked_add_months(Months::new(1)).is_some_and(|end| end.and_time(NaiveTime::MIN).and_utc() <= oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_found_by_the_name_of_its_part() {
        let may = NaiveDate::from_ymd_opt(2026, 5, 1).unwrap();
        assert_eq!(month_of("audit_log", &part("audit_log", may)), Some(may));
        assert_eq!(month_of("audit_log", "audit_log_rest"), None);
    }

    #[test]
    fn a_month_is_old_when_its_last_moment_is() {
        let may = NaiveDate::from_ymd_opt(2026, 5, 1).unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert!(!ended_before(may, at("2026-05-31T23:59:59Z")));
        assert!(ended_before(may, at("2026-06-01T00:00:00Z")));
    }
}
