//! HR's loop: looks at every model's window, writes what it saw and what it decided.

pub mod policy;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

pub use policy::{Basis, HrSettings};

use crate::{
    clock::Clock,
    contract::{
        Store, StoreError,
        store::{Duty, RunFilter, StandingChange},
    },
    engine::{
        bell::Bells,
        duty::Duties,
        pace::{Pace, Pause},
        settings::Settings,
        shutdown::Shutdown,
    },
    error::Result,
    ids::ModelId,
    run::{ModelScore, ModelStats},
    standing::HrAction,
    units::Score,
};

/// Changes standings.
#[derive(Debug)]
pub(crate) struct Hr {
    pub(crate) duties: Arc<Duties>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
}

impl Hr {
    /// Runs until the orchestra stops.
    pub(crate) async fn run(self, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::by_clock(&self.clock, &shutdown);
        let mut stop = shutdown.signal();
        loop {
            tokio::select! {
                () = self.duties.on_duty(Duty::Hr) => {}
                () = stop.stopping() => return,
            }
            let (outcome, wait) = match self.pass().await {
                Ok(wait) => (Ok(()), wait),
                Err(error) => (Err(error), self.settings.hr_interval),
            };
            if pace.pause("hr", outcome, wait).await == Pause::Stop {
                return;
            }
        }
    }

    /// One look at everybody, if it is time: whoever looked last, this node before a restart or another one. Answers with the time
    /// to the next.
    pub(crate) async fn pass(&self) -> Result<Duration> {
        let interval = self.settings.hr_interval;
        // Another node took the duty a moment ago: what this one would write is its matter now.
        let Some(store) = self.duties.store(Duty::Hr) else { return Ok(Duration::ZERO) };
        let settings = &self.settings.hr;
        let end = self.clock.now();
        let before = store.latest_scores().await?;
        let looked = before.iter().map(|score| score.window_end).max();
        if let Some(wait) = looked.and_then(|looked| {
            (looked - end)
                .to_std()
                .ok()
                .or_else(|| interval.checked_sub((end - looked).to_std().ok()?).filter(|wait| !wait.is_zero()))
        }) {
            return Ok(wait.min(interval));
        }
        let start = end - settings.window();
        let models = store.models().await?;
        let stats = store.stats(start).await?;
        let bench = policy::bench(&models, &stats, settings);
        let mut changes = Vec::new();
        let mut scores = Vec::new();
        for model in &models {
            let seen = stats.iter().find(|s| s.model_id == model.id).copied().unwrap_or(ModelStats::none(model.id));
            let decision = policy::decide(model.standing, &seen, bench.contains(&model.id), settings);
            let decision = match decision {
                Some((HrAction::Promote, reason)) => self
                    .proven(store.as_ref(), model.id, start)
                    .await
                    .map(|proven| policy::promotion(&reason, &proven, settings).map(|why| (HrAction::Promote, why)))?,
                other => other,
            };
            let action = decision.as_ref().map(|(action, _)| *action);
            let past = before.iter().find(|score| score.model_id == model.id);
            scores.push(ModelScore {
                model_id: model.id,
                window_start: start,
                window_end: end,
                avg_score: settings.mean(&seen).and_then(|mean| Score::clamped(mean).ok()),
                tasks_completed: seen.runs,
                promotions: past.map_or(0, |p| p.promotions) + u64::from(action == Some(HrAction::Promote)),
                penalties: past.map_or(0, |p| p.penalties)
                    + u64::from(matches!(action, Some(HrAction::Demote | HrAction::Restrict))),
            });
            if let Some((action, reason)) = decision {
                changes.push(StandingChange { model: model.id, from: model.standing, action, reason });
            }
        }
        // What HR saw is written after what it decided: a crash between the two loses a row of figures, never a decision.
        for (change, answer) in changes.iter().zip(store.change_standings(&changes).await?) {
            match answer {
                Ok(promotion) => {
                    tracing::info!(model = %change.model, action = %promotion.action, reason = change.reason, "HR decided")
                }
                Err(StoreError::Conflict { reason, .. }) => {
                    tracing::info!(model = %change.model, reason, "somebody else decided first")
                }
                Err(error) => return Err(error.into()),
            }
        }
        store.record_scores(&scores).await?;
        if !changes.is_empty() {
            self.bells.changed();
        }
        Ok(interval)
    }

    /// What a model's runs with evidence that is hard to forge add up to. Asked only when a promotion is due.
    async fn proven(&self, store: &dyn Store, model: ModelId, start: DateTime<Utc>) -> Result<ModelStats> {
        /// Runs asked for at once, and how often: what lies behind the newest 10,000 is left out.
        const PAGE: u32 = 500;
        const PAGES: usize = 20;
        let mut filter = RunFilter { model: Some(model), limit: PAGE, ..RunFilter::default() };
        let mut runs = Vec::new();
        for _ in 0..PAGES {
            let page = store.runs(&filter).await?;
            let is_last = page.len() < PAGE as usize || page.last().is_none_or(|run| run.created_at < start);
            filter.before = page.last().map(|run| run.id);
            runs.extend(page);
            if is_last {
                break;
            }
        }
        Ok(policy::proven(model, &runs, start, &self.settings.hr))
    }
}
