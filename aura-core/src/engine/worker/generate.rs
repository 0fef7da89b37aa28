//! One adapter call for one job.

use std::{panic::AssertUnwindSafe, time::Duration};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::json;

use super::Worker;
use crate::{
    contract::{AdapterError, Claimed},
    generation::{GenerateRequest, Generation},
    job::LeaseProof,
};

impl Worker {
    /// Asks the model and hands in what it answers. An error that passes hands the job back; any other is reported.
    pub(super) async fn generate_and_deliver(&self, claimed: &Claimed, proof: &LeaseProof) {
        let started = self.clock.now();
        match self.generate(claimed).await {
            Ok(generation) => self.deliver(&claimed.model, proof, &generation, self.millis_since(started)).await,
            Err(error) if error.is_retryable() => {
                let wait = error.retry_after().unwrap_or_else(|| backoff(claimed.job.attempt));
                self.hand_back(proof, &error_text(&error), Some(wait)).await;
            }
            Err(error) => {
                let details = json!({ "error": error_text(&error), "duration_ms": self.millis_since(started) });
                self.report(proof, false, details).await;
            }
        }
    }

    async fn generate(&self, claimed: &Claimed) -> Result<Generation, AdapterError> {
        let Some(adapter) = self.adapters.get(&claimed.model) else {
            return Err(AdapterError::Setup(format!("worker {} has no adapter for {}", self.id, claimed.model)));
        };
        let request = GenerateRequest::for_job(&claimed.prd, &claimed.job);
        let answer = AssertUnwindSafe(adapter.generate(&request)).catch_unwind();
        tokio::select! {
            answer = answer => match answer {
                Ok(generation) => generation,
                Err(_) => Err(AdapterError::Setup(format!("the adapter of {} panicked", claimed.model))),
            },
            () = self.clock.sleep(request.timeout) => Err(AdapterError::TimedOut(request.timeout)),
        }
    }

    fn millis_since(&self, started: DateTime<Utc>) -> i64 {
        (self.clock.now() - started).num_milliseconds()
    }
}

/// 1 s after the first attempt, doubled with each further one, at most a minute.
fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

/// An error with its causes, cut to what a job's history can bear.
fn error_text(error: &AdapterError) -> String {
    crate::engine::pace::Chain(error).to_string().chars().take(2000).collect()
}
