//! Claim and report of no-op jobs, per store, in batches of 1 and 32; SQLite is durable (WAL, synchronous=FULL).

#![expect(clippy::expect_used, reason = "a bench ends by panicking")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aura_orchestra::{
    core::{
        contract::{
            Report,
            store::{Assignment, Claim, NewPrdRecord, Wanted},
        },
        job::Door,
    },
    prelude::*,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const JOBS: u32 = 256;

/// A store with `JOBS` jobs assigned to one model.
async fn filled(store: &dyn Store) -> ModelId {
    let profile = ModelProfile::new("bench", ModelKind::Cloud, "bench", "bench").expect("a profile");
    let model = store.employ(&profile).await.expect("employed").id;
    let records: Vec<_> = (0..JOBS)
        .map(|_| NewPrdRecord { id: PrdId::new(), request: NewPrd::new("x"), pinned: None, jobs: vec![JobId::new()] })
        .collect();
    store.submit(&records).await.expect("submitted");
    let assign = |record: &NewPrdRecord| Assignment {
        job: record.jobs.first().copied().expect("one job"),
        model,
        probe: false,
        reason: serde_json::Value::Null,
    };
    let assignments: Vec<_> = records.iter().map(assign).collect();
    for answer in store.assign(&assignments).await.expect("assigned") {
        answer.expect("assigned");
    }
    model
}

async fn claim_and_report(store: &dyn Store, model: ModelId, batch: u32) {
    let worker = WorkerId::new("w").expect("a name");
    loop {
        let claim = Claim {
            worker: worker.clone(),
            door: Door::Remote,
            wanted: Wanted::Any { models: vec![model], max: batch },
            lease: Duration::from_secs(30),
        };
        let claimed = store.claim(&claim).await.expect("claims");
        if claimed.is_empty() {
            return;
        }
        let report = |job: &Job| match &job.state {
            JobState::InProgress { lease, .. } => Report {
                proof: LeaseProof { job: job.id, worker: lease.worker.clone(), token: Some(lease.token) },
                success: true,
                details: serde_json::Value::Null,
            },
            other => unreachable!("{other:?}"),
        };
        let reports: Vec<_> = claimed.iter().map(|claimed| report(&claimed.job)).collect();
        for answer in store.report(&reports).await.expect("reported") {
            answer.expect("reported");
        }
    }
}

fn claim(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let mut group = c.benchmark_group("claim and report");
    group.throughput(Throughput::Elements(u64::from(JOBS))).sample_size(10).measurement_time(Duration::from_secs(5));
    for batch in [1, 32] {
        for name in ["memory", "sqlite"] {
            group.bench_function(BenchmarkId::new(name, format!("batches of {batch}")), |b| {
                b.iter_custom(|times| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        took += runtime.block_on(async {
                            let folder = tempfile::tempdir().expect("folder");
                            let store: Arc<dyn Store> = match name {
                                "memory" => Arc::new(MemoryStore::new()),
                                _ => Arc::new(SqliteStore::open(folder.path().join("aura.db")).await.expect("opens")),
                            };
                            let model = filled(store.as_ref()).await;
                            let started = Instant::now();
                            claim_and_report(store.as_ref(), model, batch).await;
                            started.elapsed()
                        });
                    }
                    took
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, claim);
criterion_main!(benches);
