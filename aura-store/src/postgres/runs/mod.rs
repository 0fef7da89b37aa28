//! The verbs of artifacts and scored runs.

mod artifacts;
mod judge;
mod list;

use std::time::Duration;

use async_trait::async_trait;
use aura_core::{
    Artifact, JobId, ModelRun, ModelStats, RunId, Spending, StoreError,
    contract::{
        RunStore,
        store::{ArtifactBatch, Each, Judgement, RunFilter},
    },
};
use chrono::{DateTime, Utc};

use super::PgStore;
pub(super) use artifacts::{add as add_artifacts, of_each_job as pieces_of_each_job};
pub(super) use judge::judge;
pub(super) use list::of_each_job;

#[async_trait]
impl RunStore for PgStore {
    async fn add_artifacts(
        &self,
        batches: &[ArtifactBatch],
        extend_to: Duration,
    ) -> Result<Each<Vec<Artifact>>, StoreError> {
        match batches {
            [one] if self.is_joined() => Ok(vec![self.joins.artifacts.one((one.clone(), extend_to)).await]),
            many => {
                let many: Vec<_> = many.iter().map(|batch| (batch.clone(), extend_to)).collect();
                Box::pin(artifacts::add(&self.core, &many)).await
            }
        }
    }

    async fn artifacts(&self, job: JobId) -> Result<Vec<Artifact>, StoreError> {
        self.joins.pieces.one(job).await
    }

    async fn judge(&self, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
        match judgements {
            [one] if self.is_joined() => Ok(vec![self.joins.judge.one(one.clone()).await]),
            many => Box::pin(judge::judge(&self.core, many)).await,
        }
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError> {
        match filter {
            RunFilter { job: Some(job), model: None, before: None, limit } => {
                let mut runs = self.joins.runs.one(*job).await?;
                runs.truncate(*limit as usize);
                Ok(runs)
            }
            filter => list::runs(&self.core, filter).await,
        }
    }

    async fn stats(&self, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError> {
        list::stats(&self.core, since).await
    }

    async fn spending(&self, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError> {
        list::spending(&self.core, since).await
    }
}
