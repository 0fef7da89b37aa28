//! The worker's loop: claim, generate, deliver, report; the same code in this process and on another machine.

mod claim;
mod deliver;
mod generate;
mod heartbeat;
mod pool;
mod reach;

pub(crate) use pool::by_name;
pub use pool::{WorkerPool, WorkerPoolBuilder};

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use self::{heartbeat::LeaseBook, reach::Reach};
use crate::{
    clock::Clock,
    contract::{Claimed, Manager, ModelAdapter, Release},
    engine::{
        pace::{Pace, Pause},
        shutdown::{Shutdown, StopSignal},
    },
    ids::{ModelName, WorkerId},
    job::{Door, JobState, LeaseProof},
};

/// How long handing back may take at least: one call, also where the grace time is shorter.
const HANDING_BACK: Duration = Duration::from_secs(5);

/// How a worker keeps its pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerPace {
    pub(crate) heartbeat: Duration,
    pub(crate) poll: Duration,
    pub(crate) claim_wait: Duration,
    pub(crate) grace: Duration,
}

/// The adapters by the names of their models.
pub(crate) type Adapters = HashMap<ModelName, Arc<dyn ModelAdapter>>;

/// One worker: does jobs for any of its adapters. In this process it does one at a time, in a [`WorkerPool`] several.
pub(crate) struct Worker {
    id: WorkerId,
    door: Door,
    manager: Arc<dyn Manager>,
    adapters: Arc<Adapters>,
    clock: Arc<dyn Clock>,
    pace: WorkerPace,
    leases: LeaseBook,
    reach: Reach,
}

/// How the work on a claimed job ended, in the words of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    HandedIn,
    /// The model failed at it, and that was reported.
    Failed,
    HandedBack,
    /// Another worker may have it.
    Lost,
    /// The manager took neither the work nor the job back; the lease ends by itself.
    Refused,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandedIn => "handed in",
            Self::Failed => "the model failed",
            Self::HandedBack => "handed back",
            Self::Lost => "the lease is lost",
            Self::Refused => "left to expire",
        })
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        door: Door,
        manager: Arc<dyn Manager>,
        adapters: Arc<Adapters>,
        clock: Arc<dyn Clock>,
        pace: WorkerPace,
    ) -> Self {
        let (leases, reach) = (LeaseBook::default(), Reach::default());
        Self { id, door, manager, adapters, clock, pace, leases, reach }
    }

    /// Runs until the orchestra stops; what it has in hand then is finished within the grace time, or handed back.
    pub(crate) async fn run(self, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::by_clock(&self.clock, &shutdown);
        let mut stop = shutdown.signal();
        while !stop.is_stopping() {
            // The manager ends a claim that waits. One that is being written is waited for: dropped, it would leave a job with nobody
            // until its lease ends.
            let claimed = tokio::select! {
                claimed = self.claim(self.models(), 1) => claimed,
                () = stop.hand_back() => return,
            };
            let outcome = match claimed {
                Ok(claimed) => {
                    for job in claimed {
                        self.work_on(job, &mut stop).await;
                    }
                    continue;
                }
                Err(error) => Err(error),
            };
            if pace.pause("worker", outcome, self.pace.poll).await == Pause::Stop {
                return;
            }
        }
    }

    /// Does one job to its end: handed in, handed back, or lost to another worker.
    async fn work_on(&self, claimed: Claimed, stop: &mut StopSignal) -> Ending {
        let JobState::InProgress { lease, .. } = &claimed.job.state else {
            tracing::error!(job = %claimed.job.id, "a claimed job came without a lease; it is left to expire");
            return Ending::Refused;
        };
        let proof = LeaseProof { job: claimed.job.id, worker: self.id.clone(), token: Some(lease.token) };
        tokio::select! {
            biased;
            ending = self.generate_and_deliver(&claimed, &proof) => ending,
            () = self.keep_lease(&proof, lease) => {
                tracing::warn!(job = %proof.job, worker = %self.id, "the lease is lost; the work is dropped");
                Ending::Lost
            }
            () = stop.hand_back() => {
                let reason = "the worker stops".to_owned();
                let release = Release { proof: proof.clone(), reason, retry_after: None, blameless: true, unbilled: false };
                // Without a heartbeat beside it, an unreachable manager must not keep the process from ending.
                tokio::select! {
                    ending = self.hand_back(&release) => ending,
                    () = self.clock.sleep(self.pace.grace.max(HANDING_BACK)) => {
                        tracing::warn!(job = %proof.job, "a job could not be handed back; its lease will end by itself");
                        Ending::Refused
                    }
                }
            }
        }
    }
}
