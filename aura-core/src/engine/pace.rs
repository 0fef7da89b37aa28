//! How a loop waits between its passes: for a bell, for the clock, longer after an error, and never past the stop.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;

use crate::{
    clock::Clock,
    engine::{
        bell::Listener,
        shutdown::{Shutdown, StopSignal},
    },
    error::{Error, Result},
};

/// What a pause ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Do another pass.
    GoOn,
    /// The orchestra stops.
    Stop,
}

/// Waits between the passes of one loop.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    stop: StopSignal,
    bell: Option<Listener>,
    failures: u32,
}

impl Pace {
    /// A loop that a bell wakes. Make it before the first pass, so that no ring is missed.
    pub(crate) fn new(clock: &Arc<dyn Clock>, shutdown: &Shutdown, bell: Listener) -> Self {
        Self { clock: Arc::clone(clock), stop: shutdown.signal(), bell: Some(bell), failures: 0 }
    }

    /// A loop that only the clock wakes.
    pub(crate) fn by_clock(clock: &Arc<dyn Clock>, shutdown: &Shutdown) -> Self {
        Self { clock: Arc::clone(clock), stop: shutdown.signal(), bell: None, failures: 0 }
    }

    /// Waits after a pass that ended so. An error is logged and doubles the wait up to 5 seconds; no loop ends for it.
    pub(crate) async fn pause(&mut self, engine: &'static str, outcome: Result<()>, interval: Duration) -> Pause {
        if self.stop.is_stopping() {
            return Pause::Stop;
        }
        let wait = match outcome {
            Ok(()) => {
                self.failures = 0;
                interval
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::error!(engine, error = %Chain(&error), "a pass failed and will be tried again");
                Duration::from_millis(100 << self.failures.min(6)).min(Duration::from_secs(5))
            }
        };
        // After an error the bell stays unheard until the wait is over, or a failing store would be hammered.
        let bell = async {
            match &mut self.bell {
                Some(bell) if self.failures == 0 => bell.rung().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.stopping() => Pause::Stop,
            () = bell => Pause::GoOn,
            () = self.clock.sleep(wait) => Pause::GoOn,
        }
    }
}

/// Runs a pass, or a part of one; when a plug-in panics in it, that is an error of the pass, and its loop goes on.
pub(crate) async fn caught<T>(pass: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(pass).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(Error::Setup(format!("a plug-in panicked: {}", text.unwrap_or("without a word"))))
        }
    }
}

/// An error with its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
