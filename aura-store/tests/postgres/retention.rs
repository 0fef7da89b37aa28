//! Months that are too old are dropped, and the chain is checked behind them.

use std::{sync::Arc, time::Duration};

use aura_core::{
    Actor, AuditSeq, Clock as _, VirtualClock,
    audit::ChainCheck,
    contract::{AuditStore, ModelStore},
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::scene::profile;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn months_that_ended_before_the_retention_are_dropped_and_the_rest_is_checked_behind_them() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let clock = VirtualClock::default();
    for month in 0..6 {
        // Opening keeps the tables in shape.
        let store = open(&url, &clock).await;
        store.register(&profile(&format!("m{month}")), &Actor::operator()).await.unwrap();
        store.close().await;
        clock.advance(DAY * 31);
    }
    let store = open(&url, &clock).await;
    let (oldest, newest) = store.audit_range().await.unwrap().unwrap();
    assert!(oldest > AuditSeq(1) && oldest < AuditSeq(6), "some months are gone, not all: {oldest}");
    assert_eq!(newest, AuditSeq(6));
    let anchor = store.anchor().await.unwrap().unwrap();
    assert_eq!(anchor.seq.0 + 1, oldest.0);
    let mut check = ChainCheck::behind(Some(anchor));
    assert!(check.extend(&store.audit(check.last(), 99).await.unwrap()));
    assert_eq!(store.models().await.unwrap().len(), 6, "only histories go");
}

/// A database with an entry of the orchestra's, and a connection to it by hand.
async fn begun(clock: &VirtualClock) -> (String, PgStore, PgConnection) {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let store = open(&url, clock).await;
    store.register(&profile("a"), &Actor::operator()).await.unwrap();
    let mut hand = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("SET search_path TO aura").execute(&mut hand).await.unwrap();
    (url, store, hand)
}

async fn open(url: &str, clock: &VirtualClock) -> PgStore {
    PgStore::builder(url).connections(2).clock(Arc::new(clock.clone())).retention(DAY * 60).open().await.unwrap()
}

async fn by_hand(hand: &mut PgConnection, at: DateTime<Utc>) {
    let insert = "INSERT INTO audit_log (actor, action, created_at) VALUES ('me', 'something', $1)";
    sqlx::query(insert).bind(at).execute(hand).await.unwrap();
}

async fn count(hand: &mut PgConnection, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    sqlx::raw_sql(AssertSqlSafe(query)).fetch_one(hand).await.unwrap().get(0)
}

#[tokio::test]
async fn an_entry_that_came_before_its_month_is_moved_when_the_month_is_made() {
    let clock = VirtualClock::default();
    let (url, store, mut hand) = begun(&clock).await;
    by_hand(&mut hand, clock.now() + DAY * 125).await;
    assert_eq!(count(&mut hand, "audit_log_rest").await, 1);
    store.close().await;
    clock.advance(DAY * 93);
    let store = open(&url, &clock).await;
    store.register(&profile("b"), &Actor::operator()).await.unwrap();
    assert_eq!((count(&mut hand, "audit_log_rest").await, count(&mut hand, "audit_log").await), (0, 2));
}

#[tokio::test]
async fn an_entry_by_hand_that_is_dated_far_back_does_not_move_where_the_chain_begins() {
    let clock = VirtualClock::default();
    let (url, store, mut hand) = begun(&clock).await;
    let began = clock.now();
    store.close().await;
    clock.advance(DAY * 31);
    let store = open(&url, &clock).await;
    store.register(&profile("b"), &Actor::operator()).await.unwrap();
    by_hand(&mut hand, began).await;
    store.close().await;
    clock.advance(DAY * 70);
    let store = open(&url, &clock).await;
    assert_eq!(store.anchor().await.unwrap().unwrap().seq, AuditSeq(1));
    assert_eq!(store.audit_range().await.unwrap(), Some((AuditSeq(2), AuditSeq(2))));
}

#[tokio::test]
async fn a_month_with_nothing_but_entries_by_hand_is_dropped_like_any_other() {
    let clock = VirtualClock::default();
    let (url, store, mut hand) = begun(&clock).await;
    by_hand(&mut hand, clock.now()).await;
    store.close().await;
    for _ in 0..4 {
        clock.advance(DAY * 31);
        let store = open(&url, &clock).await;
        by_hand(&mut hand, clock.now()).await;
        store.close().await;
    }
    let store = open(&url, &clock).await;
    let (oldest, newest) = store.audit_range().await.unwrap().unwrap();
    assert!(oldest > AuditSeq(2) && newest == AuditSeq(6), "{oldest} to {newest}");
    assert_eq!(store.anchor().await.unwrap().unwrap().seq.0 + 1, oldest.0);
}

#[tokio::test]
async fn a_backup_that_holds_the_tables_does_not_keep_a_node_from_starting() {
    let clock = VirtualClock::default();
    let (url, store, mut hand) = begun(&clock).await;
    store.close().await;
    clock.advance(DAY * 93);
    sqlx::raw_sql("BEGIN; LOCK TABLE audit_log, audit_log_rest IN ACCESS SHARE MODE").execute(&mut hand).await.unwrap();
    let store = open(&url, &clock).await;
    store.register(&profile("b"), &Actor::operator()).await.unwrap();
    assert_eq!(count(&mut hand, "audit_log_rest").await, 1, "there was no month for it");
    store.close().await;
    sqlx::raw_sql("COMMIT").execute(&mut hand).await.unwrap();
    let store = open(&url, &clock).await;
    assert_eq!((count(&mut hand, "audit_log_rest").await, count(&mut hand, "audit_log").await), (0, 1));
    drop(store);
}
