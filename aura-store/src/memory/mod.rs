//! A store in memory: nothing survives the process, everything else holds.

mod audit;
mod jobs;
mod lives;
mod models;
mod runs;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aura_core::{Clock, SystemClock};
use tokio::sync::watch;

use state::State;

/// A store in memory, for tests, demos and benches. Cheap to clone; every clone is the same store.
///
/// # Examples
/// ```
/// let store = aura_store::MemoryStore::new();
/// # let _ = store;
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// The place of the newest audit entry.
    head: watch::Sender<i64>,
}

impl MemoryStore {
    /// An empty store that judges leases by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store that judges leases by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { state: Mutex::default(), clock, head: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// One verb: everything under one lock, so that it happens as a whole; whoever follows the log is woken after it.
    fn verb<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let now = self.shared.clock.now();
        state.now = chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
        let before = state.audit.len();
        let answer = act(&mut state);
        let after = state.audit.len();
        drop(state);
        if after > before {
            self.shared.head.send_replace(i64::try_from(after).unwrap_or(i64::MAX));
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held would be a bug here; the data is still the best there is.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
