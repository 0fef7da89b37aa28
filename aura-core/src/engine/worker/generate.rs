//! One adapter call for one job.

use std::{panic::AssertUnwindSafe, time::Duration};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::json;

use super::{Ending, Worker};
use crate::{
    contract::{AdapterError, Claimed, Release, Wait},
    generation::{GenerateRequest, Generation},
    job::LeaseProof,
};

impl Worker {
    /// Asks the model and hands in what it answers. What the model itself failed at is reported, and counts. Any other error is the
    /// fault of a key, a network or a vendor: it hands the job back, for another model where there is one. Where a gate of our own was
    /// shut and says until when, nobody was asked, and the attempt is given back as well.
    pub(super) async fn generate_and_deliver(&self, claimed: &Claimed, proof: &LeaseProof) -> Ending {
        let started = self.clock.now();
        match self.generate(claimed).await {
            Ok(generation) => self.deliver(&claimed.model, proof, &generation, self.millis_since(started)).await,
            Err(error) if !error.is_the_models_doing() => {
                let wait = retry_wait(&error, claimed.job.attempt);
                let blameless = matches!(error, AdapterError::Shut { retry_after: Some(_), .. });
                let (proof, reason) = (proof.clone(), error_text(&error));
                let unbilled = !error.may_have_been_billed();
                self.hand_back(&Release { proof, reason, retry_after: Some(wait), blameless, unbilled }).await
            }
            Err(error) => {
                let details = json!({ "error": error_text(&error), "duration_ms": self.millis_since(started) });
                self.report(proof, false, details).await
            }
        }
    }

    async fn generate(&self, claimed: &Claimed) -> Result<Generation, AdapterError> {
        let Some(adapter) = self.adapters.get(&claimed.model) else {
            return Err(AdapterError::Setup(format!("worker {} has no adapter for {}", self.id, claimed.model)));
        };
        let request = GenerateRequest::for_job(claimed);
        let answer = AssertUnwindSafe(adapter.generate(&request)).catch_unwind();
        tokio::select! {
            answer = answer => match answer {
                Ok(generation) => generation,
                Err(_) => {
                    let panicked = AdapterError::Setup(format!("the adapter of {} panicked", claimed.model));
                    // It may have asked before it did.
                    Err(AdapterError::Repeated(Box::new(panicked)))
                }
            },
            () = self.clock.sleep(request.timeout) => {
                Err(AdapterError::TimedOut { what: Wait::Whole, limit: request.timeout })
            }
        }
    }

    fn millis_since(&self, started: DateTime<Utc>) -> i64 {
        (self.clock.now() - started).num_milliseconds()
    }
}

/// Longest time that a job waits for its next attempt: a vendor may name any, and another model may be free at once.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// As long as the vendor asks for, else the [`backoff`]; within [`LONGEST_WAIT`].
fn retry_wait(error: &AdapterError, attempt: u32) -> Duration {
    error.retry_after().unwrap_or_else(|| backoff(attempt)).min(LONGEST_WAIT)
}

/// 1 s after the first attempt, doubled with each further one.
fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(6))
}

/// An error with its causes, cut to what a job's history can bear.
fn error_text(error: &AdapterError) -> String {
    crate::engine::pace::Chain(error).to_string().chars().take(2000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_a_minute_at_most_whatever_the_vendor_asks_for() {
        let busy = |retry_after| AdapterError::Busy { provider: "p".into(), message: String::new(), retry_after };
        let wait = |seconds, attempt| retry_wait(&busy(seconds), attempt).as_secs();
        assert_eq!(wait(Some(Duration::from_secs(7)), 1), 7);
        assert_eq!(wait(Some(Duration::from_secs(86_400)), 1), 60);
        assert_eq!((wait(None, 1), wait(None, 3), wait(None, 30)), (1, 4, 60));
    }
}
