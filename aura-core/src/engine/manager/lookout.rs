//! How the scheduler looks at the machine: seldom enough, never for long, and remembering what models were seen to occupy.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};

use super::{
    attendance::passed,
    capacity::{Measured, Sight},
};
use crate::{
    clock::Clock,
    contract::{ProbeError, ResourceProbe},
    engine::pace::Chain,
    resources::Resources,
};

/// So long what was seen is taken for what is.
const FRESH: Duration = Duration::from_secs(1);
/// So long a pass waits for a probe, once for each look.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a look brings later than this, is told of another time.
const LATE: Duration = Duration::from_secs(10);

/// Asks the probe, when there is one.
#[derive(Debug)]
pub(crate) struct Lookout {
    probe: Option<Arc<dyn ResourceProbe>>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<(DateTime<Utc>, Resources)>,
    /// A look that took too long: it goes on without anybody waiting for it, so that a probe that hangs costs its time once.
    slow: Option<Look>,
    measured: Measured,
    /// It was said that the probe fails.
    is_known_to_fail: bool,
}

struct Look {
    begun: DateTime<Utc>,
    answer: BoxFuture<'static, Result<Resources, ProbeError>>,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl Lookout {
    pub(crate) fn new(probe: Option<Arc<dyn ResourceProbe>>, clock: Arc<dyn Clock>) -> Self {
        Self { probe, clock, state: Mutex::default() }
    }

    /// What is known of the machine now. What a probe does not tell in time is unknown, which is not zero.
    pub(crate) async fn look(&self) -> Sight {
        let resources = match &self.probe {
            Some(probe) => self.ask(probe).await,
            None => Resources::default(),
        };
        Sight { resources, measured: self.state().measured.clone() }
    }

    async fn ask(&self, probe: &Arc<dyn ResourceProbe>) -> Resources {
        let now = self.clock.now();
        // It is taken out while it is polled: one that panics is gone then.
        let slow = {
            let mut state = self.state();
            if let Some((_, resources)) = state.seen.as_ref().filter(|(at, _)| passed(*at, now) < FRESH) {
                return resources.clone();
            }
            state.slow.take()
        };
        let (look, answer) = match slow {
            Some(mut look) => {
                let answer = (&mut look.answer).now_or_never();
                (look, answer)
            }
            None => self.wait(probe, now).await,
        };
        let is_late = passed(look.begun, self.clock.now()) >= LATE;
        let (look, answer) = match answer {
            Some(_) if is_late => self.wait(probe, self.clock.now()).await,
            answer => (look, answer),
        };
        self.note(look, answer)
    }

    /// Begins a look, and waits for it in patience.
    async fn wait(
        &self,
        probe: &Arc<dyn ResourceProbe>,
        begun: DateTime<Utc>,
    ) -> (Look, Option<Result<Resources, ProbeError>>) {
        let probe = Arc::clone(probe);
        let mut look = Look { begun, answer: async move { probe.snapshot().await }.boxed() };
        let answer = tokio::select! {
            biased;
            answer = &mut look.answer => Some(answer),
            () = self.clock.sleep(PATIENCE) => None,
        };
        (look, answer)
    }

    fn note(&self, look: Look, answer: Option<Result<Resources, ProbeError>>) -> Resources {
        let mut state = self.state();
        let resources = match answer {
            Some(Ok(resources)) => {
                state.measured.learn(&resources);
                if std::mem::take(&mut state.is_known_to_fail) {
                    tracing::info!("the machine's resources are known again");
                }
                resources
            }
            Some(Err(error)) => {
                if !std::mem::replace(&mut state.is_known_to_fail, true) {
                    tracing::warn!(error = %Chain(&error), "resources are unknown until the probe succeeds again");
                }
                Resources::default()
            }
            None => {
                if !std::mem::replace(&mut state.is_known_to_fail, true) {
                    tracing::warn!("resources are unknown: the probe did not answer within {PATIENCE:?}");
                }
                state.slow = Some(look);
                return Resources::default();
            }
        };
        state.seen = Some((look.begun, resources.clone()));
        resources
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
