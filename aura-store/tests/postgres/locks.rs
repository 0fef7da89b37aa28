//! Who waits for whom: verbs take locks in one order, and hold what everybody needs only at the end.

use std::time::Duration;

use aura_core::{
    Actor, JobStatus, NewAlert, Severity,
    contract::{AuditStore, JobStore, store::Assignment},
};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::scene::{Scene, report};

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
async fn who_assigns_a_job_takes_its_place_in_the_queue_before_the_job() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    // The job of one PRD goes another way than one of several.
    let jobs = [scene.prd(1).await.jobs[0], scene.prd(2).await.jobs[0]];
    for job in jobs {
        let mut other = scene.hand.begin().await.unwrap();
        let queue = format!("SELECT FROM queue WHERE job = '{job}' FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(queue)).execute(&mut *other).await.unwrap();
        let store = scene.store.clone();
        let assignment = Assignment { job, model: model.id, probe: false, reason: json!("only one") };
        let waits = tokio::spawn(async move { store.assign(&[assignment]).await });
        scene.somebody_waits().await;
        let row = format!("SELECT FROM jobs WHERE id = '{job}' FOR UPDATE NOWAIT");
        sqlx::raw_sql(AssertSqlSafe(row)).execute(&mut *other).await.expect("the job is free");
        other.rollback().await.unwrap();
        waits.await.unwrap().unwrap().remove(0).unwrap();
        assert_eq!(scene.job(job).await.state.status(), JobStatus::Assigned);
    }
}
