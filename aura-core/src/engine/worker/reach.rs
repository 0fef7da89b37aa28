//! Whether the manager can be reached, told once at each change and not at each try.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::{
    engine::pace::Chain,
    error::{Error, Result},
};

/// How the manager was found last.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    is_away: AtomicBool,
    /// Calls begun so far.
    begun: AtomicU64,
    /// Those of them that had begun when an answer last came: that they fail later is old news.
    answered: AtomicU64,
}

/// One call under way.
#[derive(Debug)]
pub(super) struct Call<'a> {
    reach: &'a Reach,
    what: &'static str,
    number: u64,
}

impl Reach {
    /// A call begins.
    pub(super) fn call(&self, what: &'static str) -> Call<'_> {
        Call { reach: self, what, number: self.begun.fetch_add(1, SeqCst) + 1 }
    }
}

impl Call<'_> {
    /// Takes note of what came of it. An error that trying again does not mend is an answer too.
    pub(super) fn ended<T>(self, answer: &Result<T>) {
        match answer {
            Err(error) if error.is_retryable() => self.missed(error),
            _ => {
                self.reach.answered.fetch_max(self.reach.begun.load(SeqCst), SeqCst);
                if self.reach.is_away.swap(false, SeqCst) {
                    tracing::info!(what = self.what, "the manager answers again");
                }
            }
        }
    }

    fn missed(self, error: &Error) {
        let (what, error) = (self.what, Chain(error));
        if self.number <= self.reach.answered.load(SeqCst) || self.reach.is_away.swap(true, SeqCst) {
            tracing::debug!(what, %error, "a call was not answered");
        } else {
            tracing::warn!(what, %error, "the manager cannot be reached; it is asked again until it answers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Result<()> {
        Err(Error::ManagerAway { message: String::new(), retry_after: None, source: None })
    }

    #[test]
    fn a_call_that_fails_after_a_later_one_was_answered_is_old_news() {
        let reach = Reach::default();
        let is_away = || reach.is_away.load(SeqCst);
        let (old, new) = (reach.call("old"), reach.call("new"));
        reach.call("first").ended(&away());
        assert!(is_away());
        new.ended(&Ok(()));
        old.ended(&away());
        assert!(!is_away());
        reach.call("next").ended(&away());
        assert!(is_away());
        reach.call("refused").ended(&Err::<(), _>(Error::Stopping));
        assert!(!is_away(), "a refusal is an answer");
    }
}
