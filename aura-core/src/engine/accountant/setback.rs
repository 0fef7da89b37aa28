//! PRDs that could not be assessed: each waits longer after every failure, so that it holds up nobody else.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::ids::PrdId;

/// Failures after which people are told.
pub(crate) const TELL_AFTER: u32 = 5;
/// The wait after the first failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy)]
struct Setback {
    failures: u32,
    not_before: DateTime<Utc>,
    told: bool,
}

/// The PRDs of this process that could not be assessed when they were last looked at.
#[derive(Debug, Default)]
pub(crate) struct Setbacks(Mutex<HashMap<PrdId, Setback>>);

impl Setbacks {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<PrdId, Setback>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.with(|prds| u32::try_from(prds.len()).unwrap_or(u32::MAX))
    }

    /// Whether a PRD is to be left alone for now.
    pub(crate) fn waits(&self, prd: PrdId, now: DateTime<Utc>) -> bool {
        self.with(|prds| prds.get(&prd).is_some_and(|setback| now < setback.not_before))
    }

    /// Notes a failure; answers how many there were when people are to be told of it.
    pub(crate) fn failed(&self, prd: PrdId, now: DateTime<Utc>) -> Option<u32> {
        self.with(|prds| {
            let setback = prds.entry(prd).or_insert(Setback { failures: 0, not_before: now, told: false });
            let wait = FIRST_WAIT.saturating_mul(1 << setback.failures.min(16)).min(LONGEST_WAIT);
            setback.failures = setback.failures.saturating_add(1);
            setback.not_before = now + wait;
            (setback.failures >= TELL_AFTER && !setback.told).then_some(setback.failures)
        })
    }

    /// Remembers that people were told.
    pub(crate) fn told(&self, prd: PrdId) {
        self.with(|prds| {
            if let Some(setback) = prds.get_mut(&prd) {
                setback.told = true;
            }
        });
    }

    /// Forgets a PRD that was assessed.
    pub(crate) fn mended(&self, prd: PrdId) {
        self.with(|prds| prds.remove(&prd));
    }

    /// Forgets those that do not wait for the accountant any more.
    pub(crate) fn keep(&self, waiting: &HashSet<PrdId>) {
        self.with(|prds| prds.retain(|prd, _| waiting.contains(prd)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes_and_people_are_told_once() {
        let (setbacks, prd) = (Setbacks::default(), PrdId::new());
        let mut now = DateTime::UNIX_EPOCH;
        let mut waits = Vec::new();
        let mut told = Vec::new();
        for _ in 0..12 {
            if let Some(failures) = setbacks.failed(prd, now) {
                told.push(failures);
                setbacks.told(prd);
            }
            let before = now;
            while setbacks.waits(prd, now) {
                now += Duration::from_secs(1);
            }
            waits.push((now - before).num_seconds());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(told, [5]);
        setbacks.mended(prd);
        assert_eq!((setbacks.count(), setbacks.waits(prd, now)), (0, false));
    }
}
