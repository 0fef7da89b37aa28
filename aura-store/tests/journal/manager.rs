//! Server processes: the one whose duty it is schedules; each judges and settles what it was given.

use std::{collections::HashSet, time::Duration};

use aura_core::{
    Job, JobState, ModelId, NewRun, Outcome, PrdId, Score, Store, StoreError, Usage, Verdict,
    contract::{
        DutyStore as _, JobStore as _, RunStore as _,
        store::{Assignment, Duty, JobFilter, Judgement, Next},
    },
    ids::NodeId,
};
use chrono::Utc;
use serde_json::json;

use crate::{
    chance::Chance,
    child::Hand,
    journal::{Answer, Asked},
};

/// How long a node may be silent before another one takes what it had.
const DUTY: Duration = Duration::from_millis(500);

/// The first task schedules, the others judge.
pub(crate) async fn play(hand: &Hand, task: usize) {
    let mut chance = hand.chance(task);
    let node = NodeId::fresh();
    loop {
        let outcome = match task {
            0 => schedule(hand, &node).await,
            _ => assess(hand, &node, &mut chance).await,
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => hand.wait_for_news().await,
            Err(_) => hand.wait_a_little().await,
        }
    }
}

/// Answers whether there was anything to do.
async fn schedule(hand: &Hand, node: &NodeId) -> Result<bool, StoreError> {
    let terms = hand.store.keep_duties(node, DUTY).await?.unwrap_or_default();
    let Some(term) = terms.iter().find(|term| term.duty == Duty::Scheduler) else { return Ok(false) };
    let Some(store) = hand.store.on_duty(term) else { return Ok(false) };
    let call = hand.journal.asks(Asked::Expire);
    let expired = store.expire(64).await;
    let answer = Answer::of(expired, |expired| Answer::Expired(expired.iter().map(|expired| expired.job).collect()));
    hand.journal.answers(call, &answer);
    let queued = store.schedulable(16).await?;
    if queued.is_empty() {
        return Ok(false);
    }
    let ids: Vec<_> = queued.iter().map(|job| job.id).collect();
    let taken: HashSet<_> = store.siblings(&ids).await?.into_iter().collect();
    assign(hand, store.as_ref(), &queued, taken).await;
    Ok(true)
}

async fn assign(hand: &Hand, store: &dyn Store, queued: &[Job], mut taken: HashSet<(PrdId, ModelId)>) {
    let mut assignments = Vec::new();
    for (n, job) in queued.iter().enumerate() {
        let free = hand.models.iter().cycle().skip(n).take(hand.models.len());
        let free = free.map(|model| model.id).find(|model| !taken.contains(&(job.prd_id, *model)));
        if let Some(model) = free {
            taken.insert((job.prd_id, model));
            assignments.push(Assignment { job: job.id, model, probe: false, reason: json!("next one") });
        }
    }
    let calls: Vec<_> =
        assignments.iter().map(|assignment| hand.journal.asks(Asked::Assign { job: assignment.job })).collect();
    match store.assign(&assignments).await {
        Ok(answers) => {
            for (call, answer) in calls.iter().zip(answers) {
                hand.journal.answers(*call, &Answer::of(answer, |()| Answer::Done));
            }
        }
        Err(error) => {
            let answer = Answer::from(error);
            calls.iter().for_each(|call| hand.journal.answers(*call, &answer));
        }
    }
}

async fn assess(hand: &Hand, node: &NodeId, chance: &mut Chance) -> Result<bool, StoreError> {
    let prds = hand.store.take_assessable(node, 16, DUTY).await?.unwrap_or_default();
    for prd in &prds {
        let jobs = hand.store.jobs(&JobFilter { prd: Some(*prd), ..JobFilter::default() }).await?;
        for job in &jobs {
            if let JobState::Submitted { model, .. } = job.state {
                judge(hand, job, model, chance).await;
            }
        }
        let jobs = hand.store.jobs(&JobFilter { prd: Some(*prd), ..JobFilter::default() }).await?;
        if jobs.iter().all(|job| job.state.status().is_final()) {
            settle(hand, *prd).await;
        }
    }
    Ok(!prds.is_empty())
}

async fn judge(hand: &Hand, job: &Job, model_id: ModelId, chance: &mut Chance) {
    let (attempt, accepted) = (job.attempt, !chance.one_in(4));
    let run = NewRun {
        cost: None,
        model_id,
        job_id: job.id,
        attempt,
        prd_id: job.prd_id,
        project_id: job.project_id,
        role: job.role.clone(),
        success: accepted,
        confidence: None,
        score: Score::new(0.5).unwrap(),
        attainable: Score::new(0.6).unwrap(),
        strength: None,
        counts: true,
        usage: Usage::default(),
        details: json!({}),
    };
    let next = if accepted { Next::Validate } else { Next::Retry { reason: "by chance".to_owned() } };
    let judgement = Judgement { run, next, tests_failed: false };
    let call = hand.journal.asks(Asked::Judge { job: job.id, attempt });
    let outcome = hand.store.judge(&[judgement]).await.and_then(|mut answers| answers.swap_remove(0));
    hand.journal.answers(call, &Answer::of(outcome, |_| Answer::Done));
}

async fn settle(hand: &Hand, prd: PrdId) {
    let verdict = Verdict {
        spent: aura_core::Spent::default(),
        prd,
        outcome: Outcome::NobodyWon,
        entries: Vec::new(),
        why: "all of its jobs have ended".to_owned(),
        settled_at: Utc::now(),
    };
    let call = hand.journal.asks(Asked::Settle { prd });
    let outcome = hand.store.settle(&[verdict]).await.and_then(|mut answers| answers.swap_remove(0));
    hand.journal.answers(call, &Answer::of(outcome, Answer::Settled));
}
