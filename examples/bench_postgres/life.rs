//! The whole audited life of a job: submitted, assigned, claimed, generated, its piece stored, handed in, scored, settled.

use std::time::Instant;

use async_trait::async_trait;
use aura_orchestra::{core::contract::AdapterError, prelude::*};
use aura_testbed::PrivatePostgres;
use futures::{StreamExt as _, stream};

const JOBS: u32 = 10_000;
const SUBMITTERS: usize = 64;
const WORKERS: usize = 256;

/// Answers at once, so that only the orchestra is measured.
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

pub(crate) async fn run(server: &PrivatePostgres) {
    let url = server.create_database().expect("a database");
    let store = PgStore::builder(&url).connections(16).open().await.expect("the store opens");
    let profile = ModelProfile::new("instantly", ModelKind::Cloud, "bench", "instantly").expect("a name");
    let builder = Orchestra::builder().store(store.clone()).scorer(FormulaScorer::default());
    let builder = builder.employ(Instantly(profile.concurrency(2_000))).workers(WORKERS);
    let orchestra = builder.start().await.expect("it starts");
    let cpu = server.cpu_time().expect("the server runs");
    let started = Instant::now();
    let submitted = stream::iter(0..JOBS)
        .map(|_| async { orchestra.submit(NewPrd::new("write one()")).await.expect("accepted").id });
    let prds: Vec<PrdId> = submitted.buffer_unordered(SUBMITTERS).collect().await;
    let all_in = started.elapsed();
    for prd in prds {
        orchestra.verdict(prd).await.expect("a verdict");
    }
    let took = started.elapsed();
    let cpu = server.cpu_time().expect("the server runs") - cpu;
    println!(
        "whole life: {:.0} jobs/s ({JOBS} jobs in {:.2} s, all submitted after {:.2} s), PostgreSQL {:.3} ms CPU a job",
        f64::from(JOBS) / took.as_secs_f64(),
        took.as_secs_f64(),
        all_in.as_secs_f64(),
        cpu.as_secs_f64() * 1000.0 / f64::from(JOBS),
    );
    orchestra.stop().await;
    store.close().await;
}
