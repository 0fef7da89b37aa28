//! Users: each submits one PRD after another, most of them under keys of its own.

use aura_core::{
    JobId, NewPrd, PrdId,
    contract::{JobStore as _, store::NewPrdRecord},
    job::JobStatus,
    prd::Limits,
};

use crate::{
    chance::Chance,
    child::Hand,
    journal::{self, Answer, Asked},
};

/// Claims that a job may use up: more than any round takes away.
const ATTEMPTS: u32 = 20;

/// Ends the name of a request without a key, which may be asked only once: sent again it would be another one.
const ONCE: &str = ":once";

/// Submits until users are to submit no more, and everything it asked for was answered, but for what may be asked only once.
pub(crate) async fn play(hand: &Hand, task: usize) {
    let mut chance = hand.chance(task);
    for key in left_open(hand, task) {
        submit(hand, &key, &mut chance).await;
    }
    for n in 0.. {
        while !hand.is_over() && too_many_wait(hand).await {
            hand.wait_for_news().await;
        }
        if hand.is_over() {
            return;
        }
        let once = if chance.one_in(3) { ONCE } else { "" };
        submit(hand, &format!("{}:{task}:{n}{once}", hand.orders.name()), &mut chance).await;
    }
}

/// Keys that the processes before this one asked with, without getting to know what came of it.
fn left_open(hand: &Hand, task: usize) -> Vec<String> {
    let mut open = Vec::new();
    for journal in journal::read(&hand.orders.folder, &format!("{}.", hand.orders.place())) {
        for (asked, answer) in journal.calls() {
            let Asked::Submit { key, .. } = asked else { continue };
            if key.ends_with(ONCE) || key.split(':').nth(1) != Some(&task.to_string()) {
                continue;
            }
            match answer {
                Some(answer) if !answer.is_unclear() => open.retain(|other| other != key),
                _ if open.contains(key) => {}
                _ => open.push(key.clone()),
            }
        }
    }
    open
}

/// Whether more jobs wait, for workers or for judges, than a round is to end with.
async fn too_many_wait(hand: &Hand) -> bool {
    let Ok(counts) = hand.store.job_counts().await else { return true };
    let waiting = counts
        .iter()
        .filter(|count| matches!(count.status, JobStatus::Queued | JobStatus::Assigned | JobStatus::Submitted));
    waiting.map(|count| count.jobs).sum::<u64>() > hand.orders.settings.waiting
}

/// Asks until there is an answer, each time with new ids, as a server would that gets the request again.
async fn submit(hand: &Hand, key: &str, chance: &mut Chance) {
    // The same request each time it is asked: it follows from the key.
    let once = key.ends_with(ONCE);
    let count = if once { 1 } else { 1 + key.bytes().map(usize::from).sum::<usize>() % 3 };
    let limits = Limits { max_attempts: ATTEMPTS, ..Limits::default() };
    let request = NewPrd::new(format!("Write {key}")).title(key).limits(limits);
    let request = if once { request } else { request.idempotency_key(key) };
    loop {
        let jobs: Vec<JobId> = (0..count).map(|_| JobId::new()).collect();
        let record = NewPrdRecord { id: PrdId::new(), request: request.clone(), pinned: None, jobs };
        let call = hand.journal.asks(Asked::Submit { key: key.to_owned(), prd: record.id, jobs: record.jobs.clone() });
        // Alone it is joined with others; with the same one again it is a batch, which answers its second item by the first.
        let batch = if !once && chance.one_in(4) { vec![record.clone(), record] } else { vec![record] };
        let outcome = hand.store.submit(&batch).await.and_then(|mut answers| answers.swap_remove(0));
        let answer =
            Answer::of(outcome, |submitted| Answer::Submitted { prd: submitted.prd.id, jobs: submitted.prd.jobs });
        hand.journal.answers(call, &answer);
        if once || !answer.is_unclear() {
            return;
        }
        hand.wait_a_little().await;
    }
}
