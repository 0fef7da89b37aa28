//! SQL written by hand against the published tables, from another connection, beside a running store.

use aura_core::{
    Action, Actor, ArtifactKind, AuditSeq, JobState, JobStatus, ModelKind, NewAlert, Severity, Standing,
    audit::NewEntry,
    contract::{
        AuditStore, DutyStore, JobStore, ModelStore, RunStore,
        store::{JobFilter, RunFilter},
    },
    ids::NodeId,
};
use aura_testbed::PrivatePostgres;
use chrono::DateTime;
use serde_json::json;

use sqlx::{AssertSqlSafe, postgres::PgListener};

use crate::scene::{LEASE, Scene, accept, new_prd, report};

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
    assert_eq!((model.profile.identity.provider.as_str(), model.profile.kind), ("unknown", ModelKind::Local));
    assert_eq!((model.standing, model.is_active), (Standing::Trial, true));
    let job = scene.submitted(&model).await;
    scene.store.judge(&[accept(&job, 0.5)]).await.unwrap().remove(0).unwrap();
    assert_eq!(scene.job(job.id).await.state.status(), JobStatus::Validated);
}

#[tokio::test]
async fn rows_with_only_the_published_columns_are_read_back_from_any_session() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let prd = scene.prd(1).await.id;
    let job = scene.submitted(&model).await;
    let (id, m, other) = (job.id, model.id, "aaaaaaaa-0000-4000-8000-000000000001");
    // A session with its usual search_path names the schema: triggers and defaults work for it all the same.
    scene.sql("SET search_path TO public").await.unwrap();
    for sql in [
        format!(
            "INSERT INTO aura.jobs (id, prd_id, project_id, role, status) VALUES ('{other}', '{prd}', 7, 'reviewer', 'QUEUED')"
        ),
        format!(
            "INSERT INTO aura.job_events (job_id, event_type, details) VALUES ('{id}', 'looked_at', '{{\"by\": \"me\"}}')"
        ),
        format!(
            "INSERT INTO aura.model_artifacts (job_id, model_id, artifact_type, artifact) VALUES ('{id}', {m}, 'docs', '{{\"text\": \"x\"}}')"
        ),
        format!(
            "INSERT INTO aura.model_runs (model_id, job_id, project_id, success, confidence, score, details) VALUES ({m}, '{id}', 0, TRUE, 0.5, 0.9, '{{\"signals\": {{}}}}')"
        ),
        format!(
            "INSERT INTO aura.model_scores (model_id, window_start, window_end, avg_score, tasks_completed, promotions, penalties) VALUES ({m}, '2026-01-01', '2026-02-01', 0.9, 3, 0, 0)"
        ),
        format!("INSERT INTO aura.promotions (model_id, action, reason) VALUES ({m}, 'promote', 'by hand')"),
        "INSERT INTO aura.audit_log (actor, action, details) VALUES ('me', 'something', '{}')".to_owned(),
    ] {
        scene.sql(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let by_hand = scene.job(other.parse().unwrap()).await;
    assert_eq!((by_hand.state, by_hand.project_id.0, by_hand.max_attempts), (JobState::Queued, 7, 3));
    assert!(scene.store.prds(&[prd]).await.unwrap().remove(0).jobs.contains(&by_hand.id));
    let events = scene.store.job_events(id).await.unwrap();
    assert!(events.iter().any(|event| event.event_type == "looked_at" && event.details["by"] == "me"), "{events:?}");
    let artifact = scene.store.artifacts(id).await.unwrap().remove(0);
    assert_eq!((artifact.content.kind, artifact.attempt), (ArtifactKind::Docs, 1));
    let filter = RunFilter { job: Some(id), ..RunFilter::default() };
    let run = scene.store.runs(&filter).await.unwrap().remove(0);
    assert_eq!((run.run.attempt, run.run.score.get()), (0, 0.9));
    let stats = scene.store.stats(DateTime::UNIX_EPOCH).await.unwrap().remove(0);
    assert_eq!((stats.runs, stats.successes, stats.sum_score), (1, 1, 0.9));
    assert_eq!(scene.store.latest_scores().await.unwrap().remove(0).tasks_completed, 3);
    assert_eq!(scene.store.promotions(None, 9).await.unwrap().remove(0).reason, "by hand");
    let counts = scene.store.job_counts().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.jobs).sum::<u64>(), 3, "{counts:?}");
}

#[tokio::test]
async fn a_job_moved_by_hand_is_counted_and_looked_at() {
    let scene = Scene::new().await;
    let record = scene.prd(1).await;
    let id = record.jobs[0];
    scene.sql(&format!("UPDATE jobs SET status = 'FAILED', reason = 'enough' WHERE id = '{id}'")).await.unwrap();
    assert_eq!(scene.store.assessable(9).await.unwrap(), [record.id]);
    let counts = scene.store.job_counts().await.unwrap();
    assert_eq!((counts.len(), counts[0].status, counts[0].jobs), (1, JobStatus::Failed, 1));
    let failed = JobFilter { status: Some(JobStatus::Failed), ..JobFilter::default() };
    assert_eq!(scene.store.jobs(&failed).await.unwrap().remove(0).id, id);
    scene.sql(&format!("DELETE FROM jobs WHERE id = '{id}'")).await.unwrap();
    assert_eq!(scene.store.jobs(&failed).await.unwrap(), []);
    assert_eq!(scene.number("SELECT count(*) FROM ended_jobs").await, 0);
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
        format!("UPDATE jobs SET score = 'NaN' WHERE id = '{id}'"),
        format!("UPDATE jobs SET attempt = 4 WHERE id = '{id}'"),
        format!("UPDATE jobs SET attempt = -1 WHERE id = '{id}'"),
        format!("UPDATE jobs SET max_attempts = 0, attempt = 0 WHERE id = '{id}'"),
        format!("UPDATE jobs SET lease_token = -1 WHERE id = '{id}'"),
        format!("UPDATE jobs SET door = 'window' WHERE id = '{id}'"),
        format!("UPDATE jobs SET score = NULL WHERE id = '{id}'"),
        format!("UPDATE jobs SET assigned_model = NULL WHERE id = '{id}'"),
        "INSERT INTO jobs (prd_id, status) VALUES (gen_random_uuid(), 'ASSIGNED')".to_owned(),
        "INSERT INTO jobs (prd_id, status, assigned_model) VALUES (gen_random_uuid(), 'IN_PROGRESS', 1)".to_owned(),
        format!("UPDATE jobs SET worker_id = 'two words' WHERE id = '{id}'"),
        format!("UPDATE jobs SET prd_id = gen_random_uuid() WHERE id = '{id}'"),
        format!("INSERT INTO model_runs (model_id, job_id, score, attempt) VALUES ({m}, '{id}', 0.5, 1)"),
        format!("INSERT INTO model_runs (model_id, job_id, score) VALUES ({m}, '{id}', 'NaN')"),
        format!("INSERT INTO model_runs (model_id, job_id, score) VALUES ({m}, '{id}', -0.1)"),
        format!("INSERT INTO promotions (model_id, action, reason) VALUES ({m}, 'fire', '')"),
        "INSERT INTO models (name, kind) VALUES ('m', 'local')".to_owned(),
        "INSERT INTO models (name, kind) VALUES ('two words', 'local')".to_owned(),
        "INSERT INTO models (name, kind) VALUES (repeat('n', 129), 'local')".to_owned(),
        "INSERT INTO jobs (prd_id, role) VALUES (gen_random_uuid(), repeat('r', 65))".to_owned(),
        "INSERT INTO jobs (prd_id, role) VALUES (gen_random_uuid(), E'coder\\n')".to_owned(),
        "INSERT INTO jobs (prd_id, role) VALUES (gen_random_uuid(), '')".to_owned(),
    ] {
        assert!(scene.sql(&sql).await.is_err(), "accepted: {sql}");
    }
    scene.sql("INSERT INTO models (name, kind) VALUES (repeat('n', 128), 'local')").await.unwrap();
    scene.sql("INSERT INTO jobs (prd_id, role) VALUES (gen_random_uuid(), repeat('r', 64))").await.unwrap();
}

#[tokio::test]
async fn jobs_cannot_all_be_taken_away_unseen() {
    let scene = Scene::new().await;
    scene.prd(2).await;
    let refused = scene.sql("TRUNCATE jobs").await.unwrap_err();
    assert!(refused.to_string().contains("use DELETE"), "{refused}");
    scene.sql("DELETE FROM jobs").await.unwrap();
    assert_eq!(scene.store.job_counts().await.unwrap(), []);
}

#[tokio::test]
async fn a_prd_that_was_settled_while_it_was_entered_to_be_looked_at_is_looked_at_once() {
    let scene = Scene::new().await;
    let prd = scene.prd(1).await.id;
    let cancelled = scene.store.cancel(prd, &Actor::operator(), "no more").await.unwrap();
    scene.sql(&format!("INSERT INTO prds_to_assess (prd_id) VALUES ('{prd}')")).await.unwrap();
    let node = NodeId::new("n").unwrap();
    let take = || scene.store.take_assessable(&node, 9, LEASE);
    assert_eq!(take().await.unwrap().unwrap(), [prd]);
    let verdict = cancelled.verdict.unwrap();
    assert!(!scene.store.settle(&[verdict]).await.unwrap().remove(0).unwrap(), "the verdict that is there stays");
    assert_eq!(take().await.unwrap().unwrap(), []);
}

#[tokio::test]
async fn a_row_in_the_log_by_hand_takes_the_next_place_and_is_named_by_the_check() {
    let scene = Scene::new().await;
    scene.model("a").await;
    scene.sql("INSERT INTO audit_log (actor, action) VALUES ('me', 'something')").await.unwrap();
    scene.model("b").await;
    let report = scene.check_chain().await;
    assert_eq!(report.first_bad.map(|bad| bad.seq), Some(AuditSeq(2)));
    assert_eq!(scene.store.audit_range().await.unwrap(), Some((AuditSeq(1), AuditSeq(3))));
}

#[tokio::test]
async fn a_row_in_the_log_by_hand_from_a_session_that_sees_an_older_log_is_refused_and_nobody_is_held_up() {
    let scene = Scene::new().await;
    let insert = "INSERT INTO audit_log (actor, action) VALUES ('me', 'something'), ('me', 'more')";
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut old = scene.hand.begin_with(AssertSqlSafe(format!("BEGIN ISOLATION LEVEL {level}"))).await.unwrap();
        let refused = sqlx::raw_sql(insert).execute(&mut *old).await.unwrap_err();
        assert!(refused.to_string().contains("BEGIN ISOLATION LEVEL READ COMMITTED"), "{refused}");
        old.rollback().await.unwrap();
    }
    scene.model("a").await;
    scene.sql(insert).await.unwrap();
    scene.model("b").await;
    assert_eq!(scene.store.audit_range().await.unwrap(), Some((AuditSeq(1), AuditSeq(4))));
}

#[tokio::test]
async fn where_sessions_are_serializable_by_default_verbs_still_append_one_after_the_other() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let before = Scene::at(url.clone()).await;
    before.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation TO serializable', current_database()); END $$")
        .await
        .unwrap();
    let scene = Scene::at(url).await;
    let other = scene.node().await;
    let records: Vec<_> = (0..40).map(|_| new_prd(1)).collect();
    let submits = records.iter().enumerate().map(|(n, record)| {
        let store = if n % 2 == 0 { &scene.store } else { &other };
        store.submit(std::slice::from_ref(record))
    });
    for submitted in futures::future::join_all(submits).await {
        submitted.unwrap().remove(0).unwrap();
    }
    let report = scene.check_chain().await;
    assert_eq!((report.checked, report.first_bad), (40, None));
}

#[tokio::test]
async fn an_alert_and_a_flag_are_told_on_the_published_channel() {
    let scene = Scene::new().await;
    let mut listener = PgListener::connect_with(&scene.hand).await.unwrap();
    listener.listen("channel_alerts").await.unwrap();
    let job = scene.prd(1).await.jobs[0];
    let alert = NewAlert {
        job_id: Some(job),
        severity: Severity::Warning,
        rule: Some("r".to_owned()),
        reason: "look".to_owned(),
    };
    let raised = scene.store.raise(&alert, &Actor::auditor()).await.unwrap().unwrap();
    let flag = scene.number("SELECT id FROM job_events WHERE event_type = 'audit_flag'").await;
    let mut told =
        [listener.recv().await.unwrap(), listener.recv().await.unwrap()].map(|told| told.payload().to_owned());
    told.sort();
    let mut expected = [raised.id.to_string(), flag.to_string()];
    expected.sort();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_jsonb_writes_in_another_way_does_not_break_the_chain() {
    let scene = Scene::new().await;
    let details = json!({ "n\0": "a\0b", "big": 1e16, "less": -0.0, "small": 1e-7, "huge": 1e300, "third": 1.0 / 3.0,
                          "most": u64::MAX, "text": "\u{1f980} \\u0000" });
    let entry = NewEntry { actor: Actor::operator(), action: Action::AlertRaised, details };
    scene.store.append(&[entry]).await.unwrap();
    let report = scene.check_chain().await;
    assert_eq!((report.checked, report.first_bad), (1, None));
    let read = scene.store.audit(AuditSeq(0), 9).await.unwrap().remove(0).details;
    assert_eq!(read["n\u{fffd}"], "a\u{fffd}b", "a NUL, which PostgreSQL cannot hold, is replaced");
}

#[tokio::test]
async fn a_report_with_a_nul_is_taken_and_its_repetition_is_known() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let mut said = report(&scene.in_progress(&model).await);
    said.details = json!({ "error": "a\0b" });
    assert!(!scene.store.report(std::slice::from_ref(&said)).await.unwrap().remove(0).unwrap().repeated);
    assert!(scene.store.report(std::slice::from_ref(&said)).await.unwrap().remove(0).unwrap().repeated);
}
