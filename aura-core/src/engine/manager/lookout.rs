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
        Sight { measured: self.state().measured.clone(), ..Sight::from(resources) }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use tokio::sync::watch;

    use super::*;
    use crate::{
        clock::VirtualClock,
        model::{Model, ModelIdentity, ModelKind, ModelProfile},
        resources::{Needs, Resident},
        standing::Standing,
        units::Mebibytes,
    };

    /// Answers with the number of looks as free memory, once the gate is open.
    #[derive(Debug)]
    struct Counting {
        looks: AtomicU32,
        is_open: watch::Sender<bool>,
        fails: bool,
    }

    #[async_trait]
    impl ResourceProbe for Counting {
        async fn snapshot(&self) -> Result<Resources, ProbeError> {
            let look = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
            let mut is_open = self.is_open.subscribe();
            let _open = is_open.wait_for(|open| *open).await;
            if self.fails {
                return Err(ProbeError { message: "broken".to_owned(), source: None });
            }
            Ok(Resources { free_memory: Some(Mebibytes(look.into())), ..Resources::default() })
        }
    }

    fn scene(is_open: bool, fails: bool) -> (Arc<Counting>, VirtualClock, Lookout) {
        let probe = Arc::new(Counting { looks: AtomicU32::new(0), is_open: watch::Sender::new(is_open), fails });
        let clock = VirtualClock::default();
        let lookout = Lookout::new(Some(Arc::clone(&probe) as _), Arc::new(clock.clone()));
        (probe, clock, lookout)
    }

    async fn free(lookout: &Lookout) -> Option<u64> {
        lookout.look().await.resources.free_memory.map(|free| free.0)
    }

    /// Looks while the clock moves past the patience of whoever waits.
    async fn free_after_patience(lookout: &Lookout, clock: &VirtualClock) -> Option<u64> {
        let time_passes = async {
            while clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(PATIENCE);
        };
        tokio::join!(free(lookout), time_passes).0
    }

    #[tokio::test]
    async fn what_was_seen_a_moment_ago_is_not_looked_at_again() {
        let (_, clock, lookout) = scene(true, false);
        assert_eq!((free(&lookout).await, free(&lookout).await), (Some(1), Some(1)));
        clock.advance(FRESH);
        assert_eq!(free(&lookout).await, Some(2));
    }

    #[tokio::test]
    async fn a_probe_that_hangs_costs_its_time_once_and_tells_nothing() {
        let (probe, clock, lookout) = scene(false, false);
        assert_eq!(free_after_patience(&lookout, &clock).await, None);
        for _ in 0..3 {
            clock.advance(FRESH);
            assert_eq!(free(&lookout).await, None, "without waiting: the clock stands still");
        }
        assert_eq!(probe.looks.load(Ordering::Relaxed), 1, "no second look beside one that hangs");
        probe.is_open.send_replace(true);
        assert_eq!(free(&lookout).await, Some(1), "slow, but it came");
        clock.advance(LATE);
        assert_eq!(free(&lookout).await, Some(2));
    }

    #[tokio::test]
    async fn what_a_look_brings_much_later_is_thrown_away() {
        let (probe, clock, lookout) = scene(false, false);
        assert_eq!(free_after_patience(&lookout, &clock).await, None);
        clock.advance(LATE);
        probe.is_open.send_replace(true);
        assert_eq!(free(&lookout).await, Some(2));
    }

    #[tokio::test]
    async fn a_probe_that_fails_leaves_everything_unknown_and_is_complained_of_once() {
        let (probe, clock, lookout) = scene(true, true);
        for _ in 0..3 {
            assert_eq!(lookout.look().await.resources, Resources::default());
            assert!(lookout.state().is_known_to_fail);
            clock.advance(FRESH);
        }
        assert_eq!(probe.looks.load(Ordering::Relaxed), 3);
    }

    /// Sees a model loaded the first time, and nothing later.
    #[derive(Debug, Default)]
    struct LoadedOnce(AtomicU32);

    fn identity() -> ModelIdentity {
        ModelIdentity { provider: "ollama".to_owned(), model: "llama3:latest".to_owned() }
    }

    const OCCUPIED: Needs = Needs { vram: Mebibytes(5000), memory: Mebibytes(200) };

    #[async_trait]
    impl ResourceProbe for LoadedOnce {
        async fn snapshot(&self) -> Result<Resources, ProbeError> {
            let loaded = Resident { identity: identity(), endpoint: None, occupies: OCCUPIED, until: None };
            let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(Resources { resident: Some(is_first.then_some(loaded).into_iter().collect()), ..Resources::default() })
        }
    }

    #[tokio::test]
    async fn what_a_model_occupied_is_remembered_when_it_is_gone() {
        let clock = VirtualClock::default();
        let lookout = Lookout::new(Some(Arc::new(LoadedOnce::default())), Arc::new(clock.clone()));
        assert_eq!(lookout.look().await.resources.resident.map(|loaded| loaded.len()), Some(1));
        clock.advance(FRESH);
        let sight = lookout.look().await;
        assert_eq!(sight.resources.resident, Some(Vec::new()));
        let mut profile = ModelProfile::new("llama", ModelKind::Local, "ollama", "llama3:latest").unwrap();
        profile.needs.vram = Mebibytes(59_000);
        let model = Model {
            id: crate::ids::ModelId(1),
            profile,
            is_active: true,
            hold: None,
            standing: Standing::Trial,
            created_at: DateTime::UNIX_EPOCH,
            asked_at: None,
        };
        assert_eq!(sight.measured.needs_of(&model), OCCUPIED);
    }
}
