//! A read-only copy: lists come from it, decisions do not.

use std::{
    str::FromStr as _,
    time::{Duration, Instant},
};

use aura_core::{
    PrdId,
    contract::{
        AuditStore, JobStore,
        store::{Claim, Wanted},
    },
    job::Door,
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::scene::{LEASE, Scene, worker};

/// Waits until the copy has it.
async fn shown(store: &PgStore, prd: PrdId) {
    let started = Instant::now();
    loop {
        match store.recent_prds(None, 99).await {
            Ok(prds) if prds.iter().any(|shown| shown.id == prd) => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_retryable(), "a copy that has not caught up will: {error:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the copy never showed {prd}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_the_copy_and_what_decides_from_the_primary() {
    let primary = PrivatePostgres::builder().start().unwrap();
    let url = primary.create_database().unwrap();
    let standby = PrivatePostgres::builder().standby_of(&primary).start().unwrap();
    // A copy refuses to be read at this level.
    let mut hand = PgConnection::connect(&url).await.unwrap();
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation TO serializable', current_database()); END $$";
    sqlx::raw_sql(set).execute(&mut hand).await.unwrap();
    let copy = standby.url(PgConnectOptions::from_str(&url).unwrap().get_database().unwrap());
    let store = PgStore::builder(&url).replica(&copy).open().await.unwrap();
    let scene = Scene::of(store.clone(), url);
    let model = scene.model("m").await;
    let first = scene.prd(1).await.id;
    shown(&store, first).await;

    // A copy that stands still shows what it had; who asks for the new one by its id, or works on it, finds it.
    let options = PgConnectOptions::from_str(&copy).unwrap();
    let options = options.options([("default_transaction_isolation", "read committed")]);
    let mut hand = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("SELECT pg_wal_replay_pause()").execute(&mut hand).await.unwrap();
    let started = Instant::now();
    while sqlx::query_scalar::<_, String>("SELECT pg_get_wal_replay_pause_state()").fetch_one(&mut hand).await.unwrap()
        != "paused"
    {
        assert!(started.elapsed() < Duration::from_secs(20), "the copy does not stand still");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = scene.prd(1).await;
    assert_eq!(store.recent_prds(None, 99).await.unwrap().len(), 1);
    assert_eq!(store.prds(&[second.id]).await.unwrap().len(), 1);
    scene.assign(second.jobs[0], &model).await;
    let wanted = Wanted::Any { models: vec![model.id], max: 9 };
    let claim = Claim { worker: worker("w"), door: Door::Remote, wanted, lease: LEASE };
    assert_eq!(store.claim(&claim).await.unwrap().len(), 1);
    sqlx::raw_sql("SELECT pg_wal_replay_resume()").execute(&mut hand).await.unwrap();
    shown(&store, second.id).await;

    // Without the copy its lists fail, with an error that passes, and nothing else does.
    standby.kill9().unwrap();
    assert!(store.recent_prds(None, 99).await.unwrap_err().is_retryable());
    let third = scene.prd(1).await;
    assert_eq!(store.prds(&[third.id]).await.unwrap().len(), 1);
    assert!(store.audit_range().await.unwrap().is_some());
    standby.start_again().unwrap();
    shown(&store, third.id).await;
    assert_eq!(scene.check_chain().await.first_bad, None);
}
