//! Programs that run out of memory: the report names the limit that they met.

#![expect(clippy::indexing_slicing, reason = "a test ends by panicking")]

use aura_core::{Cases, Sandbox, TestOutcome, TestSuite};
use aura_sandbox::{BackEnd, Limits};
use serde_json::json;

use crate::{SECOND, behind_each, bench::Bench, python};

behind_each! {
    Bubblewrap => bubblewrap, Landlock => landlock, Unconfined => unconfined; {
        a_run_that_the_kernel_ended_for_memory_names_the_limit,
        a_case_that_the_kernel_ended_for_memory_names_the_limit_and_costs_itself_alone,
        a_run_that_was_refused_memory_says_what_a_process_may_have,
        an_honest_failure_is_not_put_down_to_memory,
    }
}

/// Memory that counts for the run as a whole, and not against the bound of each process: the kernel ends whoever has it.
const SHARED: &str = "import mmap\nx = mmap.mmap(-1, 400 << 20)\nfor n in range(0, 400 << 20, 4096): x[n] = 1\n";
const EXCEEDED: &str = "the memory limit of 100 MiB was exceeded";

async fn small(back_end: BackEnd) -> Bench {
    let mut limits = Limits::default();
    limits.memory_bytes = 100 << 20;
    Bench::behind(back_end, limits, &[]).await
}

/// Whether all processes of a run have one bound together: else the kernel ends none of them.
fn is_bounded_as_a_whole(bench: &Bench) -> bool {
    bench.sandbox.capabilities().notes.iter().any(|note| note.contains("by cgroup"))
}

async fn a_run_that_the_kernel_ended_for_memory_names_the_limit(back_end: BackEnd) {
    let bench = small(back_end).await;
    let report = bench.run(&python(SHARED)).await;
    if is_bounded_as_a_whole(&bench) {
        assert!(!report.is_pass() && report.cases[0].message.contains(EXCEEDED), "{report:?}");
        assert!(report.output.contains(EXCEEDED), "{report:?}");
    }
    let one_of_many = "import os\nif os.fork() == 0:\n    ".to_owned() + &SHARED.trim_end().replace('\n', "\n    ");
    let report = bench.run(&python(&(one_of_many + "\n    os._exit(0)\nos.wait()\n"))).await;
    // It ended well itself, and all the same people are told.
    assert!(report.is_pass(), "{report:?}");
    assert_eq!(report.output.contains(EXCEEDED), is_bounded_as_a_whole(&bench), "{report:?}");
}

async fn a_case_that_the_kernel_ended_for_memory_names_the_limit_and_costs_itself_alone(back_end: BackEnd) {
    let bench = small(back_end).await;
    let body = SHARED.trim_end().replace('\n', "\n        ");
    let solution = format!("def f(n):\n    if n == 1:\n        {body}\n    return n\n");
    bench.apply(&[("solution.py", &solution)]).await.expect("taken");
    let cases = [1, 2].into_iter().fold(Cases::python("f"), |cases, n| cases.case([json!(n)], json!(n)));
    let report = bench.run(&TestSuite::cases(cases).timeout(30 * SECOND)).await;
    assert_eq!(report.cases[1].outcome, TestOutcome::Passed, "{report:?}");
    if is_bounded_as_a_whole(&bench) {
        assert_eq!(report.cases[0].outcome, TestOutcome::Error, "{report:?}");
        assert!(report.cases[0].message.contains(EXCEEDED) && report.output.contains(EXCEEDED), "{report:?}");
    }
}

async fn a_run_that_was_refused_memory_says_what_a_process_may_have(back_end: BackEnd) {
    let bench = small(back_end).await;
    let report = bench.run(&python("x = bytearray(400 << 20)\n")).await;
    let told = "it says that memory ran out: a process may have 100 MiB";
    assert!(!report.is_pass() && report.cases[0].message.contains(told), "{report:?}");
    bench.apply(&[("solution.py", "def f():\n    return len(bytearray(400 << 20))\n")]).await.expect("taken");
    let report = bench.run(&TestSuite::cases(Cases::python("f").case([], json!(400 << 20)))).await;
    let message = &report.cases[0].message;
    assert!(message.contains("raised MemoryError") && message.contains("a process may have 100 MiB"), "{report:?}");
}

async fn an_honest_failure_is_not_put_down_to_memory(back_end: BackEnd) {
    let bench = small(back_end).await;
    for program in ["raise ValueError('no')\n", "import os\nos.kill(os.getpid(), 9)\n"] {
        let report = bench.run(&python(program)).await;
        assert!(!report.is_pass() && !report.output.contains("memory"), "{report:?}");
        assert!(!report.cases[0].message.contains("memory"), "{report:?}");
    }
}
