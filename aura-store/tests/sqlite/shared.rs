//! Several processes on one file: here, several stores.

use std::{collections::HashSet, sync::Arc};

use aura_core::contract::{
    JobStore,
    store::{Claim, Wanted},
};
use aura_core::job::Door;
use aura_store::SqliteStore;

use crate::scene::{LEASE, Scene, worker};

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
