//! What the database believes about its tables is old: no verb may look through them for what it is given.

use aura_core::{
    Job, JobId, LeaseProof, Model,
    contract::{
        JobStore, RunStore,
        store::{Assignment, Claim, Each, JobFilter, RunFilter, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
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
    // Each connection of the store keeps the plan that it made first; few jobs are claimed by another statement than many.
    for jobs in [1, 40].into_iter().cycle().take(12) {
        through_each_verb(&scene, &model, jobs).await;
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

#[tokio::test]
async fn what_is_read_of_one_job_by_a_plan_from_when_there_were_few_is_not_looked_for_among_all() {
    let scene = Scene::new().await;
    let model = scene.model("small").await;
    let newest = assessed(&scene, &model, 200).await;
    scene.sql("ANALYZE").await.unwrap();
    let writers = scene.number(NODES).await;
    let reader = scene.node().await;
    // Each connection keeps a plan from the sixth time on.
    read(&reader, &newest, 100).await;
    let readers = scene.number(NODES).await - writers;

    let newest = assessed(&scene, &model, 2_000).await;
    scene.store.close().await;
    while scene.number(NODES).await > readers {
        tokio::task::yield_now().await;
    }
    let before = scene.number(ENTRIES).await;
    read(&reader, &newest, READS).await;
    reader.close().await;
    while scene.number(NODES).await > 0 {
        tokio::task::yield_now().await;
    }
    let read = scene.number(ENTRIES).await - before;
    assert!(read < 200 * READS as i64, "{read} entries were read for {READS} jobs");
}

/// How often the accountant's reads are measured.
const READS: usize = 50;

/// Assesses jobs with an artifact each, and answers with the newest of them.
async fn assessed(scene: &Scene, model: &Model, jobs: usize) -> Job {
    through_each_verb(scene, model, jobs).await;
    let artifacts = "INSERT INTO model_artifacts (job_id, model_id, artifact_type, artifact)
                     SELECT id, assigned_model, 'diff', '{}' FROM jobs";
    scene.sql(artifacts).await.unwrap();
    scene.store.jobs(&JobFilter { limit: 10_000, ..JobFilter::default() }).await.unwrap().pop().unwrap()
}

/// What the accountant reads of a job, one after the other.
async fn read(store: &PgStore, job: &Job, times: usize) {
    for _ in 0..times {
        let prds = store.prds(&[job.prd_id]).await.unwrap();
        let jobs = store.jobs(&JobFilter { prd: Some(job.prd_id), limit: 10, ..JobFilter::default() }).await.unwrap();
        let runs = store.runs(&RunFilter { job: Some(job.id), limit: 10, ..RunFilter::default() }).await.unwrap();
        let pieces = store.artifacts(job.id).await.unwrap();
        assert_eq!((prds.len(), jobs.len(), runs.len()), (1, 1, 1));
        assert!(!pieces.is_empty());
    }
}

/// Entries of tables that were read, by an index or without one.
const ENTRIES: &str = "SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables)
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint";
