//! Keeps a lease alive for as long as its job is worked on.

use chrono::{DateTime, Utc};

use super::Worker;
use crate::{contract::StoreError, engine::pace::Chain, error::Error, job::LeaseProof};

impl Worker {
    /// Extends a lease at every beat; returns when it is lost. While the manager cannot be reached it goes on beating until
    /// the lease must have ended by this worker's own count of time.
    pub(super) async fn keep_lease(&self, proof: &LeaseProof, until: DateTime<Utc>) {
        // The lease's end is the store's time. Only its length from now on is used, by this worker's own clock.
        let mut ends = until;
        loop {
            self.clock.sleep(self.pace.heartbeat).await;
            match self.beat(proof).await {
                Ok(until) => ends = until,
                Err(Error::Store(StoreError::LeaseLost { .. } | StoreError::NotFound { .. })) => return,
                Err(error) => {
                    tracing::warn!(job = %proof.job, error = %Chain(&error), "a heartbeat failed");
                    if self.clock.now() >= ends {
                        return;
                    }
                }
            }
        }
    }

    async fn beat(&self, proof: &LeaseProof) -> Result<DateTime<Utc>, Error> {
        let answers = self.manager.heartbeat(std::slice::from_ref(proof)).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(StoreError::not_found("lease on job", proof.job).into()))
    }
}
