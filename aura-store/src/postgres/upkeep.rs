//! Keeping the tables in shape: counts folded, months made ahead and dropped when they are old. Each is a short transaction under a
//! lock that ends with it, so any number of nodes may try.

use std::{sync::Arc, time::Duration};

use aura_core::StoreError;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, Transaction};

use super::{Core, error::failed, read::begin};

/// How often a node folds counts.
const EVERY: Duration = Duration::from_secs(5);
/// At every which of these it looks after the months, too. While a backup reads the tables none can be made or dropped, and each
/// try keeps readers waiting for as long as it waits itself.
const MONTHS_EVERY: u32 = 12;
/// How long a change of months waits for those who use the table.
const PATIENCE: &str = "SET LOCAL lock_timeout TO '500ms'";
/// How many months are made ahead.
const AHEAD: u32 = 2;
/// How many counting rows there may be before they are folded.
const FOLD: i64 = 200;
/// The table that is cut into months.
const BY_MONTH: &str = "audit_log";
/// The part that takes what falls outside every month.
const REST: &str = "audit_log_rest";

/// Begins to keep the tables in shape, until the store is gone.
pub(super) fn start(core: &Arc<Core>) {
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        for pass in 1_u32.. {
            tokio::time::sleep(EVERY).await;
            let Some(core) = core.upgrade() else { return };
            if core.pool.is_closed() {
                return;
            }
            tell("fold the counts", core.fold().await);
            if pass % MONTHS_EVERY == 0 {
                core.keep_months().await;
            }
        }
    });
}

fn tell(what: &str, outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what}: this failed and will be tried again");
    }
}

impl Core {
    /// Makes the months that are missing, and drops those that are too old. That it fails now stops nobody: entries for which there is
    /// no month go with the rest, and are moved when their month is made.
    pub(super) async fn keep_months(&self) {
        let outcome = match self.now().await {
            Ok(now) => self.make_and_drop(now).await.map_err(failed("keep the months of the audit log")),
            Err(error) => Err(error),
        };
        tell("make and drop months", outcome);
    }

    async fn make_and_drop(&self, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let Some(mut tx) = self.begin_upkeep().await? else { return Ok(()) };
        sqlx::raw_sql(PATIENCE).execute(&mut *tx).await?;
        make_months(&mut tx, now).await?;
        if let Some(keep) = self.retention.and_then(|keep| TimeDelta::from_std(keep).ok())
            && let Some(oldest) = now.checked_sub_signed(keep)
        {
            drop_months(&mut tx, oldest).await?;
        }
        tx.commit().await
    }

    async fn fold(&self) -> Result<(), StoreError> {
        let fold = async {
            let Some(mut tx) = self.begin_upkeep().await? else { return Ok(()) };
            fold_totals(&mut tx).await?;
            forget_ends(&mut tx).await?;
            tx.commit().await
        };
        fold.await.map_err(failed("fold the counts"))
    }

    /// Begins, unless another node is at it.
    async fn begin_upkeep(&self) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
        let mut tx = begin(&self.pool, &self.begin).await?;
        let lock =
            format!("SELECT pg_try_advisory_xact_lock(hashtextextended('aura upkeep {}', 0)) AS mine", self.schema);
        let row = sqlx::raw_sql(AssertSqlSafe(lock)).fetch_one(&mut *tx).await?;
        Ok(row.try_get::<bool, _>("mine")?.then_some(tx))
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
        // A table that becomes a part keeps nobody from the other parts. Rows that came before their month did are taken over.
        let make = format!(
            "CREATE TABLE {name} (LIKE {BY_MONTH} INCLUDING ALL);
             LOCK TABLE {REST} IN ACCESS EXCLUSIVE MODE;
             WITH early AS (
                 DELETE FROM {REST} WHERE created_at >= '{month} 00:00:00+00' AND created_at < '{end} 00:00:00+00' RETURNING *
             )
             INSERT INTO {name} SELECT * FROM early;
             ALTER TABLE {BY_MONTH} ATTACH PARTITION {name} FOR VALUES FROM ('{month} 00:00:00+00') TO ('{end} 00:00:00+00')"
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
        // Behind the last entry with a hash, and the rows written by hand that follow it without a gap: one may be dated far from
        // its neighbours.
        let anchor = format!(
            "WITH last AS (
                 (SELECT id, hash FROM {name} WHERE hash IS NOT NULL ORDER BY id DESC LIMIT 1)
                 UNION ALL SELECT seq, hash FROM audit_anchor ORDER BY id DESC LIMIT 1
             ), behind AS (
                 SELECT part.id, row_number() OVER (ORDER BY part.id) AS n FROM {name} AS part, last WHERE part.id > last.id
             )
             INSERT INTO audit_anchor AS anchor (seq, hash)
             SELECT coalesce((SELECT max(behind.id) FROM behind WHERE behind.id = last.id + behind.n), last.id), last.hash FROM last
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
