//! What an orchestra does on PostgreSQL under load: whole lives a second, and claims by hundreds of workers through two nodes.
//!
//! ```sh
//! cargo run --release --example bench_postgres [life] [crowd]
//! ```
//! It starts a private, durable PostgreSQL (fsync and synchronous_commit on) and prints a table. For the queue's verbs alone,
//! beside other queues, see `scripts/bench-queue`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends by panicking"
)]

mod crowd;
mod life;

use aura_testbed::PrivatePostgres;

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let server = PrivatePostgres::builder().durable().start().expect("a private PostgreSQL");
    if wants("life") {
        life::run(&server).await;
    }
    if wants("crowd") {
        crowd::run(&server).await;
    }
}
