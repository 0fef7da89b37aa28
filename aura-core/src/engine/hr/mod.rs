//! HR's loop: looks at every model's window, writes what it saw and what it decided.

pub mod policy;

use std::sync::Arc;

pub use policy::{Basis, HrSettings};

use crate::{
    clock::Clock,
    contract::{Store, StoreError, store::StandingChange},
    engine::{
        bell::Bells,
        pace::{Pace, Pause},
        settings::Settings,
        shutdown::Shutdown,
    },
    error::Result,
    run::{ModelScore, ModelStats},
    standing::HrAction,
    units::Score,
};

/// Changes standings.
#[derive(Debug)]
pub(crate) struct Hr {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
}

impl Hr {
    /// Runs until the orchestra stops.
    pub(crate) async fn run(self, shutdown: Arc<Shutdown>) {
        let mut pace = Pace::by_clock(&self.clock, &shutdown);
        loop {
            let outcome = self.pass().await;
            if pace.pause("hr", outcome, self.settings.hr_interval).await == Pause::Stop {
                return;
            }
        }
    }

    /// One look at everybody.
    pub(crate) async fn pass(&self) -> Result<()> {
        let settings = &self.settings.hr;
        let end = self.clock.now();
        let start = end - settings.window();
        let models = self.store.models().await?;
        let stats = self.store.stats(start).await?;
        let bench = policy::bench(&models, &stats, settings);
        let before = self.store.latest_scores().await?;
        let mut changes = Vec::new();
        let mut scores = Vec::new();
        for model in &models {
            let seen = stats.iter().find(|s| s.model_id == model.id).copied().unwrap_or(ModelStats::none(model.id));
            let decision = policy::decide(model.standing, &seen, bench.contains(&model.id), settings);
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
        for (change, answer) in changes.iter().zip(self.store.change_standings(&changes).await?) {
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
        self.store.record_scores(&scores).await?;
        if !changes.is_empty() {
            self.bells.schedule.ring();
        }
        Ok(())
    }
}
