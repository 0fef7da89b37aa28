//! The worker's loop: claim, generate, deliver, report; the same code in this process and on another machine.

mod claim;
mod deliver;
mod generate;
mod heartbeat;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

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

/// How a worker keeps its pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerPace {
    pub(crate) heartbeat: Duration,
    pub(crate) poll: Duration,
    pub(crate) claim_wait: Duration,
    pub(crate) grace: Duration,
}

/// One worker: does one job at a time for any of its adapters.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) door: Door,
    pub(crate) manager: Arc<dyn Manager>,
    pub(crate) adapters: Arc<HashMap<ModelName, Arc<dyn ModelAdapter>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: WorkerPace,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Worker {
    /// Runs until the orchestra stops; what it has in hand then is finished within the grace time, or handed back.
    pub(crate) async fn run(self, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::by_clock(&self.clock, &shutdown);
        let mut stop = shutdown.signal();
        while !stop.is_stopping() {
            // The manager ends a claim that waits. One that is being written is waited for: dropped, it would leave a job with nobody
            // until its lease ends.
            let claimed = tokio::select! {
                claimed = self.claim() => claimed,
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
    async fn work_on(&self, claimed: Claimed, stop: &mut StopSignal) {
        let JobState::InProgress { lease, .. } = &claimed.job.state else {
            tracing::error!(job = %claimed.job.id, "a claimed job came without a lease; it is left to expire");
            return;
        };
        let proof = LeaseProof { job: claimed.job.id, worker: self.id.clone(), token: Some(lease.token) };
        tokio::select! {
            biased;
            () = self.generate_and_deliver(&claimed, &proof) => {}
            () = self.keep_lease(&proof, lease) => {
                tracing::warn!(job = %proof.job, worker = %self.id, "the lease is lost; the work is dropped");
            }
            () = stop.hand_back() => {
                let reason = "the worker stops".to_owned();
                let release = Release { proof: proof.clone(), reason, retry_after: None, blameless: true };
                // Without a heartbeat beside it, an unreachable manager must not keep the process from ending.
                tokio::select! {
                    () = self.hand_back(&release) => {}
                    () = self.clock.sleep(self.pace.grace) => {
                        tracing::warn!(job = %proof.job, "a job could not be handed back; its lease will end by itself");
                    }
                }
            }
        }
    }
}
