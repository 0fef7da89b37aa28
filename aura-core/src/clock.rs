//! Time as the engines see it: the system's, or one that a test moves by hand.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

/// Where an engine gets its time from.
///
/// # Contract
/// - `now` never goes backwards within one process.
/// - `sleep` ends at or after the given duration of this clock's time; dropping it cancels the wait.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment, in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// Waits for `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands still until [`advance`](Self::advance) moves it.
#[derive(Clone)]
pub struct VirtualClock {
    now: Arc<watch::Sender<DateTime<Utc>>>,
    sleepers: Arc<Mutex<usize>>,
}

impl VirtualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        Self { now: Arc::new(watch::Sender::new(start)), sleepers: Arc::default() }
    }

    /// Moves the clock forward and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }

    /// How many tasks sleep on this clock now.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        *self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for VirtualClock {
    /// Stands at noon of 1 January 2026, UTC.
    fn default() -> Self {
        Self::at(DateTime::from_timestamp(1_767_268_800, 0).unwrap_or_default())
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}

/// Counts a sleeper for as long as it lives, also when its future is dropped.
struct Sleeper(Arc<Mutex<usize>>);

impl Sleeper {
    fn new(count: &Arc<Mutex<usize>>) -> Self {
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(count))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut now = self.now.subscribe();
        let until = self.now() + duration;
        let _counted = Sleeper::new(&self.sleepers);
        // The sender lives in `self`, so the wait cannot fail while this future is polled.
        let _moved = now.wait_for(|now| *now >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_passes_its_time_and_not_before() {
        let clock = VirtualClock::default();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
