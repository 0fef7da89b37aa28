//! Many at once on one file: several processes (here, several stores), and callers that go away half-way.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aura_core::contract::{
    JobStore,
    store::{Claim, Wanted},
};
use aura_core::job::Door;
use aura_store::SqliteStore;

use crate::scene::{LEASE, Scene, new_prd, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_claimers_of_several_processes_get_each_job_once() {
    const JOBS: usize = 60;
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    for _ in 0..JOBS {
        let job = scene.prd(1).await.jobs[0];
        scene.assign(job, &model).await;
    }
    let mut claimers = Vec::new();
    for process in 0..3 {
        let store = SqliteStore::open_with_clock(&scene.path, Arc::new(scene.clock.clone())).await.unwrap();
        let store = Arc::new(store);
        for task in 0..4 {
            let store = Arc::clone(&store);
            let wanted = Wanted::Any { models: vec![model.id], max: 2 };
            let worker = worker(&format!("w{process}-{task}"));
            let claim = Claim { worker, door: Door::Remote, wanted, lease: LEASE };
            claimers.push(tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store.claim(&claim).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|claimed| claimed.job.id));
                }
            }));
        }
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), JOBS);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), JOBS);
    assert_eq!(scene.check_chain().await.first_bad, None);
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_leaves_nothing_half_written() {
    let scene = Scene::new().await;
    let mut answered = 0;
    for n in 0..60 {
        let record = new_prd(2);
        let batch = [record.clone(), new_prd(1)];
        let submission = scene.store.submit(&batch);
        answered += usize::from(tokio::time::timeout(Duration::from_micros(n * 100), submission).await.is_ok());
        // Either everything of it is there, or nothing; and the next call goes through.
        let there = scene.store.prds(&[batch[0].id, batch[1].id]).await.unwrap();
        assert!(there.is_empty() || there.len() == 2 && there[0].jobs == record.jobs, "{there:?}");
    }
    // There is one writer: behind its answer, what was dropped has been written or will never be.
    scene.prd(1).await;
    let prds = scene.store.recent_prds(None, 1000).await.unwrap();
    assert!(prds.len() > 2 * answered);
    assert_eq!(scene.check_chain().await.first_bad, None);
    // One entry a PRD.
    assert_eq!(scene.newest().await.0, prds.len() as i64);
}
