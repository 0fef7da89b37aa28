//! `graphile_worker`, the Rust crate, with the settings of its own benches, put through what bench-queue states.
//!
//! Drain: `benches/perf_test.rs`. Latency: `benches/throughput.rs`, `single_job_latency`.

use std::{
    env,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aura_testbed::ProcessTree;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, Worker, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::sync::mpsc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const BULK: usize = 5_000;
const CALLERS: usize = 64;
const ENQUEUE: Duration = Duration::from_secs(2);
const WARM_UP: usize = 20;
const SAMPLES: usize = 300;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noop {
    n: usize,
}

/// Where a handler says that it began.
#[derive(Clone, Debug)]
struct Begun {
    count: Arc<AtomicUsize>,
    moments: Option<mpsc::Sender<Instant>>,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(begun) = context.get_ext::<Begun>() {
            begun.count.fetch_add(1, Ordering::Relaxed);
            if let Some(moments) = &begun.moments {
                let _ = moments.send(Instant::now()).await;
            }
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = env::var("DATABASE_URL")?;
    let jobs: usize = env::var("JOBS")?.parse()?;
    let server = ProcessTree::of(env::var("POSTGRES_PID")?.parse()?);
    let client = ProcessTree::of(std::process::id());
    let pool = PgPoolOptions::new().max_connections(100).connect(&url).await?;
    let utils = WorkerUtils::new(pool.clone(), "graphile_worker");
    utils.migrate().await?;

    let started = Instant::now();
    for from in (0..jobs).step_by(BULK) {
        utils.add_raw_jobs(&specs(from..jobs.min(from + BULK))).await?;
    }
    let bulk = started.elapsed();

    let before = (server.cpu_time()?, client.cpu_time()?, wal(&pool).await?);
    let drain = drain(&pool, jobs).await?;
    let after = (server.cpu_time()?, client.cpu_time()?, wal(&pool).await?);

    let mut latencies = pick_ups(&pool, &utils).await?;
    latencies.sort_unstable();
    let one = enqueue_for(&utils, 1).await?;
    let many = enqueue_for(&utils, CALLERS).await?;

    let all = jobs as f64;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let quantile = |share: f64| milliseconds(latencies[(share * latencies.len() as f64) as usize]);
    println!(
        "{}",
        serde_json::json!({
            "name": "graphile_worker (Rust)",
            "version": "0.14.1",
            "settings": "500 at once, local queue 5000, completions every 5 ms; latency: 1 at once, local queue 100",
            "enqueue_one_per_s": one,
            "enqueue_64_per_s": many,
            "bulk_per_s": all / bulk.as_secs_f64(),
            "drain_per_s": all / drain.as_secs_f64(),
            "postgres_cpu_ms_per_job": milliseconds(after.0 - before.0) / all,
            "client_cpu_ms_per_job": milliseconds(after.1 - before.1) / all,
            "wal_bytes_per_job": (after.2 - before.2) as f64 / all,
            "latency_p50_ms": quantile(0.5),
            "latency_p99_ms": quantile(0.99),
        })
    );
    Ok(())
}

fn specs(numbers: std::ops::Range<usize>) -> Vec<RawJobSpec> {
    let spec = |n| RawJobSpec {
        identifier: Noop::IDENTIFIER.to_owned(),
        payload: serde_json::json!({ "n": n }),
        spec: JobSpec::default(),
    };
    numbers.map(spec).collect()
}

/// Runs a worker until every job is completed in the database.
async fn drain(pool: &PgPool, jobs: usize) -> Outcome<Duration> {
    let count = Arc::new(AtomicUsize::new(0));
    let worker = WorkerOptions::default()
        .pg_pool(pool.clone())
        .concurrency(500)
        .poll_interval(Duration::from_millis(5))
        .complete_job_batch_delay(Duration::from_millis(5))
        .local_queue(LocalQueueConfig::default().with_size(5_000))
        .add_extension(Begun { count: Arc::clone(&count), moments: None })
        .define_job::<Noop>()
        .init()
        .await?;
    let worker = Arc::new(worker);

    let started = Instant::now();
    let running = run(&worker);
    while count.load(Ordering::Relaxed) < jobs {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while sqlx::query("SELECT 1 FROM graphile_worker._private_jobs LIMIT 1").fetch_optional(pool).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let elapsed = started.elapsed();

    let begun = count.load(Ordering::Relaxed);
    if begun != jobs {
        return Err(format!("{begun} handlers ran for {jobs} jobs").into());
    }
    worker.request_shutdown();
    running.await??;
    Ok(elapsed)
}

fn run(worker: &Arc<Worker>) -> tokio::task::JoinHandle<Outcome<()>> {
    let worker = Arc::clone(worker);
    tokio::spawn(async move { Ok(worker.run().await?) })
}

/// Time from before an enqueue to the start of its handler, in a worker that is idle.
async fn pick_ups(pool: &PgPool, utils: &WorkerUtils) -> Outcome<Vec<Duration>> {
    let (moments, mut begun) = mpsc::channel(1);
    let worker = WorkerOptions::default()
        .pg_pool(pool.clone())
        .concurrency(1)
        .poll_interval(Duration::from_millis(10))
        .local_queue(LocalQueueConfig::default().with_size(100))
        .add_extension(Begun { count: Arc::default(), moments: Some(moments) })
        .define_job::<Noop>()
        .init()
        .await?;
    let worker = Arc::new(worker);
    let running = run(&worker);

    let mut latencies = Vec::new();
    for n in 0..WARM_UP + SAMPLES {
        let started = Instant::now();
        utils.add_job(Noop { n }, JobSpec::default()).await?;
        let latency = begun.recv().await.ok_or("the worker ended")?.duration_since(started);
        if n >= WARM_UP {
            latencies.push(latency);
        }
        // Uneven pauses: even ones could fall in step with a worker that polls.
        tokio::time::sleep(Duration::from_millis(10 + (n as u64 * 197) % 11)).await;
    }
    worker.request_shutdown();
    running.await??;
    Ok(latencies)
}

/// Jobs a second that this many callers enqueue, each one at a time, waiting for its commit.
async fn enqueue_for(utils: &WorkerUtils, callers: usize) -> Outcome<f64> {
    enqueue_until(utils, callers, Instant::now() + ENQUEUE / 10).await?;
    let started = Instant::now();
    let done = enqueue_until(utils, callers, started + ENQUEUE).await?;
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

async fn enqueue_until(utils: &WorkerUtils, callers: usize, until: Instant) -> Outcome<usize> {
    let mut all = Vec::new();
    for _ in 0..callers {
        let utils = utils.clone();
        all.push(tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < until {
                utils.add_job(Noop { n: done }, JobSpec::default()).await?;
                done += 1;
            }
            Outcome::Ok(done)
        }));
    }
    let mut done = 0;
    for caller in all {
        done += caller.await??;
    }
    Ok(done)
}

/// Bytes of write-ahead log since the server was made.
async fn wal(pool: &PgPool) -> Outcome<i64> {
    Ok(sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetch_one(pool).await?)
}
