//! A transaction that somebody holds open, as a backup does, keeps what is gone in the tables and their indexes.

use std::time::{Duration, Instant};

use aura_core::{
    Actor, JobId, LeaseProof, Model, NodeId, Outcome, Prd, Spent, Verdict,
    contract::{
        DutyStore, JobStore, RunStore,
        store::{Assignment, Claim, Each, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
use chrono::DateTime;
use serde_json::json;

use crate::scene::{LEASE, Scene, accept, new_prd, report, token, worker};

/// Jobs whose lives are over when the measurement begins.
const GONE: i64 = 10_000;
const ROUNDS: i64 = 200;

#[tokio::test]
async fn behind_a_long_transaction_no_verb_looks_through_what_is_gone() {
    let scene = Scene::new().await;
    let model = scene.model("small").await;
    let began = Instant::now();
    let mut held = scene.hand.begin().await.unwrap();
    let hold = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()";
    sqlx::raw_sql(hold).execute(&mut *held).await.unwrap();
    let model = [model.clone(), scene.model("other").await];
    lives(&scene.store, &model, GONE as usize).await;
    // The database counts nearly nothing, in many pages.
    scene.many(2).await;
    for table in ["queue", "prds_to_assess", "handed_in", "jobs", "prds", "verdicts"] {
        scene.sql(&format!("VACUUM (ANALYZE) aura.{table}")).await.unwrap();
    }
    for _ in 0..ROUNDS {
        lives(&scene.store, &model, 4).await;
    }
    scene.store.close().await;
    scene.until(NO_NODE).await;
    let read = scene.number(READ).await;
    // Once a second each scan looks whether something came back before what is gone: up to five entries for each job. What goes meanwhile
    // lies before the scans until then. One statement that reads all of it would do so in each round.
    let looks = 2 + i64::try_from(began.elapsed().as_secs()).unwrap();
    let allowed = looks * 5 * GONE + ROUNDS * GONE / 2;
    assert!(read < allowed, "{read} entries were read in {ROUNDS} rounds, where up to {allowed} may be");
    held.rollback().await.unwrap();
}

/// Entries of what is queued and of what is to be assessed.
const READ: &str = "SELECT ((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('queue', 'prds_to_assess', 'handed_in'))
    + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('queue', 'prds_to_assess', 'handed_in')))::bigint";

/// A session that ends tells what it has read.
const NO_NODE: &str = "SELECT (count(*) = 0)::int::bigint FROM pg_stat_activity WHERE application_name = 'aura' AND datname = current_database()";

/// Takes this many jobs through each verb, each the way that it may go.
async fn lives(store: &PgStore, models: &[Model; 2], jobs: usize) {
    let records: Vec<_> = (0..jobs).map(|_| new_prd(1)).collect();
    let prds: Vec<Prd> =
        all(store.submit(&records).await.unwrap()).into_iter().map(|submitted| submitted.prd).collect();
    let ids: Vec<JobId> = prds.iter().map(|prd| prd.jobs[0]).collect();
    let mut ways = ids.chunks(jobs.div_ceil(4));
    let mut next = |model: &Model| -> Vec<Assignment> {
        let assignment = |job: &JobId| Assignment { job: *job, model: model.id, probe: false, reason: json!("a test") };
        ways.next().unwrap().iter().map(assignment).collect()
    };
    let claim = |model: &Model, wanted| Claim {
        worker: worker(model.profile.name.as_str()),
        door: Door::Remote,
        wanted,
        lease: LEASE,
    };
    let any = |model: &Model| claim(model, Wanted::Any { models: vec![model.id], max: jobs.try_into().unwrap() });

    // Given to a worker who waits; given to a model that nobody works for, and taken back and forth.
    let [first, second] = models;
    let begun = store.dispatch(&next(first), &[any(first)]).await.unwrap();
    all(begun.assigned);
    let mut claimed: Vec<_> = all(begun.claimed).into_iter().flatten().collect();
    let again = next(second);
    all(store.assign(&again).await.unwrap());
    all(store.unassign(&again.iter().map(|given| given.job).collect::<Vec<_>>(), "a test").await.unwrap());
    all(store.assign(&again).await.unwrap());
    claimed.extend(store.claim(&any(second)).await.unwrap());
    // Asked for by its name; called off.
    let by_name = next(second);
    all(store.assign(&by_name).await.unwrap());
    for given in by_name.iter().take(3) {
        claimed.extend(store.claim(&claim(second, Wanted::Job(given.job))).await.unwrap());
    }
    claimed.extend(store.claim(&any(second)).await.unwrap());
    let called_off = next(first);
    all(store.assign(&called_off).await.unwrap());
    for prd in prds.iter().rev().take(called_off.len().min(3)) {
        store.cancel(prd.id, &Actor::operator(), "a test").await.unwrap();
    }
    claimed.extend(store.claim(&any(first)).await.unwrap());

    let proof = |job: &aura_core::Job| {
        let model = models.iter().find(|model| Some(model.id) == job.state.model()).unwrap();
        LeaseProof { job: job.id, worker: worker(model.profile.name.as_str()), token: Some(token(job)) }
    };
    let reports: Vec<_> = claimed.iter().map(|claimed| report(&proof(&claimed.job))).collect();
    all(store.report(&reports).await.unwrap());
    let node = NodeId::fresh();
    loop {
        let due = store.take_assessable(&node, 1_000, Duration::from_secs(60)).await.unwrap().unwrap();
        if due.is_empty() {
            break;
        }
        let of_these = claimed.iter().filter(|claimed| due.contains(&claimed.job.prd_id));
        all(store.judge(&of_these.map(|claimed| accept(&claimed.job, 0.5)).collect::<Vec<_>>()).await.unwrap());
        all(store.settle(&due.into_iter().map(verdict).collect::<Vec<_>>()).await.unwrap());
    }
}

fn verdict(prd: aura_core::PrdId) -> Verdict {
    Verdict {
        prd,
        outcome: Outcome::NobodyWon,
        entries: Vec::new(),
        why: String::new(),
        spent: Spent::default(),
        settled_at: DateTime::UNIX_EPOCH,
    }
}

fn all<T>(answers: Each<T>) -> Vec<T> {
    answers.into_iter().map(Result::unwrap).collect()
}
