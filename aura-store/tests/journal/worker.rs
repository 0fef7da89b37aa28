//! Workers: claim, do what the lease is for, and hand in.

use std::time::Instant;

use aura_core::{
    Job, JobState, LeaseProof, WorkerId,
    contract::{
        JobStore as _, Report,
        store::{Claim, Wanted},
    },
    job::{Door, FencingToken},
};
use serde_json::json;

use crate::{
    chance::Chance,
    child::Hand,
    journal::{Answer, Asked, Held},
};

/// Most jobs that a worker claims at a time.
const MOST: u64 = 3;

pub(crate) async fn play(hand: &Hand, task: usize) {
    let mut chance = hand.chance(task);
    // The one that takes a killed worker's place has its name: only tokens tell the two apart.
    let worker = WorkerId::new(format!("{}:{task}", hand.orders.place())).unwrap();
    loop {
        let held = claim(hand, &worker, &mut chance).await;
        if held.is_empty() {
            hand.wait_for_news().await;
        }
        for held in held {
            work(hand, &worker, held, &mut chance).await;
        }
    }
}

async fn claim(hand: &Hand, worker: &WorkerId, chance: &mut Chance) -> Vec<Held> {
    let max = u32::try_from(chance.within(1..MOST + 1)).unwrap();
    let wanted = Wanted::Any { models: hand.models.iter().map(|model| model.id).collect(), max };
    let claim = Claim { worker: worker.clone(), door: Door::Remote, wanted, lease: hand.orders.settings.lease };
    let call = hand.journal.asks(Asked::Claim { worker: worker.to_string() });
    let mut held = Vec::new();
    let answer = Answer::of(hand.store.claim(&claim).await, |claimed| {
        held = claimed.iter().filter_map(|claimed| held_of(&claimed.job)).collect();
        Answer::Claimed(held.clone())
    });
    hand.journal.answers(call, &answer);
    held
}

fn held_of(job: &Job) -> Option<Held> {
    let JobState::InProgress { lease, .. } = &job.state else { return None };
    Some(Held { job: job.id, attempt: job.attempt, token: lease.token.0 })
}

async fn work(hand: &Hand, worker: &WorkerId, held: Held, chance: &mut Chance) {
    let proof = LeaseProof { job: held.job, worker: worker.clone(), token: Some(FencingToken(held.token)) };
    hand.journal.effect(held);
    let begun = Instant::now();
    for _ in 0..chance.within(0..3) {
        if beat(hand, held, &proof).await == Answer::LeaseLost {
            // What it has is handed in all the same: it must be refused.
            break;
        }
    }
    tokio::time::sleep(hand.orders.settings.work.saturating_sub(begun.elapsed())).await;
    let body = json!({ "effect": held.token, "self_confidence": 0.1 + 0.2 });
    let report = Report { proof, success: true, details: body };
    loop {
        let call = hand.journal.asks(Asked::Report { worker: worker.to_string(), held });
        let outcome =
            hand.store.report(std::slice::from_ref(&report)).await.and_then(|mut answers| answers.swap_remove(0));
        let answer = Answer::of(outcome, |reported| Answer::Taken { repeated: reported.repeated });
        hand.journal.answers(call, &answer);
        // What was taken is handed in again now and then: it must be known, or the job must have moved on.
        let again = answer.is_unclear() || (answer.is_acknowledged() && chance.one_in(10));
        if !again {
            return;
        }
        hand.wait_a_little().await;
    }
}

async fn beat(hand: &Hand, held: Held, proof: &LeaseProof) -> Answer {
    let call = hand.journal.asks(Asked::Heartbeat { held });
    let outcome = hand.store.heartbeat(std::slice::from_ref(proof), hand.orders.settings.lease).await;
    let answer = Answer::of(outcome.and_then(|mut answers| answers.swap_remove(0)), |_| Answer::Done);
    hand.journal.answers(call, &answer);
    answer
}
