//! The engines' clock where several nodes share a store: this machine's, set by the store's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock::Clock,
    contract::{DutyStore, StoreError},
};

/// How far the clocks may be apart without being set: what the engines measure is coarser, and an answer takes its time.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

/// Shows the moment by which the store writes: what one node reads, another one wrote, and their machines need not agree.
#[derive(Debug)]
pub(crate) struct StoreClock {
    machine: Arc<dyn Clock>,
    /// How far the store's clock is ahead, in microseconds.
    ahead: AtomicI64,
}

impl StoreClock {
    /// A clock that goes by the machine's until it is [set](Self::set_by).
    pub(crate) const fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, ahead: AtomicI64::new(0) }
    }

    /// Sets it by the store's, if there is one.
    pub(crate) async fn set_by(&self, store: &(impl DutyStore + ?Sized)) -> Result<(), StoreError> {
        let asked = self.machine.now();
        let Some(there) = store.now().await? else { return Ok(()) };
        let took = self.machine.now() - asked;
        let ahead = there - (asked + took / 2);
        let off = ahead - TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed));
        if off.abs() <= TOLERANCE + took {
            return Ok(());
        }
        if let Some(micros) = ahead.num_microseconds() {
            tracing::warn!(
                seconds = ahead.num_seconds(),
                "the store's clock is ahead of this machine's (behind it: less than 0), and is gone by"
            );
            self.ahead.store(micros, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[async_trait]
impl Clock for StoreClock {
    fn now(&self) -> DateTime<Utc> {
        self.machine.now() + TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        self.machine.sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;

    /// A store with a clock of its own, or none.
    #[derive(Debug)]
    struct Shared(Option<VirtualClock>);

    #[async_trait]
    impl DutyStore for Shared {
        async fn now(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
            Ok(self.0.as_ref().map(VirtualClock::now))
        }
    }

    #[tokio::test]
    async fn it_shows_the_stores_moment_however_far_off_the_machine_is() {
        let machine = VirtualClock::default();
        let clock = StoreClock::new(Arc::new(machine.clone()));
        for off in [3_600, -3_600, 40, 0] {
            let there = VirtualClock::at(machine.now() + TimeDelta::seconds(off));
            clock.set_by(&Shared(Some(there.clone()))).await.unwrap();
            machine.advance(Duration::from_secs(5));
            there.advance(Duration::from_secs(5));
            assert_eq!(clock.now(), there.now());
        }
    }

    #[tokio::test]
    async fn it_is_left_alone_for_less_than_anybody_measures_and_by_a_store_without_a_clock() {
        let machine = VirtualClock::default();
        let clock = StoreClock::new(Arc::new(machine.clone()));
        let there = VirtualClock::at(machine.now() + TimeDelta::milliseconds(900));
        clock.set_by(&Shared(Some(there))).await.unwrap();
        clock.set_by(&Shared(None)).await.unwrap();
        assert_eq!(clock.now(), machine.now());
    }
}
