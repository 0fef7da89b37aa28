//! Fifty suites through one sandbox, of work that keeps every processor busy.

use std::{num::NonZeroUsize, sync::Arc};

use aura_orchestra::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{SECOND, house, nothing_is_left_of, tested, while_the_door_answers};

const SUITES: usize = 50;

/// Every third piece of work is wrong in one of its cases.
const fn is_wrong(number: usize) -> bool {
    number.is_multiple_of(3)
}

/// Computes for a while, and doubles its argument.
fn work(number: usize, function: &str) -> Vec<SourceFile> {
    let wrong = if is_wrong(number) { " + (n == 2)" } else { "" };
    let text = format!(
        "def {function}(n):\n    total = 0\n    for i in range(200000):\n        total = (total * 31 + i) % 1000003\n    \
         return 2 * n{wrong}\n"
    );
    vec![SourceFile::new("solution.py", text)]
}

/// Most are cases; every tenth is a project, whose tests share a process with the work and are run several times.
fn suite(number: usize, function: &str) -> TestSuite {
    let suite = if number % 10 == 9 {
        let tests = (1..=3).map(|n| format!("def test_{n}():\n    assert {function}({n}) == {}\n", 2 * n));
        TestSuite::pytest(format!("from solution import {function}\n{}", tests.collect::<String>()))
    } else {
        let cases = (1..=3).fold(Cases::python(function), |cases, n| cases.case([json!(n)], json!(2 * n)));
        TestSuite::cases(cases)
    };
    suite.timeout(600 * SECOND)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sandboxes_at_once_end_with_the_right_score_and_the_door_answers_throughout() {
    let house = house().await;
    let sandbox = LocalSandbox::builder().at_once(NonZeroUsize::new(SUITES).expect("some")).build();
    let sandbox = Arc::new(sandbox.expect("a sandbox"));
    assert_eq!(sandbox.back_end(), BackEnd::Bubblewrap, "{:?}", sandbox.refused());
    let word = format!("burn_{}", std::process::id());
    let mut suites = JoinSet::new();
    for number in 0..SUITES {
        let (sandbox, word) = (Arc::clone(&sandbox), word.clone());
        suites.spawn(async move { (number, tested(&sandbox, &work(number, &word), &suite(number, &word)).await) });
    }
    let reports = while_the_door_answers(&house, suites.join_all()).await;
    assert_eq!(reports.len(), SUITES);
    for (number, report) in reports {
        let passed = if is_wrong(number) { 2 } else { 3 };
        assert_eq!((report.cases.len(), report.count(TestOutcome::Passed)), (3, passed), "{number}: {report:#?}");
        assert_eq!(
            (report.is_pass(), report.isolation),
            (!is_wrong(number), Isolation::Strong),
            "{number}: {report:#?}"
        );
        assert!(report.strength >= EvidenceStrength::Twins, "{number}: {report:#?}");
    }
    // The arguments of every caller name the function, and those of what stands around it the sandbox's own folder.
    nothing_is_left_of(&word).await;
    nothing_is_left_of(&sandbox.root().to_string_lossy()).await;
    house.close().await;
}
