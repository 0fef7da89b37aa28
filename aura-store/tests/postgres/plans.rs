//! What the database believes about its tables is old: no verb may look through them for what it is given.

use aura_core::{
    JobId, LeaseProof, Model,
    contract::{
        JobStore, RunStore,
        store::{Assignment, Claim, Each, Wanted},
    },
    job::Door,
};
use serde_json::json;

use crate::scene::{LEASE, Scene, accept, report, token, worker};

/// Jobs that each verb gets at once: so many that looking through all there are seems to be worth it.
const JOBS: usize = 10_000;

#[tokio::test]
async fn ten_thousand_jobs_go_through_each_verb_without_a_look_at_those_that_ended() {
    each_verb_beside(40_000).await;
}

/// A table as small as that is read as a whole more readily.
#[tokio::test]
async fn ten_thousand_jobs_go_through_each_verb_also_where_few_had_ended_when_somebody_counted() {
    each_verb_beside(8_000).await;
}

async fn each_verb_beside(ended: usize) {
    let scene = Scene::new().await;
    let model = scene.model("small").await;
    // As far as the statistics tell, all jobs there will ever be were called off.
    let called_off = format!(
        "BEGIN; SET LOCAL aura.verb = 'on';
         INSERT INTO jobs (prd_id, status) SELECT gen_random_uuid(), 'CANCELLED' FROM generate_series(1, {ended});
         COMMIT; ANALYZE"
    );
    scene.sql(&called_off).await.unwrap();
    // Each connection of the store keeps the plan that it made first.
    for _ in 0..6 {
        through_each_verb(&scene, &model, 1).await;
    }
    let before = scene.number(READ).await;
    through_each_verb(&scene, &model, JOBS).await;

    // A session that ends tells what it has read.
    scene.store.close().await;
    while scene.number(NODES).await > 0 {
        tokio::task::yield_now().await;
    }
    let read = scene.number(READ).await - before;
    assert!(read < 10 * JOBS as i64, "{read} jobs were read");
}

async fn through_each_verb(scene: &Scene, model: &Model, jobs: usize) {
    let ids = scene.many(jobs).await;

    let assignment = |job: &JobId| Assignment { job: *job, model: model.id, probe: false, reason: json!("only one") };
    let assignments: Vec<_> = ids.iter().map(assignment).collect();
    all(scene.store.assign(&assignments).await.unwrap());

    let wanted = Wanted::Any { models: vec![model.id], max: jobs.try_into().unwrap() };
    let claim = Claim { worker: worker("w1"), door: Door::Remote, wanted, lease: LEASE };
    let claimed = scene.store.claim(&claim).await.unwrap();
    assert_eq!(claimed.len(), jobs);

    let proof = |job| LeaseProof { job, worker: worker("w1"), token: Some(token(&claimed[0].job)) };
    let reports: Vec<_> = ids.iter().map(|job| report(&proof(*job))).collect();
    all(scene.store.report(&reports).await.unwrap());

    let judgements: Vec<_> = claimed.iter().map(|claimed| accept(&claimed.job, 0.5)).collect();
    all(scene.store.judge(&judgements).await.unwrap());
}

/// Rows of jobs that were read by any index, or without one.
const READ: &str = "SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname = 'jobs'";

const NODES: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aura' AND datname = current_database()";

fn all<T: std::fmt::Debug>(answers: Each<T>) {
    for answer in answers {
        answer.unwrap();
    }
}
