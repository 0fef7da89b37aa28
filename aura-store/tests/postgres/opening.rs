//! Opening: by many nodes at once, with what is wrong said.

use aura_core::{StoreError, contract::ModelStore};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;
use futures::future::join_all;
use sqlx::{Connection as _, PgConnection};

use crate::scene::{Scene, profile};

#[tokio::test]
async fn five_nodes_that_open_an_empty_database_at_once_make_its_tables_once() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let opened = join_all((0..5).map(|_| PgStore::builder(&url).connections(2).open())).await;
    let stores: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    stores[0].employ(&profile("m")).await.unwrap();
    for store in &stores {
        assert_eq!(store.models().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn tables_that_somebody_reads_are_changed_later_and_nobody_waits_for_that() {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    let newest = scene.number("SELECT max(version) FROM aura_schema").await;
    // As the version before left it.
    scene
        .sql(
            "DELETE FROM aura_schema WHERE version >= 5;
             CREATE OR REPLACE FUNCTION keep_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             DROP FUNCTION check_job;
             DROP TABLE ended_jobs;
             ALTER TABLE jobs ADD ended text, ADD ended_model int;
             ALTER TABLE jobs ADD CONSTRAINT jobs_max_attempts_check CHECK (true), ADD CONSTRAINT jobs_score_check CHECK (true),
                 ADD CONSTRAINT jobs_lease_token_check CHECK (true), ADD CONSTRAINT jobs_attempt_check CHECK (true),
                 ADD CONSTRAINT jobs_status_check CHECK (true), ADD CONSTRAINT jobs_door_check CHECK (true),
                 ADD CONSTRAINT jobs_check CHECK (true), ADD CONSTRAINT jobs_check1 CHECK (true),
                 ADD CONSTRAINT jobs_check2 CHECK (true), ADD CONSTRAINT jobs_check3 CHECK (true)",
        )
        .await
        .unwrap();
    let mut reads = scene.hand.begin().await.unwrap();
    sqlx::raw_sql("SELECT count(*) FROM jobs").execute(&mut *reads).await.unwrap();
    let url = scene.url.clone();
    let opens = tokio::spawn(async move { PgStore::open(&url).await });
    scene.somebody_waits().await;
    // It waits behind the one that opens, and that one gives up soon.
    scene.submitted(&model).await;
    assert!(!opens.is_finished(), "the tables are read still");
    reads.rollback().await.unwrap();
    opens.await.unwrap().unwrap();
    assert_eq!(scene.number("SELECT max(version) FROM aura_schema").await, newest);
    assert!(scene.sql("UPDATE jobs SET door = 'window'").await.is_err(), "checked by the trigger now");
    let older = scene.sql("SELECT * FROM take_audit_head(true)").await.unwrap_err();
    assert!(older.to_string().contains("start the new build"), "{older}");
}

#[tokio::test]
async fn tables_with_millions_of_rows_are_changed_without_a_limit_of_time() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let mut hand = PgConnection::connect(&url).await.unwrap();
    let limited = "CREATE FUNCTION refuse_limits() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                       IF current_setting('statement_timeout') <> '0' THEN RAISE 'cut off'; END IF;
                   END $$;
                   CREATE EVENT TRIGGER limits ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION refuse_limits()";
    sqlx::raw_sql(limited).execute(&mut hand).await.unwrap();
    let store = PgStore::open(&url).await.unwrap();
    store.employ(&profile("m")).await.unwrap();
}

#[tokio::test]
async fn every_month_of_the_audit_log_is_compressed_by_lz4() {
    let scene = Scene::new().await;
    let details = "FROM pg_partition_tree('audit_log') JOIN pg_attribute ON attrelid = relid AND attname = 'details'";
    assert!(scene.number(&format!("SELECT count(*) {details} WHERE isleaf")).await > 2, "months were made");
    assert_eq!(scene.number(&format!("SELECT count(*) {details} WHERE attcompression <> 'l'")).await, 0);
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused_with_its_number() {
    let scene = Scene::new().await;
    scene.sql("INSERT INTO aura_schema (version) VALUES (99)").await.unwrap();
    let error = PgStore::open(&scene.url).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { .. }) && error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_named_without_its_password() {
    let error = PgStore::open("postgres://aura:s3cret@127.0.0.1:1/aura").await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(said.contains("127.0.0.1:1") && !said.contains("s3cret"), "{said}");
    let error = PgStore::open("postgres://aura:s3cret@[nowhere").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_schema_name_that_would_need_quotes_is_refused() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    for name in ["", "Aura", "a b", "1st", "a;drop", "a\"b"] {
        assert!(PgStore::builder(&url).schema(name).open().await.is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn two_schemas_in_one_database_are_apart() {
    let scene = Scene::new().await;
    let other = PgStore::builder(&scene.url).schema("other").connections(2).open().await.unwrap();
    scene.model("m").await;
    assert!(other.models().await.unwrap().is_empty());
}
