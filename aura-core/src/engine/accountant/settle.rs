//! The verdict of a PRD: pure, from its jobs and their runs.

use chrono::{DateTime, Utc};

use crate::{
    engine::accountant::{details::RunDetails, spent::spent},
    evidence::Assessment,
    ids::ModelId,
    job::{Job, JobEvent, JobState, JobStatus},
    model::Model,
    prd::Prd,
    run::ModelRun,
    units::Fraction,
    verdict::{Outcome, Verdict, VerdictEntry},
};

/// One job with the runs of its attempts, newest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished<'a> {
    pub(crate) job: &'a Job,
    pub(crate) runs: &'a [ModelRun],
    /// Its history, where it had an attempt without a run.
    pub(crate) history: &'a [JobEvent],
}

impl Finished<'_> {
    /// The run of the last attempt. One that ended without a run, its lease having ended, has none to show.
    fn last(&self) -> Option<&ModelRun> {
        self.runs.first().filter(|run| run.run.attempt == self.job.attempt)
    }
}

/// Settles a PRD whose jobs have all ended. Accepted work is ranked by its tests first, so that agreement can break ties
/// but never outrank them, then by score, then by who was first.
pub(crate) fn settle(prd: &Prd, finished: &[Finished<'_>], models: &[Model], now: DateTime<Utc>) -> Verdict {
    let mut entries: Vec<VerdictEntry> = finished.iter().map(|finished| entry(*finished, models)).collect();
    entries.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.job.cmp(&b.job)));
    let (outcome, why) = match entries.first().filter(|entry| entry.status == JobStatus::Validated) {
        Some(VerdictEntry { job, model: Some(model), assessment: Some(assessment), .. }) => {
            let accepted = entries.iter().filter(|entry| entry.status == JobStatus::Validated).count();
            let proof = match assessment.signals.test_score {
                Some(_) => "its tests pass",
                None if prd.request.tests.is_some() => "its tests were NOT run, so this is unproven",
                None => "the PRD has no tests, so this is unproven",
            };
            let why = format!(
                "{model} won with {:.3} of {:.3} attainable ({proof}); {accepted} of {} accepted",
                assessment.score.get(),
                assessment.attainable.get(),
                entries.len()
            );
            (Outcome::Won { job: *job, model: model.clone(), score: assessment.score }, why)
        }
        _ if entries.iter().all(|entry| entry.status == JobStatus::Cancelled) => {
            (Outcome::Cancelled, "every job was called off".to_owned())
        }
        _ => {
            let reasons: Vec<_> = entries.iter().map(|entry| format!("{}: {}", label(entry), entry.why)).collect();
            (Outcome::NobodyWon, format!("no work was accepted: {}", reasons.join("; ")))
        }
    };
    let spent = finished.iter().flat_map(|finished| spent(*finished, models)).sum();
    Verdict { prd: prd.id, outcome, entries, why, spent, settled_at: now }
}

fn label(entry: &VerdictEntry) -> String {
    entry.model.as_ref().map_or_else(|| format!("job {}", entry.job), ToString::to_string)
}

fn rank(entry: &VerdictEntry) -> (bool, Option<Fraction>, Option<crate::units::Score>) {
    let accepted = entry.status == JobStatus::Validated;
    let assessment = entry.assessment.as_ref();
    (accepted, assessment.and_then(|a| a.signals.test_score), assessment.map(|a| a.score))
}

fn entry(finished: Finished<'_>, models: &[Model]) -> VerdictEntry {
    let (job, run) = (finished.job, finished.last());
    let model = run.map(|run| run.run.model_id).or(job.state.model()).or(job.tried.last().copied());
    let model = model.and_then(|id: ModelId| models.iter().find(|model| model.id == id));
    let details: Option<RunDetails> = run.and_then(|run| serde_json::from_value(run.run.details.clone()).ok());
    let why = match (&job.state, &details) {
        (JobState::Failed { reason, .. } | JobState::Cancelled { reason }, _) => reason.clone(),
        (_, Some(details)) => details.why.clone(),
        (state, None) => format!("ended as {}", state.status()),
    };
    VerdictEntry {
        job: job.id,
        model: model.map(|model| model.profile.name.clone()),
        status: job.state.status(),
        attempts: job.attempt,
        strength: details.as_ref().and_then(|details| details.tests.as_ref()).map(|tests| tests.strength),
        isolation: details.as_ref().and_then(|details| details.tests.as_ref()).map(|tests| tests.isolation),
        tests: details.as_ref().and_then(|details| details.tests.as_ref()).map(|tests| tests.count),
        stub: details.as_ref().and_then(|details| details.stub.clone()),
        spent: spent(finished, models).into_iter().sum(),
        assessment: run.zip(details).map(|(run, details)| Assessment {
            signals: details.signals,
            penalties: details.penalties,
            components: details.components,
            score: run.run.score,
            attainable: run.run.attainable,
        }),
        why,
    }
}
