//! What the attempts of a job used up, those without a run included: pure.

use serde_json::Value;

use super::settle::Finished;
use crate::{
    job::JobEvent,
    model::Model,
    money::{Price, Usd},
    run::{ModelRun, Spent},
};

/// One part for each attempt. An attempt without a run, handed back or cut off, is nothing where its worker was certain of that;
/// else it is not known what it used up, and of a model that asks for money not what it cost.
pub(super) fn spent(finished: Finished<'_>, models: &[Model]) -> Vec<Spent> {
    let has_a_run = |attempt: &u32| finished.runs.iter().any(|run| run.run.attempt == *attempt);
    let without = (1..=finished.job.attempt).filter(|attempt| !has_a_run(attempt));
    let without = without.map(|attempt| without_a_run(end_of(finished.history, attempt), models));
    finished.runs.iter().map(ModelRun::spent).chain(without).collect()
}

/// What the history says of the end of an attempt.
fn end_of(history: &[JobEvent], attempt: u32) -> Option<&Value> {
    let ends = history.iter().filter(|event| matches!(event.event_type.as_str(), "job.requeued" | "job.failed"));
    ends.map(|event| &event.details)
        .find(|details| details.get("attempt").and_then(Value::as_u64) == Some(attempt.into()))
}

fn without_a_run(end: Option<&Value>, models: &[Model]) -> Spent {
    let Some(end) = end else { return Spent::default() };
    if end.get("unbilled").and_then(Value::as_bool) == Some(true) {
        return Spent::NOTHING;
    }
    let name = end.get("model").and_then(Value::as_str);
    let model = models.iter().find(|model| name == Some(model.profile.name.as_str()));
    let is_free = model.is_some_and(|model| model.profile.price == Some(Price::FREE));
    Spent { cost: is_free.then_some(Usd::ZERO), ..Spent::default() }
}
