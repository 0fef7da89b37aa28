//! Waiting for the disk, many at once.
//!
//! A verb holds the end of the audit log until its transaction ends, so a transaction that waited for the disk would make every
//! other one wait with it. Verbs that others wait for, and new work that is handed in, commit without that wait (`synchronous_commit =
//! off` for them alone) and are answered after a small transaction behind them, one for all that wait, has reached the disk: the log is
//! written in order, so everything before it is there too. Nothing is answered, and no audit entry is shown, before it would survive a crash.
//!
//! A server that crashed in between comes back without the commit, and would take the small transaction gladly. So both must
//! have seen the same run of the server, which has its name in a table that a crash empties.

use std::sync::{Arc, Mutex, PoisonError};

use aura_core::StoreError;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use uuid::Uuid;

use super::{Core, error::failed, join::Join, write::Write};

/// The name of a run of the server, from a start or a crash to the next crash. Absent: nobody has written since.
pub(super) type Run = Option<Uuid>;

/// What makes commits durable.
pub(super) struct Disk {
    /// Answers with the run in which the disk was reached.
    join: Join<(), Run>,
    /// In which run, and up to where the audit log is known to be on the disk.
    reached: Mutex<(Run, i64)>,
}

impl Disk {
    /// Must be made within a runtime.
    pub(super) fn new(pool: &PgPool, schema: &str) -> Self {
        // A message in the write-ahead log that nobody reads: its commit waits for the disk, or for the standbys, as the server
        // is told to.
        let message =
            format!("SELECT pg_logical_emit_message(true, 'aura', ''), (SELECT name FROM {schema}.server_run) AS run");
        let join = Join::of(Arc::new((pool.clone(), message)), |(pool, message): &(PgPool, String), waiting: &[()]| {
            Box::pin(async move {
                let row = sqlx::raw_sql(AssertSqlSafe(message.clone())).fetch_one(pool).await;
                let run: Run = row.and_then(|row| row.try_get("run")).map_err(failed("wait for the disk"))?;
                Ok(waiting.iter().map(|()| Ok(run)).collect())
            })
        });
        Self { join, reached: Mutex::default() }
    }

    /// In this run of the server the audit log is on the disk up to here, if `seq` says where.
    pub(super) fn has(&self, run: Run, seq: Option<i64>) {
        let Some(seq) = seq else { return };
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if reached.0 == run { reached.1 } else { 0 };
        *reached = (run, seq.max(before));
    }
}

impl Core {
    /// Waits until everything that was committed before, in this run of the server, is durable; `seq` is the newest audit entry
    /// among it, if any. Fails when it may be lost.
    pub(super) async fn durable(&self, run: Run, seq: Option<i64>) -> Result<(), StoreError> {
        let is_reached = |(its, reached): (Run, i64)| its == run && seq.is_some_and(|seq| seq <= reached);
        if is_reached(*self.disk.reached.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let now = self.disk.join.one(()).await?;
        if now != run {
            let message = "the server crashed before this had reached its disk: look whether it is there".to_owned();
            return Err(StoreError::Unavailable { message, source: None });
        }
        self.disk.has(run, seq);
        Ok(())
    }
}

impl Write<'_> {
    /// Gives the run of the server a name, if nobody has since the crash; others wait until this verb has ended.
    pub(super) async fn name_run(&mut self) -> Result<(), StoreError> {
        if self.server_run.is_none() {
            self.run(sqlx::query("INSERT INTO server_run DEFAULT VALUES ON CONFLICT DO NOTHING")).await?;
            let row = self.row(sqlx::query("SELECT name FROM server_run")).await?;
            self.server_run =
                row.map(|row| row.try_get("name")).transpose().map_err(failed("name the server's run"))?;
        }
        Ok(())
    }
}
