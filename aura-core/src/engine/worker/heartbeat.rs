//! Keeps a lease alive for as long as its job is worked on.

use chrono::{DateTime, Utc};

use super::Worker;
use crate::{
    contract::StoreError,
    engine::pace::Chain,
    error::Error,
    job::{Lease, LeaseProof},
};

impl Worker {
    /// Extends a lease at every beat; returns when it is lost. While the manager cannot be reached it goes on beating until
    /// the lease must have ended by this worker's own count of time.
    pub(super) async fn keep_lease(&self, proof: &LeaseProof, lease: &Lease) {
        // Claim and end are times of the store, whose clock may show another hour: only what lies between them is used.
        let claimed = self.clock.now();
        let mut length = lease.until - lease.claimed_at;
        loop {
            self.clock.sleep(self.pace.heartbeat).await;
            match self.beat(proof).await {
                Ok(until) => length = until - lease.claimed_at,
                Err(Error::Store(StoreError::LeaseLost { .. } | StoreError::NotFound { .. })) => return,
                Err(error) => {
                    tracing::warn!(job = %proof.job, error = %Chain(&error), "a heartbeat failed");
                    if self.clock.now() - claimed >= length {
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

#[cfg(test)]
#[cfg(feature = "mock")]
mod tests {
    use std::{collections::HashMap, sync::Arc, time::Duration};

    use chrono::TimeDelta;

    use super::*;
    use crate::{
        clock::{Clock, VirtualClock},
        contract::MockManager,
        engine::worker::WorkerPace,
        ids::{JobId, WorkerId},
        job::{Door, FencingToken},
    };

    /// Seconds until the worker gives its lease of 30 s up, with a store whose clock shows another time.
    async fn gives_up_after(store_ahead: TimeDelta) -> i64 {
        let clock = VirtualClock::default();
        let mut manager = MockManager::new();
        let away = || StoreError::Unavailable { message: "away".to_owned(), source: None };
        manager.expect_heartbeat().returning(move |_| Err(away().into()));
        let seconds = Duration::from_secs;
        let (heartbeat, poll, claim_wait, grace) = (seconds(10), seconds(1), seconds(30), seconds(20));
        let worker = Worker {
            id: WorkerId::new("w").unwrap(),
            door: Door::Remote,
            manager: Arc::new(manager),
            adapters: Arc::new(HashMap::new()),
            clock: Arc::new(clock.clone()),
            pace: WorkerPace { heartbeat, poll, claim_wait, grace },
        };
        let proof = LeaseProof { job: JobId::new(), worker: worker.id.clone(), token: None };
        let (start, claimed_at) = (clock.now(), clock.now() + store_ahead);
        let until = claimed_at + seconds(30);
        let lease = Lease { worker: worker.id.clone(), token: FencingToken(1), until, claimed_at, door: Door::Remote };
        let keeping = tokio::spawn(async move { worker.keep_lease(&proof, &lease).await });
        while !keeping.is_finished() && clock.now() - start < TimeDelta::hours(3) {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        (clock.now() - start).num_seconds()
    }

    #[tokio::test]
    async fn a_lease_ends_by_its_length_whatever_hour_the_stores_clock_shows() {
        for ahead in [TimeDelta::zero(), TimeDelta::hours(1), TimeDelta::hours(-1)] {
            let gave_up = gives_up_after(ahead).await;
            assert!((30..=40).contains(&gave_up), "after {gave_up} s with a store {ahead} ahead");
        }
    }
}
