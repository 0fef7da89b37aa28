//! Suites of pytest with twins: every form of a test, and work that keeps state or reads what it should give.
#![cfg(unix)]

mod bench;

use aura_core::{EvidenceStrength, ReportFormat, SourceFile, TestOutcome, TestReport, TestSuite};
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

#[tokio::test]
async fn every_usual_way_to_write_a_test_gets_a_twin() {
    let tests = "import unittest\nimport pytest\nfrom solution import *\n\n\
        @pytest.mark.parametrize('a, b, expected', [(1, 2, 3), (5, 6, 11), pytest.param(1, 1, 2, id='ones')])\n\
        def test_rows(a, b, expected):\n    assert add(a, b) == expected, 'a sum'\n\n\
        def test_loop():\n    for a, expected in [(1, 2), (2, 3)]:\n        assert add(a, 1) == expected\n\n\
        def test_raises():\n    with pytest.raises(TypeError, match='int') as error:\n        add(1, 'x')\n    assert 'int' in str(error.value)\n\n\
        def test_truth():\n    assert is_even(4)\n    assert not is_even(3)\n    assert is_even(2) is True\n\n\
        def test_local():\n    expected = {'a': [1, None], 'b': ()}\n    assert table() == expected\n    assert add(1, 1) in (2, 5)\n\n\
        def test_files(tmp_path):\n    with open(tmp_path / 'x', 'w') as file:\n        file.write('x')\n        assert add(0.5, 0.5) == pytest.approx(1)\n\n\
        class TestGroup:\n    def test_empty(self):\n        assert add([], []) == []\n        assert add('', '') == '' and add(-1, 0) == -1\n\n\
        class Old(unittest.TestCase):\n    def test_old(self):\n        self.assertEqual(add(1, 2), 3)\n        self.assertTrue(is_even(0))\n        \
        self.assertIn('a', table())\n        with self.assertRaises(TypeError):\n            add(1, 'x')\n";
    let good = "def add(a, b): return a + b\ndef is_even(n): return n % 2 == 0\ndef table(): return {'a': [1, None], 'b': ()}\n";
    let report = by(tests, good).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!((report.strength, report.cases.len()), (EvidenceStrength::Twins, 10), "{}", report.output);
    let mut ids: Vec<&str> = report.cases.iter().map(|case| case.id.as_str()).collect();
    ids.truncate(3);
    assert_eq!(ids[2], "test_solution::test_rows[ones]");
    assert!(report.cases.iter().any(|case| case.id == "test_solution.TestGroup::test_empty"), "{report:?}");
}

#[tokio::test]
async fn a_test_without_a_twin_makes_the_evidence_weak_and_says_so() {
    for (weak, why) in [
        ("def test_b():\n    add(1, 2)\n", "test_b: it asserts nothing"),
        ("def test_b():\n    assert add(1, 2) == add(2, 1)\n", "test_b: what is right is not written out"),
        ("def test_b():\n    if add(1, 1):\n        assert add(1, 2) == 3\n", "test_b: it may not get to an assertion"),
        (
            "import pytest\n@pytest.mark.parametrize('n', [1])\n@mine\ndef test_b(n): assert n == 1\n",
            "nobody knows what",
        ),
    ] {
        let tests =
            format!("from solution import add\nmine = lambda f: f\ndef test_a():\n    assert add(1, 2) == 3\n\n{weak}");
        let report = by(&tests, "def add(a, b): return a + b\n").await;
        assert!(report.is_pass(), "{weak}: {report:#?}");
        assert_eq!(report.strength, EvidenceStrength::SameProcess);
        assert!(report.output.contains(why), "{weak}: {}", report.output);
    }
    let unsure = "from solution import add\nfor n in range(2):\n    def test_x(): assert add(1, 2) == 3\n";
    let report = by(unsure, "def add(a, b): return a + b\n").await;
    assert!(report.is_pass() && report.output.contains("under a condition"), "{report:#?}");
    assert_eq!(report.strength, EvidenceStrength::SameProcess);
}

#[tokio::test]
async fn only_a_skip_that_a_test_file_marks_leaves_the_total() {
    let tests = "import pytest\nfrom solution import add\n@pytest.mark.skip(reason='later')\ndef test_later(): assert add(1, 1) == 2\n\
        def test_a(): assert add(1, 2) == 3\ndef test_b(): assert add(2, 2) == 4\n";
    let report = by(tests, "def add(a, b): return a + b\n").await;
    assert_eq!((report.count(TestOutcome::Skipped), report.is_pass()), (1, true), "{report:#?}");
    assert_eq!(report.strength, EvidenceStrength::Twins, "{}", report.output);
    let report = by(tests, "import pytest\ndef add(a, b): return 3 if a == 1 else pytest.skip('no')\n").await;
    assert_eq!((report.count(TestOutcome::Skipped), report.count(TestOutcome::Failed)), (1, 1), "{report:#?}");
    // Where the test files cannot be read by the test, no mention of a skip in them is what counts.
    let unsure = "from solution import add\nif True:\n    def test_a(): assert add(1, 2) == 3\n    def test_b(): assert add(2, 2) == 4\n";
    let report = by(unsure, "import pytest\ndef add(a, b): return 3 if a == 1 else pytest.skip('no')\n").await;
    assert_eq!(report.count(TestOutcome::Failed), 1, "{report:#?}");
}

#[tokio::test]
async fn work_that_keeps_state_is_judged_as_in_one_run() {
    let tests = "import os\nfrom solution import count\ndef test_first():\n    assert count() == 1\n    assert count() == 2\n\
        def test_second():\n    assert not os.path.exists('log')\n    assert count(log=True) > 0\n";
    let good = "n = 0\ndef count(log=False):\n    global n\n    n += 1\n    if log: open('log', 'w').write('x')\n    return n\n";
    let report = by(tests, good).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
}

#[tokio::test]
async fn tests_that_build_on_one_another_hold_in_every_copy() {
    let tests = "import unittest\nimport pytest\nfrom solution import Stack\n\nstack = Stack()\n\n\
        def test_a_pushes():\n    assert stack.push(7) == 7\n    assert stack.push(8) == 8\n    assert stack.size() == 2\n\n\
        def test_b_pops():\n    assert stack.pop() == 8\n    with pytest.raises(KeyError):\n        stack.get(3)\n    \
        for right in [7]:\n        assert stack.pop() == right\n    assert stack.pop() is None\n\n\
        class TestC(unittest.TestCase):\n    def test_c_is_empty(self):\n        self.assertEqual(stack.size(), 0)\n        \
        self.assertEqual(stack.push(5), 5)\n        self.assertEqual(stack.pop(), 5)\n\n\
        def test_d_is_empty_again():\n    assert stack.size() == 0\n";
    let good = "class Stack:\n    def __init__(self): self.items = []\n    def size(self): return len(self.items)\n    \
        def push(self, x):\n        self.items.append(x)\n        return x\n    \
        def pop(self): return self.items.pop() if self.items else None\n    def get(self, key): raise KeyError(key)\n";
    let report = by(tests, good).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
    let bad = good.replace("return x\n", "return 7\n");
    let report = by(tests, &bad).await;
    assert_eq!((report.count(TestOutcome::Passed), report.forgeries.len()), (2, 0), "{report:#?}");
    // The first assertion that failed is what the test fails by, although it went on.
    let message =
        report.cases.iter().find(|case| case.outcome == TestOutcome::Failed).map(|case| case.message.as_str());
    assert!(message.is_some_and(|message| message.contains("stack.push(8) == 8")), "{report:#?}");
}

#[tokio::test]
async fn what_every_copy_begins_with_is_no_way_out() {
    let test =
        |n: u32| format!("def test_{n}():\n    assert f({n}, 1) == {}\n    assert f({n}, 2) == {}\n\n", n + 1, n + 2);
    let tests = "from solution import f\n\n".to_owned() + &(5..15).map(test).collect::<String>();
    for work in [
        // No failure gets out of a copy.
        "import sys\ndef f(a, b):\n    globals = sys._getframe(1).f_globals\n    \
         globals['_EveryAssertion'].__exit__ = lambda *of: True\n    return 0\n",
        // None is kept.
        "import sys\ndef f(a, b):\n    sys._getframe(1).f_locals['_every'].goes_on = lambda *of: True\n    return 0\n",
    ] {
        let report = by(&tests, work).await;
        assert!(!report.is_pass() && report.forgeries.len() > 1, "{report:#?}");
    }
    let honest = by(&tests, "def f(a, b): return a + b\n").await;
    assert!(honest.is_pass() && honest.strength == EvidenceStrength::Twins, "{honest:#?}");
}

#[tokio::test]
async fn a_right_value_is_not_told_by_its_looks() {
    // Work that reads what it should give, and gives it where it looks right.
    let believer = |looks_right: &str| {
        format!(
            "import ast, linecache, sys\ndef f(n):\n    frame = sys._getframe(1)\n    \
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)\n    \
            value = ast.literal_eval(line.split('==')[1].strip())\n    return value if value in {looks_right} else 'no'\n"
        )
    };
    let tests = |right: &dyn Fn(u32) -> String| {
        let test = |n: u32| format!("def test_{n}():\n    assert f({n}) == {}\n\n", right(n));
        "from solution import f\n\n".to_owned() + &(0..16).map(test).collect::<String>()
    };
    let words = tests(&|n| format!("{:?}", ["Fizz", "Buzz", "FizzBuzz"][n as usize % 3]));
    let bits = tests(&|n| (n % 2).to_string());
    let prices = tests(&|n| format!("{n}.99"));
    let looked_at = [
        (words, "('Fizz', 'Buzz', 'FizzBuzz')"),
        (bits, "(0, 1)"),
        (prices, "[float('%d.99' % n) for n in range(16)]"),
    ];
    for (tests, looks_right) in looked_at {
        let work = believer(looks_right);
        let report = by(&tests, &work).await;
        assert!(!report.is_pass() && report.forgeries.len() > 1, "{report:#?}");
    }
}

#[tokio::test]
async fn honest_bad_work_is_not_accused_for_what_is_right_elsewhere() {
    let tests = "import pytest\nfrom solution import fib\n\n@pytest.mark.parametrize('n, want', \
        [(0, 0), (1, 1), (2, 1), (3, 2), (4, 3), (5, 5), (10, 55)])\ndef test_fib(n, want):\n    assert fib(n) == want\n";
    let fib = "def fib(n):\n    a, b = 0, 1\n    for _ in range(n): a, b = b, a + b\n    return a\n";
    let good = by(tests, fib).await;
    assert!(good.is_pass() && good.strength == EvidenceStrength::Twins, "{good:#?}");
    for bad in ["def fib(n): return 0\n", &fib.replace("return a", "return b")] {
        let report = by(tests, bad).await;
        assert!(report.forgeries.is_empty() && !report.is_pass(), "{report:#?}");
    }
}

#[tokio::test]
async fn what_would_never_end_behind_a_failed_assertion_is_a_failure_of_one_test() {
    let tests = "import queue\nfrom solution import fill\n\ndef test_fill():\n    q = queue.Queue()\n    fill(q)\n    \
        assert q.qsize() == 2\n    assert q.get() == 7\n\ndef test_other():\n    assert fill(None) == 3\n";
    let report = by(tests, "def fill(q): return 3\n").await;
    assert_eq!((report.count(TestOutcome::Passed), report.count(TestOutcome::Failed)), (1, 1), "{report:#?}");
    assert!(report.forgeries.is_empty());
}

#[tokio::test]
async fn tests_that_look_at_what_came_before_hold_for_good_work() {
    let work = "n = 0\ndef count():\n    global n\n    n += 1\n    return n\ndef bad(): raise ValueError(n)\n";
    let tests = "import unittest\nimport pytest\nfrom solution import count, bad\n\n\
        def test_rows():\n    for want in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]:\n        assert count() == want\n\n\
        def test_after():\n    assert count() == 13 and count() == 14\n    with pytest.raises(ValueError) as e:\n        bad()\n    \
        got = e.value.args\n    assert count() == 15\n\n\
        def test_assigned():\n    e = pytest.raises(ValueError, bad)\n    assert count() == 16\n\n\
        class TestOld(unittest.TestCase):\n    def test_1_first(self):\n        self.assertEqual(count(), 17)\n    \
        def test_3_last(self):\n        self.assertEqual(count(), 19)\n    def test_2_next(self):\n        self.assertEqual(count(), 18)\n";
    let report = by(tests, work).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
}

#[tokio::test]
async fn odd_tests_mean_in_a_copy_what_they_mean() {
    let work = "import functools\nclass IndexError(ValueError): pass\ndef mean(): return 40.0\ndef sign(k): return (-1) ** k\n\
        def check(n): raise IndexError(n) if n else ValueError(n)\n\
        def deco(f):\n    @functools.wraps(f)\n    def inner(): return f()\n    return inner\n";
    let tests = "import unittest\nimport pytest\nfrom solution import *\nfrom solution import IndexError\n\n\
        class TestMean(unittest.TestCase):\n    def test_close(self):\n        self.assertAlmostEqual(mean(), 5, delta=40)\n        \
        self.assertAlmostEqual(mean(), 40.0)\n\n\
        def test_sign():\n    for k in [2, 3]:\n        assert sign(k) == (-1) ** k\n\n\
        @deco\ndef greet():\n    \"\"\"Hello.\"\"\"\n\ndef test_doc():\n    assert greet.__doc__ == 'Hello.'\n\n\
        def test_value():\n    with pytest.raises(ValueError):\n        check(0)\n\n\
        def test_also_value():\n    with pytest.raises(ValueError):\n        check(1)\n\n\
        def test_message():\n    with pytest.raises(AssertionError, match='boom'):\n        assert False, 'boom'\n";
    for _ in 0..3 {
        let report = by(tests, work).await;
        assert!(report.is_pass(), "{report:#?}");
    }
    let twice = "from solution import sign\ndef test_a(): assert sign(1) == 1\ndef test_a(): assert sign(1) == -1\n";
    let report = by(twice, work).await;
    assert!(report.is_pass() && report.output.contains("two tests called test_a"), "{report:#?}");
    let helper = "from solution import sign\ndef is_right(x, y): assert x == y\ndef test_a():\n    assert sign(2) == 1\n    is_right(sign(3), -1)\n";
    let report = by(helper, work).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::SameProcess, "{report:#?}");
}

/// Tests that import everything, and may use pytest.
fn suite(tests: &str) -> String {
    format!("import math, pytest, time, unittest\nfrom unittest.mock import patch\nfrom solution import *\n\n{tests}")
}

#[tokio::test]
async fn honest_work_with_odd_answers_is_accused_of_nothing() {
    let good = [
        (
            "def test_a():\n    with pytest.raises(AttributeError): D().a\n\
            def test_b():\n    with pytest.raises(AttributeError): D().b\n\
            def test_c():\n    with pytest.raises(KeyError): D()['c']\n\
            def test_d():\n    with pytest.raises(KeyError): D()['d']\n",
            "class Missing(KeyError, AttributeError): pass\nclass D(dict):\n    def __missing__(self, k): raise Missing(k)\n    \
            def __getattr__(self, k): return self[k]\n",
        ),
        (
            "now = 0\ndef test_now():\n    global now\n    now = 10\n    assert read(lambda: now) == now\n\
            def test_other():\n    assert read(lambda: 4) == 4\n",
            "def read(clock): return clock()\n",
        ),
        (
            "@pytest.fixture\ndef url(): return 'a'\n\n@pytest.fixture\ndef client(request): return keep(request.getfixturevalue('url'))\n\n\
            @pytest.mark.parametrize('url', ['b', 'c'])\ndef test_url(client, url):\n    assert client == url\n",
            "def keep(x): return x\n",
        ),
        (
            "def test_a():\n    assert Mod(5, 7) + Mod(4, 7) == 2\n\ndef test_b():\n    assert AnyInt() == 5\n\n\
            def test_c():\n    n = AnyInt()\n    assert n == 8\n",
            "class AnyInt:\n    def __eq__(self, o): return isinstance(o, int)\n\
            class Mod:\n    def __init__(self, v, n): self.v, self.n = v % n, n\n    \
            def __add__(self, o): return Mod(self.v + o.v, self.n)\n    def __eq__(self, o): return (o - self.v) % self.n == 0\n",
        ),
        (
            "def test_a():\n    assert 'word' in make()\n\ndef test_b():\n    assert 'other' in make()\n",
            "class Universe:\n    def __contains__(self, x): return True\ndef make(): return Universe()\n",
        ),
    ];
    for (tests, work) in good {
        for _ in 0..2 {
            let report = by(&suite(tests), work).await;
            assert!(report.is_pass() && report.forgeries.is_empty(), "{report:#?}");
        }
    }
    let bad = [
        (
            "@pytest.mark.parametrize('at, want', [(0, '#1'), (1, '#2'), (2, '#3'), (3, '#4'), (4, '#5'), (5, '#6')])\n\
            def test_rank(at, want):\n    assert rank(at) == want\n",
            "def rank(at): return f'#{at}'\n",
        ),
        (
            "@pytest.mark.parametrize('n, want', [(1, 0.05), (2, 0.06), (3, 0.07), (4, 0.08)])\n\
            def test_rate(n, want):\n    assert rate(n) == want\n",
            "def rate(n): return round(n / 100 + 0.11, 2)\n",
        ),
        (
            "G = {'tie': ['shirt'], 'shoes': ['socks', 'trousers'], 'jacket': ['tie']}\n\
            def test_a():\n    o = order(G)\n    assert o.index('shirt') < o.index('tie')\n\
            def test_b():\n    o = order(G)\n    assert o.index('tie') < o.index('jacket')\n\
            def test_c():\n    o = order(G)\n    assert o.index('socks') < o.index('shoes')\n",
            "def order(g): return list({n for k, v in g.items() for n in (k, *v)})\n",
        ),
    ];
    for (tests, work) in bad {
        for _ in 0..2 {
            let report = by(&suite(tests), work).await;
            assert!(report.forgeries.is_empty(), "{report:#?}");
            assert!(!report.is_pass(), "{report:#?}");
        }
    }
}

#[tokio::test]
async fn work_that_reads_how_it_is_asked_is_found_out() {
    let line = "import sys, linecache, re\ndef line(back=0):\n    f = sys._getframe(2)\n    \
        return linecache.getline(f.f_code.co_filename, f.f_lineno - back)\n";
    let works = [
        (
            "def test_a():\n    assert abs(area(1) - 3.14159) < 1e-4\n\ndef test_b():\n    assert math.isclose(area(2), 12.56637, rel_tol=1e-5)\n\n\
            def test_c():\n    assert area(3) == pytest.approx(28.27433, abs=1e-4)\n",
            "def area(r): return float(re.findall(r'\\d+\\.\\d{3,}', line())[0])\n",
        ),
        (
            "def test_a():\n    assert name(1).startswith('Error')\n\ndef test_b():\n    assert name(2).endswith('found')\n",
            "def name(n): return re.findall(r\"'(\\w+)'\", line())[-1]\n",
        ),
        (
            "def test_a():\n    assert ok('a') is True\n\ndef test_b():\n    assert ok('b') is True\n\n\
            def test_c():\n    with pytest.raises(ValueError):\n        ok('')\n\n\
            def test_d():\n    with pytest.raises(ValueError):\n        ok(' ')\n",
            "def ok(x):\n    if 'raises(' in line(1): raise ValueError\n    return True\n",
        ),
        (
            "def test_a():\n    assert ok('a') is True\n\ndef test_b():\n    assert ok('') is False\n\n\
            def test_c():\n    assert 0 < ok('c') < 10\n\ndef test_d():\n    assert 5 <= ok('d') <= 20\n",
            "def ok(x):\n    words = line().split('assert ')[1].split()\n    \
            return int(words[0]) + 1 if words[0].isdigit() else words[-1] == 'True'\n",
        ),
        (
            "class Old(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(f(1) == 3)\n    \
            def test_b(self):\n        self.assertTrue('a' in f(2))\n",
            "class Any:\n    def __eq__(self, o): return True\n    def __contains__(self, o): return True\ndef f(n): return Any()\n",
        ),
        (
            "def test_a():\n    with pytest.raises(KeyError): f(1)\n\ndef test_b():\n    with pytest.raises(ValueError): f(2)\n\n\
            def test_c():\n    with pytest.raises(TypeError): f(3)\n",
            "class Every(KeyError, AttributeError, ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError, OverflowError): pass\n\
            def f(n): raise Every\n",
        ),
    ];
    // What no work raises by itself is waited for in place of an exception of the work's own.
    let own: String = (0..12).map(|n| format!("def test_{n}():\n    with pytest.raises(Own): f({n})\n\n")).collect();
    let every =
        "class Own(BufferError, ChildProcessError, BlockingIOError, IsADirectoryError): pass\ndef f(n): raise Own\n";
    for (tests, work) in works.into_iter().chain([(own.as_str(), every)]) {
        let report = by(&suite(tests), &format!("{line}{work}")).await;
        assert!(!report.forgeries.is_empty(), "{work}: {report:#?}");
    }
}

#[tokio::test]
async fn a_word_that_is_looked_for_is_not_told_by_its_looks() {
    let tests = (0..6).map(|n| format!("def test_{n}():\n    assert 'Hello' in greet({n})\n\n")).collect::<String>();
    let reads = "import sys, linecache, re\ndef greet(n):\n    f = sys._getframe(1)\n    \
        word = re.findall(r\"'(\\w+)'\", linecache.getline(f.f_code.co_filename, f.f_lineno))[0]\n    \
        return word if re.fullmatch('[A-Z][a-z]{4}', word) else ''\n";
    let report = by(&suite(&tests), reads).await;
    assert_ne!(report.strength, EvidenceStrength::Twins, "{report:#?}");
    let report = by(&suite(&tests), "def greet(n): return 'Hello ' * n if n else 'Oh, Hello'\n").await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
}

#[tokio::test]
async fn a_row_with_an_id_and_a_method_called_skip_are_no_leave_to_skip() {
    let tests = "@pytest.mark.parametrize('a, want', [pytest.param(1, 3, id='one'), pytest.param(2, 4, id='two')])\n\
        def test_rows(a, want):\n    assert add(a, 2) == want\n\n\
        def test_stream():\n    assert Stream([1, 2]).skip(1) == [2]\n";
    let work = "import pytest\ndef add(a, b):\n    if a == 1: return 3\n    pytest.skip('no')\n\
        class Stream:\n    def __init__(self, all): self.all = all\n    def skip(self, n): pytest.skip('no')\n";
    let report = by(&suite(tests), work).await;
    assert_eq!((report.count(TestOutcome::Passed), report.count(TestOutcome::Failed)), (1, 2), "{report:#?}");
}

#[tokio::test]
async fn marks_fixtures_and_functions_of_a_tests_own_leave_it_its_twin() {
    let tests = "never = pytest.mark.skipif(True, reason='elsewhere')\nevery_kind = pytest.mark.parametrize('kind', ['list', 'dict'])\n\n\
        @never\ndef test_never():\n    assert add(1, 2) == 3\n\n\
        @every_kind\ndef test_kind(kind):\n    assert add(len(kind), 1) == 5\n\n\
        @pytest.fixture(params=['a', 'b'], autouse=True)\ndef both(request): return request.param\n\n\
        @pytest.fixture\ndef skipped(): pytest.skip('not here')\n\ndef test_skipped(skipped):\n    assert add(1, 2) == 3\n\n\
        @patch('time.monotonic', side_effect=[10.0, 12.5])\ndef test_clock(clock):\n    w = Watch()\n    assert w.took() == 2.5\n    assert add(2, 2) == 4\n\n\
        def test_numbers():\n    def numbers():\n        yield 1\n        yield 2\n        return\n    assert total(numbers()) == 3\n";
    let tests = suite(tests);
    let work = "import time\ndef add(a, b): return a + b\ndef total(all): return sum(all)\nclass Watch:\n    def __init__(self): self.start = time.monotonic()\n    \
        def took(self): return time.monotonic() - self.start\n";
    let report = by(&tests, work).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
    assert_eq!(report.count(TestOutcome::Skipped), 4, "{report:#?}");
    // The first failed twin would end a run.
    let files = vec![SourceFile::new("test_solution.py", &tests)];
    let command = ["python3", "-m", "pytest", "-x", "--maxfail=2", "--junitxml={report}", "test_solution.py"];
    let bench = Bench::new().await;
    bench.apply(&[("solution.py", work)]).await.unwrap();
    let report = bench.run(&TestSuite::project(files, command, ReportFormat::Junit)).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::Twins, "{report:#?}");
}

const OFFICE: &str = "import datetime\nfrom decimal import Decimal\ndef add(a, b): return a + b\ndef table(): return {'a': 1, 'b': 2}\n\
    def words(text): return text.split()\ndef price(cents): return Decimal(cents) / 100\n\
    def day(n): return datetime.date(2024, 1, 1) + datetime.timedelta(days=n)\ndef tell(call, n): call(n, size=2 * n)\n";

#[tokio::test]
async fn what_stands_in_a_name_of_the_file_gets_a_twin_and_its_rows_are_counted() {
    let tests = "import pytest\nfrom solution import *\n\nCASES = [(1, 2, 3), (-5, 6, 1), pytest.param(7, 1, 8, id='x')]\n\
        EXPECTED = {'a': 1, 'b': 2}\nTEXT: str = 'one two'\nWORDS = ['one', 'two']\nTOTAL = -7\nLOOP = [(1, 2), (2, 3), (3, 4)]\n\
        SHARED = [1]\n\n\
        @pytest.mark.parametrize('a, b, want', CASES)\ndef test_sum(a, b, want): assert add(a, b) == want\n\
        @pytest.mark.parametrize('a, b, want', CASES)\ndef test_other_way(a, b, want): assert add(b, a) == want\n\
        def test_table(): assert table() == EXPECTED\n\
        def test_words(): assert words(TEXT) == WORDS\n\
        def test_negative(): assert add(-3, -4) == TOTAL\n\
        def test_loop():\n    for a, want in LOOP: assert add(a, 1) == want\n\
        def test_pair():\n    a, want = 4, 9\n    assert add(a, 5) == want\n\
        def test_typed():\n    want: int = 5\n    assert add(2, 3) == want\n\
        def test_what_others_change():\n    SHARED.append(2)\n    assert add(SHARED, []) == [1, 2]\n";
    let report = by(tests, OFFICE).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!((report.strength, report.cases.len()), (EvidenceStrength::Twins, 13), "{}", report.output);
    // Work that drops a row which it cannot do.
    let dropping = format!(
        "{OFFICE}import gc\nfrom _pytest.config import Config\nclass Plugin:\n    def pytest_collection_modifyitems(self, items):\n        \
         items[:] = [item for item in items if '-5' not in item.name]\n\
         for found in gc.get_objects():\n    if isinstance(found, Config): found.pluginmanager.register(Plugin())\n"
    );
    let report = by(tests, &dropping.replace("return a + b", "return abs(a) + b")).await;
    assert!(!report.is_pass() && report.cases.is_empty(), "{report:#?}");
    assert!(report.output.contains("the report lacks test_solution::test_sum"), "{}", report.output);
}

#[tokio::test]
async fn classes_with_a_base_subtests_mocks_and_library_values_get_twins() {
    let tests = "import unittest\nfrom datetime import date, timedelta\nfrom decimal import Decimal\nfrom unittest import mock\n\
        from solution import *\nfrom helpers import check\n\n\
        class Base(unittest.TestCase):\n    limit = 3\n    def setUp(self): self.x = 2\n\n\
        class TestSums(Base):\n    test_data = [1, 2]\n    def test_rows(self):\n        for a, want in [(1, 3), (2, 4)]:\n            \
        with self.subTest(a=a, want=want):\n                self.assertEqual(add(a, self.x), want)\n    \
        def test_two(self):\n        with self.subTest('one'): self.assertEqual(add(1, 1), 2)\n        \
        with self.subTest('two'): self.assertEqual(add(1, 2), 3)\n\n\
        def test_price():\n    assert price(1050) == Decimal('10.50')\n    assert price(-1050) == Decimal('-10.50')\n\
        def test_day():\n    assert day(31) == date(2024, 2, 1)\n    assert day(1) - day(0) == timedelta(days=1)\n\
        def test_told():\n    call = mock.Mock()\n    tell(call, 4)\n    call.assert_called_once_with(4, size=8)\n";
    let suite = |tests: &str| {
        let files = vec![SourceFile::new("test_solution.py", tests), SourceFile::new("helpers.py", HELPERS)];
        TestSuite::project(files, PYTEST, ReportFormat::Junit)
    };
    let report = by_suite(&suite(tests), OFFICE).await;
    assert!(report.is_pass(), "{report:#?}");
    assert_eq!((report.strength, report.cases.len()), (EvidenceStrength::Twins, 5), "{}", report.output);
    let wrong = OFFICE.replace("a + b", "a + b + 1").replace("days=n", "days=n + 1").replace("2 * n", "n");
    let report = by_suite(&suite(tests), &wrong).await;
    assert_eq!((report.count(TestOutcome::Passed), report.forgeries.len()), (1, 0), "{report:#?}");
    let equal = "class Any:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    \
        def __sub__(self, other): return self\ndef price(n): return Any()\nadd = lambda a, b: Any()\nday = price\n\
        def tell(call, n): call(Any(), size=Any())\n";
    let report = by_suite(&suite(tests), equal).await;
    assert!(!report.is_pass() && !report.forgeries.is_empty(), "{report:#?}");
    // A helper of another file of the suite asserts, too.
    let more =
        format!("{tests}def test_by_a_helper():\n    if add(1, 1): check(add(1, 2), 3)\n    assert add(2, 2) == 4\n");
    let report = by_suite(&suite(&more), OFFICE).await;
    assert!(report.is_pass() && report.strength == EvidenceStrength::SameProcess, "{report:#?}");
    assert!(report.output.contains("test_by_a_helper: it may not get to an assertion"), "{}", report.output);
}

const HELPERS: &str = "def check(got, want):\n    assert got == want\n";
const PYTEST: [&str; 6] = ["python3", "-m", "pytest", "-q", "--junitxml={report}", "test_solution.py"];

#[tokio::test]
async fn a_name_that_is_more_than_its_literal_stays_a_name() {
    let tests = suite(
        "from unittest import mock\nfor n in range(3): pass\nCASES = [{'a': 1}, {'a': 3}]\n_ = [register('a', 1)]\nHAVE = True\nLIMIT = 5\n\
         def setup_module():\n    for case in CASES: case['want'] = case['a'] + 1\n\n\
         def test_cases():\n    for case in CASES: assert add(case['a'], 1) == case['want']\n\
         def test_registered(): assert lookup('a') == 1\n\
         @pytest.mark.skipif('not HAVE')\ndef test_by_text(): assert add(1, 2) == 3\n\
         def test_by_name():\n    with patch.multiple(__name__, LIMIT=7): assert add(LIMIT, 1) == 8\n\
         def test_every_step():\n    call = mock.Mock()\n    steps(call)\n    call.assert_any_call(50)\n\
         class Base(unittest.TestCase):\n    def setUp(self): self.x = 1\n\
         class T(Base):\n    def test_named(self):\n        with self.subTest(got=(got := add(1, 2))): self.assertEqual(got, 3)\n    \
         def test_next(self):\n        rest = iter([1, 2])\n        with self.subTest(n=next(rest)): self.assertEqual(next(rest), 2)\n",
    );
    let work = "of = {}\ndef add(a, b): return a + b\ndef register(key, value): of[key] = value\nlookup = of.get\n\
        def steps(call):\n    for n in range(101): call(n)\n";
    let report = by(&tests, work).await;
    assert!(report.is_pass() && report.cases.len() == 7, "{report:#?}");
    // Rows that the work may change belong to all tests.
    let tests = suite(
        "ROWS = [([3, 1, 2], 3), ([2, 1], 2)]\n@pytest.mark.parametrize('xs, want', ROWS)\ndef test_first(xs, want):\n    \
         rank(xs)\n    assert len(xs) == want\n@pytest.mark.parametrize('xs, want', ROWS)\ndef test_later(xs, want): assert xs[0] == want\n",
    );
    let report = by(&tests, "def rank(xs):\n    xs.sort()\n    return xs\n").await;
    assert_eq!((report.count(TestOutcome::Passed), report.forgeries.len()), (2, 0), "{report:#?}");
    // What the work itself calls equal, or called, is no forgery.
    let tests = suite(
        "def test_spy():\n    spy = Spy()\n    spy(4, 8)\n    spy.assert_called_with(4, 8)\n\
         def test_typed():\n    money: Money = Money(5)\n    assert money == 5\n\
         def test_pair():\n    money, other = Money(50), 3\n    assert money == 50\n",
    );
    let work = "class Spy:\n    def __call__(self, *of): pass\n    def assert_called_with(self, *of): pass\n\
        class Money:\n    def __init__(self, n): pass\n    def __eq__(self, other): return True\n";
    let report = by(&tests, work).await;
    assert!(report.forgeries.is_empty() && report.strength == EvidenceStrength::SameProcess, "{report:#?}");
}
