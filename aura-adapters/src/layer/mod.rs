//! What can be put around any adapter, in any order: each layer is an adapter too.
//!
//! | layer | what it does |
//! | --- | --- |
//! | [`Trace`] | writes in the log how each call went |
//! | [`CircuitBreaker`] | leaves a vendor that is down alone for a while |
//! | [`Retry`] | tries again what may pass the second time |
//! | [`Timeout`] | ends a call that takes too long |
//! | [`ConcurrencyLimit`] | lets so many calls through at once |
//! | [`RateLimit`] | keeps within requests and tokens a minute |
//! | [`Budget`] | keeps within money and tokens for a run, a day, a project |
//! | [`Cache`] | answers again what was answered before |
//!
//! The outermost layer sees a call first. [`with_default_layers`] gives the usual ones in the usual order; [`AdapterExt`] writes any
//! other one from the inside to the outside:
//!
//! ```
//! use aura_adapters::{AdapterExt, Cap, Ledger, OfflineAdapter};
//! use std::time::Duration;
//! let ledger = Ledger::new().per_day(Cap::tokens(1_000_000));
//! let model = OfflineAdapter::builder("employee").build()?
//!     .timeout(Duration::from_secs(120))
//!     .budget(ledger)
//!     .retry()
//!     .tries(2)
//!     .circuit_breaker()
//!     .trace();
//! # Ok::<(), aura_adapters::BuildError>(())
//! ```
//!
//! To go to another model when one fails is no layer: a plan says that, so that the run counts for the model that did the work.

mod around;
mod ask;
mod budget;
mod cache;
mod circuit_breaker;
mod concurrency;
mod estimate;
mod ledger;
mod rate_limit;
mod recordings;
mod retry;
mod retry_budget;
mod timeout;
mod trace;

use std::time::Duration;

use aura_core::ModelAdapter;

pub use budget::Budget;
pub use cache::{Cache, CacheMode};
pub use circuit_breaker::CircuitBreaker;
pub use concurrency::ConcurrencyLimit;
pub use ledger::{Amount, Cap, Ledger};
pub use rate_limit::RateLimit;
pub use recordings::Recordings;
pub use retry::Retry;
pub use retry_budget::RetryBudget;
pub use timeout::Timeout;
pub use trace::Trace;

/// Puts the usual layers around an adapter: `Trace > CircuitBreaker > Retry > ConcurrencyLimit > inner`, each as it is by default.
///
/// - [`Trace`] is outermost, so that one line stands for what the caller saw, with all tries and waits.
/// - [`CircuitBreaker`] stands outside of the retries: it counts calls that failed for good, and while it is open nothing is tried.
/// - [`Retry`] stands outside of the limit, so that a call gives its place to another while it waits for the next try.
/// - [`ConcurrencyLimit`] has as many places as the profile's `concurrency`.
///
/// There is no [`Budget`], because nobody but you knows the sum, and no [`Timeout`]: every request has its own, and vendors'
/// builders have one.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, with_default_layers};
/// use aura_core::ModelAdapter;
/// let model = with_default_layers(OfflineAdapter::builder("employee").build()?);
/// let names: Vec<_> = model.gates().into_iter().map(|gate| gate.name).collect();
/// assert_eq!(names, ["circuit breaker", "retry", "concurrency limit"]);
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
pub fn with_default_layers<A: ModelAdapter>(inner: A) -> impl ModelAdapter {
    inner.concurrency_limit().retry().circuit_breaker().trace()
}

/// Puts layers around an adapter, from the inside to the outside. After each, its own setters can follow.
///
/// # Examples
/// ```
/// use aura_adapters::{AdapterExt, OfflineAdapter};
/// let model = OfflineAdapter::builder("employee").build()?.retry().tries(5).trace();
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
pub trait AdapterExt: ModelAdapter + Sized {
    /// Tries again what may pass the second time: 3 tries by default.
    fn retry(self) -> Retry<Self> {
        Retry::new(self)
    }

    /// Ends a call that takes longer than `whole`.
    fn timeout(self, whole: Duration) -> Timeout<Self> {
        Timeout::new(self).whole(whole)
    }

    /// Lets as many calls through at once as the profile's `concurrency` says.
    fn concurrency_limit(self) -> ConcurrencyLimit<Self> {
        ConcurrencyLimit::new(self)
    }

    /// Keeps within requests and tokens a minute; no limit is set by default.
    fn rate_limit(self) -> RateLimit<Self> {
        RateLimit::new(self)
    }

    /// Asks nobody for a while after 5 failures in a row.
    fn circuit_breaker(self) -> CircuitBreaker<Self> {
        CircuitBreaker::new(self)
    }

    /// Asks only while these books have money and tokens left.
    fn budget(self, ledger: Ledger) -> Budget<Self> {
        Budget::new(self, ledger)
    }

    /// Writes in the log how each call went.
    fn trace(self) -> Trace<Self> {
        Trace::new(self)
    }

    /// Answers again from these recordings what was answered before, and records the rest.
    fn cache(self, recordings: Recordings) -> Cache<Self> {
        Cache::new(self, recordings)
    }
}

impl<A: ModelAdapter> AdapterExt for A {}
