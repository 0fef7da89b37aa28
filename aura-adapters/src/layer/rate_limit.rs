//! Not asking a vendor more a minute than it allows.
//!
//! The crate `governor` was considered first. It counts whole cells that cannot be given back or taken later, so that an estimate of
//! tokens could not be corrected by what was really used; and its clock does not stand still with tokio's in tests. What is counted
//! here is the minute that lies behind, call by call. A bucket that is full after a rest lets twice its size pass within one
//! minute; this never lets more pass than the limit in *any* minute, and so keeps within a vendor's bucket and within a vendor's
//! window alike.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aura_core::{AdapterError, Gate, GenerateRequest, Generation, ModelAdapter, Usage};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{around::adapter_around_inner, ask::Ask, estimate};

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps within a number of requests and of tokens a minute, as vendors state them.
///
/// What a call will use is estimated before it: a third of the bytes of prompt, context and feedback, 500 for what is put around
/// them, and `max_tokens`. Afterwards the estimate is replaced by the tokens that the vendor counted. Where it counted none, or the
/// call was dropped, the estimate stays; a call that nobody was asked by is forgotten.
///
/// A call for which there is no room waits in a queue, first come first served, up to [`max_wait`](Self::max_wait); then the error is
/// [`Shut`](AdapterError::Shut) by the gate `rate limit`. A call that is larger than a whole minute's tokens passes when nothing else
/// was used for a minute. Its gate is shut while not even a small call would find room in time.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, RateLimit};
/// let model = OfflineAdapter::builder("employee").build()?;
/// let model = RateLimit::new(model).requests_per_minute(500).tokens_per_minute(200_000);
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct RateLimit<A> {
    inner: A,
    limits: Limits,
    assumed_output: u32,
    max_wait: Duration,
    /// Only the first in the queue looks for room; it has the one place.
    queue: Semaphore,
    minute: Mutex<Minute>,
    corrected: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    requests: Option<u32>,
    tokens: Option<u64>,
}

impl<A: ModelAdapter> RateLimit<A> {
    /// Limits nothing until a limit is set.
    pub fn new(inner: A) -> Self {
        Self {
            inner,
            limits: Limits { requests: None, tokens: None },
            assumed_output: 1024,
            max_wait: MINUTE,
            queue: Semaphore::new(1),
            minute: Mutex::default(),
            corrected: Notify::new(),
        }
    }

    /// How many requests may be made within any minute (default: no limit; 0 counts as 1).
    pub fn requests_per_minute(mut self, requests: u32) -> Self {
        self.limits.requests = Some(requests.max(1));
        self
    }

    /// How many tokens may be read and written within any minute (default: no limit; 0 counts as 1).
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.limits.tokens = Some(tokens.max(1));
        self
    }

    /// Tokens that an answer is taken to have when the request has no `max_tokens` (default 1024).
    pub fn assumed_output_tokens(mut self, tokens: u32) -> Self {
        self.assumed_output = tokens;
        self
    }

    /// Longest wait for room (default 60 s).
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let output = u64::from(request.max_tokens.unwrap_or(self.assumed_output));
        let entry = self.admit(estimate::input_tokens(request).saturating_add(output)).await?;
        let answer = ask.of(&self.inner, request).await;
        match &answer {
            Ok(Generation { usage, .. }) => {
                if let Some(tokens) = total(usage) {
                    self.correct(entry, 1, tokens);
                }
            }
            Err(error) if !estimate::was_asked(error) => self.correct(entry, 0, 0),
            Err(error) if !error.may_have_been_billed() => self.correct(entry, 1, 0),
            Err(_) => {}
        }
        answer
    }

    /// Waits for room and takes it; answers the number of the entry.
    async fn admit(&self, tokens: u64) -> Result<u64, AdapterError> {
        let end = Instant::now().checked_add(self.max_wait);
        let tokens = self.limits.tokens.map_or(tokens, |limit| tokens.min(limit));
        let _first = match end {
            Some(end) => match tokio::time::timeout_at(end, self.queue.acquire()).await {
                Ok(place) => place.ok(),
                Err(_late) => return Err(self.shut(tokens)),
            },
            None => self.queue.acquire().await.ok(),
        };
        loop {
            // Asked for before looking, so that a correction between the look and the wait is not missed.
            let corrected = self.corrected.notified();
            let now = Instant::now();
            let room_at = match self.with_minute(|minute| minute.take(now, self.limits, tokens)) {
                Ok(entry) => return Ok(entry),
                Err(room_at) => room_at,
            };
            if end.is_some_and(|end| room_at > end) {
                return Err(self.shut(tokens));
            }
            drop(tokio::time::timeout_at(room_at, corrected).await);
        }
    }

    fn shut(&self, tokens: u64) -> AdapterError {
        let now = Instant::now();
        let room_at = self.with_minute(|minute| minute.room_at(now, self.limits, tokens));
        AdapterError::Shut {
            gate: "rate limit",
            reason: format!("no room within {:?}: {}", self.max_wait, self.state()),
            retry_after: Some(room_at.saturating_duration_since(now)),
        }
    }

    fn correct(&self, entry: u64, requests: u32, tokens: u64) {
        self.with_minute(|minute| minute.correct(entry, requests, tokens));
        self.corrected.notify_one();
    }

    fn state(&self) -> String {
        let now = Instant::now();
        let (requests, tokens) = self.with_minute(|minute| {
            minute.forget(now);
            (minute.requests, minute.tokens)
        });
        let of = |limit: Option<u64>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
        let limits = (of(self.limits.requests.map(u64::from)), of(self.limits.tokens));
        format!("{requests}{} requests and {tokens}{} tokens in the last minute", limits.0, limits.1)
    }

    fn with_minute<T>(&self, work: impl FnOnce(&mut Minute) -> T) -> T {
        work(&mut self.minute.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was used in the last minute. It passes while a small call would find room in time.
    fn gate(&self) -> Gate {
        let now = Instant::now();
        let room_at = self.with_minute(|minute| minute.room_at(now, self.limits, 1));
        let passes = room_at.saturating_duration_since(now) <= self.max_wait;
        Gate { name: "rate limit".to_owned(), passes, state: self.state() }
    }
}

/// Tokens read and written, where both are known.
fn total(usage: &Usage) -> Option<u64> {
    usage.input_tokens.zip(usage.output_tokens).map(|(input, output)| input.saturating_add(output))
}

adapter_around_inner!(RateLimit, gate);

/// The calls of the last minute, the oldest first.
#[derive(Debug, Default)]
struct Minute {
    entries: VecDeque<Entry>,
    /// Number of the entry that will come next.
    next: u64,
    requests: u64,
    tokens: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    requests: u32,
    tokens: u64,
}

impl Minute {
    /// Takes room for one call and answers the number of its entry, or says when there will be room.
    fn take(&mut self, now: Instant, limits: Limits, tokens: u64) -> Result<u64, Instant> {
        let room_at = self.room_at(now, limits, tokens);
        if room_at > now {
            return Err(room_at);
        }
        self.entries.push_back(Entry { at: now, requests: 1, tokens });
        self.next += 1;
        self.requests += 1;
        self.tokens = self.tokens.saturating_add(tokens);
        Ok(self.next - 1)
    }

    /// When there is room for one call of so many tokens.
    fn room_at(&mut self, now: Instant, limits: Limits, tokens: u64) -> Instant {
        self.forget(now);
        let fits = |used_requests: u64, used_tokens: u64| {
            limits.requests.is_none_or(|limit| used_requests < u64::from(limit))
                && limits.tokens.is_none_or(|limit| used_tokens.saturating_add(tokens) <= limit)
        };
        let (mut requests, mut used) = (self.requests, self.tokens);
        let mut at = now;
        for entry in &self.entries {
            if fits(requests, used) {
                break;
            }
            requests = requests.saturating_sub(entry.requests.into());
            used = used.saturating_sub(entry.tokens);
            at = entry.at + MINUTE;
        }
        at
    }

    fn forget(&mut self, now: Instant) {
        while let Some(entry) = self.entries.pop_front_if(|entry| now.duration_since(entry.at) >= MINUTE) {
            self.requests = self.requests.saturating_sub(entry.requests.into());
            self.tokens = self.tokens.saturating_sub(entry.tokens);
        }
    }

    /// Puts what was really used in place of the estimate, while the entry is remembered.
    fn correct(&mut self, entry: u64, requests: u32, tokens: u64) {
        let oldest = self.next.saturating_sub(u64::try_from(self.entries.len()).unwrap_or(u64::MAX));
        let place = entry.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) else { return };
        self.requests = self.requests.saturating_sub(entry.requests.into()).saturating_add(requests.into());
        self.tokens = self.tokens.saturating_sub(entry.tokens).saturating_add(tokens);
        (entry.requests, entry.tokens) = (requests, tokens);
    }
}
