//! Hands in artifacts and the report, or hands the job back.

use std::time::Duration;

use serde_json::{Value, json};

use super::Worker;
use crate::{
    artifact::{ArtifactKind, NewArtifact},
    contract::{ArtifactUpload, Claimed, Release, Report},
    engine::pace::Chain,
    error::Error,
    generation::Generation,
    job::LeaseProof,
};

impl Worker {
    /// Stores the pieces, then reports.
    pub(super) async fn deliver(&self, claimed: &Claimed, proof: &LeaseProof, generation: &Generation, took_ms: i64) {
        let items = if generation.artifacts.is_empty() {
            // Whatever the answer was, it is kept: the scorer decides what it is worth.
            vec![NewArtifact { kind: ArtifactKind::Result, body: json!({ "output": generation.output }) }]
        } else {
            generation.artifacts.clone()
        };
        let upload = ArtifactUpload {
            job: proof.job,
            model: claimed.model.clone(),
            worker: Some(proof.worker.clone()),
            token: proof.token,
            items,
        };
        let details = json!({
            "self_confidence": generation.self_confidence,
            "usage": generation.usage,
            "explanation": generation.explanation.chars().take(2000).collect::<String>(),
            "duration_ms": took_ms,
        });
        match self.insist("artifacts", || self.manager.upload_artifacts(&upload)).await {
            Some(Ok(_)) => self.report(proof, true, details).await,
            Some(Err(error)) => {
                let error = Chain(&error).to_string();
                self.report(proof, false, json!({ "error": format!("the artifacts were refused: {error}") })).await;
            }
            None => {}
        }
    }

    /// Reports; an answer that gets lost is asked for again.
    pub(super) async fn report(&self, proof: &LeaseProof, success: bool, details: Value) {
        let report = Report { proof: proof.clone(), success, details };
        if let Some(Err(error)) = self.insist("report", || self.manager.report(&report)).await {
            tracing::error!(job = %proof.job, error = %Chain(&error), "the report was refused; the lease will end by itself");
        }
    }

    /// Hands the job back undone. When that fails too, the lease ends by itself.
    pub(super) async fn hand_back(&self, proof: &LeaseProof, reason: &str, retry_after: Option<Duration>) {
        let release = Release { proof: proof.clone(), reason: reason.to_owned(), retry_after };
        if let Some(Err(error)) = self.insist("release", || self.manager.release(&release)).await {
            tracing::warn!(job = %proof.job, error = %Chain(&error), "a job could not be handed back");
        }
    }

    /// Tries until it is answered for good. `None` when the lease is lost: then nothing is left to do. It ends at the
    /// latest when the lease does, since the heartbeat beside it drops the work.
    async fn insist<T, F>(&self, what: &'static str, call: impl Fn() -> F) -> Option<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0_u32;
        loop {
            match call().await {
                Err(Error::Store(crate::contract::StoreError::LeaseLost { .. })) => return None,
                Err(error) if error.is_retryable() && tries < 10 => {
                    tracing::warn!(what, error = %Chain(&error), "the manager could not be reached and is asked again");
                    self.clock.sleep(error.retry_after().unwrap_or(Duration::from_millis(100 << tries.min(5)))).await;
                    tries += 1;
                }
                answer => return Some(answer),
            }
        }
    }
}
