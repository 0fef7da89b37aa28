//! What whoever tries a job again is told of the attempt before.

use super::JobManager;
use crate::{
    artifact::Submission,
    contract::store::RunFilter,
    engine::{accountant::RunDetails, pace::Chain},
    error::Result,
    evidence::TestOutcome,
    generation::Feedback,
    job::Job,
    prd::{Prd, SourceFile},
};

/// Most bytes of the work before that are shown again. A prompt has no room for more.
const MAX_WORK: usize = 256 << 10;

impl JobManager {
    /// Why the newest scored attempt was rejected; absent for a first attempt. A job is claimed without it when it cannot be read.
    pub(super) async fn feedback(&self, job: &Job, prd: &Prd) -> Option<Feedback> {
        if job.attempt < 2 {
            return None;
        }
        match self.last_rejection(job, prd).await {
            Ok(feedback) => feedback,
            Err(error) => {
                tracing::warn!(job = %job.id, error = %Chain(&error), "the attempt before could not be read");
                None
            }
        }
    }

    async fn last_rejection(&self, job: &Job, prd: &Prd) -> Result<Option<Feedback>> {
        let filter = RunFilter { job: Some(job.id), limit: 1, ..RunFilter::default() };
        let Some(run) = self.store.runs(&filter).await?.pop().map(|stored| stored.run).filter(|run| !run.success)
        else {
            return Ok(None);
        };
        let details: Option<RunDetails> = serde_json::from_value(run.details).ok();
        let Some(details) = details else { return Ok(None) };
        let pieces = self.store.artifacts(job.id).await?;
        let pieces = pieces.iter().filter(|piece| piece.attempt == run.attempt).map(|piece| &piece.content);
        let work = Submission::from_artifacts(pieces, prd.request.language);
        let size = |file: &SourceFile| file.text.len();
        let bytes = work.files.iter().map(size).sum::<usize>() + work.patches.iter().map(String::len).sum::<usize>();
        let (files, patches) = if bytes <= MAX_WORK { (work.files, work.patches) } else { Default::default() };
        let (mut failed, output) = details.tests.map(|tests| (tests.cases, tests.output)).unwrap_or_default();
        failed.retain(|case| !matches!(case.outcome, TestOutcome::Passed | TestOutcome::Skipped));
        Ok(Some(Feedback { attempt: run.attempt, why: details.why, failed, output, work: files, patches }))
    }
}
