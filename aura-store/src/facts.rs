//! What the stores say of jobs in the trail.

use aura_core::Job;
use serde_json::{Value, json};

/// What the trail says of a job: which one, whose, and what `more` adds.
pub(crate) fn facts(job: &Job, model: Option<&str>, more: Value) -> Value {
    let mut facts = json!({ "job_id": job.id, "prd_id": job.prd_id, "attempt": job.attempt });
    if let Value::Object(facts) = &mut facts {
        if let Some(model) = model {
            facts.insert("model".to_owned(), model.into());
        }
        if let Value::Object(more) = more {
            facts.extend(more);
        }
    }
    facts
}

/// What the trail says of jobs that one call moved in the same way: an entry that names them all, or the entry of the one.
pub(crate) fn facts_of_all(jobs: &[&Job], model: Option<&str>, more: Value) -> Value {
    if let [one] = jobs {
        return facts(one, model, more);
    }
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let mut facts = json!({ "jobs": ids, "attempt": jobs.first().map(|job| job.attempt) });
    if let Value::Object(facts) = &mut facts {
        facts.extend(model.map(|model| ("model".to_owned(), model.into())));
        if let Value::Object(more) = more {
            facts.extend(more);
        }
    }
    facts
}

/// Jobs that go into one entry: those of the same key, in the order in which the keys appear.
pub(crate) fn groups<'j, K: PartialEq>(jobs: impl Iterator<Item = (K, &'j Job)>) -> Vec<(K, Vec<&'j Job>)> {
    let mut groups: Vec<(K, Vec<&Job>)> = Vec::new();
    for (key, job) in jobs {
        match groups.iter_mut().rev().find(|(there, _)| *there == key) {
            Some((_, group)) => group.push(job),
            None => groups.push((key, vec![job])),
        }
    }
    groups
}
