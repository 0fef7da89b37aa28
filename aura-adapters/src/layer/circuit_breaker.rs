//! Leaving a vendor that is down alone.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aura_core::{AdapterError, Gate, GenerateRequest, Generation, ModelAdapter};
use tokio::time::Instant;

use super::{around::adapter_around_inner, ask::Ask};

/// Most characters of an error that are shown.
const MAX_WHY: usize = 200;
/// Longest time that it is ever open, whatever is set: a year. A longer one could leave the range of the clock.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Asks nobody for a while after several failures in a row.
///
/// - *Closed*: every call passes. So many failures in a row open it; one that only an operator can mend
///   ([`needs_an_operator`](AdapterError::needs_an_operator)) opens it at once.
/// - *Open*: no call passes; each gets [`Shut`](AdapterError::Shut) with the time that remains. Its gate is shut too, so that the
///   scheduler gives the model no work.
/// - *Half-open*, when the cooldown is over: the gate is open again and exactly one call passes, as a trial. When it succeeds all
///   is as before; when it fails, the cooldown is twice as long as the last. A trial that is dropped makes room for another.
///
/// What is the model's own doing (it declined, it found no answer) counts as a success, for the vendor did its work. A request that
/// was rejected, or that a layer inside let not pass, says nothing either way.
///
/// # Examples
/// ```
/// use aura_adapters::{CircuitBreaker, OfflineAdapter};
/// use aura_core::ModelAdapter;
/// let model = CircuitBreaker::new(OfflineAdapter::builder("employee").build()?).failures(3);
/// assert_eq!(model.gates()[0].state, "closed");
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct CircuitBreaker<A> {
    inner: A,
    failures: u32,
    cooldown: Duration,
    longest_cooldown: Duration,
    circuit: Mutex<Circuit>,
}

impl<A: ModelAdapter> CircuitBreaker<A> {
    /// Opens after 5 failures in a row, for 30 s at first and 10 minutes at most.
    pub fn new(inner: A) -> Self {
        Self {
            inner,
            failures: 5,
            cooldown: Duration::from_secs(30),
            longest_cooldown: Duration::from_secs(600),
            circuit: Mutex::default(),
        }
    }

    /// How many failures in a row open it (default 5; 0 counts as 1).
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures.max(1);
        self
    }

    /// How long it stays open at first (default 30 s). Where the vendor asks to wait longer, that counts.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// How long it stays open at most (default 10 minutes).
    pub fn longest_cooldown(mut self, longest: Duration) -> Self {
        self.longest_cooldown = longest.min(YEAR);
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let pass = self.enter()?;
        let answer = ask.of(&self.inner, request).await;
        self.leave(pass, &answer);
        answer
    }

    fn enter(&self) -> Result<Pass<'_>, AdapterError> {
        let now = Instant::now();
        let mut circuit = self.circuit();
        let state = circuit.state(now);
        let period = circuit.period;
        let trial = match &mut circuit.opened {
            None => false,
            Some(opened) if opened.until <= now && !opened.trial => {
                opened.trial = true;
                true
            }
            Some(opened) => {
                // Beside a trial there is its end to wait for.
                let retry_after = opened.until.saturating_duration_since(now).max(Duration::from_secs(1));
                return Err(AdapterError::Shut {
                    gate: "circuit breaker",
                    reason: state,
                    retry_after: Some(retry_after),
                });
            }
        };
        drop(circuit);
        Ok(Pass { circuit: &self.circuit, trial, period })
    }

    fn leave(&self, pass: Pass<'_>, answer: &Result<Generation, AdapterError>) {
        let now = Instant::now();
        let mut circuit = self.circuit();
        // A call that began before the circuit opened or closed says nothing about the time after.
        let counts = circuit.period == pass.period;
        match Sign::of(answer) {
            Sign::Alive if counts => circuit.close(),
            Sign::Down(error) if counts => {
                circuit.failures = circuit.failures.saturating_add(1);
                if pass.trial || circuit.failures >= self.failures || error.needs_an_operator() {
                    circuit.open(now, error, self.cooldown, self.longest_cooldown);
                }
            }
            _ => {}
        }
        let moved = (circuit.period != pass.period && counts).then(|| circuit.state(now));
        drop(circuit);
        drop(pass);
        if let Some(state) = moved {
            tracing::warn!(model = %self.profile().name, ?state, "the circuit breaker moved");
        }
    }

    fn circuit(&self) -> std::sync::MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is open, why and for how long.
    fn gate(&self) -> Gate {
        let now = Instant::now();
        let circuit = self.circuit();
        let gate = Gate { name: "circuit breaker".to_owned(), passes: circuit.passes(now), state: circuit.state(now) };
        drop(circuit);
        gate
    }
}

adapter_around_inner!(CircuitBreaker, gate);

/// What the end of a call says about the vendor.
enum Sign<'a> {
    Alive,
    Down(&'a AdapterError),
    None,
}

impl<'a> Sign<'a> {
    fn of(answer: &'a Result<Generation, AdapterError>) -> Self {
        match answer {
            Ok(_) => Self::Alive,
            Err(error) if error.is_the_models_doing() => Self::Alive,
            Err(AdapterError::Rejected { .. } | AdapterError::Shut { .. }) => Self::None,
            Err(error) => Self::Down(error),
        }
    }
}

/// How the circuit stands.
#[derive(Debug, Default)]
struct Circuit {
    /// Failures in a row.
    failures: u32,
    opened: Option<Opened>,
    /// Grows whenever it opens or closes.
    period: u64,
}

#[derive(Debug)]
struct Opened {
    until: Instant,
    cooldown: Duration,
    why: String,
    /// Whether a trial is under way.
    trial: bool,
}

impl Circuit {
    fn passes(&self, now: Instant) -> bool {
        self.opened.as_ref().is_none_or(|opened| opened.until <= now && !opened.trial)
    }

    /// Opens it, or opens it anew for twice as long.
    fn open(&mut self, now: Instant, error: &AdapterError, cooldown: Duration, longest: Duration) {
        let cooldown = self.opened.as_ref().map_or(cooldown, |opened| opened.cooldown.saturating_mul(2)).min(longest);
        let wait = error.retry_after().map_or(cooldown, |asked| asked.clamp(cooldown, longest));
        let why = error.to_string().chars().take(MAX_WHY).collect();
        self.opened = Some(Opened { until: now + wait, cooldown, why, trial: false });
        self.period += 1;
    }

    fn close(&mut self) {
        self.failures = 0;
        self.period += u64::from(self.opened.take().is_some());
    }

    fn state(&self, now: Instant) -> String {
        let Some(opened) = &self.opened else {
            return match self.failures {
                0 => "closed".to_owned(),
                1 => "closed, 1 failure just now".to_owned(),
                n => format!("closed, {n} failures in a row just now"),
            };
        };
        let after = match self.failures {
            1 => "after 1 failure".to_owned(),
            n => format!("after {n} failures in a row"),
        };
        let why = &opened.why;
        if opened.trial {
            return format!("half-open {after} ({why}), a trial is under way");
        }
        if opened.until <= now {
            return format!("half-open {after} ({why}), the next call is a trial");
        }
        // Rounded up: it is never tried before the time that is told.
        let left = opened.until.duration_since(now).as_millis().div_ceil(1000);
        format!("open {after} ({why}), tried again in {left} s")
    }
}

/// A call that was let through. When it is dropped a trial is over, whichever way it ended.
struct Pass<'a> {
    circuit: &'a Mutex<Circuit>,
    trial: bool,
    period: u64,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.trial {
            return;
        }
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        if circuit.period == self.period
            && let Some(opened) = &mut circuit.opened
        {
            opened.trial = false;
        }
    }
}
