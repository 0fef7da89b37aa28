//! A server that dies and comes back, connections that are cut, and transactions that are in one another's way.

use std::time::{Duration, Instant};

use aura_core::{
    JobStatus,
    contract::{
        AuditStore, DutyStore, JobStore, ModelStore,
        store::{Assignment, NewPrdRecord, News},
    },
};
use aura_testbed::{PrivatePostgres, ProcessTree, Proxy};
use futures::{StreamExt as _, future::join_all};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::scene::{Scene, new_prd, report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_server_was_killed_and_the_store_goes_on() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let scene = Scene::at(server.create_database().unwrap()).await;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let store = scene.store.clone();
                tokio::spawn(async move {
                    let mut mine: Vec<NewPrdRecord> = Vec::new();
                    loop {
                        let record = new_prd(1);
                        match store
                            .submit(std::slice::from_ref(&record))
                            .await
                            .and_then(|mut answers| answers.remove(0))
                        {
                            Ok(_) => mine.push(record),
                            Err(error) => {
                                assert!(error.is_retryable(), "{error:?}");
                                return mine;
                            }
                        }
                    }
                })
            })
            .collect();
        let before = acknowledged.len();
        // Some work, then the crash in the middle of it.
        while scene.store.recent_prds(None, 1000).await.unwrap().len() < before + 50 {
            tokio::task::yield_now().await;
        }
        server.kill9().unwrap();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        server.start_again().unwrap();
        let again = Instant::now();
        while scene.store.models().await.is_err() {
            assert!(again.elapsed() < Duration::from_secs(5), "the store does not find its server again");
        }
        for record in &acknowledged {
            let kept = scene.store.prds(&[record.id]).await.unwrap();
            assert_eq!(kept.len(), 1, "PRD {} was acknowledged and is gone", record.id);
            assert_eq!(kept[0].jobs, record.jobs);
        }
        assert_eq!(scene.check_chain().await.first_bad, None);
    }
}

#[tokio::test]
async fn connections_that_were_cut_while_they_lay_idle_are_replaced_unseen() {
    let scene = Scene::new().await;
    join_all((0..4).map(|_| scene.store.models())).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(scene.number(cut).await > 0);
    scene.prd(1).await;
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_stored_once_and_answered() {
    let server = PrivatePostgres::shared();
    let url = server.create_database().unwrap();
    let proxy = Proxy::in_front_of(server).unwrap();
    let store = aura_store::PgStore::builder(&proxy.url(&url)).without_listen().open().await.unwrap();
    let scene = Scene::of(store, url);
    // The run of the server has its name.
    scene.prd(1).await;
    for _ in 0..3 {
        let (before, mut news) = (proxy.cuts(), scene.store.news().unwrap());
        proxy.lose_the_next_row();
        let record = new_prd(1);
        let answers = scene.store.submit(std::slice::from_ref(&record)).await.unwrap();
        let [Ok(submitted)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((submitted.prd.id, &submitted.prd.jobs, submitted.created), (record.id, &record.jobs, true));
        assert_eq!(proxy.cuts(), before + 1);
        assert_eq!(news.next().await, Some(News::Moved(vec![JobStatus::Queued])));
    }
    assert_eq!(scene.number("SELECT count(*) FROM prds").await, 4);
    assert_eq!(scene.number("SELECT count(*) FROM audit_log WHERE action = 'prd.submitted'").await, 4);
    assert_eq!(scene.check_chain().await.first_bad, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_whose_connection_is_cut_before_it_was_stored_is_stored_and_answered() {
    let scene = Scene::new().await;
    scene.prd(1).await;
    let mut lock = scene.hand.begin().await.unwrap();
    sqlx::query("SELECT seq FROM lock_audit_head()").fetch_one(&mut *lock).await.unwrap();
    let (store, record) = (scene.store.clone(), new_prd(1));
    let submission = tokio::spawn({
        let record = record.clone();
        async move { store.submit(&[record]).await }
    });
    scene.somebody_waits().await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(scene.number(cut).await, 1);
    scene.somebody_waits().await;
    lock.rollback().await.unwrap();
    let answers = submission.await.unwrap().unwrap();
    assert!(matches!(answers.as_slice(), [Ok(submitted)] if submitted.created), "{answers:?}");
    assert_eq!(scene.number("SELECT count(*) FROM prds").await, 2);
    assert_eq!(scene.check_chain().await.first_bad, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_lock_the_same_jobs_in_opposite_orders_all_end() {
    let scene = Scene::new().await;
    let other = scene.node().await;
    let model = scene.model("m").await;
    let jobs = scene.many(40).await;
    let assignments: Vec<_> =
        jobs.iter().map(|job| Assignment { job: *job, model: model.id, probe: false, reason: json!({}) }).collect();
    let backwards: Vec<_> = assignments.iter().rev().cloned().collect();
    let tries = join_all((0..8_usize).map(|n| {
        let store = if n % 2 == 0 { scene.store.clone() } else { other.clone() };
        let batch = if n % 2 == 0 { assignments.clone() } else { backwards.clone() };
        tokio::spawn(async move { store.assign(&batch).await })
    }))
    .await;
    let given: usize =
        tries.into_iter().map(|tried| tried.unwrap().unwrap().into_iter().filter(Result::is_ok).count()).sum();
    assert_eq!(given, 40, "each job is given once");
    let audited = scene.store.audit(aura_core::AuditSeq(0), 9999).await.unwrap();
    assert_eq!(audited.iter().filter(|entry| entry.action == "job.assigned").count(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_a_disk_that_crashed_is_not_acknowledged_by_the_server_that_comes_after() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let url = server.create_database().unwrap();
    let store = aura_store::PgStore::builder(&url).connections(2).without_listen().open().await.unwrap();
    let scene = Scene::of(store, url);
    // The run of the server has its name.
    scene.prd(1).await;
    nothing_reaches_the_disk(&scene).await;
    let submit = |record: NewPrdRecord| {
        let store = scene.store.clone();
        // Two in a batch are not joined with others.
        tokio::spawn(async move { store.submit(&[record, new_prd(1)]).await })
    };
    let first = submit(new_prd(1));
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    // The second one is committed, and waits for the next flush.
    let record = new_prd(1);
    let second = submit(record.clone());
    scene.until(&format!("SELECT count(*) FROM prds WHERE id = '{}'", record.id)).await;
    // The third one has the other connection when the server dies: none lies idle that would show the crash.
    let mut lock = scene.hand.begin().await.unwrap();
    sqlx::query("SELECT seq FROM lock_audit_head()").fetch_one(&mut *lock).await.unwrap();
    let third = submit(new_prd(1));
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    crash(&server);
    assert!(first.await.unwrap().is_err());
    assert!(third.await.unwrap().is_err());
    let answer = second.await.unwrap();
    let kept = scene.store.prds(&[record.id]).await.unwrap().len();
    assert!(answer.is_err() || kept == 1, "acknowledged, and gone: {answer:?}");
}

/// Until the server dies, nothing reaches its disk but what is waited for, and who waits for that waits for a standby that never
/// comes: the flush is under way for as long as we like.
async fn nothing_reaches_the_disk(scene: &Scene) {
    let writer = scene.number("SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'walwriter'").await;
    ProcessTree::of(u32::try_from(writer).unwrap()).halt().unwrap();
    scene.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    scene.sql("SELECT pg_reload_conf()").await.unwrap();
    scene
        .until("SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'")
        .await;
}

/// Kills the server and starts it again; nobody is waited for any more.
fn crash(server: &PrivatePostgres) {
    server.kill9().unwrap();
    std::fs::write(server.socket_folder().join("data/postgresql.auto.conf"), "").unwrap();
    server.start_again().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_sent_again_waits_for_the_disk_with_the_first_one() {
    let server = PrivatePostgres::builder().durable().start().unwrap();
    let url = server.create_database().unwrap();
    let store = aura_store::PgStore::builder(&url).connections(4).without_listen().open().await.unwrap();
    let scene = Scene::of(store, url);
    let proof = scene.in_progress(&scene.model("m").await).await;
    nothing_reaches_the_disk(&scene).await;
    let send = || {
        let (store, report) = (scene.store.clone(), report(&proof));
        tokio::spawn(async move { store.report(&[report]).await })
    };
    // Somebody's flush is under way, and the next one begins when it has ended. Two in a batch are not joined with others.
    let store = scene.store.clone();
    let others = tokio::spawn(async move { store.submit(&[new_prd(1), new_prd(1)]).await });
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    // The first one finds somebody at the end of the log, so it commits without the disk and waits for it afterwards.
    let mut lock = scene.hand.begin().await.unwrap();
    sqlx::query("SELECT seq FROM lock_audit_head()").fetch_one(&mut *lock).await.unwrap();
    let first = send();
    scene.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    lock.rollback().await.unwrap();
    scene.until("SELECT count(*) FROM jobs WHERE status = 'SUBMITTED'").await;
    let before = scene.number("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint").await;
    let second = send();
    let committed = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'idle'
             AND query_start > to_timestamp({before} / 1e6)"
    );
    scene.until(&committed).await;
    crash(&server);
    let [first, answer] = [first, second].map(|sent| async { sent.await.unwrap()?.remove(0) });
    assert!(first.await.is_err() && others.await.unwrap().is_err());
    // Another node looks, all of whose connections are new.
    let job = scene.node().await.job(proof.job).await.unwrap().unwrap();
    let answer = answer.await;
    assert!(answer.is_err() || job.state.status() == JobStatus::Submitted, "acknowledged, and gone: {answer:?}");
}

#[tokio::test]
async fn two_batches_with_the_same_keys_do_not_wait_for_one_another_in_a_circle() {
    let scene = Scene::new().await;
    let mut other = scene.hand.begin().await.unwrap();
    let insert = |key: &str| {
        format!("INSERT INTO prds (id, request, idempotency_key) VALUES (gen_random_uuid(), '{{}}', '{key}')")
    };
    sqlx::raw_sql(AssertSqlSafe(insert("a"))).execute(&mut *other).await.unwrap();
    let with_key = |key: &str| {
        let mut record = new_prd(1);
        record.request.idempotency_key = Some(key.to_owned());
        record
    };
    let batch = [with_key("b"), with_key("a")];
    let store = scene.store.clone();
    let ours = tokio::spawn(async move { store.submit(&batch).await });
    scene.somebody_waits().await;
    // Ours waits for `a`, and has not taken `b` yet.
    sqlx::raw_sql("SET LOCAL lock_timeout = '100ms'").execute(&mut *other).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(insert("b"))).execute(&mut *other).await.unwrap();
    other.rollback().await.unwrap();
    for answer in ours.await.unwrap().unwrap() {
        assert!(answer.unwrap().created);
    }
}
