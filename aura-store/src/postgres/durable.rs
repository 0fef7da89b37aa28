//! Waiting for the disk, many at once.
//!
//! A verb holds the end of the audit log until its transaction ends, so a transaction that waited for the disk would make every
//! other one wait with it. Verbs commit without that wait (`synchronous_commit = off` for them alone) and are answered after a
//! small transaction behind them, one for all that wait, has reached the disk: the log is written in order, so everything
//! before it is there too. Nothing is answered, and no audit entry is shown, before it would survive a crash.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use aura_core::StoreError;
use sqlx::PgPool;

use super::{Core, error::failed, join::Join};

/// What makes commits durable.
pub(super) struct Disk {
    join: Join<(), ()>,
    /// Up to where the audit log is known to be on the disk.
    reached: AtomicI64,
}

impl Disk {
    /// Must be made within a runtime.
    pub(super) fn new(pool: &PgPool) -> Self {
        let join = Join::of(Arc::new(pool.clone()), |pool: &PgPool, waiting: &[()]| {
            Box::pin(async move {
                // A message in the write-ahead log that nobody reads: its commit waits for the disk, or for the standbys, as the
                // server is told to.
                let message = sqlx::raw_sql("SELECT pg_logical_emit_message(true, 'aura', '')");
                message.execute(pool).await.map_err(failed("wait for the disk"))?;
                Ok(waiting.iter().map(|()| Ok(())).collect())
            })
        });
        Self { join, reached: AtomicI64::new(0) }
    }
}

impl Core {
    /// Waits until everything that was committed before is durable; `seq` is the newest audit entry among it, if any.
    pub(super) async fn durable(&self, seq: Option<i64>) -> Result<(), StoreError> {
        if seq.is_some_and(|seq| seq <= self.disk.reached.load(Ordering::Acquire)) {
            return Ok(());
        }
        self.disk.join.one(()).await?;
        if let Some(seq) = seq {
            self.disk.reached.fetch_max(seq, Ordering::AcqRel);
        }
        Ok(())
    }
}
