//! One stop signal in two steps, and every task joined.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

use crate::clock::Clock;

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everybody works.
    Running,
    /// Nothing new is begun; what runs may finish.
    Stopping,
    /// What still runs is handed back.
    HandBack,
}

/// What a loop watches.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Phase>);

impl StopSignal {
    /// Whether nothing new may be begun.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.borrow() >= Phase::Stopping
    }

    /// Waits until nothing new may be begun.
    pub(crate) async fn stopping(&mut self) {
        self.reached(Phase::Stopping).await;
    }

    /// Waits until running work must be handed back.
    pub(crate) async fn hand_back(&mut self) {
        self.reached(Phase::HandBack).await;
    }

    async fn reached(&mut self, phase: Phase) {
        // The sender going away means that the orchestra was dropped, which stops as well.
        let _phase = self.0.wait_for(|now| *now >= phase).await;
    }
}

/// How much longer than the grace tasks may take to hand back what they have.
const LAST_JOIN: Duration = Duration::from_secs(5);

/// Owns the tasks and the signal that ends them.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: watch::Sender<Phase>,
    tasks: Mutex<JoinSet<()>>,
    stopped: tokio::sync::Mutex<()>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Running),
            tasks: Mutex::new(JoinSet::new()),
            stopped: tokio::sync::Mutex::new(()),
        }
    }
}

impl Shutdown {
    /// What a loop watches.
    pub(crate) fn signal(&self) -> StopSignal {
        StopSignal(self.phase.subscribe())
    }

    /// Runs a task that is joined at the end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Tells everybody to begin nothing new.
    pub(crate) fn announce(&self) {
        self.advance(Phase::Stopping);
    }

    /// Lets running work finish within `grace`, has the rest handed back, and joins every task. May be called again, and
    /// by several at once: all return when everything has ended.
    pub(crate) async fn stop(&self, clock: &dyn Clock, grace: Duration) {
        self.announce();
        let _only_one = self.stopped.lock().await;
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::select! {
            () = join(&mut tasks) => {}
            () = clock.sleep(grace) => {
                self.advance(Phase::HandBack);
                // Handing back is bounded by the grace as well; what has not ended then hangs in somebody's plug-in.
                tokio::select! {
                    () = join(&mut tasks) => {}
                    () = clock.sleep(grace.saturating_add(LAST_JOIN)) => {
                        tracing::error!(tasks = tasks.len(), "tasks that do not end are dropped");
                        tasks.abort_all();
                    }
                }
            }
        }
        self.advance(Phase::HandBack);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
    }
}

async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "an engine task panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::VirtualClock;

    #[tokio::test]
    async fn stopping_ends_although_a_task_never_does() {
        let (clock, shutdown) = (VirtualClock::default(), Arc::new(Shutdown::default()));
        shutdown.spawn(std::future::pending());
        let stopping = tokio::spawn({
            let (clock, shutdown) = (clock.clone(), Arc::clone(&shutdown));
            async move { shutdown.stop(&clock, Duration::from_secs(20)).await }
        });
        let mut seconds = 0;
        while !stopping.is_finished() && seconds < 1000 {
            clock.advance(Duration::from_secs(1));
            seconds += 1;
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
        assert!((45..60).contains(&seconds), "after {seconds} s");
    }
}
