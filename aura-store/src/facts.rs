//! What the stores say of jobs in the trail.

use aura_core::{Job, JobId, PrdId};
use serde_json::{Value, json};

/// Which attempt of which job an entry is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) job: JobId,
    pub(crate) prd: PrdId,
    pub(crate) attempt: u32,
}

impl From<&Job> for About {
    fn from(job: &Job) -> Self {
        Self { job: job.id, prd: job.prd_id, attempt: job.attempt }
    }
}

/// What the trail says of a job: which one, whose, and what `more` adds.
pub(crate) fn facts(about: impl Into<About>, model: Option<&str>, more: Value) -> Value {
    let about = about.into();
    let mut facts = json!({ "job_id": about.job, "prd_id": about.prd, "attempt": about.attempt });
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
pub(crate) fn facts_of_all<J: Copy + Into<About>>(jobs: &[J], model: Option<&str>, more: Value) -> Value {
    let all: Vec<About> = jobs.iter().map(|job| (*job).into()).collect();
    if let [one] = *all {
        return facts(one, model, more);
    }
    let ids: Vec<_> = all.iter().map(|about| about.job).collect();
    let mut facts = json!({ "jobs": ids, "attempt": all.first().map(|about| about.attempt) });
    if let Value::Object(facts) = &mut facts {
        facts.extend(model.map(|model| ("model".to_owned(), model.into())));
        if let Value::Object(more) = more {
            facts.extend(more);
        }
    }
    facts
}

/// Jobs that go into one entry: those of the same key, in the order in which the keys appear.
pub(crate) fn groups<K: PartialEq, J>(jobs: impl Iterator<Item = (K, J)>) -> Vec<(K, Vec<J>)> {
    let mut groups: Vec<(K, Vec<J>)> = Vec::new();
    for (key, job) in jobs {
        match groups.iter_mut().rev().find(|(there, _)| *there == key) {
            Some((_, group)) => group.push(job),
            None => groups.push((key, vec![job])),
        }
    }
    groups
}
