//! Keeps leases alive for as long as their jobs are worked on: one call for all that a worker holds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use super::Worker;
use crate::{
    contract::StoreError,
    engine::pace::Chain,
    error::{Error, Result},
    ids::JobId,
    job::{FencingToken, Lease, LeaseProof},
};

/// The leases that one worker holds.
#[derive(Debug, Default)]
pub(crate) struct LeaseBook {
    held: Mutex<HashMap<Key, Held>>,
    /// Whoever beats does it for all; the others wait and find it done.
    beating: tokio::sync::Mutex<()>,
    beaten: Notify,
}

/// The same job may come again while its lost lease still stands here.
type Key = (JobId, Option<FencingToken>);

#[derive(Debug)]
struct Held {
    proof: LeaseProof,
    /// By the store's clock, which may show another hour: only what lies between two of its times is used.
    claimed_at: DateTime<Utc>,
    /// How long it lasts from the claim.
    length: TimeDelta,
    /// How long it lasted when it was last extended.
    extended_for: TimeDelta,
    /// When it was claimed, by this worker's clock.
    since: DateTime<Utc>,
    /// When the next beat is due, by this worker's clock.
    due: DateTime<Utc>,
    stands: Stands,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// As far as anybody knows.
    Well,
    /// The last beat was not answered.
    Unanswered,
    Lost,
}

/// What to do about one lease.
enum Next {
    Wait(Duration),
    Beat,
    GiveUp,
}

impl Worker {
    /// Extends a lease at every beat; returns when it is lost. While the manager cannot be reached it goes on beating until
    /// the lease must have ended by this worker's own count of time.
    pub(super) async fn keep_lease(&self, proof: &LeaseProof, lease: &Lease) {
        let _entered = self.leases.enter(proof, lease, self.clock.now(), self.pace.heartbeat);
        loop {
            // Made before looking, so that no beat is missed.
            let beaten = self.leases.beaten.notified();
            match self.leases.next((proof.job, proof.token), self.clock.now()) {
                Next::GiveUp => return,
                Next::Beat => self.beat_all().await,
                Next::Wait(wait) => tokio::select! {
                    () = self.clock.sleep(wait) => {}
                    () = beaten => {}
                },
            }
        }
    }

    /// One call for every lease in the book, unless another task of this worker has just made it. Dropped half-way, it is made by
    /// the next task whose lease is due.
    async fn beat_all(&self) {
        let _alone = self.leases.beating.lock().await;
        let proofs = self.leases.due(self.clock.now());
        if proofs.is_empty() {
            return;
        }
        let call = self.reach.call("heartbeat");
        // A call that hangs must not be the last one before the leases end.
        let patience = self.leases.patience(self.pace.heartbeat);
        let answers = tokio::select! {
            answers = self.manager.heartbeat(&proofs) => answers,
            () = self.clock.sleep(patience) => Err(unanswered(patience)),
        };
        call.ended(&answers);
        self.leases.record(&proofs, answers, self.clock.now(), self.pace.heartbeat);
        self.leases.beaten.notify_waiters();
    }
}

/// Takes a lease out of the book when its job has ended, however that came.
struct Entered<'a> {
    book: &'a LeaseBook,
    key: Key,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.book.with(|held| held.remove(&self.key));
    }
}

impl LeaseBook {
    fn enter(&self, proof: &LeaseProof, lease: &Lease, now: DateTime<Utc>, heartbeat: Duration) -> Entered<'_> {
        let length = lease.until - lease.claimed_at;
        let held = Held {
            proof: proof.clone(),
            claimed_at: lease.claimed_at,
            length,
            extended_for: length,
            since: now,
            due: now + interval(heartbeat, length),
            stands: Stands::Well,
        };
        let key = (proof.job, proof.token);
        self.with(|book| book.insert(key, held));
        Entered { book: self, key }
    }

    fn next(&self, key: Key, now: DateTime<Utc>) -> Next {
        self.with(|book| match book.get(&key) {
            None | Some(Held { stands: Stands::Lost, .. }) => Next::GiveUp,
            Some(held) if held.stands == Stands::Unanswered && now - held.since >= held.length => Next::GiveUp,
            Some(held) => match (held.due - now).to_std() {
                Ok(wait) if !wait.is_zero() => Next::Wait(wait),
                _ => Next::Beat,
            },
        })
    }

    /// How long a beat is waited for: short enough for further ones before any lease in the book ends.
    fn patience(&self, heartbeat: Duration) -> Duration {
        let shortest = self.with(|book| book.values().map(|held| held.extended_for).min());
        shortest.map_or(heartbeat, |shortest| interval(heartbeat, shortest)) / 2
    }

    /// Every lease, when one of them is due.
    fn due(&self, now: DateTime<Utc>) -> Vec<LeaseProof> {
        self.with(|book| {
            let is_due = book.values().any(|held| held.due <= now);
            let live = book.values().filter(|held| is_due && held.stands != Stands::Lost);
            live.map(|held| held.proof.clone()).collect()
        })
    }

    fn record(
        &self,
        proofs: &[LeaseProof],
        answers: Result<Vec<Result<DateTime<Utc>>>>,
        now: DateTime<Utc>,
        heartbeat: Duration,
    ) {
        let mut answers = answers.map(Vec::into_iter);
        self.with(|book| {
            for proof in proofs {
                let answer = answers.as_mut().ok().map(|answers| {
                    let missing = || Err(StoreError::not_found("lease on job", proof.job).into());
                    answers.next().unwrap_or_else(missing)
                });
                let Some(held) = book.get_mut(&(proof.job, proof.token)) else { continue };
                match answer {
                    Some(Ok(until)) => {
                        held.length = until - held.claimed_at;
                        held.extended_for = held.length - (now - held.since);
                        held.stands = Stands::Well;
                    }
                    Some(Err(Error::Store(StoreError::LeaseLost { .. } | StoreError::NotFound { .. }))) => {
                        held.stands = Stands::Lost;
                    }
                    Some(Err(error)) => {
                        tracing::warn!(job = %proof.job, error = %Chain(&error), "a lease was not extended");
                        held.stands = Stands::Unanswered;
                    }
                    None => held.stands = Stands::Unanswered,
                }
                let interval = interval(heartbeat, held.extended_for);
                held.due = now + if held.stands == Stands::Unanswered { interval / 2 } else { interval };
            }
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Key, Held>) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn unanswered(patience: Duration) -> Error {
    let message = format!("it has not answered a heartbeat within {patience:?}");
    Error::ManagerAway { message, retry_after: None, source: None }
}

/// The settings' pace, or a third of a lease for which that is too slow: a manager elsewhere may give shorter ones.
fn interval(heartbeat: Duration, lease: TimeDelta) -> Duration {
    match lease.to_std() {
        Ok(lease) if heartbeat.saturating_mul(2) > lease && !lease.is_zero() => lease / 3,
        _ => heartbeat,
    }
}

#[cfg(test)]
#[cfg(feature = "mock")]
mod tests {
    use std::{
        collections::HashMap,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use async_trait::async_trait;
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        artifact::Artifact,
        clock::{Clock, VirtualClock},
        contract::{ArtifactUpload, Claimed, Manager, MockManager, Release, Report, Reported, Sighting, WorkRequest},
        engine::worker::WorkerPace,
        ids::{JobId, WorkerId},
        job::{Door, FencingToken},
    };

    /// Seconds until the worker gives its lease of 30 s up, with a store whose clock shows another time; at most three minutes.
    async fn gives_up_after(manager: impl Manager + 'static, clock: VirtualClock, store_ahead: TimeDelta) -> i64 {
        let seconds = Duration::from_secs;
        let (heartbeat, poll, claim_wait, grace) = (seconds(10), seconds(1), seconds(30), seconds(20));
        let pace = WorkerPace { heartbeat, poll, claim_wait, grace };
        let (id, manager, machine) = (WorkerId::new("w").unwrap(), Arc::new(manager), Arc::new(clock.clone()));
        let worker = Worker::new(id, Door::Remote, manager, Arc::new(HashMap::new()), machine, pace);
        let proof = LeaseProof { job: JobId::new(), worker: worker.id.clone(), token: None };
        let (start, claimed_at) = (clock.now(), clock.now() + store_ahead);
        let until = claimed_at + seconds(30);
        let lease = Lease { worker: worker.id.clone(), token: FencingToken(1), until, claimed_at, door: Door::Remote };
        let keeping = tokio::spawn(async move { worker.keep_lease(&proof, &lease).await });
        while !keeping.is_finished() && clock.now() - start < TimeDelta::minutes(3) {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        keeping.abort();
        (clock.now() - start).num_seconds()
    }

    /// A manager that leaves every second heartbeat without an answer, for ever.
    #[derive(Debug)]
    struct Stalls {
        clock: VirtualClock,
        asked: AtomicU32,
    }

    #[async_trait]
    impl Manager for Stalls {
        async fn claim(&self, _: &WorkRequest) -> Result<Vec<Claimed>> {
            Ok(Vec::new())
        }
        async fn heartbeat(&self, leases: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>>>> {
            if self.asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                std::future::pending::<()>().await;
            }
            Ok(leases.iter().map(|_| Ok(self.clock.now() + Duration::from_secs(30))).collect())
        }
        async fn observe(&self, _: &Sighting) -> Result<()> {
            Ok(())
        }
        async fn upload_artifacts(&self, _: &ArtifactUpload) -> Result<Vec<Artifact>> {
            Ok(Vec::new())
        }
        async fn report(&self, report: &Report) -> Result<Reported> {
            Ok(Reported { job: report.proof.job, repeated: false })
        }
        async fn release(&self, _: &Release) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_heartbeat_that_hangs_costs_no_lease() {
        let clock = VirtualClock::default();
        let stalls = Stalls { clock: clock.clone(), asked: AtomicU32::default() };
        assert_eq!(gives_up_after(stalls, clock, TimeDelta::zero()).await, 180, "it is kept for as long as was looked");
    }

    #[tokio::test]
    async fn a_lease_ends_by_its_length_whatever_hour_the_stores_clock_shows() {
        for ahead in [TimeDelta::zero(), TimeDelta::hours(1), TimeDelta::hours(-1)] {
            let mut manager = MockManager::new();
            let away = || StoreError::Unavailable { message: "away".to_owned(), source: None };
            manager.expect_heartbeat().returning(move |_| Err(away().into()));
            let gave_up = gives_up_after(manager, VirtualClock::default(), ahead).await;
            assert!((30..=40).contains(&gave_up), "after {gave_up} s with a store {ahead} ahead");
        }
    }
}
