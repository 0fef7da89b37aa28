//! HR's rule: pure, from the runs in the window to promote, demote, restrict or restore.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    evidence::EvidenceStrength,
    ids::ModelId,
    model::Model,
    run::{ModelRun, ModelStats},
    standing::{HrAction, Standing},
};

/// What HR compares with its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// The mean of `score / attainable`: a model alone on its jobs is not punished for the agreement it cannot have.
    #[default]
    Attainable,
    /// The mean of `score`, to the letter of the user's document.
    Literal,
}

/// What HR goes by. The defaults are those of the user's document (DESIGN.md, section 8).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HrSettings {
    /// Days looked back (default 30).
    pub window_days: u32,
    /// Promote at this mean or above (default 0.85).
    pub promote_at: f64,
    /// Demote under this mean (default 0.50).
    pub demote_under: f64,
    /// Runs in the window that it takes at least (default 3).
    pub min_runs: u64,
    /// What is compared (default [`Basis::Attainable`]).
    pub basis: Basis,
    /// The weakest evidence that a promotion may rest on (default [`EvidenceStrength::Twins`]): what the work could have forged counts
    /// against a model, and never for more than its place.
    pub promote_on: EvidenceStrength,
}

impl Default for HrSettings {
    fn default() -> Self {
        Self {
            window_days: 30,
            promote_at: 0.85,
            demote_under: 0.50,
            min_runs: 3,
            basis: Basis::default(),
            promote_on: EvidenceStrength::Twins,
        }
    }
}

impl HrSettings {
    /// The time looked back.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.window_days) * 86_400)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.window_days == 0 || self.window_days > 3650 {
            return Err(format!("HR_WINDOW_DAYS is {}: it must be 1 to 3650", self.window_days));
        }
        for (name, value) in [("PROMOTE_THRESHOLD", self.promote_at), ("DEMOTE_THRESHOLD", self.demote_under)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} is {value}: it must be 0 to 1"));
            }
        }
        if self.demote_under > self.promote_at {
            return Err(format!(
                "DEMOTE_THRESHOLD ({}) must not be above PROMOTE_THRESHOLD ({})",
                self.demote_under, self.promote_at
            ));
        }
        Ok(())
    }

    /// The mean that is compared; absent without runs.
    #[must_use]
    pub fn mean(&self, stats: &ModelStats) -> Option<f64> {
        match self.basis {
            Basis::Attainable => stats.mean_share(),
            Basis::Literal => stats.mean_score(),
        }
    }
}

/// How many of the best are never suspended.
const BENCH: usize = 2;

/// The best of the hired by their mean in the window: those that are never suspended. A model without runs counts behind
/// one with runs, and one on hold not at all.
pub(crate) fn bench(models: &[Model], stats: &[ModelStats], settings: &HrSettings) -> Vec<ModelId> {
    let mean = |model: &Model| stats.iter().find(|s| s.model_id == model.id).and_then(|s| settings.mean(s));
    let mut ranked: Vec<_> =
        models.iter().filter(|model| model.hold.is_none()).map(|model| (mean(model), model.id)).collect();
    ranked.sort_by(|a, b| b.0.unwrap_or(-1.0).total_cmp(&a.0.unwrap_or(-1.0)).then(a.1.cmp(&b.1)));
    ranked.into_iter().take(BENCH).map(|(_, id)| id).collect()
}

/// Decides about one model: by the document's rule, but only when it changes the standing, and never so that the bench
/// gets empty. `None` leaves things as they are.
pub(crate) fn decide(
    standing: Standing,
    stats: &ModelStats,
    on_bench: bool,
    settings: &HrSettings,
) -> Option<(HrAction, String)> {
    if stats.runs < settings.min_runs {
        return None;
    }
    let mean = settings.mean(stats)?;
    let figures = format!("mean {mean:.3} over {} runs in {} days", stats.runs, settings.window_days);
    let action = if mean >= settings.promote_at {
        match standing {
            Standing::Senior => return None,
            Standing::Trial | Standing::Member => HrAction::Promote,
            // Back first; the next look may promote.
            Standing::Restricted | Standing::Suspended => HrAction::Restore,
        }
    } else if mean < settings.demote_under {
        match (standing, on_bench) {
            (Standing::Suspended, false) | (Standing::Restricted, true) => return None,
            // A suspended model that has become one of the two best there are works again, under watch.
            (_, true) => HrAction::Restrict,
            (_, false) => HrAction::Demote,
        }
    } else {
        match standing {
            Standing::Restricted | Standing::Suspended => HrAction::Restore,
            Standing::Trial | Standing::Member | Standing::Senior => return None,
        }
    };
    let line = match action {
        HrAction::Promote => format!("{figures}, at least {:.2}", settings.promote_at),
        HrAction::Demote => format!("{figures}, under {:.2}", settings.demote_under),
        HrAction::Restrict => {
            format!("{figures}, under {:.2}, but it is one of the two best there are", settings.demote_under)
        }
        HrAction::Restore => format!("{figures}, no longer under {:.2}", settings.demote_under),
    };
    Some((action, line))
}

/// What the counting runs since `since` with evidence that is hard to forge add up to.
pub(crate) fn proven<'a>(
    model: ModelId,
    runs: impl IntoIterator<Item = &'a ModelRun>,
    since: DateTime<Utc>,
    settings: &HrSettings,
) -> ModelStats {
    let mut stats = ModelStats::none(model);
    let counted = |stored: &&ModelRun| {
        let strong = stored.run.strength.is_some_and(|strength| strength >= settings.promote_on);
        stored.created_at >= since && stored.run.counts && strong
    };
    runs.into_iter().filter(counted).for_each(|stored| stats.add(&stored.run));
    stats
}

/// A promotion, with the figures it rests on, if what is proven alone would earn it too.
pub(crate) fn promotion(reason: &str, proven: &ModelStats, settings: &HrSettings) -> Option<String> {
    let mean = settings.mean(proven)?;
    let earned = proven.runs >= settings.min_runs && mean >= settings.promote_at;
    earned.then(|| {
        format!("{reason}; {mean:.3} over the {} whose tests were at least {}", proven.runs, settings.promote_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        generation::Usage,
        ids::{JobId, PrdId, ProjectId, Role},
        run::NewRun,
        units::Score,
    };

    fn stats(runs: u64, mean: f64) -> ModelStats {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let sum = mean * runs as f64;
        ModelStats { runs, sum_score: sum, sum_share: sum, ..ModelStats::none(ModelId(1)) }
    }

    fn action(standing: Standing, runs: u64, mean: f64, on_bench: bool) -> Option<HrAction> {
        decide(standing, &stats(runs, mean), on_bench, &HrSettings::default()).map(|(action, _)| action)
    }

    #[test]
    fn two_runs_decide_nothing() {
        assert_eq!(action(Standing::Trial, 2, 1.0, false), None);
        assert_eq!(action(Standing::Trial, 2, 0.0, false), None);
    }

    #[test]
    fn the_documents_thresholds_hold_to_the_letter() {
        assert_eq!(action(Standing::Trial, 4, 0.85, false), Some(HrAction::Promote));
        assert_eq!(action(Standing::Trial, 4, 0.8499, false), None);
        assert_eq!(action(Standing::Member, 4, 0.50, false), None);
        assert_eq!(action(Standing::Member, 4, 0.4999, false), Some(HrAction::Demote));
    }

    #[test]
    fn a_promotion_rests_on_runs_that_are_hard_to_forge() {
        use EvidenceStrength::{Reported, SameProcess, SplitProcess, Twins};
        let settings = HrSettings::default();
        let run = |strength, score: f64, counts, day| ModelRun {
            id: crate::ids::RunId(1),
            run: NewRun {
                model_id: ModelId(1),
                job_id: JobId::new(),
                attempt: 1,
                prd_id: PrdId::new(),
                project_id: ProjectId(1),
                role: Role::default(),
                success: true,
                confidence: None,
                score: Score::clamped(score).unwrap(),
                attainable: Score::clamped(1.0).unwrap(),
                strength,
                counts,
                usage: Usage::default(),
                cost: None,
                details: serde_json::Value::Null,
            },
            created_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day),
        };
        let since = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(10);
        let earned = |runs: &[ModelRun]| promotion("x", &proven(ModelId(1), runs, since, &settings), &settings);
        let good = |strength| run(Some(strength), 0.9, true, 11);
        assert!(earned(&[good(Twins), good(SplitProcess), good(SplitProcess)]).unwrap().contains("0.900 over the 3"));
        for weak in [
            run(Some(SameProcess), 1.0, true, 11),
            run(Some(Reported), 1.0, true, 11),
            run(None, 1.0, true, 11),
            run(Some(SplitProcess), 1.0, false, 11),
            run(Some(SplitProcess), 1.0, true, 9),
            run(Some(SplitProcess), 0.1, true, 11),
        ] {
            assert_eq!(earned(&[good(Twins), good(SplitProcess), weak.clone()]), None, "{weak:?}");
        }
        let lenient = HrSettings { promote_on: Reported, ..settings };
        let runs = [good(Reported), good(SameProcess), good(Twins)];
        assert!(promotion("x", &proven(ModelId(1), &runs, since, &lenient), &lenient).is_some());
    }

    #[test]
    fn a_decision_is_made_once_and_not_at_every_look() {
        for (standing, mean, on_bench) in
            [(Standing::Senior, 0.9, false), (Standing::Suspended, 0.1, false), (Standing::Restricted, 0.1, true)]
        {
            assert_eq!(action(standing, 9, mean, on_bench), None, "{standing}");
        }
    }

    #[test]
    fn the_two_best_are_restricted_and_never_suspended() {
        assert_eq!(action(Standing::Member, 9, 0.1, true), Some(HrAction::Restrict));
        assert_eq!(action(Standing::Suspended, 9, 0.1, true), Some(HrAction::Restrict));
        assert_eq!(action(Standing::Restricted, 9, 0.1, false), Some(HrAction::Demote));
    }

    #[test]
    fn a_suspended_model_that_mends_comes_back() {
        assert_eq!(action(Standing::Suspended, 9, 0.6, false), Some(HrAction::Restore));
        assert_eq!(action(Standing::Suspended, 9, 0.9, false), Some(HrAction::Restore));
    }
}
