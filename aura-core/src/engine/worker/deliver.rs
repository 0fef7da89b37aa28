//! Hands in artifacts and the report, or hands the job back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Ending, Worker};
use crate::{
    artifact::{ArtifactKind, NewArtifact},
    contract::{ArtifactUpload, Release, Report, StoreError},
    engine::pace::Chain,
    error::Error,
    generation::Generation,
    ids::ModelName,
    job::LeaseProof,
};

/// The first wait before an unreachable manager is asked again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Worker {
    /// Stores the pieces, then reports.
    pub(super) async fn deliver(
        &self,
        model: &ModelName,
        proof: &LeaseProof,
        generation: &Generation,
        took_ms: i64,
    ) -> Ending {
        let items = if generation.artifacts.is_empty() {
            // Whatever the answer was, it is kept: the scorer decides what it is worth.
            vec![NewArtifact { kind: ArtifactKind::Result, body: json!({ "output": generation.output }) }]
        } else {
            generation.artifacts.clone()
        };
        let upload = ArtifactUpload {
            job: proof.job,
            model: model.clone(),
            worker: Some(proof.worker.clone()),
            token: proof.token,
            items,
        };
        let details = json!({
            "self_confidence": generation.self_confidence,
            "usage": generation.usage,
            "timings": generation.timings,
            "explanation": generation.explanation.chars().take(2000).collect::<String>(),
            "duration_ms": took_ms,
        });
        match self.insist("artifacts", || self.manager.upload_artifacts(&upload)).await {
            Some(Ok(_)) => self.report(proof, true, details).await,
            Some(Err(error)) => {
                let error = Chain(&error).to_string();
                self.report(proof, false, json!({ "error": format!("the artifacts were refused: {error}") })).await
            }
            None => Ending::Lost,
        }
    }

    /// Reports; an answer that gets lost is asked for again.
    pub(super) async fn report(&self, proof: &LeaseProof, success: bool, details: Value) -> Ending {
        let report = Report { proof: proof.clone(), success, details };
        match self.insist("report", || self.manager.report(&report)).await {
            Some(Ok(_)) if success => Ending::HandedIn,
            Some(Ok(_)) => Ending::Failed,
            Some(Err(error)) => {
                tracing::error!(job = %proof.job, error = %Chain(&error), "the report was refused; the lease will end by itself");
                Ending::Refused
            }
            None => Ending::Lost,
        }
    }

    /// Hands the job back undone. When that fails too, the lease ends by itself.
    pub(super) async fn hand_back(&self, release: &Release) -> Ending {
        let proof = &release.proof;
        match self.insist("release", || self.manager.release(release)).await {
            Some(Ok(())) => Ending::HandedBack,
            Some(Err(error)) => {
                tracing::warn!(job = %proof.job, error = %Chain(&error), "a job could not be handed back");
                Ending::Refused
            }
            None => Ending::Lost,
        }
    }

    /// Tries until it is answered for good. `None` when the lease is lost: then nothing is left to do. A manager that cannot be
    /// reached is no fault of the model's: it is asked for as long as the lease lives. The heartbeat beside it drops the work
    /// when the lease ends.
    async fn insist<T, F>(&self, what: &'static str, call: impl Fn() -> F) -> Option<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            let told = self.reach.call(what);
            let answer = call().await;
            told.ended(&answer);
            match answer {
                Err(Error::Store(StoreError::LeaseLost { .. })) => return None,
                Err(error) if error.is_retryable() => {
                    self.clock.sleep(error.retry_after().unwrap_or_default().max(wait)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                answer => return Some(answer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use async_trait::async_trait;
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::{
        artifact::Artifact,
        clock::{Clock, VirtualClock},
        contract::{Claimed, Manager, Reported, Sighting, WorkRequest},
        engine::worker::WorkerPace,
        ids::{JobId, WorkerId},
        job::Door,
    };

    /// A manager whose store is away until a moment.
    #[derive(Debug)]
    struct AwayUntil {
        back: DateTime<Utc>,
        clock: VirtualClock,
        reports: Mutex<Vec<bool>>,
    }

    impl AwayUntil {
        fn ask(&self) -> Result<(), Error> {
            if self.clock.now() < self.back {
                return Err(StoreError::Unavailable { message: "away".to_owned(), source: None }.into());
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Manager for AwayUntil {
        async fn claim(&self, _: &WorkRequest) -> Result<Vec<Claimed>, Error> {
            Ok(Vec::new())
        }
        async fn heartbeat(&self, _: &[LeaseProof]) -> Result<Vec<Result<DateTime<Utc>, Error>>, Error> {
            Ok(Vec::new())
        }
        async fn observe(&self, _: &Sighting) -> Result<(), Error> {
            Ok(())
        }
        async fn upload_artifacts(&self, _: &ArtifactUpload) -> Result<Vec<Artifact>, Error> {
            self.ask().map(|()| Vec::new())
        }
        async fn report(&self, report: &Report) -> Result<Reported, Error> {
            self.ask()?;
            self.reports.lock().unwrap().push(report.success);
            Ok(Reported { job: report.proof.job, repeated: false })
        }
        async fn release(&self, _: &Release) -> Result<(), Error> {
            self.ask()
        }
    }

    #[tokio::test]
    async fn paid_work_is_handed_in_after_an_outage_of_minutes_and_nobody_is_blamed() {
        let clock = VirtualClock::default();
        let back = clock.now() + Duration::from_secs(300);
        let manager = Arc::new(AwayUntil { back, clock: clock.clone(), reports: Mutex::default() });
        let pace = WorkerPace {
            heartbeat: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            claim_wait: Duration::from_secs(30),
            grace: Duration::from_secs(20),
        };
        let (id, machine) = (WorkerId::new("w").unwrap(), Arc::new(clock.clone()));
        let worker =
            Worker::new(id, Door::InProcess, Arc::clone(&manager) as _, Arc::new(HashMap::new()), machine, pace);
        let proof = LeaseProof { job: JobId::new(), worker: worker.id.clone(), token: None };
        let model = ModelName::new("m").unwrap();
        let generation = Generation::from_answer("x", crate::prd::Language::Python);
        let delivering = tokio::spawn(async move { worker.deliver(&model, &proof, &generation, 1).await });
        while !delivering.is_finished() {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        delivering.await.unwrap();
        assert_eq!(*manager.reports.lock().unwrap(), [true]);
        assert!(clock.now() < back + Duration::from_secs(30), "it is not asked too seldom");
    }
}
