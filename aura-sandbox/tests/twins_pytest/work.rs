//! Work that keeps state, is odd, or reads what it should give.

use std::collections::BTreeSet;

use aura_core::{EvidenceStrength, TestOutcome};

use super::{by, suite};

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
async fn twins_of_tests_that_must_raise_wait_for_one_exception_after_the_other() {
    let tests = "def test_a():\n    with pytest.raises(KeyError): f(1)\n\ndef test_b():\n    with pytest.raises(KeyError): f(2)\n";
    let every = "class Every(KeyError, AttributeError, ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError, OverflowError): pass\n\
        def f(n): raise Every\n";
    let report = by(&suite(tests), every).await;
    // Two tests are run four times, and so have three twins each.
    let awaited: BTreeSet<_> = report.forgeries.iter().filter_map(|said| said.rsplit(": ").next()).collect();
    assert_eq!((awaited.len(), report.forgeries.len()), (6, 6), "{report:#?}");
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
