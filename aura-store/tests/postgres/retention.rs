//! Months that are too old are dropped, and the chain is checked behind them.

use std::{sync::Arc, time::Duration};

use aura_core::{
    Actor, AuditSeq, VirtualClock,
    audit::ChainCheck,
    contract::{AuditStore, ModelStore},
};
use aura_store::PgStore;
use aura_testbed::PrivatePostgres;

use crate::scene::profile;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn months_that_ended_before_the_retention_are_dropped_and_the_rest_is_checked_behind_them() {
    let url = PrivatePostgres::shared().create_database().unwrap();
    let clock = VirtualClock::default();
    let open = || PgStore::builder(&url).connections(2).clock(Arc::new(clock.clone())).retention(DAY * 60).open();
    for month in 0..6 {
        // Opening keeps the tables in shape.
        let store = open().await.unwrap();
        store.register(&profile(&format!("m{month}")), &Actor::operator()).await.unwrap();
        store.close().await;
        clock.advance(DAY * 31);
    }
    let store = open().await.unwrap();
    let (oldest, newest) = store.audit_range().await.unwrap().unwrap();
    assert!(oldest > AuditSeq(1) && oldest < AuditSeq(6), "some months are gone, not all: {oldest}");
    assert_eq!(newest, AuditSeq(6));
    let anchor = store.anchor().await.unwrap().unwrap();
    assert_eq!(anchor.seq.0 + 1, oldest.0);
    let mut check = ChainCheck::behind(Some(anchor));
    assert!(check.extend(&store.audit(check.last(), 99).await.unwrap()));
    assert_eq!(store.models().await.unwrap().len(), 6, "only histories go");
}
