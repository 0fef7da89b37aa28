//! Several probes of one machine, asked at once.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aura_core::{ResourceProbe, Resources, contract::ProbeError};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::time::{Instant, timeout};

/// So long one probe is waited for: less than the 2 s after which the scheduler goes on without any of them.
const PATIENCE: Duration = Duration::from_millis(1500);
/// What a look brings later than this, is told of another time.
const LATE: Duration = Duration::from_secs(10);

/// Asks several probes at once and merges what they saw, as [`Resources::merged`] does.
///
/// One that fails or takes longer than 1.5 s leaves its part absent, and is logged once until it succeeds again; what the others saw
/// counts. A look that takes too long goes on, and is neither waited for nor begun a second time meanwhile.
///
/// # Examples
/// ```
/// use aura_adapters::{FixedProbe, Probes};
/// use aura_core::{Mebibytes, ResourceProbe, Resources};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Resources { free_memory: Some(Mebibytes(4096)), ..Resources::default() };
/// let cores = Resources { cores: Some(8), ..Resources::default() };
/// let seen = Probes::new().and(FixedProbe::new(host)).and(FixedProbe::new(cores)).snapshot().await?;
/// assert_eq!((seen.free_memory, seen.cores), (Some(Mebibytes(4096)), Some(8)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Probes(Vec<Member>);

#[derive(Debug)]
struct Member {
    probe: Arc<dyn ResourceProbe>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slow: Option<Look>,
    /// It was said that the probe fails.
    is_known_to_fail: bool,
}

struct Look {
    begun: Instant,
    answer: BoxFuture<'static, Result<Resources, ProbeError>>,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl Probes {
    /// None yet: it knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks this one too. Where two list GPUs that cannot be told apart, those of the earlier one count.
    pub fn and(mut self, probe: impl ResourceProbe + 'static) -> Self {
        self.0.push(Member { probe: Arc::new(probe), state: Mutex::default() });
        self
    }
}

#[async_trait]
impl ResourceProbe for Probes {
    async fn snapshot(&self) -> Result<Resources, ProbeError> {
        let seen = join_all(self.0.iter().map(Member::look)).await;
        Ok(seen.into_iter().fold(Resources::default(), Resources::merged))
    }
}

impl Member {
    async fn look(&self) -> Resources {
        // It is taken out while it is polled: one that panics is gone then.
        let slow = self.state().slow.take();
        let ended = match slow {
            Some(mut look) => match (&mut look.answer).now_or_never() {
                Some(answer) if look.begun.elapsed() < LATE => Ok(answer),
                Some(_) => self.wait().await,
                None => Err(look),
            },
            None => self.wait().await,
        };
        match ended {
            Ok(Ok(resources)) => {
                self.state().is_known_to_fail = false;
                resources
            }
            Ok(Err(error)) => {
                self.complain(&in_one_line(&error));
                Resources::default()
            }
            Err(look) => {
                self.complain(&format!("it did not answer within {PATIENCE:?}"));
                self.state().slow = Some(look);
                Resources::default()
            }
        }
    }

    /// Begins a look, and waits for it in patience.
    async fn wait(&self) -> Result<Result<Resources, ProbeError>, Look> {
        let probe = Arc::clone(&self.probe);
        let mut look = Look { begun: Instant::now(), answer: async move { probe.snapshot().await }.boxed() };
        timeout(PATIENCE, &mut look.answer).await.map_err(|_| look)
    }

    fn complain(&self, why: &str) {
        if !std::mem::replace(&mut self.state().is_known_to_fail, true) {
            tracing::warn!(probe = ?self.probe, why, "what a probe tells is unknown until it succeeds again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes.
fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aura_core::{Gpu, Mebibytes};

    use super::*;
    use crate::FixedProbe;

    fn host() -> FixedProbe {
        FixedProbe::new(Resources { free_memory: Some(Mebibytes(512)), ..Resources::default() })
    }

    /// Fails every time.
    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl ResourceProbe for Broken {
        async fn snapshot(&self) -> Result<Resources, ProbeError> {
            Err(ProbeError { message: "broken".to_owned(), source: None })
        }
    }

    /// Hangs at first, and counts how often it is asked.
    #[derive(Debug)]
    struct Hanging(Arc<AtomicU32>, Duration);

    #[async_trait]
    impl ResourceProbe for Hanging {
        async fn snapshot(&self) -> Result<Resources, ProbeError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.1).await;
            Ok(Resources { gpus: Some(vec![Gpu::default()]), ..Resources::default() })
        }
    }

    #[tokio::test]
    async fn one_that_fails_leaves_only_its_part_absent() {
        let probes = Probes::new().and(Broken).and(host());
        for _ in 0..2 {
            let seen = probes.snapshot().await.unwrap();
            assert_eq!((seen.free_memory, seen.gpus), (Some(Mebibytes(512)), None));
        }
        assert!(probes.0.iter().map(|member| member.state().is_known_to_fail).eq([true, false]));
        assert_eq!(Probes::new().and(Broken).snapshot().await.unwrap(), Resources::default());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_waited_for_once_and_takes_nothing_from_the_others() {
        let asked = Arc::new(AtomicU32::new(0));
        let probes = Probes::new().and(Hanging(Arc::clone(&asked), Duration::from_secs(4))).and(host());
        let begun = Instant::now();
        for _ in 0..3 {
            let seen = probes.snapshot().await.unwrap();
            assert_eq!((seen.free_memory, seen.gpus), (Some(Mebibytes(512)), None));
        }
        assert_eq!((begun.elapsed(), asked.load(Ordering::Relaxed)), (PATIENCE, 1));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(probes.snapshot().await.unwrap().gpus.is_some(), "slow, but it came");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
