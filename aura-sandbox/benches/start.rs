//! What each back end adds to running `true`, beside the bare run: goals are 20 ms for bubblewrap and 5 ms for landlock.
//!
//! Each sample is a whole `run_tests` on a small workspace, with all that it does besides: folders, control groups,
//! waiting until everything is dead. `bare` is the program started by the standard library and waited for.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark ends by panicking, and tells what it leaves out"
)]

use std::{process::Command, time::Duration};

use aura_core::{JobId, ReportFormat, Sandbox, SourceFile, TestSuite};
use aura_sandbox::{BackEnd, LocalSandbox};
use criterion::{Criterion, criterion_group, criterion_main};

fn start(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("start");
    group.sample_size(50).measurement_time(Duration::from_secs(8));
    group.bench_function("bare", |bencher| {
        bencher.iter(|| assert!(Command::new("/usr/bin/true").env_clear().status().expect("started").success()));
    });
    for back_end in [BackEnd::Unconfined, BackEnd::Landlock, BackEnd::Bubblewrap] {
        let sandbox = match LocalSandbox::builder().back_ends([back_end]).build() {
            Ok(sandbox) => sandbox,
            Err(error) => {
                eprintln!("{back_end} is left out: {error}");
                continue;
            }
        };
        let base = [SourceFile::new("solution.py", "def add(a, b):\n    return a + b\n")];
        let workspace = runtime.block_on(sandbox.prepare(JobId::new(), 1, &base)).expect("a workspace");
        let suite = TestSuite::project(Vec::new(), ["/usr/bin/true"], ReportFormat::ExitCode);
        group.bench_function(back_end.as_str(), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                assert!(sandbox.run_tests(&workspace, &suite).await.expect("ran").is_pass());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, start);
criterion_main!(benches);
