//! Trying again what may pass the second time.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aura_core::{AdapterError, DeltaSink, Gate, GenerateRequest, Generation, ModelAdapter, Usage};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use super::{around::adapter_around_inner, ask::Ask, retry_budget::RetryBudget};

/// Said of a generation whose tries before may have cost something too.
const UNCOUNTED: &str = "an earlier try may have been billed, so that what was used up is not known";

/// Tries a call again when it failed in a way that may pass.
///
/// - Only what [`AdapterError::is_retryable`] says may pass is tried again: a 400, 401 or 404 never is. Neither is
///   [`Shut`](AdapterError::Shut), with which a layer inside has already said when to come back.
/// - The wait is what the vendor asked for (`Retry-After`), to the letter. Where it asked for nothing it is drawn evenly from
///   half of a bound up to the bound, which doubles with every try ("equal jitter"): callers do not come back all at once, and each
///   wait is longer than the one before.
/// - It gives up at once when the wait asked for is longer than [`max_wait`](Self::max_wait), when the request's own `timeout` would
///   pass before the next try, or when the [`RetryBudget`] is used up. The error is then that of the last try.
/// - A try after the first has only the rest of the request's `timeout`.
/// - In a stream, where text was given out already, it tries again only when the sink can begin anew
///   ([`DeltaSink::restart`]): what was told cannot be taken back otherwise.
/// - A generation after a try that may have been billed has no usage, and says so in its `explanation`: the last try's counts alone
///   would be stated as the cost of all. An error after such a try is [`Repeated`](AdapterError::Repeated), for the same reason.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, Retry};
/// use std::time::Duration;
/// let model = OfflineAdapter::builder("employee").build()?;
/// let model = Retry::new(model).tries(5).base(Duration::from_millis(200));
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Retry<A> {
    inner: A,
    tries: u32,
    base: Duration,
    cap: Duration,
    max_wait: Duration,
    budget: RetryBudget,
}

impl<A: ModelAdapter> Retry<A> {
    /// Tries calls to `inner` up to 3 times.
    pub fn new(inner: A) -> Self {
        Self {
            inner,
            tries: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            max_wait: Duration::from_secs(60),
            budget: RetryBudget::default(),
        }
    }

    /// How often a call is made at most, the first time included (default 3; 0 counts as 1).
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// Longest wait after the first try, where the vendor asks for none; it doubles with every further one (default 500 ms).
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Longest wait between two tries, where the vendor asks for none (default 30 s).
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Longest wait that a vendor may ask for; it gives up at once when more is asked (default 60 s).
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// What all calls together may spend on retries (default: a tenth of the calls, and 10 a minute).
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let started = Instant::now();
        self.budget.call();
        let (ask, told) = Told::watch(ask);
        let mut attempt = Cow::Borrowed(request);
        let (mut tries, mut uncounted) = (1, false);
        loop {
            let error = match ask.of(&self.inner, &attempt).await {
                Ok(mut generation) => {
                    if uncounted {
                        generation.usage = Usage::default();
                        generation.remark(UNCOUNTED);
                    }
                    return Ok(generation);
                }
                Err(error) => error,
            };
            let left = request.timeout.saturating_sub(started.elapsed());
            let last = |error| if uncounted { AdapterError::Repeated(Box::new(error)) } else { error };
            let Some(wait) = self.wait_after(&error, tries, left, draw()) else { return Err(last(error)) };
            if !self.budget.take() {
                tracing::debug!(model = %self.profile().name, "not tried again: the retry budget is used up");
                return Err(last(error));
            }
            if told.as_ref().is_some_and(|told| !told.forget()) {
                return Err(last(error));
            }
            tracing::debug!(model = %self.profile().name, tries, ?wait, "tried again");
            tokio::time::sleep(wait).await;
            tries += 1;
            uncounted |= error.may_have_been_billed();
            attempt.to_mut().timeout = left.saturating_sub(wait);
        }
    }

    /// How long to wait after `tries` tries, of which the last failed with `error`; absent when it is not to be tried again. `left`
    /// is what remains of the request's time, `drawn` a number from 0 to 1.
    fn wait_after(&self, error: &AdapterError, tries: u32, left: Duration, drawn: f64) -> Option<Duration> {
        let shut = matches!(error.last_try(), AdapterError::Shut { .. });
        if tries >= self.tries || !error.is_retryable() || shut {
            return None;
        }
        let wait = match error.retry_after() {
            Some(asked) if asked > self.max_wait => return None,
            Some(asked) => asked,
            None => {
                let doubled = self.base.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
                let bound = doubled.min(self.cap);
                Duration::try_from_secs_f64(bound.as_secs_f64() * (0.5 + drawn / 2.0)).unwrap_or(bound)
            }
        };
        (wait < left).then_some(wait)
    }

    /// How much of the retry budget is used.
    fn gate(&self) -> Gate {
        Gate { name: "retry".to_owned(), passes: true, state: self.budget.to_string() }
    }
}

/// A number from 0 to 1; 1 where the machine has no randomness to give.
fn draw() -> f64 {
    StdRng::try_from_os_rng().map_or(1.0, |mut random| random.random())
}

adapter_around_inner!(Retry, gate);

/// Knows whether any text was given out.
struct Told {
    sink: Arc<dyn DeltaSink>,
    any: AtomicBool,
}

impl Told {
    fn watch(ask: Ask) -> (Ask, Option<Arc<Self>>) {
        match ask {
            Ask::Whole => (Ask::Whole, None),
            Ask::Told(sink) => {
                let told = Arc::new(Self { sink, any: AtomicBool::new(false) });
                (Ask::Told(Arc::<Self>::clone(&told)), Some(told))
            }
        }
    }

    /// Makes what was told void; answers whether that could be.
    fn forget(&self) -> bool {
        !self.any.load(Ordering::Acquire) || self.restart()
    }
}

impl DeltaSink for Told {
    fn delta(&self, text: &str) {
        if !text.is_empty() {
            self.any.store(true, Ordering::Release);
        }
        self.sink.delta(text);
    }

    fn restart(&self) -> bool {
        let begun = self.sink.restart();
        if begun {
            self.any.store(false, Ordering::Release);
        }
        begun
    }
}
