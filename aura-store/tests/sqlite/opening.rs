//! Opening: what is kept, what is refused, and with which words.

use std::sync::Arc;

use aura_core::{
    AuditSeq, NewAlert, Outcome, Severity, Spent, StoreError, Verdict,
    contract::{
        AuditStore, JobStore, ModelStore, RunStore,
        store::{JobFilter, RunFilter},
    },
};
use aura_store::SqliteStore;
use chrono::DateTime;

use crate::scene::{Scene, accept, by_hand};

async fn everything(store: &SqliteStore) -> String {
    let all_runs = RunFilter { job: None, model: None, before: None, limit: 100 };
    format!(
        "{:#?}",
        (
            store.models().await.unwrap(),
            store.recent_prds(None, 100).await.unwrap(),
            store.jobs(&JobFilter::default()).await.unwrap(),
            store.runs(&all_runs).await.unwrap(),
            store.stats(DateTime::UNIX_EPOCH).await.unwrap(),
            store.alerts(None, 100).await.unwrap(),
            store.audit(AuditSeq(0), 1000).await.unwrap(),
            store.job_counts().await.unwrap(),
            store.load().await.unwrap(),
        )
    )
}

#[tokio::test]
async fn sqlites_own_name_for_memory_is_a_whole_database_and_no_file() {
    let [one, other] = [SqliteStore::open(":memory:").await.unwrap(), SqliteStore::open(":memory:").await.unwrap()];
    assert_eq!(everything(&one).await, everything(&other).await);
    assert!(!std::path::Path::new(":memory:").exists());
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let job = scene.submitted(&model).await;
    scene.store.judge(&[accept(&job, 0.5)]).await.unwrap().remove(0).unwrap();
    let verdict = Verdict {
        spent: Spent::default(),
        prd: job.prd_id,
        outcome: Outcome::NobodyWon,
        entries: Vec::new(),
        why: "a test".to_owned(),
        settled_at: DateTime::UNIX_EPOCH,
    };
    assert!(scene.store.settle(&[verdict]).await.unwrap().remove(0).unwrap());
    scene.in_progress(&model).await;
    let alert = NewAlert { job_id: Some(job.id), severity: Severity::Info, rule: None, reason: "look".to_owned() };
    scene.store.raise(&alert, &aura_core::Actor::operator()).await.unwrap().unwrap();
    let before = everything(&scene.store).await;
    scene.store.close().await;

    let again = SqliteStore::open_with_clock(&scene.path, Arc::new(scene.clock.clone())).await.unwrap();
    assert_eq!(everything(&again).await, before);
}

#[tokio::test]
async fn a_missing_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/deep/aura.db");
    SqliteStore::open(&path).await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn the_file_is_in_wal_mode() {
    let scene = Scene::new().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&scene.hand).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.join("aura.db"), folder.path().to_path_buf()] {
        let error = SqliteStore::open(&path).await.unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let letter = "Dear reader, this is no database.\n".repeat(200);
    std::fs::write(&path, &letter).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), letter);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let scene = Scene::new().await;
    scene.store.close().await;
    scene.sql("INSERT INTO aura_schema (version, applied_at) VALUES (99, '2030-01-01T00:00:00Z')").await.unwrap();
    let before = scene.dump().await;
    let error = SqliteStore::open(&scene.path).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("aura.db") && error.to_string().contains("99"), "{error}");
    assert_eq!(scene.dump().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aura.db");
    let openings: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteStore::open(path).await.map(|store| store.path().to_path_buf()) })
        })
        .collect();
    for opening in openings {
        assert_eq!(opening.await.unwrap().unwrap(), path);
    }
    let twice: i64 = sqlx::query_scalar("SELECT count(*) - count(DISTINCT version) FROM aura_schema")
        .fetch_one(&by_hand(&path).await)
        .await
        .unwrap();
    assert_eq!(twice, 0);
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aura.db");
    let old = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let old = sqlx::SqlitePool::connect_with(old).await.unwrap();
    sqlx::raw_sql(concat!(
        "CREATE TABLE aura_schema (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT;
         INSERT INTO aura_schema (version, applied_at) VALUES (1, '2026-01-01T00:00:00Z');",
        include_str!("../../migrations/sqlite/0001_tables.sql"),
        "INSERT INTO models (name, kind) VALUES ('hired_before', 'local');"
    ))
    .execute(&old)
    .await
    .unwrap();
    old.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let models = store.models().await.unwrap();
    assert_eq!((models.len(), models[0].profile.name.as_str()), (1, "hired_before"));
}

#[tokio::test]
async fn a_closed_store_answers_with_an_error() {
    let scene = Scene::new().await;
    scene.store.close().await;
    assert!(scene.store.models().await.is_err());
    assert!(scene.store.expire(1).await.is_err());
}

#[tokio::test]
async fn a_store_in_memory_works_too() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.employ(&crate::scene::profile("m")).await.unwrap();
    assert_eq!(store.models().await.unwrap().len(), 1);
}
