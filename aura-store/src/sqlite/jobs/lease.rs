//! Heartbeats, and what is said of a lease that is lost.

use std::time::Duration;

use aura_core::{JobId, LeaseProof, StoreError, WorkerId, contract::store::Each};
use chrono::{DateTime, Utc};

use super::super::{
    SqliteStore, moment,
    row::Named,
    write::{Write, answer},
};

pub(super) async fn heartbeat(
    store: &SqliteStore,
    leases: &[LeaseProof],
    lease: Duration,
) -> Result<Each<DateTime<Utc>>, StoreError> {
    let mut write = store.write("extend leases").await?;
    let mut answers = Vec::with_capacity(leases.len());
    for proof in leases {
        answer(extend(&mut write, proof, lease).await, &mut answers)?;
    }
    write.commit().await?;
    Ok(answers)
}

/// A longer lease that was granted before is never cut short by a beat.
async fn extend(write: &mut Write<'_>, proof: &LeaseProof, lease: Duration) -> Result<DateTime<Utc>, StoreError> {
    let query = sqlx::query(
        "UPDATE jobs SET lease_until = max(lease_until, ?1), updated_at = ?2
         WHERE id = ?3 AND status = 'IN_PROGRESS' AND worker_id = ?4 AND (lease_token = ?5 OR (?5 IS NULL AND door = 'remote'))
           AND lease_until > ?2 RETURNING id, lease_until",
    );
    let query = query
        .bind(moment::text(moment::after(write.now, lease)))
        .bind(write.now_text())
        .bind(proof.job.to_string())
        .bind(proof.worker.as_str())
        .bind(proof.token.map(|token| token.0));
    match write.row(query).await? {
        Some(row) => Named::new("job", &row).time("lease_until"),
        None => Err(write.lost(proof.job, Some(&proof.worker)).await?),
    }
}

impl Write<'_> {
    /// Why a fenced statement changed nothing: the job is unknown, or the lease is not this worker's any more.
    pub(crate) async fn lost(&mut self, job: JobId, worker: Option<&WorkerId>) -> Result<StoreError, StoreError> {
        let known = self.row(sqlx::query("SELECT id FROM jobs WHERE id = ?").bind(job.to_string())).await?;
        Ok(match known {
            Some(_) => StoreError::LeaseLost { job, worker: worker.cloned() },
            None => StoreError::not_found("job", job),
        })
    }
}
