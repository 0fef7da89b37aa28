//! Who waits for whom: verbs take locks in one order, and hold what everybody needs only at the end.

use std::time::Duration;

use aura_core::{
    Actor, JobStatus, LeaseProof, Model, NewAlert, Severity,
    contract::{
        AuditStore, JobStore, ModelStore,
        store::{Assignment, Claim, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::scene::{LEASE, Scene, new_prd, profile, report, worker};

#[tokio::test]
async fn a_verb_that_waits_for_a_row_does_not_keep_others_from_the_audit_log() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let proof = scene.in_progress(&model).await;
    let flag = NewAlert {
        job_id: Some(proof.job),
        severity: Severity::Warning,
        rule: Some("r".to_owned()),
        reason: "look".to_owned(),
    };
    scene.store.raise(&flag, &Actor::auditor()).await.unwrap().unwrap();
    let mut other = scene.hand.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM job_flags FOR UPDATE").execute(&mut *other).await.unwrap();
    let store = scene.store.clone();
    let waits = tokio::spawn(async move { store.report(&[report(&proof)]).await });
    scene.somebody_waits().await;
    let registered = tokio::time::timeout(Duration::from_secs(5), scene.model("another"));
    registered.await.expect("it waits for nobody");
    other.rollback().await.unwrap();
    waits.await.unwrap().unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn a_claim_that_waits_for_a_row_does_not_keep_its_node_from_taking_reports() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let proof = scene.in_progress(&model).await;
    let job = scene.prd(1).await.jobs[0];
    scene.assign(job, &model).await;
    let mut other = scene.hand.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("SELECT FROM jobs WHERE id = '{job}' FOR UPDATE")))
        .execute(&mut *other)
        .await
        .unwrap();
    let (store, claim) = (scene.store.clone(), any_of(&model, "w2"));
    let waits = tokio::spawn(async move { store.claim(&claim).await });
    scene.somebody_waits().await;
    let reports = [report(&proof)];
    let reported = tokio::time::timeout(Duration::from_secs(5), scene.store.report(&reports)).await;
    reported.expect("it waits for nobody").unwrap().remove(0).unwrap();
    other.rollback().await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap().remove(0).job.id, job);
}

#[tokio::test]
async fn a_job_that_somebody_is_moving_is_passed_over_and_holds_up_neither_others_nor_who_waits_for_them() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    // The job of one PRD goes another way than one of several.
    for jobs in [1, 2] {
        let (job, free) = (scene.prd(jobs).await.jobs[0], scene.prd(1).await.jobs[0]);
        let mut other = scene.hand.begin().await.unwrap();
        let moved = format!("UPDATE jobs SET status = 'CANCELLED', reason = 'by hand' WHERE id = '{job}'");
        sqlx::raw_sql(AssertSqlSafe(moved)).execute(&mut *other).await.unwrap();
        let assignments =
            [job, free].map(|job| Assignment { job, model: model.id, probe: false, reason: json!("only one") });
        let claims = ["w1", "w2"].map(|name| any_of(&model, name));
        let done = scene.store.dispatch(&assignments, &claims).await.unwrap();
        let error = done.assigned[0].as_ref().unwrap_err().to_string();
        assert!(error.contains("is being moved by somebody else"), "{error}");
        let begun: Vec<_> = done.claimed.iter().flatten().flatten().map(|claimed| claimed.job.id).collect();
        assert_eq!(begun, [free]);
        other.rollback().await.unwrap();
        scene.assign(job, &model).await;
        assert_eq!(scene.job(job).await.state.status(), JobStatus::Assigned);
        scene.claim(job).await;
    }
}

#[tokio::test]
async fn a_flag_that_was_being_raised_when_its_job_was_begun_is_closed() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let job = scene.prd(1).await.jobs[0];
    let mut raises = scene.hand.begin().await.unwrap();
    let raised = format!(
        "SELECT id FROM jobs WHERE id = '{job}' FOR NO KEY UPDATE;
         INSERT INTO job_flags (job_id, rule, opened_at) VALUES ('{job}', 'silent', now())"
    );
    sqlx::raw_sql(AssertSqlSafe(raised)).execute(&mut *raises).await.unwrap();
    let (store, claim) = (scene.store.clone(), any_of(&model, "w"));
    let begins = tokio::spawn(async move {
        let assignment = Assignment { job, model: model.id, probe: false, reason: json!({}) };
        store.dispatch(&[assignment], &[claim]).await
    });
    scene.somebody_waits().await;
    raises.commit().await.unwrap();
    assert_eq!(begins.await.unwrap().unwrap().claimed[0].as_ref().unwrap().len(), 1);
    assert_eq!(scene.number("SELECT count(*) FROM job_flags WHERE closed_at IS NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_the_disk_itself_unless_others_wait_for_the_end_of_the_log() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let (scene, other) = on(&server).await;
    take_the_disk_away(&scene).await;
    let register = |store: &PgStore, name: &'static str| {
        let store = store.clone();
        let is_there = format!("SELECT count(*) FROM models WHERE name = '{name}'");
        (is_there, tokio::spawn(async move { store.register(&profile(name), &Actor::operator()).await }))
    };
    let (is_first_there, first) = register(&scene.store, "first");
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'").await;
    assert_eq!(scene.number(&is_first_there).await, 0, "its commit has not ended");
    // Another node's comes while the end of the log is held.
    let (is_second_there, second) = register(&other, "second");
    scene.somebody_waits().await;
    scene.sql(NOBODY_WAITS_FOR_THE_DISK).await.unwrap();
    scene.until(&is_second_there).await;
    assert!(!second.is_finished(), "it is committed, and waits for the disk");
    give_the_disk_back(&scene).await;
    for registered in [first, second] {
        registered.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_may_be_given_away_while_who_handed_it_in_waits_for_the_disk() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let (scene, _) = on(&server).await;
    take_the_disk_away(&scene).await;
    let (store, record) = (scene.store.clone(), new_prd(1));
    let (is_there, job) = (format!("SELECT count(*) FROM prds WHERE id = '{}'", record.id), record.jobs[0]);
    let submitted = tokio::spawn(async move { store.submit(&[record]).await });
    scene.until(&is_there).await;
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    assert!(!submitted.is_finished(), "nobody is told what could still be lost");
    let waiting: Vec<_> = scene.store.schedulable(9).await.unwrap().into_iter().map(|job| job.id).collect();
    assert!(waiting.contains(&job));
    give_the_disk_back(&scene).await;
    submitted.await.unwrap().unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn a_batch_that_the_next_one_waits_for_does_not_keep_it_from_beginning_until_the_disk_is_reached() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let (scene, _) = on(&server).await;
    let model = scene.model("m").await;
    let proofs = [scene.in_progress(&model).await, scene.in_progress(&model).await];
    take_the_disk_away(&scene).await;
    let hand_in = |proof: &LeaseProof| {
        let (store, report) = (scene.store.clone(), report(proof));
        tokio::spawn(async move { store.report(&[report]).await })
    };
    let mut other = scene.hand.begin().await.unwrap();
    let lock = format!("SELECT FROM jobs WHERE id = '{}' FOR UPDATE", proofs[0].job);
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *other).await.unwrap();
    let first = hand_in(&proofs[0]);
    scene.somebody_waits().await;
    let second = hand_in(&proofs[1]);
    // On this one thread it has asked for its turn before the database has answered.
    scene.number("SELECT 1::bigint").await;
    other.rollback().await.unwrap();
    scene.until(&format!("SELECT count(*) FROM jobs WHERE id = '{}' AND status = 'SUBMITTED'", proofs[0].job)).await;
    assert!(!first.is_finished(), "it is committed, and waits for the disk");
    give_the_disk_back(&scene).await;
    for reported in [first, second] {
        reported.await.unwrap().unwrap().remove(0).unwrap();
    }
}

fn any_of(model: &Model, by: &str) -> Claim {
    let wanted = Wanted::Any { models: vec![model.id], max: 1 };
    Claim { worker: worker(by), door: Door::InProcess, wanted, lease: LEASE }
}

/// Two nodes on this server.
async fn on(server: &PrivatePostgres) -> (Scene, PgStore) {
    let scene = Scene::at(server.create_database().unwrap()).await;
    let other = scene.node().await;
    // The run of the server has its name: nobody waits for that.
    scene.prd(1).await;
    (scene, other)
}

/// Who waits for the disk waits from now on for a standby that never comes.
async fn take_the_disk_away(scene: &Scene) {
    scene.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    scene.sql("SELECT pg_reload_conf()").await.unwrap();
    // Each process hears of it in its own time, and commits wait once the checkpointer has: so one is tried until it does.
    loop {
        let hand = scene.hand.clone();
        let commit =
            tokio::spawn(
                async move { sqlx::raw_sql("SELECT pg_logical_emit_message(true, '', '')").execute(&hand).await },
            );
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while !commit.is_finished() && scene.number(waits).await == 0 {}
        if !commit.is_finished() {
            scene.sql(NOBODY_WAITS_FOR_THE_DISK).await.unwrap();
            commit.await.unwrap().unwrap();
            return;
        }
    }
}

/// Ends their waits; what they committed is there.
const NOBODY_WAITS_FOR_THE_DISK: &str =
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn give_the_disk_back(scene: &Scene) {
    scene.sql("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    scene.sql("SELECT pg_reload_conf()").await.unwrap();
}
