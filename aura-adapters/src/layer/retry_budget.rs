//! How many retries all calls together may make, so that a dead vendor is not hammered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How far back calls and retries are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How finely: what is older than the window goes in steps of this.
const STEP: Duration = Duration::from_secs(5);

/// Retries are at most a share of the calls of the last minute, plus a few: as in Finagle and in tower's `retry::budget`.
///
/// While a vendor works, hardly any call needs a retry and nobody notices. When it is down, every call would be made
/// [`tries`](crate::Retry::tries) times; with the budget there are only a tenth more of them.
///
/// A clone shares the count: give clones to the [`Retry`](crate::Retry) layers of adapters that stand before one endpoint.
///
/// # Examples
/// ```
/// use aura_adapters::RetryBudget;
/// let budget = RetryBudget::new(10, 2);
/// assert_eq!(budget.to_string(), "0 of 2 retries made in the last minute");
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget {
    percent: u32,
    floor: u32,
    steps: Arc<Mutex<VecDeque<Step>>>,
}

/// What was done within one step of time.
#[derive(Debug)]
struct Step {
    began: Instant,
    calls: u64,
    retries: u64,
}

impl RetryBudget {
    /// At most `percent` retries for a hundred calls of the last minute, and `floor` more a minute.
    #[must_use]
    pub fn new(percent: u32, floor: u32) -> Self {
        Self { percent, floor, steps: Arc::default() }
    }

    /// Counts a call.
    pub(super) fn call(&self) {
        self.at_present(|_, step| step.calls += 1);
    }

    /// Takes a retry out of the budget; `false` when there is none left.
    pub(super) fn take(&self) -> bool {
        self.at_present(|(made, allowed), step| {
            let left = made < allowed;
            step.retries += u64::from(left);
            left
        })
    }

    /// Works with how many retries were made of how many allowed, and with the present step.
    fn at_present<T>(&self, work: impl FnOnce((u64, u64), &mut Step) -> T) -> T {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while steps.front().is_some_and(|step| now.duration_since(step.began) >= WINDOW) {
            steps.pop_front();
        }
        let calls: u64 = steps.iter().map(|step| step.calls).sum();
        let made = steps.iter().map(|step| step.retries).sum();
        let allowed = u64::from(self.floor).saturating_add(calls.saturating_mul(u64::from(self.percent)) / 100);
        let mut present = match steps.pop_back() {
            Some(step) if now.duration_since(step.began) < STEP => step,
            before => {
                steps.extend(before);
                Step { began: now, calls: 0, retries: 0 }
            }
        };
        let answer = work((made, allowed), &mut present);
        steps.push_back(present);
        answer
    }
}

impl Default for RetryBudget {
    /// 10 in a hundred, and 10 a minute.
    fn default() -> Self {
        Self::new(10, 10)
    }
}

/// How much of it is used.
impl std::fmt::Display for RetryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (made, allowed) = self.at_present(|sum, _| sum);
        write!(f, "{made} of {allowed} retries made in the last minute")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_the_calls_and_a_few_more() {
        let budget = RetryBudget::new(10, 2);
        for _ in 0..30 {
            budget.call();
        }
        assert_eq!((0..10).filter(|_| budget.take()).count(), 5);
        assert_eq!(budget.to_string(), "5 of 5 retries made in the last minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clone_shares_the_count_and_a_minute_later_it_is_forgotten() {
        let budget = RetryBudget::new(0, 1);
        assert!(budget.clone().take());
        assert!(!budget.take());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(budget.take());
    }
}
