//! Through pgbouncer in transaction mode: each transaction may get another connection, and nothing is kept on one.

use aura_core::{
    AuditSeq, JobStatus,
    contract::{AuditStore, DutyStore, ModelStore, RunStore, store::News},
    ids::NodeId,
};
use aura_store::PgStore;
use aura_testbed::{Pgbouncer, PrivatePostgres};
use futures::{StreamExt as _, future::join_all};

use crate::scene::{Scene, accept};

/// Whole lives, several at a time.
async fn live(scene: &Scene) {
    let model = scene.model("m").await;
    let jobs = join_all((0..12).map(|_| scene.submitted(&model))).await;
    for job in jobs {
        scene.store.judge(&[accept(&job, 0.5)]).await.unwrap().remove(0).unwrap();
        assert_eq!(scene.job(job.id).await.state.status(), JobStatus::Validated);
    }
    assert_eq!(scene.check_chain().await.first_bad, None);
    assert!(scene.store.keep_duties(&NodeId::fresh(), crate::scene::LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn everything_works_without_listen() {
    let server = PrivatePostgres::shared();
    let pooler = Pgbouncer::in_front_of(server).unwrap();
    let direct = server.create_database().unwrap();
    let store = PgStore::builder(&pooler.url(&direct)).connections(8).behind_pooler().open().await.unwrap();
    live(&Scene::of(store, direct)).await;
}

#[tokio::test]
async fn news_travel_when_the_listener_has_a_direct_address() {
    let server = PrivatePostgres::shared();
    let pooler = Pgbouncer::in_front_of(server).unwrap();
    let direct = server.create_database().unwrap();
    let builder = PgStore::builder(&pooler.url(&direct)).connections(4).behind_pooler().listen_at(&direct);
    let store = builder.open().await.unwrap();
    let other = PgStore::builder(&direct).connections(2).open().await.unwrap();
    let mut news = store.news().unwrap();
    let heard = async {
        tokio::select! {
            news = news.next() => news == Some(News::Others),
            () = tokio::time::sleep(std::time::Duration::from_secs(60)) => false,
        }
    };
    let write = async {
        for n in 0.. {
            other.employ(&crate::scene::profile(&format!("m{n}"))).await.unwrap();
        }
    };
    tokio::select! {
        heard = heard => assert!(heard, "nothing was heard"),
        () = write => {}
    }
    assert!(!store.audit(AuditSeq(0), 9).await.unwrap().is_empty());
}
