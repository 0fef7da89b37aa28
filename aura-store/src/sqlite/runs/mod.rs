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

use super::SqliteStore;

#[async_trait]
impl RunStore for SqliteStore {
    async fn add_artifacts(
        &self,
        batches: &[ArtifactBatch],
        extend_to: Duration,
    ) -> Result<Each<Vec<Artifact>>, StoreError> {
        artifacts::add(self, batches, extend_to).await
    }

    async fn artifacts(&self, job: JobId) -> Result<Vec<Artifact>, StoreError> {
        artifacts::of_job(self, job).await
    }

    async fn judge(&self, judgements: &[Judgement]) -> Result<Each<RunId>, StoreError> {
        judge::judge(self, judgements).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<ModelRun>, StoreError> {
        list::runs(self, filter).await
    }

    async fn stats(&self, since: DateTime<Utc>) -> Result<Vec<ModelStats>, StoreError> {
        list::stats(self, since).await
    }

    async fn spending(&self, since: DateTime<Utc>) -> Result<Vec<Spending>, StoreError> {
        list::spending(self, since).await
    }
}
