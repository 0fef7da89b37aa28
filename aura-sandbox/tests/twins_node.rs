//! Suites of Node's own test runner with twins: what is proven, what is weak, and what of it is forged.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

mod bench;

use aura_core::{
    EvidenceStrength, Project, ReportFormat, SourceFile, TestOutcome, TestReport, TestSuite, Tests, evidence::RunEnd,
};
use aura_sandbox::{BackEnd, Limits};
use bench::{Bench, everywhere};

const ATTACKS: &str = include_str!("forging/attacks.js");

const HEAD: &str = "const { test, it, describe, beforeEach } = require('node:test');\nconst assert = require('node:assert');\n\
    const { strictEqual, throws, ok } = assert;\nconst { add, pair, fail, later, Stack, flag, log } = require('./solution.js');\n";

/// Does what the tests here ask for.
const GOOD: &str = "
exports.add = (a, b) => {
    if (typeof a !== typeof b) throw new TypeError('two kinds of things');
    return a + b;
};
exports.pair = (a, b) => ({ a, b, both: [a, b] });
exports.fail = (message) => { throw Object.assign(new RangeError(message), { code: 'E_FAIL' }); };
exports.later = async (value) => {
    if (value instanceof Error) throw value;
    return value;
};
exports.Stack = class { #all = []; push(x) { this.#all.push(x); return this.#all.length; } get size() { return this.#all.length; } };
exports.flag = (value) => value;
exports.log = [];
";

/// Does nothing that is asked for.
const BAD: &str = "
exports.add = exports.pair = exports.flag = () => null;
exports.fail = () => {};
exports.later = async () => undefined;
exports.Stack = class { push() {} };
exports.log = [];
";

async fn run(suite: &TestSuite, work: &[(&str, &str)]) -> TestReport {
    let bench = Bench::new().await;
    bench.apply(work).await.expect("the work is taken");
    bench.run(suite).await
}

async fn by(tests: &str, solution: &str) -> TestReport {
    run(&TestSuite::node(format!("{HEAD}{tests}")), &[("solution.js", solution)]).await
}

fn ids(report: &TestReport) -> Vec<&str> {
    report.cases.iter().map(|case| case.id.as_str()).collect()
}

/// What is certain to be run and has its right value written out: each of these is a test's body.
const PROVEN: &[&str] = &[
    "assert.strictEqual(add(1, 2), 3);",
    "assert.equal(add(1, -2), -1, 'a message with 3');",
    "assert.deepStrictEqual(pair(1, 'x'), { a: 1, b: 'x', both: [1, 'x'] });",
    "assert.deepEqual(pair(1, 2).both, [1, 2]) // without a semicolon",
    "assert.strict.equal(add('a', 'b'), `ab`);",
    "strictEqual(add(0.5, 0.25), 0.75);",
    "assert.strictEqual(add(2n, 3n), 5n);",
    "assert.strictEqual(add(2n, 2n ** 60n), 2n ** 60n + 2n);",
    "assert.strictEqual(flag(null), null);",
    "assert.equal(flag(undefined), null);",
    "assert.strictEqual(flag(true), true);",
    "assert.strictEqual(flag(-0), -0, 'no');",
    "assert.deepStrictEqual(flag([]), []); assert.deepStrictEqual(flag({}), {});",
    "assert.deepStrictEqual(flag(new Set([1, 2])), new Set([1, 2]));",
    "assert.deepStrictEqual(flag(new Map([['a', 1]])), new Map([['a', 1]]));",
    "assert.deepStrictEqual(flag(new Date('2020-02-29')), new Date('2020-02-29'));",
    "assert.deepStrictEqual(flag(new Uint8Array([1, 255])), new Uint8Array([1, 255]));",
    "assert.strictEqual(flag(60 * 60 * 1000), 60 * 60 * 1000);",
    "assert.strictEqual(flag('ab'.repeat(2)), 'ab'.repeat(2));",
    "assert.ok(Number.isNaN(flag(NaN)));",
    "assert.strictEqual(flag(NaN), NaN);",
    "assert(add(1, 2) === 3);",
    "assert(add(1, 2) === 3 && add(2, 2) === 4, `sum of ${add(1, 2)}`);",
    "assert.ok(add(1, 2) > 2); assert.ok(!flag(false));",
    "assert.ok(add('abc', 'def').includes('cd')); assert.ok(new Set(flag([1, 2])).has(2));",
    "assert.ok('both' in pair(1, 2));",
    "assert.ok(Math.abs(add(0.1, 0.2) - 0.3) < 1e-9);",
    "assert.ok(pair(1, 2) instanceof Object);",
    "assert.notStrictEqual(add(1, 2), 4);",
    "assert.match(add('ab', 'cd'), /bc/); assert.match(add('ab', 'cd'), /^a.*d$/); assert.doesNotMatch(add('a', 'b'), /c/);",
    "assert.throws(() => add(1, 'b'), TypeError);",
    "assert.throws(() => fail('no'), { name: 'RangeError', message: 'no', code: 'E_FAIL' });",
    "assert.throws(() => fail('no such thing'), /no such/);",
    "assert.throws(() => fail('no such thing'), /no (such|other)/, 'message');",
    "assert.throws(() => fail('no'), Error);",
    "assert.throws(() => fail('no'));",
    "throws(() => fail('no'),);",
    "assert.throws(() => fail('no'), (error) => error instanceof RangeError && error.message === 'no');",
    "assert.doesNotThrow(() => add(1, 2));",
    "const want = 3;\nassert.strictEqual(add(1, 2), want);",
    "for (const [a, b, want] of [[1, 2, 3], [4, 5, 9]]) {\n  assert.strictEqual(add(a, b), want, `${a} and ${b} are ${want}`);\n}",
    "for (const { a, want } of [{ a: 1, want: 2 }, { a: 4, want: 5 }]) assert.strictEqual(add(a, 1), want);",
    "for (const row of [{ a: 1, want: 2 }, { a: 4, want: 5 }]) { assert.strictEqual(add(row.a, 1), row.want); }",
    "const rows = [['a', 'ab'], ['c', 'cb']];\nrows.forEach(([a, want]) => { assert.strictEqual(add(a, 'b'), want); });",
    "[[1, 2], [2, 3]].forEach(([a, want]) => assert.strictEqual(add(a, 1), want));",
    "for (const [key, want] of Object.entries({ a: 1, b: 2 })) assert.strictEqual(pair(1, 2)[key], want);",
    "{ const s = new Stack(); s.push(1); assert.strictEqual(s.size, 1 /* one */); }",
    "assert.strictEqual(flag('é😀'), /* ü */ 'é😀'); /* more\nlines 3 */ assert.strictEqual(flag('ß'), 'ß');",
    "assert.strictEqual(String(() => { /* 3 */ return 3; // as text\n}).includes('// as text'), true);\nassert.strictEqual(add(1, 2), 3);",
    "'use strict'; assert.strictEqual(flag('<\\n\\u2028\"'), '<\\n\\u2028\"');",
];

/// The same, in functions that wait.
const PROVEN_LATER: &[&str] = &[
    "assert.strictEqual(await later(3), 3);",
    "await assert.rejects(later(new TypeError('no')), TypeError);",
    "await assert.rejects(() => later(new TypeError('no')), { message: 'no' });",
    "await assert.rejects(later(new Error('no')));",
    "await assert.doesNotReject(later(3));",
    "await later(1);\nreturn assert.rejects(later(new TypeError('no')), /no/);",
];

#[tokio::test]
async fn each_form_that_is_written_out_proves() {
    let plain = PROVEN.iter().enumerate().map(|(n, body)| format!("test('form {n}', () => {{ {body}\n}});\n"));
    let later =
        PROVEN_LATER.iter().enumerate().map(|(n, body)| format!("it('later {n}', async (t) => {{ {body}\n}});\n"));
    let short = "test('short', () => assert.strictEqual(add(1, 2), 3));\ntest('wait', async () => assert.rejects(later(new Error('x')), /x/));\n\
        test('own', (t) => { t.diagnostic('3'); assert.strictEqual(add(1, 2), 3); });\n";
    let tests: String = plain.chain(later).chain([short.to_owned()]).collect();
    let report = by(&tests, GOOD).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!(report.strength, EvidenceStrength::Twins, "{}", report.output);
    assert_eq!(report.cases.len(), PROVEN.len() + PROVEN_LATER.len() + 3);
    assert_eq!((ids(&report)[0], ids(&report)[PROVEN.len()]), ("form 0", "later 0"));
    let bad = by(&tests, BAD).await;
    assert!(bad.forgeries.is_empty() && !bad.is_pass(), "{bad:#?}");
    assert_eq!(bad.end, RunEnd::Finished, "{bad:#?}");
    let passed: Vec<&str> =
        bad.cases.iter().filter(|case| case.outcome == TestOutcome::Passed).map(|case| case.id.as_str()).collect();
    assert!(passed.len() < 10, "{passed:?}");
}

/// What is weak, and a part of what the report says of it.
const WEAK: &[(&str, &str)] = &[
    ("assert.strictEqual(add(1, 2), add(2, 1));", "not written out"),
    ("if (add) assert.strictEqual(add(1, 2), 3);", "may not get to an assertion"),
    ("try { assert.ok(add); } catch {}", "may not get to an assertion"),
    ("[1].map(() => assert.ok(add));", "may not get to an assertion"),
    ("if (!add) return;\nassert.strictEqual(add(1, 2), 3);", "it may end early"),
    ("if (add(1, 2) !== 3) throw new Error('no');", "it may end early"),
    ("check(add(1, 2), 3);", "may not get to an assertion"),
    ("add(1, 2);", "it asserts nothing"),
    ("assert.ok(flag([3]).every((x) => x === 3));", "not written out"),
    ("assert.ok(add(1, 2) === add(2, 1));", "not written out"),
    ("assert.ok(true);", "not written out"),
    ("for (const x of [1, 2]) { if (x > 1) continue; assert.ok(add(x, 1)); }", "may not get to an assertion"),
    ("for (const [a, want] of [[1, 2]]) { flag(want); assert.strictEqual(add(a, 1), want); }", "not written out"),
    ("const want = 3; flag(want); assert.strictEqual(add(1, 2), want);", "not written out"),
    ("assert.throws(() => fail('no'), (error) => { assert.ok(error); return true; });", "may not get to an assertion"),
    ("assert.rejects(later(new Error('no')));", "nobody waits"),
];

#[tokio::test]
async fn each_weak_form_says_why_and_costs_nobody_a_pass() {
    let head = "function check(a, b) { assert.strictEqual(a, b); }\n";
    for (body, why) in WEAK {
        let tests = format!(
            "{head}test('weak', () => {{ {body}\n}});\ntest('strong', () => {{ assert.strictEqual(add(1, 2), 3); }});\n"
        );
        let report = by(&tests, GOOD).await;
        assert!(report.is_pass() && report.strength == EvidenceStrength::SameProcess, "{body}: {report:#?}");
        assert!(
            report.output.contains(&format!("weak: {why}")) || report.output.contains(&format!(" {why}")),
            "{body}: {}",
            report.output
        );
        assert!(report.output.contains("1 tests were proven"), "{body}: {}", report.output);
    }
    let callback = by("test('a', (t, done) => { assert.strictEqual(add(1, 2), 3); done(); });\n", GOOD).await;
    assert!(callback.is_pass() && callback.strength == EvidenceStrength::SameProcess, "{callback:#?}");
}

/// What leaves it open which tests there are, and a part of what the report says of it.
const UNSURE: &[(&str, &str)] = &[
    (
        "for (const n of [1, 2]) test(`n ${n}`, () => { assert.strictEqual(add(n, 0), n); });",
        "which tests `test` makes",
    ),
    ("const make = (name) => test(name, () => {});\nmake('a');", "which tests `test` makes"),
    ("if (add) { test('a', () => { assert.ok(add); }); }", "which tests `test` makes"),
    ("test('a', async (t) => { await t.test('b', () => { assert.ok(add); }); });", "with its context"),
    ("test('a', (t) => { assert.strictEqual(t.name, 'a'); });", "with its context"),
    ("test('a', { only: true }, () => { assert.ok(add); });", "an option means"),
    ("test('a' + 'b', () => { assert.ok(add); });", "not written out"),
    ("test('a', () => { assert.ok(add); });\ntest('a', () => { assert.ok(pair); });", "two tests called a"),
    ("const run = (assert) => assert;\ntest('a', () => { assert.ok(add); });", "several things"),
];

#[tokio::test]
async fn tests_that_nobody_can_tell_are_run_once_as_they_are() {
    for (tests, why) in UNSURE {
        let report = by(tests, GOOD).await;
        assert!(report.is_pass() && report.strength == EvidenceStrength::SameProcess, "{tests}: {report:#?}");
        assert!(report.output.contains("no twins") && report.output.contains(why), "{tests}: {}", report.output);
    }
}

#[tokio::test]
async fn groups_skips_and_odd_names_keep_their_ids() {
    let tests = "describe('group [x] # 1', () => {\n  let stack;\n  beforeEach(() => { stack = new Stack(); });\n\
        test('one [a]', () => { assert.strictEqual(stack.push(1), 1); });\n\
        describe(`inner`, () => { it('two > three', () => { stack.push(1); assert.strictEqual(stack.size, 1); }); });\n});\n\
        describe('group [x] # 1', () => { it('two', () => { assert.strictEqual(add(1, 1), 2); }); });\n\
        test.skip('left out', () => { assert.ok(false); });\n\
        describe.skip('all left out', () => { test('x', () => { assert.ok(false); }); });\n\
        describe('s', { timeout: 5000 }, () => { test('todo', { todo: 'later' }, () => { assert.ok(false); }); });\n";
    let report = by(tests, GOOD).await;
    let expected = [
        "group [x] # 1 > one [a]",
        "group [x] # 1 > inner > two > three",
        "group [x] # 1 > two",
        "left out",
        "all left out",
        "s > todo",
    ];
    assert_eq!(ids(&report), expected, "{report:#?}");
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
    assert_eq!(report.count(TestOutcome::Skipped), 3);
    let bad = by(tests, "exports.add = () => 2; exports.Stack = class { push() { return -70; } };").await;
    assert_eq!((bad.count(TestOutcome::Passed), bad.count(TestOutcome::Failed)), (1, 2), "{bad:#?}");
    assert!(bad.forgeries.is_empty() && bad.cases[0].message.contains("-70 !== 1"), "{bad:#?}");
}

#[tokio::test]
async fn modules_and_several_files_are_read_too() {
    let module = "import test, { describe as group } from 'node:test';\nimport { strict as is, ok } from 'node:assert';\n\
        import { add } from '../solution.mjs';\n// 3\ngroup('sums', () => {\n  test('small', () => { is.equal(add(1, 2), 3); ok(add(2, 2) === 4); });\n});\n";
    let common = "const test = require('node:test');\nconst assert = require('assert/strict');\nconst { add } = require('../other.cjs');\n\
        test('small', async () => { assert.equal(add(1, 2), 3); });\ntest.describe('more', () => { test.it('large', () => { assert.equal(add(10, 20), 30); }); });\n";
    let command = ["node", "--test", "--test-reporter=tap", "--no-warnings", "test/a.test.mjs", "./test/b.test.cjs"];
    let files = vec![SourceFile::new("test/a.test.mjs", module), SourceFile::new("test/b.test.cjs", common)];
    let suite = TestSuite::project(files, command, ReportFormat::Tap);
    let work =
        [("solution.mjs", "export const add = (a, b) => a + b;\n"), ("other.cjs", "exports.add = (a, b) => a + b;\n")];
    let report = run(&suite, &work).await;
    assert_eq!(ids(&report), ["sums > small", "small", "more > large"], "{report:#?}");
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
    let broken = run(&suite, &[work[0], ("other.cjs", "exports.add = (;\n")]).await;
    assert!(!broken.is_pass() && broken.forgeries.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn tests_that_build_on_one_another_hold_in_every_copy() {
    let tests = "const stack = new Stack();\nlet seen = 0;\n\
        test('one', () => { assert.strictEqual(stack.push(1), 1); stack.push(2); seen += 1; });\n\
        test('two', () => { assert.strictEqual(stack.size, 2); for (const [x, want] of [[5, 3], [6, 4]]) { assert.strictEqual(stack.push(x), want); } });\n\
        test('three', () => { assert.strictEqual(stack.size, 4); assert.strictEqual(seen, 1); });\n\
        test('four', () => { assert.strictEqual(stack.size, 4); assert.strictEqual(stack.push(0), 5); });\n";
    for _ in 0..2 {
        let report = by(tests, GOOD).await;
        assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
    }
}

#[tokio::test]
async fn partly_right_work_is_told_apart_test_by_test_and_never_accused() {
    let tests = "test('small', () => { assert.strictEqual(add(1, 2), 3); });\n\
        test('large', () => { assert.strictEqual(add(1000, 1), 1001); });\n\
        test('text', () => { assert.strictEqual(add('a', 'b'), 'ab'); });\n\
        test('kinds', () => { assert.throws(() => add(1, 'b'), TypeError); });\n";
    for (solution, right) in [
        ("exports.add = () => 3;", vec!["small"]),
        ("exports.add = (a, b) => a + b;", vec!["small", "large", "text"]),
        ("exports.add = () => { throw new TypeError('no'); };", vec!["kinds"]),
        ("exports.add = (a, b) => a + b - 5000;", vec![]),
        ("exports.add = undefined;", vec!["kinds"]),
        ("exports.add = () => null;", vec![]),
        ("throw new Error('no');", vec![]),
        ("exports.add = (;", vec![]),
    ] {
        let report = by(tests, solution).await;
        let passed: Vec<&str> = report
            .cases
            .iter()
            .filter(|case| case.outcome == TestOutcome::Passed)
            .map(|case| case.id.as_str())
            .collect();
        assert_eq!(passed, right, "{solution}: {report:#?}");
        assert!(report.forgeries.is_empty() && report.end == RunEnd::Finished, "{solution}: {report:#?}");
    }
}

#[tokio::test]
async fn commands_that_choose_tests_are_run_once_and_say_why() {
    let tests = format!("{HEAD}test('a', () => {{ assert.strictEqual(add(1, 2), 3); }});\n");
    for (more, why) in [("--test-name-pattern=a", "`--test-name-pattern=a`"), ("--test-only", "`--test-only`")] {
        let mut suite = TestSuite::node(tests.clone());
        let Tests::Project(Project { command, .. }) = &mut suite.tests else { panic!("node runs a project") };
        command.insert(1, more.to_owned());
        let report = run(&suite, &[("solution.js", GOOD)]).await;
        assert_eq!(report.strength, EvidenceStrength::SameProcess, "{report:#?}");
        assert!(report.output.contains(why), "{report:#?}");
    }
}

#[tokio::test]
async fn twins_of_node_work_behind_every_back_end() {
    let tests = format!("{HEAD}test('a', () => {{ assert.strictEqual(add(1, 2), 3); }});\n");
    for back_end in everywhere().into_iter().filter(|back_end| *back_end != BackEnd::Unconfined) {
        let bench = Bench::behind(back_end, Limits::default(), &[]).await;
        bench.apply(&[("solution.js", GOOD)]).await.expect("the work is taken");
        let report = bench.run(&TestSuite::node(tests.clone())).await;
        assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{back_end}: {report:#?}");
    }
}

/// A suite that attacks are tried on, with so many tests that nobody guesses them all.
fn attacked() -> String {
    let more = (0..12).map(|n| {
        format!("test('more {n}', () => {{ assert.strictEqual(add({}, 400), {}); }});\n", n * 37, n * 37 + 400)
    });
    let tests = "const { test } = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('./solution.js');\n\
        test('small', () => { assert.strictEqual(add(1, 2), 3); });\n\
        test('large', () => { assert.strictEqual(add(10 ** 9, 1), 10 ** 9 + 1); });\n\
        test('text', () => { assert.strictEqual(add('a', 'b'), 'ab'); });\n\
        test('list', () => { assert.deepStrictEqual(add([1], [2]), [1, 2]); });\n\
        test('right', () => { assert.ok(add(400, 500) === 900); });\n\
        test('kinds', () => { assert.throws(() => add(1, 'b'), TypeError); });\n";
    tests.to_owned() + &more.collect::<String>()
}

/// How many tests those are.
const COUNT: usize = 18;

fn attacks() -> impl Iterator<Item = (&'static str, &'static str)> {
    ATTACKS.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'))
}

fn solution(name: &str) -> &'static str {
    attacks().find(|(other, _)| *other == name).map_or_else(|| panic!("there is no {name}"), |(_, text)| text)
}

/// How many tests a scorer believes to have passed.
fn believed(report: &TestReport) -> usize {
    let counts = report.end == RunEnd::Finished && report.forgeries.is_empty();
    if counts { report.cases.iter().filter(|case| case.outcome == TestOutcome::Passed).count() } else { 0 }
}

/// Runs every attack of a half, so that two tests share the work: each behind one back end, in turns, or with `AURA_FORGE_ALL` behind
/// every one, and as the tests are too.
async fn no_attack_of_a_half_passes(half: usize) {
    let (suite, back_ends) = (TestSuite::node(attacked()), everywhere());
    let every = std::env::var_os("AURA_FORGE_ALL").is_some();
    let mut wrong = Vec::new();
    for (n, (name, text)) in attacks().filter(|(name, _)| !name.starts_with("HONEST")).skip(half).step_by(2).enumerate()
    {
        for (turn, back_end) in back_ends.iter().enumerate() {
            if !every && turn != n % back_ends.len() {
                continue;
            }
            let bench = Bench::behind(*back_end, Limits::default(), &[]).await;
            bench.apply(&[("solution.js", text)]).await.expect("the work is taken");
            let report = bench.run(&suite).await;
            // An attack that a back end stops may end in the error that one of the tests asks for.
            let honest = usize::from(name.starts_with("KNOWS") || *back_end != BackEnd::Unconfined);
            if report.is_pass() || believed(&report) > honest {
                wrong.push(format!("{back_end}: {name}: {report:#?}"));
            }
        }
        if every && name.starts_with("PLAIN") {
            // The last line leaves it open which tests there are, so that they get no twins.
            let plain = TestSuite::node(attacked() + "[].forEach(test);\n");
            forget();
            let report = run(&plain, &[("solution.js", text)]).await;
            if !report.is_pass() {
                wrong.push(format!("{name} is no attack: {report:#?}"));
            }
        }
    }
    forget();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Removes what attacks with a memory left outside of their workspace.
fn forget() {
    let left = std::fs::read_dir("/tmp").expect("a folder").flatten();
    for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with("aura-forging-node-")) {
        // Another test may have removed it.
        let _ = std::fs::remove_file(entry.path());
    }
}

#[tokio::test]
async fn no_attack_on_a_suite_of_node_earns_more_than_honest_bad_work() {
    no_attack_of_a_half_passes(0).await;
}

#[tokio::test]
async fn no_other_attack_on_a_suite_of_node_earns_more_than_honest_bad_work() {
    no_attack_of_a_half_passes(1).await;
}

#[tokio::test]
async fn honest_work_beside_the_attacks_is_told_apart_and_never_accused() {
    let suite = TestSuite::node(attacked());
    for (name, passed) in [
        ("HONEST good", COUNT),
        ("HONEST bad", 0),
        ("HONEST bad constant", 0),
        ("HONEST knows one answer", 1),
        ("HONEST off by one", 0),
    ] {
        let report = run(&suite, &[("solution.js", solution(name))]).await;
        assert_eq!((believed(&report), report.cases.len()), (passed, COUNT), "{name}: {report:#?}");
        assert_eq!(report.is_pass(), passed == COUNT, "{name}: {report:#?}");
        assert!(
            report.forgeries.is_empty() && (report.strength == EvidenceStrength::Twins) == (passed > 0),
            "{name}: {report:#?}"
        );
    }
}

#[tokio::test]
async fn a_forgery_of_a_suite_of_node_comes_with_its_proof() {
    let report =
        run(&TestSuite::node(attacked()), &[("solution.js", solution("PLAIN patched functions of assert"))]).await;
    let proof = report.forgeries.first().unwrap_or_else(|| panic!("none found: {report:#?}"));
    assert!(proof.contains("expected something wrong: assert."), "{proof}");
    assert!(!report.is_pass());
}
