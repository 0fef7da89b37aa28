//! Whether it stays as fast: with millions of finished jobs in the tables, and while a transaction is held open elsewhere, which
//! keeps dead rows from being cleared away.

use std::time::{Duration, Instant};

use aura_orchestra::prelude::*;
use aura_testbed::PrivatePostgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::life;

/// Jobs of one measurement.
const JOBS: u32 = 4_000;
/// Finished jobs that one statement makes.
const CHUNK: u64 = 250_000;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

pub(crate) async fn run(server: &PrivatePostgres) {
    let finished = setting("AURA_FINISHED_JOBS", 1_000_000);
    let held = Duration::from_secs(setting("AURA_HELD_SECONDS", 180));
    let url = server.create_database().expect("a database");
    let store = PgStore::builder(&url).connections(16).open().await.expect("the store opens");
    let orchestra = life::start(&store).await;
    life::lives(&orchestra, JOBS).await;
    let young = median(&orchestra).await;
    println!("with {} finished jobs: {young:.0} whole lives a second", 4 * JOBS);

    let mut hand = PgConnection::connect(&url).await.expect("a connection");
    fill(&mut hand, finished).await;
    let aged = median(&orchestra).await;
    println!("with {finished} finished jobs: {aged:.0} a second, {:.2} of that", aged / young);

    let before = median(&orchestra).await;
    let mut open = PgConnection::connect(&url).await.expect("a connection");
    for statement in
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM aura.models", "SELECT pg_current_xact_id()"]
    {
        sqlx::raw_sql(statement).execute(&mut open).await.expect("a transaction that stays open");
    }
    let since = Instant::now();
    let mut slowest = f64::INFINITY;
    let mut jobs = 0;
    while since.elapsed() < held {
        slowest = slowest.min(life::lives(&orchestra, JOBS).await);
        jobs += JOBS;
    }
    let took = since.elapsed().as_secs_f64();
    let last = median(&orchestra).await;
    println!(
        "behind a transaction of {took:.0} s ({jobs} jobs): {last:.0} a second at its end, {:.2} of the {before:.0} before it; \
         slowest {slowest:.0}",
        last / before,
    );
    orchestra.stop().await;
    store.close().await;
}

async fn median(orchestra: &Orchestra) -> f64 {
    let mut rates = [0.0; 3];
    for rate in &mut rates {
        *rate = life::lives(orchestra, JOBS).await;
    }
    rates.sort_by(f64::total_cmp);
    rates[1]
}

/// Finished jobs as the verbs would have left them, each with its PRD, its run, its verdict and its last audit entry.
async fn fill(hand: &mut PgConnection, finished: u64) {
    let started = Instant::now();
    for statement in ["SET search_path TO aura", "SET aura.verb TO on", "SET synchronous_commit TO off"] {
        sqlx::raw_sql(statement).execute(&mut *hand).await.expect("a setting");
    }
    let mut made = 0;
    while made < finished {
        let chunk = CHUNK.min(finished - made);
        sqlx::raw_sql(AssertSqlSafe(chunk_of(made, chunk))).execute(&mut *hand).await.expect("finished jobs");
        made += chunk;
    }
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut *hand).await.expect("vacuum");
    println!("({finished} finished jobs made in {:.0} s)", started.elapsed().as_secs_f64());
}

fn chunk_of(first: u64, jobs: u64) -> String {
    let request = r#"{"prompt": "write one()", "plan": "solo"}"#;
    format!(
        "CREATE TEMPORARY TABLE made ON COMMIT DROP AS
             SELECT n, ('018f' || lpad(to_hex(n), 12, '0') || '8000000000000001')::uuid AS prd,
                 ('018f' || lpad(to_hex(n), 12, '0') || '8000000000000002')::uuid AS job
             FROM generate_series({first}, {first} + {jobs} - 1) AS n;
         INSERT INTO prds (id, request, created_at, jobs) SELECT prd, '{request}', now(), ARRAY[job] FROM made;
         INSERT INTO jobs (id, prd_id, status, assigned_model, attempt, score, worker_id, lease_token, claimed_at, reported_at)
             SELECT job, prd, 'VALIDATED', 1, 1, 0.5, 'worker-1', 1, now(), now() FROM made;
         INSERT INTO model_runs (model_id, job_id, success, score, attempt, details)
             SELECT 1, job, true, 0.5, 1, '{{\"signals\": {{}}}}' FROM made;
         INSERT INTO verdicts (prd_id, verdict, settled_at) SELECT prd, '{{\"outcome\": \"won\"}}', now() FROM made;
         INSERT INTO ended_jobs (status, seq, model, job)
             SELECT status, seq, assigned_model, id FROM jobs WHERE id IN (SELECT job FROM made) ORDER BY seq;
         INSERT INTO job_totals (status, jobs) VALUES ('VALIDATED', {jobs});
         INSERT INTO audit_log (id, actor, action, details, job_id)
             SELECT head.seq + row_number() OVER (), 'accountant', 'job.validated', '{{}}', job FROM made, lock_audit_head() AS head;
         INSERT INTO audit_head (seq, hash) SELECT head.seq + {jobs}, head.hash FROM lock_audit_head() AS head;"
    )
}
