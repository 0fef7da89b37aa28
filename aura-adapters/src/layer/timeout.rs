//! Not waiting for ever.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aura_core::{AdapterError, DeltaSink, GenerateRequest, Generation, ModelAdapter, Wait};
use tokio::time::Instant;

use super::{around::adapter_around_inner, ask::Ask};

/// Ends a call that takes too long: its future is dropped, which ends the request.
///
/// Three waits are judged here, each only where it is set: the [whole](Self::whole) answer, its [first
/// piece](Self::first_byte), and the [idle](Self::idle) time between two pieces. The fourth, the wait for a connection, is set
/// where connections are made: `connect_timeout` of the vendors' builders (10 s by default). The error is
/// [`TimedOut`](AdapterError::TimedOut) and names the wait.
///
/// When the first piece or the idle time is judged, `generate` asks `inner` to stream, since only a stream shows them. What counts
/// is text of the answer: while a model thinks, most vendors tell nothing. An adapter that cannot stream tells all of its text at
/// the end, so that the limit for the first piece is then one for the whole answer.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, Timeout};
/// use std::time::Duration;
/// let model = OfflineAdapter::builder("employee").build()?;
/// let model = Timeout::new(model).whole(Duration::from_secs(300)).idle(Duration::from_secs(30));
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Timeout<A> {
    inner: A,
    whole: Option<Duration>,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
}

impl<A: ModelAdapter> Timeout<A> {
    /// Judges no wait until one is set.
    pub const fn new(inner: A) -> Self {
        Self { inner, whole: None, first_byte: None, idle: None }
    }

    /// Longest wait for the whole answer (default: none).
    pub const fn whole(mut self, limit: Duration) -> Self {
        self.whole = Some(limit);
        self
    }

    /// Longest wait for the first piece of the answer (default: none). A local model may have to be loaded first.
    pub const fn first_byte(mut self, limit: Duration) -> Self {
        self.first_byte = Some(limit);
        self
    }

    /// Longest wait for the next piece of an answer that has begun (default: none).
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        if self.first_byte.is_none() && self.idle.is_none() {
            let Some(limit) = self.whole else { return ask.of(&self.inner, request).await };
            let late = |_| AdapterError::TimedOut { what: Wait::Whole, limit };
            return tokio::time::timeout(limit, ask.of(&self.inner, request)).await.map_err(late)?;
        }
        let started = Instant::now();
        let watch = Arc::new(Watch::over(ask));
        let mut call = pin!(self.inner.stream(request, Arc::<Watch>::clone(&watch)));
        loop {
            let Some(next) = self.judge(started, watch.last(), Instant::now())? else { return call.await };
            if let Ok(answer) = tokio::time::timeout_at(next, &mut call).await {
                return answer;
            }
        }
    }

    /// When to look again, where anything is to be waited for.
    ///
    /// # Errors
    /// The wait that took too long.
    fn judge(&self, started: Instant, last: Option<Instant>, now: Instant) -> Result<Option<Instant>, AdapterError> {
        let piece = match last {
            None => self.first_byte.map(|limit| (Wait::FirstByte, limit, started)),
            Some(last) => self.idle.map(|limit| (Wait::NextByte, limit, last)),
        };
        let whole = self.whole.map(|limit| (Wait::Whole, limit, started));
        // The first piece wakes nobody. Whoever looks within every idle time sees it before its successor can be late.
        let look = self.idle.filter(|_| last.is_none());
        let mut next = look.and_then(|idle| now.checked_add(idle));
        for (what, limit, since) in [piece, whole].into_iter().flatten() {
            let Some(end) = since.checked_add(limit) else { continue };
            if now >= end {
                return Err(AdapterError::TimedOut { what, limit });
            }
            next = Some(next.map_or(end, |next| next.min(end)));
        }
        Ok(next)
    }
}

adapter_around_inner!(Timeout);

/// Knows when the last piece of text came.
struct Watch {
    sink: Option<Arc<dyn DeltaSink>>,
    last: Mutex<Option<Instant>>,
}

impl Watch {
    fn over(ask: Ask) -> Self {
        let sink = match ask {
            Ask::Whole => None,
            Ask::Told(sink) => Some(sink),
        };
        Self { sink, last: Mutex::default() }
    }

    fn last(&self) -> Option<Instant> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeltaSink for Watch {
    fn delta(&self, text: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if let Some(sink) = &self.sink {
            sink.delta(text);
        }
    }

    /// Where nobody listens there is nothing to be taken back.
    fn restart(&self) -> bool {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.sink.as_ref().is_none_or(|sink| sink.restart())
    }
}
