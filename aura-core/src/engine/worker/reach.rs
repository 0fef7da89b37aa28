//! Whether the manager can be reached, told once at each change and not at each try.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    engine::pace::Chain,
    error::{Error, Result},
};

/// How the manager was found last.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    is_away: AtomicBool,
}

impl Reach {
    /// Takes note of what came of a call. An error that trying again does not mend is an answer too.
    pub(super) fn heard<T>(&self, what: &'static str, answer: &Result<T>) {
        match answer {
            Err(error) if error.is_retryable() => self.missed(what, error),
            _ => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!(what, "the manager answers again");
                }
            }
        }
    }

    fn missed(&self, what: &'static str, error: &Error) {
        let error = Chain(error);
        if self.is_away.swap(true, Ordering::Relaxed) {
            tracing::debug!(what, %error, "the manager still cannot be reached");
        } else {
            tracing::warn!(what, %error, "the manager cannot be reached; it is asked again until it answers");
        }
    }
}
