//! Every form of a test: which have a twin, and mean in their copies what they mean.

use aura_core::{EvidenceStrength, ReportFormat, SourceFile, TestOutcome, TestSuite};

use super::{by, by_suite, suite};

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
    let report = by_suite(&TestSuite::project(files, command, ReportFormat::Junit), work).await;
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
