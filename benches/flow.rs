//! What the engines cost for a job's whole life on the memory store, beside the floor: the same jobs through a bare queue.

#![expect(clippy::expect_used, reason = "a bench ends by panicking")]

use std::{
    collections::VecDeque,
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aura_orchestra::{core::contract::AdapterError, prelude::*};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Answers at once, so that only the engines are measured.
#[derive(Debug)]
struct Instantly(ModelProfile);

#[async_trait]
impl ModelAdapter for Instantly {
    fn profile(&self) -> &ModelProfile {
        &self.0
    }

    async fn generate(&self, request: &GenerateRequest) -> std::result::Result<Generation, AdapterError> {
        Ok(Generation::from_answer("def one(): return 1", request.language))
    }
}

const JOBS: u64 = 500;

/// 500 jobs from submission to the verdict, scored, without tests and without a sandbox.
async fn whole_lives(orchestra: &Orchestra) {
    let mut prds = Vec::new();
    for _ in 0..JOBS {
        prds.push(orchestra.submit(NewPrd::new("write one()")).await.expect("accepted").id);
    }
    for prd in prds {
        orchestra.verdict(prd).await.expect("a verdict");
    }
}

fn flow(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let mut group = c.benchmark_group("flow");
    group.throughput(Throughput::Elements(JOBS)).sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("whole life of a job, memory store", |b| {
        b.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                took += runtime.block_on(async {
                    let profile =
                        ModelProfile::new("instantly", ModelKind::Cloud, "bench", "instantly").expect("a profile");
                    let builder = Orchestra::builder().store(MemoryStore::new()).scorer(FormulaScorer::default());
                    let builder = builder.employ(Instantly(profile.concurrency(256))).workers(4);
                    let orchestra = builder.start().await.expect("starts");
                    let started = Instant::now();
                    whole_lives(&orchestra).await;
                    let took = started.elapsed();
                    orchestra.stop().await;
                    took
                });
            }
            took
        });
    });
    group.bench_function("floor: the same prompts through a Mutex<VecDeque>", |b| {
        b.iter(|| {
            let queue = Mutex::new(VecDeque::new());
            for _ in 0..JOBS {
                queue.lock().expect("lock").push_back(NewPrd::new("write one()"));
            }
            while let Some(prd) = queue.lock().expect("lock").pop_front() {
                std::hint::black_box(Generation::from_answer("def one(): return 1", prd.language));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, flow);
criterion_main!(benches);
