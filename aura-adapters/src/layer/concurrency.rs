//! Not asking a model more at once than it can take.

use aura_core::{AdapterError, Gate, GenerateRequest, Generation, ModelAdapter};
use tokio::sync::Semaphore;

use super::{around::adapter_around_inner, ask::Ask};

/// Lets so many calls through at once; the others wait their turn, first come first served.
///
/// The wait has no limit of its own: a [`Timeout`](crate::Timeout) around this layer counts it, one within does not. A call that is
/// dropped leaves the queue, or gives its place to the next. Its gate is never shut: a call that comes now waits.
///
/// # Examples
/// ```
/// use aura_adapters::{ConcurrencyLimit, OfflineAdapter};
/// use aura_core::ModelAdapter;
/// let model = ConcurrencyLimit::new(OfflineAdapter::builder("employee").concurrency(4).build()?);
/// assert_eq!(model.gates()[0].state, "0 of 4 calls under way");
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ConcurrencyLimit<A> {
    inner: A,
    limit: u16,
    places: Semaphore,
}

impl<A: ModelAdapter> ConcurrencyLimit<A> {
    /// Lets as many calls through at once as the profile's `concurrency` says.
    pub fn new(inner: A) -> Self {
        let limit = inner.profile().concurrency;
        Self { inner, limit: 1, places: Semaphore::new(1) }.limit(limit)
    }

    /// How many calls pass at once (default: the profile's `concurrency`; 0 counts as 1).
    pub fn limit(mut self, calls: u16) -> Self {
        self.limit = calls.max(1);
        self.places = Semaphore::new(self.limit.into());
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        // Nobody closes it, so there is always a place in the end.
        let _place = self.places.acquire().await.ok();
        ask.of(&self.inner, request).await
    }

    /// How many places are taken. It always passes: a call that comes now waits.
    fn gate(&self) -> Gate {
        let taken = usize::from(self.limit).saturating_sub(self.places.available_permits());
        let state = format!("{taken} of {} calls under way", self.limit);
        Gate { name: "concurrency limit".to_owned(), passes: true, state }
    }
}

adapter_around_inner!(ConcurrencyLimit, gate);
