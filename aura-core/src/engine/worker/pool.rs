//! Workers that are no part of an orchestra's process: they have the manager's door and nothing else.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{Adapters, Worker, WorkerPace};
use crate::{
    clock::{Clock, SystemClock},
    contract::{Claimed, Manager, ModelAdapter, ResourceProbe, Sighting},
    engine::{
        pace::Chain,
        settings::Settings,
        shutdown::{Shutdown, StopSignal},
    },
    error::{Error, Result},
    ids::{ModelName, WorkerId},
    job::Door,
};

/// Workers that do the jobs of a manager, wherever it is: it claims as many jobs as it has room for in one call, extends all their
/// leases in one call, and hands in what its adapters make.
///
/// While the manager cannot be reached, it is asked again until it answers; work in hand goes on for as long as its lease can live.
/// The pool works until [`stop`](Self::stop); when it is dropped, it claims nothing more and ends in the background.
///
/// # Examples
/// ```no_run
/// # use std::sync::Arc;
/// # async fn run(
/// #     manager: Arc<dyn aura_core::Manager>, adapter: Arc<dyn aura_core::ModelAdapter>, signal: impl Future<Output = ()>,
/// # ) -> aura_core::Result<()> {
/// use aura_core::{WorkerId, WorkerPool};
///
/// let pool = WorkerPool::builder(manager, WorkerId::new("gpu-box-1")?).employ_shared(adapter).concurrency(4).start()?;
/// signal.await;
/// pool.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WorkerPool {
    shutdown: Arc<Shutdown>,
    clock: Arc<dyn Clock>,
    grace: Duration,
}

impl WorkerPool {
    /// Workers of this name, which stands in every lease, behind this door. No two processes may share a name.
    pub fn builder(manager: Arc<dyn Manager>, worker: WorkerId) -> WorkerPoolBuilder {
        let Settings { heartbeat, poll, grace, .. } = Settings::default();
        WorkerPoolBuilder {
            manager,
            worker,
            adapters: Vec::new(),
            concurrency: WorkerPoolBuilder::DEFAULT_CONCURRENCY,
            probe: None,
            clock: Arc::new(SystemClock),
            pace: WorkerPace { heartbeat, poll, claim_wait: WorkerPoolBuilder::DEFAULT_CLAIM_WAIT, grace },
        }
    }

    /// Claims nothing more, lets running work finish within the grace time, hands the rest back, and ends every task. Stopping
    /// twice is fine.
    pub async fn stop(&self) {
        self.shutdown.stop(self.clock.as_ref(), self.grace).await;
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shutdown.announce();
    }
}

/// Puts a [`WorkerPool`] together; everything is checked in `start`.
#[derive(Debug)]
#[must_use = "nothing happens before `start`"]
pub struct WorkerPoolBuilder {
    manager: Arc<dyn Manager>,
    worker: WorkerId,
    adapters: Vec<Arc<dyn ModelAdapter>>,
    concurrency: u32,
    probe: Option<Arc<dyn ResourceProbe>>,
    clock: Arc<dyn Clock>,
    pace: WorkerPace,
}

impl WorkerPoolBuilder {
    /// Jobs at once unless told otherwise.
    pub const DEFAULT_CONCURRENCY: u32 = 1;
    /// How long one call waits for a job unless told otherwise.
    pub const DEFAULT_CLAIM_WAIT: Duration = Duration::from_secs(30);
    /// Most jobs at once: one call may not ask for more.
    const MOST: u32 = 1000;

    /// Does the jobs of a model. The manager must know it.
    pub fn employ(self, adapter: impl ModelAdapter + 'static) -> Self {
        self.employ_shared(Arc::new(adapter))
    }

    /// As [`employ`](Self::employ), for an adapter that is shared already.
    pub fn employ_shared(mut self, adapter: Arc<dyn ModelAdapter>) -> Self {
        self.adapters.push(adapter);
        self
    }

    /// How many jobs are worked on at once, 1 to 1000 (default 1).
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.concurrency = jobs;
        self
    }

    /// What the machine has left, told to the manager at every heartbeat (default: not looked at).
    pub fn probe(mut self, probe: impl ResourceProbe + 'static) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// Where time comes from (default: the system).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How often leases are extended (default 10 s); more often where the manager's leases are shorter than twice that.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.pace.heartbeat = every;
        self
    }

    /// How soon the manager is asked again when it had no answer, or an empty one before its time (default 1 s).
    pub fn poll(mut self, every: Duration) -> Self {
        self.pace.poll = every;
        self
    }

    /// How long one call waits for a job (default 30 s).
    pub fn claim_wait(mut self, wait: Duration) -> Self {
        self.pace.claim_wait = wait;
        self
    }

    /// How long [`WorkerPool::stop`] lets running work finish before it is handed back (default 20 s).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.pace.grace = grace;
        self
    }

    /// Checks everything and starts to work. It needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Setup`] says what is missing or contradicts itself.
    pub fn start(self) -> Result<WorkerPool> {
        let adapters = by_name(self.adapters)?;
        if adapters.is_empty() {
            return Err(Error::Setup("no model: give the pool one with .employ(...)".to_owned()));
        }
        if self.concurrency == 0 || self.concurrency > Self::MOST {
            return Err(Error::Setup(format!("concurrency is {}: it must be 1 to {}", self.concurrency, Self::MOST)));
        }
        if self.pace.heartbeat.is_zero() || self.pace.poll.is_zero() {
            return Err(Error::Setup("heartbeat and poll must be more than 0".to_owned()));
        }
        let shutdown = Arc::new(Shutdown::default());
        let (clock, grace) = (Arc::clone(&self.clock), self.pace.grace);
        let worker = Worker::new(self.worker, Door::Remote, self.manager, Arc::new(adapters), self.clock, self.pace);
        let worker = Arc::new(worker);
        shutdown.spawn(show(Arc::clone(&worker), self.probe, Arc::clone(&shutdown)));
        shutdown.spawn(work(worker, self.concurrency, Arc::clone(&shutdown)));
        Ok(WorkerPool { shutdown, clock, grace })
    }
}

/// The adapters by name; no two may share one.
pub(crate) fn by_name(adapters: Vec<Arc<dyn ModelAdapter>>) -> Result<Adapters> {
    let mut named = Adapters::new();
    for adapter in adapters {
        let name = adapter.profile().name.clone();
        if named.insert(name.clone(), adapter).is_some() {
            return Err(Error::Setup(format!("two models are named {name}: give one of them another name")));
        }
    }
    Ok(named)
}

/// Claims for every idle place until the pool stops, then waits for what is in hand.
async fn work(worker: Arc<Worker>, places: u32, shutdown: Arc<Shutdown>) {
    let mut stop = shutdown.signal();
    let mut jobs = JoinSet::new();
    while !stop.is_stopping() {
        while let Some(ended) = jobs.try_join_next() {
            joined(ended);
        }
        let idle = places.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        if idle == 0 {
            tokio::select! {
                Some(ended) = jobs.join_next() => joined(ended),
                () = stop.stopping() => {}
            }
            continue;
        }
        for job in claim(&worker, idle, &mut stop).await {
            jobs.spawn(do_one(Arc::clone(&worker), job, stop.clone()));
        }
    }
    while let Some(ended) = jobs.join_next().await {
        joined(ended);
    }
}

/// One call for up to `idle` jobs, with a pause behind it where another one at once would find nothing.
async fn claim(worker: &Worker, idle: u32, stop: &mut StopSignal) -> Vec<Claimed> {
    let models = worker.open_models();
    let asked = worker.clock.now();
    let poll = worker.pace.poll;
    let pause = if models.is_empty() {
        poll
    } else {
        // The manager does not stop when the worker does, so its answer is not waited for. A claim that it is just writing is a job
        // that comes back when its lease ends.
        let call = worker.reach.call("claim");
        let answer = tokio::select! {
            answer = worker.claim(models, idle) => answer,
            () = stop.stopping() => return Vec::new(),
        };
        call.ended(&answer);
        match answer {
            Ok(claimed) if claimed.is_empty() => {
                let waited = (worker.clock.now() - asked).to_std().unwrap_or_default();
                poll.saturating_sub(waited)
            }
            Ok(claimed) => return claimed,
            Err(error) if error.is_retryable() => error.retry_after().unwrap_or_default().max(poll),
            Err(error) => {
                tracing::error!(worker = %worker.id, error = %Chain(&error), "the manager gives no work; it is asked again");
                poll.saturating_mul(10)
            }
        }
    };
    tokio::select! {
        () = worker.clock.sleep(pause) => {}
        () = stop.stopping() => {}
    }
    Vec::new()
}

async fn do_one(worker: Arc<Worker>, claimed: Claimed, mut stop: StopSignal) {
    let (job, model, attempt) = (claimed.job.id, claimed.model.clone(), claimed.job.attempt);
    tracing::info!(%job, %model, attempt, "a job begins");
    let started = worker.clock.now();
    let ending = worker.work_on(claimed, &mut stop).await;
    let took_ms = (worker.clock.now() - started).num_milliseconds();
    tracing::info!(%job, %model, attempt, %ending, took_ms, "a job ends");
}

fn joined(ended: std::result::Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "work on a job panicked; its lease ends by itself");
    }
}

/// Shows the worker and its machine at every heartbeat, also while it has nothing to do.
async fn show(worker: Arc<Worker>, probe: Option<Arc<dyn ResourceProbe>>, shutdown: Arc<Shutdown>) {
    let mut stop = shutdown.signal();
    loop {
        let showing = async {
            let models: Vec<ModelName> = worker.open_models();
            let resources = match &probe {
                Some(probe) => probe.snapshot().await.inspect_err(|error| tracing::debug!(%error, "no probe")).ok(),
                None => None,
            };
            let sighting = Sighting { worker_id: worker.id.clone(), models, resources };
            let call = worker.reach.call("observe");
            call.ended(&worker.manager.observe(&sighting).await);
            worker.clock.sleep(worker.pace.heartbeat).await;
        };
        tokio::select! {
            () = showing => {}
            () = stop.stopping() => return,
        }
    }
}
