//! Tests as data: the work is called, and what comes back is compared where it cannot reach.
#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod bench;

use std::time::Duration;

use aura_core::{
    Call, Case, Cases, EvidenceStrength, Expected, Input, Language, TestOutcome, TestReport, TestSuite,
    evidence::RunEnd,
};
use aura_sandbox::{BackEnd, Limits};
use bench::Bench;
use serde_json::json;

async fn call(cases: Cases, work: &[(&str, &str)]) -> TestReport {
    let bench = Bench::new().await;
    bench.apply(work).await.expect("the work is taken");
    bench.run(&TestSuite::cases(cases).timeout(Duration::from_secs(30))).await
}

async fn python(cases: Cases, solution: &str) -> TestReport {
    call(cases, &[("solution.py", solution)]).await
}

fn outcomes(report: &TestReport) -> Vec<TestOutcome> {
    report.cases.iter().map(|case| case.outcome).collect()
}

fn add() -> Cases {
    Cases::python("add").case([json!(1), json!(2)], json!(3)).case([json!("a"), json!("b")], json!("ab"))
}

use TestOutcome::{Error, Failed, Passed};

#[tokio::test]
async fn good_python_passes_with_the_strongest_evidence() {
    let report = python(add().raises([json!(1), json!("b")], "TypeError"), "def add(a, b):\n    return a + b\n").await;
    assert!(report.is_pass(), "{report:?}");
    assert_eq!(report.strength, EvidenceStrength::SplitProcess);
    let ids: Vec<&str> = report.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["case 1", "case 2", "case 3"]);
    assert!(report.cases[0].time.is_some());
}

#[tokio::test]
async fn bad_python_fails_where_it_is_wrong_and_is_not_told_what_would_have_been_right() {
    let report = python(add(), "def add(a, b):\n    return a + b if a == 'a' else 47\n").await;
    assert_eq!(outcomes(&report), [Failed, Passed]);
    assert_eq!(report.cases[0].message, "add(1, 2) returned 47");
}

#[tokio::test]
async fn what_the_work_prints_is_no_answer_and_is_kept_as_output() {
    let report = python(add(), "print('hello')\ndef add(a, b):\n    print('called', end='')\n    return a + b\n").await;
    assert!(report.is_pass(), "{report:?}");
    assert!(report.output.contains("hello") && report.output.contains("called"), "{}", report.output);
}

#[tokio::test]
async fn a_call_that_ends_the_process_costs_itself_alone() {
    let solution = "import os\ndef add(a, b):\n    if a == 1:\n        os._exit(0)\n    return a + b\n";
    let report = python(add(), solution).await;
    assert_eq!(outcomes(&report), [Error, Passed]);
    assert!(report.cases[0].message.contains("did not come back: the process ended with exit code 0"), "{report:?}");
    let twice = Cases::python("add").case([json!(1), json!(2)], json!(3)).case([json!(1), json!(3)], json!(4));
    assert_eq!(outcomes(&python(twice, solution).await), [Error, Error]);
}

#[tokio::test]
async fn work_that_cannot_be_loaded_fails_every_case_also_one_that_expects_an_exception() {
    for solution in ["def add(a, b:\n", "raise SyntaxError('x')\n", "import os\nos._exit(0)\n", "x = 1\n", ""] {
        let report = python(add().raises([json!(1)], "SyntaxError"), solution).await;
        assert_eq!(outcomes(&report), [Error, Error, Error], "{solution:?}: {report:?}");
    }
}

/// Calls of which the second never comes back, and a probe that does not either.
fn second_of_four(cases: Cases) -> Cases {
    let numbers = [1, 2, 3, 4].into_iter();
    numbers.fold(cases, |cases, n| cases.case([json!(n)], json!(n + 1))).probe([json!(2)]).probe([json!(5)])
}

#[tokio::test]
async fn a_call_that_never_comes_back_costs_itself_alone_behind_every_back_end() {
    for back_end in [BackEnd::Bubblewrap, BackEnd::Landlock, BackEnd::Unconfined] {
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        let solution = "def after(n):\n    while n == 2: pass\n    return n + 1\n";
        bench.apply(&[("solution.py", solution)]).await.expect("taken");
        let cases = second_of_four(Cases::python("after")).case_time(Duration::from_secs(1));
        let report = bench.run(&TestSuite::cases(cases)).await;
        assert_eq!(outcomes(&report), [Passed, Failed, Passed, Passed], "{back_end}: {report:?}");
        assert_eq!((report.end, report.is_pass(), report.forgeries.len()), (RunEnd::Finished, false, 0));
        assert!(report.cases[1].message.starts_with("after(2) timed out: no answer within 1."), "{report:?}");
        assert!(report.behaviour[0].is_none() && report.behaviour[1].is_some(), "{report:?}");
    }
}

#[tokio::test]
async fn each_language_and_a_program_have_a_time_for_each_call() {
    let second = Duration::from_secs(1);
    let javascript = second_of_four(Cases::function(Language::Javascript, "after")).case_time(second);
    let rust = second_of_four(Cases::function(Language::Rust, "after")).case_time(second);
    let program = Cases::program(["python3", "solution.py"]).prints("1", "2").prints("2", "3").prints("3", "4");
    let program = program.prints("4", "5").case_time(second);
    for (cases, path, solution) in [
        (javascript, "solution.js", "exports.after = (n) => { while (n === 2); return n + 1; };\n"),
        (rust, "src/lib.rs", "pub fn after(n: u64) -> u64 { while n == 2 {} n + 1 }\n"),
        (program, "solution.py", "n = int(input())\nwhile n == 2: pass\nprint(n + 1)\n"),
    ] {
        let report = call(cases, &[(path, solution)]).await;
        assert_eq!(outcomes(&report), [Passed, Failed, Passed, Passed], "{path}: {report:?}");
        assert!(report.cases[1].message.contains("timed out: no answer within"), "{report:?}");
    }
}

#[tokio::test]
async fn unless_a_suite_says_how_long_a_call_may_take_each_lost_one_leaves_time_for_the_others() {
    let solution = "def after(n):\n    while n < 4: pass\n    return n + 1\n";
    let bench = Bench::new().await;
    bench.apply(&[("solution.py", solution)]).await.expect("taken");
    let suite = TestSuite::cases(second_of_four(Cases::python("after"))).timeout(Duration::from_secs(12));
    let report = bench.run(&suite).await;
    assert_eq!(outcomes(&report), [Failed, Failed, Failed, Passed], "{report:?}");
}

#[tokio::test]
async fn the_suites_time_ends_calls_and_loading_that_have_no_limit_of_their_own() {
    let bench = Bench::new().await;
    let suite = TestSuite::cases(add().case_time(Duration::from_secs(100))).timeout(Duration::from_secs(2));
    bench.apply(&[("solution.py", "def add(a, b):\n    while a == 1: pass\n    return a + b\n")]).await.expect("taken");
    let report = bench.run(&suite).await;
    assert_eq!((report.end, outcomes(&report)), (RunEnd::TimedOut, vec![Failed, Error]));
    assert!(
        report.cases[0].message.contains("timed out") && report.cases[1].message.contains("not called"),
        "{report:?}"
    );
    bench.apply(&[("solution.py", "while True: pass\n")]).await.expect("taken");
    let report = bench.run(&suite).await;
    assert_eq!((report.end, outcomes(&report)), (RunEnd::TimedOut, vec![Error, Error]));
    assert!(report.cases[0].message.contains("before the work was loaded"), "{report:?}");
}

#[tokio::test]
async fn work_that_feigns_progress_is_ended_with_its_suite_and_has_forged() {
    let solution = "import os, time\nmark = open('/proc/self/cmdline').read().split('\\0')[3].encode()\n\
                    def add(a, b):\n    while True:\n        for fd in range(1, 9):\n            try: os.write(fd, b'\\n' + mark + b' 0 {}\\n')\n            \
                    except OSError: pass\n        time.sleep(0.1)\n";
    let bench = Bench::new().await;
    bench.apply(&[("solution.py", solution)]).await.expect("taken");
    let suite = TestSuite::cases(add().case_time(Duration::from_secs(1))).timeout(Duration::from_secs(3));
    let report = bench.run(&suite).await;
    assert_eq!((report.end, report.is_pass()), (RunEnd::TimedOut, false), "{report:?}");
    assert!(!report.forgeries.is_empty(), "{report:?}");
}

#[tokio::test]
async fn what_json_cannot_say_is_never_right() {
    for value in ["float('nan')", "float('inf')", "object()", "{1, 2}", "b'x'", "10j"] {
        let cases = Cases::python("f")
            .case([], json!(null))
            .case([], json!({}))
            .raises([], "ValueError")
            .raises([], "TypeError");
        let report = python(cases, &format!("def f():\n    return {value}\n")).await;
        assert_eq!(outcomes(&report), [Failed; 4], "{value}: {report:?}");
        assert!(report.cases[0].message.contains("what JSON cannot say"), "{report:?}");
    }
}

#[tokio::test]
async fn an_honest_answer_that_cannot_be_read_is_wrong_and_no_forgery() {
    for value in ["'\\ud800'", "10 ** 400"] {
        let report = python(Cases::python("f").case([], json!("x")), &format!("def f():\n    return {value}\n")).await;
        assert_eq!((outcomes(&report), report.forgeries.len()), (vec![Failed], 0), "{value}: {report:?}");
    }
    let deep = "def f():\n    x = []\n    for _ in range(300):\n        x = [x]\n    return x\n";
    let report = python(Cases::python("f").case([], json!([])), deep).await;
    assert_eq!((outcomes(&report), report.forgeries.len()), (vec![Failed], 0), "{report:?}");
    let cases = Cases::function(Language::Rust, "f").case([], json!(0.0)).raises([], "panic");
    let report = call(cases, &[("src/lib.rs", "pub fn f() -> f64 { f64::NAN }\n")]).await;
    assert_eq!((outcomes(&report), report.forgeries.len()), (vec![Failed; 2], 0), "{report:?}");
}

#[tokio::test]
async fn probes_tell_alike_work_from_other_work() {
    let cases = || add().probe([json!(5), json!(6)]).probe([json!(null), json!(1)]);
    let one = python(cases(), "def add(a, b):\n    return a + b\n").await;
    let two = python(cases(), "def add(x, y):\n    total = x\n    total += y\n    return total\n").await;
    let other = python(cases(), "def add(a, b):\n    return a + b if a != 5 else 12\n").await;
    assert_eq!((one.cases.len(), one.behaviour.len()), (2, 2));
    assert_eq!(one.behaviour, two.behaviour);
    assert_ne!(one.behaviour[0], other.behaviour[0]);
    assert!(one.behaviour[1].is_some(), "an exception is behaviour too");
}

/// Each tries to pass without being right.
const FORGERS: &[(&str, &str)] = &[
    (
        "an object equal to everything",
        "class Any:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\ndef add(a, b): return Any()\n",
    ),
    (
        "a number equal to everything",
        "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b): return Any(0)\n",
    ),
    (
        "the caller's frame",
        "import sys\ndef add(a, b):\n    frame = sys._getframe()\n    while frame:\n        for value in list(frame.f_locals.values()):\n            if isinstance(value, dict) and 'expected' in value: return value['expected']\n        frame = frame.f_back\n",
    ),
    (
        "everything the process holds",
        "import gc\ndef add(a, b):\n    for thing in gc.get_objects():\n        if isinstance(thing, dict) and 'expected' in thing: return thing['expected']\n",
    ),
    ("an early exit", "import sys\nsys.exit(0)\n"),
    ("a hard exit", "import os\ndef add(a, b): os._exit(0)\n"),
    ("printed pass lines", "def add(a, b): print('2 passed in 0.01s'); print('test case 1 ... ok')\n"),
    (
        "json that always says 3",
        "import json\njson.dumps = lambda *a, **k: '{\"returned\": 3}'\ndef add(a, b): return None\n",
    ),
    ("a patched clock and loader", "import time\ntime.perf_counter = lambda: 1/0\ndef add(a, b): return 0\n"),
    (
        "answers of its own",
        "import os, sys\nfor fd in range(1, 20):\n    try: os.write(fd, b'\\n' + ' '.join(open('/proc/self/cmdline').read().split('\\0')[3:4]).encode() + b' 0 {\"returned\": 3}\\n')\n    except OSError: pass\ndef add(a, b): return 0\n",
    ),
    (
        "the test files",
        "import glob\ndef add(a, b):\n    for path in glob.glob('**/*', recursive=True):\n        text = open(path).read()\n        if 'expected' in text: return 3\n    return None\n",
    ),
    (
        "a report of its own",
        "open('report.xml', 'w').write('<testsuite><testcase name=\"case 1\"/></testsuite>')\ndef add(a, b): return None\n",
    ),
    (
        "a child that answers late",
        "import os, time\nif os.fork() == 0:\n    time.sleep(0.3)\n    os._exit(0)\ndef add(a, b): return None\n",
    ),
    ("an exception that looks like an answer", "def add(a, b): raise ValueError('{\"returned\": 3}')\n"),
    ("a renamed exception", "class TypeError(Exception): pass\ndef add(a, b): raise TypeError(3)\n"),
    (
        "pytest in its hands",
        "import sys, types\nsys.modules['pytest'] = types.ModuleType('pytest')\ndef add(a, b): return None\n",
    ),
    ("a trace hook", "import sys\nsys.settrace(lambda *a: None)\ndef add(a, b): return None\n"),
    (
        "a module that takes the caller's place",
        "import sys, builtins\nbuiltins.print = lambda *a: None\nsys.modules['__main__'].tell = lambda *a: None\ndef add(a, b): return None\n",
    ),
    (
        "a value that changes as it is looked at",
        "class Turns(dict):\n    def items(self): return [('x', 3)]\ndef add(a, b): return Turns()\n",
    ),
    ("a string that is a number", "def add(a, b): return '3'\n"),
];

#[tokio::test]
async fn no_forger_is_right_about_what_it_does_not_know() {
    for (what, solution) in FORGERS {
        let cases =
            Cases::python("add").case([json!(2), json!(3)], json!(5)).case([json!("a"), json!("b")], json!("ab"));
        let report = python(cases, solution).await;
        assert!(!report.is_pass() && report.count(Passed) == 0, "{what}: {report:?}");
    }
}

#[tokio::test]
async fn an_answer_of_the_works_own_making_is_a_forgery_with_its_proof() {
    let (_, solution) = FORGERS.iter().find(|(what, _)| *what == "answers of its own").expect("it is there");
    let report = python(add(), solution).await;
    assert!(!report.forgeries.is_empty() && !report.is_pass(), "{report:?}");
    assert!(report.forgeries[0].contains("a second answer to call 0"), "{:?}", report.forgeries);
}

#[tokio::test]
async fn javascript_is_called_however_it_exports_its_function() {
    let cases = || {
        Cases::function(Language::Javascript, "add")
            .case([json!(1), json!(2)], json!(3))
            .case([json!([1]), json!("x")], json!("1x"))
    };
    for solution in [
        "function add(a, b) { console.log('called'); return a + b; }\n",
        "module.exports = { add: (a, b) => a + b };\n",
        "exports.add = async (a, b) => a + b;\n",
        "export function add(a, b) { return a + b; }\n",
        "const add = (a, b) => a + b;\nexport default add;\nexport { add };\n",
        "module.exports = function add(a, b) { return a + b; };\n",
    ] {
        let report = call(cases(), &[("solution.js", solution)]).await;
        assert!(report.is_pass(), "{solution}: {report:?}");
    }
    let report = call(cases(), &[("solution.js", "exports.add = (a, b) => (b === 2 ? NaN : a + b);\n")]).await;
    assert_eq!(outcomes(&report), [Failed, Passed], "{report:?}");
    let raises = Cases::function(Language::Javascript, "f").raises([], "RangeError");
    let report = call(raises, &[("solution.js", "exports.f = () => { throw new RangeError('no'); };\n")]).await;
    assert!(report.is_pass(), "{report:?}");
}

#[tokio::test]
async fn rust_is_called_with_arguments_of_its_own_types() {
    let cases = Cases::function(Language::Rust, "join")
        .case([json!(["a", "b"]), json!("-"), json!(2)], json!("a-b-a-b"))
        .case([json!([]), json!("-"), json!(1)], json!(""))
        .raises([json!(["a"]), json!("-"), json!(0)], "panic");
    let solution = "pub fn join(parts: &[&str], by: &str, times: usize) -> String {\n    assert!(times > 0, \"never\");\n    \
                    println!(\"hello\");\n    let mut all = Vec::new();\n    for _ in 0..times { \
                    all.extend(parts.iter().cloned()); }\n    all.join(by)\n}\n";
    let report = call(cases.clone(), &[("src/lib.rs", solution)]).await;
    assert!(report.is_pass(), "{report:?}");
    let owned =
        solution.replace("&[&str]", "Vec<String>").replace("by: &str", "by: String").replace("join(by)", "join(&by)");
    let report = call(cases.clone(), &[("src/lib.rs", &owned)]).await;
    assert!(report.is_pass(), "{report:?}");
    let report =
        call(cases, &[("src/lib.rs", "pub fn join(parts: &[&str], by: &str, times: usize) -> String { 7 }\n")]).await;
    assert_eq!(outcomes(&report), [Error, Error, Error]);
    assert!(report.cases[0].message.contains("mismatched types"), "{report:?}");
}

#[tokio::test]
async fn a_program_is_run_once_a_case_by_its_standard_streams() {
    let double = "import sys\nprint(int(sys.stdin.read()) * int(sys.argv[1] if len(sys.argv) > 1 else 2))\n";
    let mut cases = Cases::program(["python3", "solution.py"]).prints("21", "42\n").prints("-1", "-2");
    let input = Input { args: vec![json!("3")], stdin: "2".to_owned() };
    cases.cases.push(Case { name: "times".to_owned(), input, expected: Expected::Returns(json!("6")) });
    let report = call(cases.clone(), &[("solution.py", double)]).await;
    assert!(report.is_pass(), "{report:?}");
    assert_eq!(report.cases[2].id, "times");
    let exits = "import sys\nprint(42)\nsys.exit(3)\n";
    let report = call(cases, &[("solution.py", exits)]).await;
    assert_eq!(outcomes(&report), [Failed, Failed, Failed]);
    assert!(report.cases[0].message.contains("exit code 3"), "{report:?}");
}

#[tokio::test]
async fn a_program_is_built_first_where_it_has_to_be() {
    let build = ["rustc", "-O", "-o", "double", "main.rs"].map(str::to_owned).to_vec();
    let command = vec!["./double".to_owned()];
    let cases = Cases::of(Call::Program { build, command }).prints("21", "42").prints("4", "8");
    let double = "fn main() { let mut t = String::new(); std::io::stdin().read_line(&mut t).unwrap(); println!(\"{}\", \
                  t.trim().parse::<i64>().unwrap() * 2); }";
    let report = call(cases.clone(), &[("main.rs", double)]).await;
    assert!(report.is_pass(), "{report:?}");
    let report = call(cases, &[("main.rs", "fn main() { 1 + }")]).await;
    assert_eq!(outcomes(&report), [Error, Error], "{report:?}");
}
