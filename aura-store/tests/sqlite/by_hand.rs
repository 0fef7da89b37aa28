//! SQL written by hand against the published tables, from another connection, beside a running store.

use std::time::Duration;

use aura_core::{
    ArtifactKind, AuditSeq, JobState, JobStatus, ModelKind, Standing, StoreError,
    contract::{
        AuditStore, JobStore, ModelStore, RunStore,
        store::{JobFilter, RunFilter},
    },
};
use chrono::DateTime;

use crate::scene::{Scene, accept, worker};

#[tokio::test]
async fn a_model_written_by_hand_gets_sane_defaults_and_works() {
    let scene = Scene::new().await;
    scene
        .sql(
            "INSERT INTO models (name, kind, endpoint, is_active, created_at)
              VALUES ('employee_ollama', 'local', 'http://127.0.0.1:11434', TRUE, CURRENT_TIMESTAMP)",
        )
        .await
        .unwrap();
    let model = scene.store.models().await.unwrap().remove(0);
    assert_eq!(model.profile.identity.provider, "unknown");
    assert_eq!(model.profile.identity.model, "employee_ollama");
    assert_eq!((model.profile.kind, model.profile.concurrency), (ModelKind::Local, 1));
    assert_eq!((model.standing, model.is_active, model.hold.clone()), (Standing::Trial, true, None));

    let job = scene.submitted(&model).await;
    scene.store.judge(&[accept(&job, 0.5)]).await.unwrap().remove(0).unwrap();
    assert_eq!(scene.job(job.id).await.state.status(), JobStatus::Validated);
}

#[tokio::test]
async fn rows_with_only_the_published_columns_are_read_back() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let record = scene.prd(1).await;
    let job = scene.submitted(&model).await;
    let (id, prd) = (job.id, record.id);
    let other = "aaaaaaaa-0000-4000-8000-000000000001";
    for sql in [
        format!("INSERT INTO jobs (id, prd_id, project_id, role, status) VALUES ('{other}', '{prd}', 7, 'reviewer', 'QUEUED')"),
        format!("INSERT INTO job_events (job_id, event_type, details) VALUES ('{id}', 'looked_at', '{{\"by\": \"me\"}}')"),
        format!("INSERT INTO model_artifacts (job_id, model_id, artifact_type, artifact) VALUES ('{id}', {m}, 'docs', '{{\"text\": \"x\"}}')", m = model.id),
        format!("INSERT INTO model_runs (model_id, job_id, project_id, success, confidence, score, details) VALUES ({m}, '{id}', 0, TRUE, 0.5, 0.9, '{{\"signals\": {{}}}}')", m = model.id),
        format!("INSERT INTO model_scores (model_id, window_start, window_end, avg_score, tasks_completed, promotions, penalties) VALUES ({m}, '2026-01-01', '2026-02-01', 0.9, 3, 0, 0)", m = model.id).replace("'2026-01-01'", "'2026-01-01 00:00:00'").replace("'2026-02-01'", "'2026-02-01 00:00:00'"),
        format!("INSERT INTO promotions (model_id, action, reason) VALUES ({m}, 'promote', 'by hand')", m = model.id),
    ] {
        scene.sql(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    let by_hand = scene.job(other.parse().unwrap()).await;
    assert_eq!((by_hand.state, by_hand.project_id.0, by_hand.max_attempts), (JobState::Queued, 7, 3));
    let jobs = scene.store.prds(&[prd]).await.unwrap().remove(0).jobs;
    assert_eq!(jobs.last(), Some(&by_hand.id));
    let event = scene.store.job_events(id).await.unwrap().pop().unwrap();
    assert_eq!((event.event_type.as_str(), event.details["by"].as_str()), ("looked_at", Some("me")));
    let artifact = scene.store.artifacts(id).await.unwrap().remove(0);
    assert_eq!((artifact.content.kind, artifact.attempt), (ArtifactKind::Docs, 1));
    let run =
        scene.store.runs(&RunFilter { job: Some(id), model: None, before: None, limit: 9 }).await.unwrap().remove(0);
    assert_eq!((run.run.prd_id, run.run.attempt, run.run.score.get()), (job.prd_id, 0, 0.9));
    let stats = scene.store.stats(DateTime::UNIX_EPOCH).await.unwrap().remove(0);
    assert_eq!((stats.runs, stats.successes, stats.sum_score), (1, 1, 0.9));
    assert_eq!(scene.store.latest_scores().await.unwrap().remove(0).tasks_completed, 3);
    assert_eq!(scene.store.promotions(None, 9).await.unwrap().remove(0).reason, "by hand");
}

#[tokio::test]
async fn a_queued_job_written_by_hand_is_done_like_any_other() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let prd = scene.prd(0).await.id;
    let id = "aaaaaaaa-0000-4000-8000-000000000002";
    scene
        .sql(&format!(
            "INSERT INTO jobs (id, prd_id, project_id, role, status) VALUES ('{id}', '{prd}', 0, 'coder', 'QUEUED')"
        ))
        .await
        .unwrap();
    let job = scene.store.schedulable(9).await.unwrap().remove(0);
    scene.assign(job.id, &model).await;
    let proof = scene.claim(job.id).await;
    scene.store.report(&[crate::scene::report(&proof)]).await.unwrap().remove(0).unwrap();
    assert_eq!(scene.store.assessable(9).await.unwrap(), [prd]);
}

#[tokio::test]
async fn what_breaks_an_invariant_is_refused_by_the_tables() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let job = scene.submitted(&model).await;
    scene.store.judge(&[accept(&job, 0.5)]).await.unwrap().remove(0).unwrap();
    let (id, m) = (job.id, model.id);
    for sql in [
        format!("UPDATE jobs SET status = 'DONE' WHERE id = '{id}'"),
        format!("UPDATE jobs SET status = 'QUEUED' WHERE id = '{id}'"),
        format!("UPDATE jobs SET score = 1.5 WHERE id = '{id}'"),
        format!("UPDATE jobs SET attempt = 4 WHERE id = '{id}'"),
        format!("INSERT INTO model_runs (model_id, job_id, score, attempt) VALUES ({m}, '{id}', 0.5, 1)"),
        format!("INSERT INTO model_runs (model_id, job_id, score) VALUES ({m}, '{id}', -0.1)"),
        format!(
            "INSERT INTO model_artifacts (job_id, model_id, artifact_type, artifact) VALUES ('{id}', {m}, 'poem', '\"x\"')"
        ),
        format!("INSERT INTO promotions (model_id, action, reason) VALUES ({m}, 'fire', '')"),
        "INSERT INTO models (name, kind) VALUES ('m', 'local')".to_owned(),
        "INSERT INTO models (name, kind) VALUES ('x', 'lunar')".to_owned(),
        "INSERT INTO models (name, kind) VALUES ('two words', 'local')".to_owned(),
        format!("INSERT INTO job_flags (job_id, rule) VALUES ('{id}', 'r'), ('{id}', 'r')"),
    ] {
        assert!(scene.sql(&sql).await.is_err(), "accepted: {sql}");
    }
}

#[tokio::test]
async fn an_unreadable_row_is_named() {
    let scene = Scene::new().await;
    let id = scene.prd(1).await.jobs[0];
    scene.sql("UPDATE jobs SET created_at = 'yesterday'").await.unwrap();
    let error = scene.store.jobs(&JobFilter::default()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what: "job", id: named, .. } if *named == id.to_string()),
        "{error}"
    );
    assert!(error.to_string().contains("created_at") && error.to_string().contains("yesterday"), "{error}");
}

#[tokio::test]
async fn a_job_put_in_progress_by_hand_has_no_lease_and_is_taken_back() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let id = scene.prd(1).await.jobs[0];
    scene.assign(id, &model).await;
    scene.sql("UPDATE jobs SET status = 'IN_PROGRESS', worker_id = 'w9'").await.unwrap();
    let JobState::InProgress { lease, .. } = scene.job(id).await.state else { panic!("not in progress") };
    assert_eq!(lease.worker, worker("w9"));
    assert!(scene.store.next_deadline().await.unwrap().is_some());
    assert_eq!(scene.store.expire(9).await.unwrap().remove(0).now, JobStatus::Queued);
}

#[tokio::test]
async fn a_write_of_another_process_wakes_whoever_waits_for_the_log() {
    let scene = Scene::new().await;
    scene.model("m").await;
    let newest = scene.newest().await;
    let minute = Duration::from_secs(60);
    let waiting = scene.store.changed(newest, minute);
    let writing = scene.sql("INSERT INTO audit_log (actor, action, details) VALUES ('me', 'something', '{}')");
    let started = std::time::Instant::now();
    let ((), written) = tokio::join!(waiting, writing);
    written.unwrap();
    assert!(started.elapsed() < minute / 2, "it waited for its timeout");
    assert_eq!(scene.store.audit(newest, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn waiting_for_the_log_ends_at_once_when_there_is_more_and_at_the_timeout_when_not() {
    let scene = Scene::new().await;
    scene.model("m").await;
    scene.store.changed(AuditSeq(0), Duration::from_secs(3600)).await;
    scene.store.changed(scene.newest().await, Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_lock_that_another_program_keeps_is_an_error_that_may_be_tried_again() {
    let scene = Scene::new().await;
    let mut other = scene.hand.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE models SET hold = NULL").execute(&mut *other).await.unwrap();
    let error = scene.store.employ(&crate::scene::profile("m")).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    other.rollback().await.unwrap();
    scene.store.employ(&crate::scene::profile("m")).await.unwrap();
}
