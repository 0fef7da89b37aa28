//! Suites of pytest with twins.
#![cfg(unix)]

#[path = "../bench/mod.rs"]
mod bench;
mod forms;
mod work;

use aura_core::{TestReport, TestSuite};
use bench::Bench;

/// What pytest makes of these tests and this work.
async fn by(tests: &str, solution: &str) -> TestReport {
    by_suite(&TestSuite::pytest(tests), solution).await
}

/// The same of a suite.
#[expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
async fn by_suite(suite: &TestSuite, solution: &str) -> TestReport {
    let bench = Bench::new().await;
    bench.apply(&[("solution.py", solution)]).await.unwrap();
    bench.run(suite).await
}

/// Tests that import everything, and may use pytest.
fn suite(tests: &str) -> String {
    format!("import math, pytest, time, unittest\nfrom unittest.mock import patch\nfrom solution import *\n\n{tests}")
}
