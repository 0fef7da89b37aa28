# The copies of the tests: the last part of the program that begins in wrong.py.


def load(file):
    return Fold().visit(inline(ast.parse(file["text"], file["path"])))


# What every copy begins with. A test goes on behind an assertion that failed, and fails by it at its end: a twin would else leave behind
# what the rest of the test takes away, or not do what later tests wait for. A clock ends what nothing else would end then.
EVERY_ASSERTION = ast.parse("""
class _EveryAssertion:
    import signal
    from time import monotonic as time
    time = staticmethod(time)
    class Step:
        def __init__(self, test, is_assertion):
            self.test, self.is_assertion = test, is_assertion
        def __enter__(self):
            return self
        def __exit__(self, kind, error, trace):
            __tracebackhide__ = True
            return error is not None and self.test.goes_on(error, self.is_assertion)
    def __init__(self):
        self.start, self.failed, self.is_over = self.time(), None, False
        self.assertion, self.rest = self.Step(self, True), self.Step(self, False)
    def __enter__(self):
        return self
    def __exit__(self, kind, error, trace):
        __tracebackhide__ = True
        if self.failed is not None:
            self.signal.setitimer(self.signal.ITIMER_REAL, 0)
            self.signal.signal(self.signal.SIGALRM, self.signal.SIG_DFL)
            raise self.failed
    def goes_on(self, error, is_assertion):
        is_failure = isinstance(error, Exception) or str(error).startswith("DID NOT RAISE")
        if self.is_over or not is_failure or not (is_assertion or self.failed is not None):
            return False
        if self.failed is None:
            if self.signal.getsignal(self.signal.SIGALRM) != self.signal.SIG_DFL:
                return False
            try:
                self.signal.signal(self.signal.SIGALRM, self.end)
            except ValueError:
                return False
            self.signal.setitimer(self.signal.ITIMER_REAL, max(1, 3 * (self.time() - self.start)))
            self.failed = error
        return True
    def end(self, number, frame):
        self.is_over = True
        raise self.failed
""").body
# Statements that may need what an assertion that failed did not do.
SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)


def block(kind, statement):
    new = ast.parse(f"with {kind}: pass").body[0]
    new.body = statement if isinstance(statement, list) else [statement]
    return new


def go_on(function):
    """Has a test go on behind its assertions, unless its only one is its end."""
    *before, end = function.body
    is_last = isinstance(end, (ast.Assert, ast.Expr)) and len(apart(end)) == 1 and is_assertion(end)
    if any(asserts(s) for s in before) or not is_last and asserts(end):
        function.body = [block("_EveryAssertion() as _every", going_on(function.body, False))]


def going_on(statements, has_begun):
    new = []
    for statement in statements:
        for s in apart(statement):
            if isinstance(s, ast.For) and goes_round(s) or is_harmless(s):
                s.body = going_on(s.body, True)
                new.append(s)
            elif is_assertion(s):
                new.append(block("_every.assertion", s))
            else:
                new.append(block("_every.rest", s) if has_begun and isinstance(s, SIMPLE) else s)
        has_begun = has_begun or asserts(statement)
    return new


def apart(statement):
    """The parts of `assert a and b`: what the second one does has to be done too."""
    test = statement.test if isinstance(statement, ast.Assert) else None
    if not (isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)):
        return [statement]
    return [part for value in test.values for part in apart(ast.Assert(test=value, msg=statement.msg))]


def begin(body):
    """Puts what every copy begins with behind what must come first."""
    is_first = lambda node: isinstance(node, ast.ImportFrom) and node.module == "__future__" or isinstance(node, ast.Expr)
    at = next((at for at, node in enumerate(body) if not is_first(node)), len(body))
    body[at:at] = EVERY_ASSERTION


def letters():
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))


def has_parameters(tree):
    return any(is_kind(part, ("fixture",)) and any(k.arg == "params" for k in part.keywords) for part in ast.walk(tree))


def runs_for(tests):
    """How often the suite is run: fewer tests need more runs for a guess to be as unlikely."""
    able = [len(test.sites.found) for test in tests if test.sites.found]
    if not able:
        return 0
    if len(able) < 3:
        return 4
    return 3 if len(able) < 6 or max(able) > 1 else 2


def shown(statement):
    return ast.unparse(ast.fix_missing_locations(statement)).split("\n")[0][:300]


def is_python(file):
    try:
        ast.parse(file["text"])
    except (SyntaxError, ValueError):
        # A sample, or the like: no test imports it.
        return False
    return True


def plan(files):
    files = [file for file in files if file["kind"] != "helper" or is_python(file)]
    raw = [ast.parse(file["text"], file["path"]) for file in files]
    find_shared(files, raw)
    find_library(raw)
    helpers = [load(file) for file in files if file["kind"] == "helper"]
    files = [file for file in files if file["kind"] != "helper"]
    pristine = [load(file) for file in files]
    fixtures = any(has_parameters(tree) for tree in pristine)
    for file, tree in zip(files, pristine):
        if file["kind"] == "conftest":
            for node in ast.walk(tree):
                name = getattr(node, "name", None) or (node.id if isinstance(node, ast.Name) else "")
                if isinstance(name, str) and (name.startswith("pytest_") or name.startswith("collect_ignore")):
                    raise Unsure(f"{file['path']} holds {name}, which may change the tests")
        if "node.name" in file["text"] or "originalname" in file["text"]:
            raise Unsure(f"{file['path']} uses the names of tests")
    find_helpers(pristine + helpers)
    find_bound(pristine)
    find_arguments_of_fixtures(pristine)
    find_held(pristine)
    marked_rows.update(part.arg for tree in pristine for part in ast.walk(tree) if isinstance(part, ast.keyword) and part.arg == "marks")
    suites = [file for file in files if file["kind"] == "test"]
    tests = [t for file, tree in zip(files, pristine) if file["kind"] == "test" for t in collect(file["path"], tree, fixtures)]
    conftests = [tree for file, tree in zip(files, pristine) if file["kind"] == "conftest"]
    if any(skips(part) for tree in conftests for part in ast.walk(tree)):
        # A fixture may skip whoever asks for it.
        for test in tests:
            test.skip = True
    known = dict.fromkeys(v for t in tests for site in t.sites.found for v in site.values() if type(v) in (int, str, float))
    right_values.extend(list(known)[:VALUES])
    total = runs_for(tests)
    right = [rng.randrange(total) if total and test.sites.found else 0 for test in tests]
    order = [rng.sample(range(len(test.sites.found)), len(test.sites.found)) for test in tests]
    runs = [one_run(suites, tests, right, order, at) for at in range(total)]
    told = [
        dict(id=t.named(t.name), many=t.many, count=t.count, may_skip=t.skip, weak=t.sites.weak, right=r)
        for t, r in zip(tests, right)
    ]
    return dict(tests=told, runs=runs)


def one_run(suites, tests, right, order, at):
    names, twins, files = [None] * len(tests), [None] * len(tests), []
    # Methods of a TestCase are run in the order of their names.
    by_name = sorted(range(len(tests)), key=lambda number: (tests[number].path, tests[number].classes, tests[number].name))
    places_by_name = {number: place for place, number in enumerate(by_name)}
    for file in suites:
        tree = load(file)
        for number, test in enumerate(tests):
            if test.path != file["path"]:
                continue
            function = found(tree.body, test.classes, test.name)
            if right[number] != at and order[number]:
                # Each twin of a test is made wrong at its next place.
                turn = at - (at > right[number])
                site = sites_of(function).found[order[number][turn % len(order[number])]]
                rows, kind = site.change()
                twins[number] = dict(kind=kind, rows=rows, classes=site.classes, expects=shown(site.statement))
            go_on(function)
        for number, test in enumerate(tests):
            if test.path == file["path"]:
                function = found(tree.body, test.classes, test.name)
                name = f"test_{places_by_name[number]:04}_{letters()}"
                names[number] = (function, test.named(name), name)
        for entry in [n for n, t in zip(names, tests) if t.path == file["path"]]:
            entry[0].name = entry[2]
        begin(tree.body)
        text = ast.unparse(ast.fix_missing_locations(Signed().visit(tree)))
        files.append(dict(path=file["path"], text=text + "\n"))
    return dict(files=files, names=[name[1] for name in names], twins=twins)


def found(body, classes, name):
    for wanted in classes:
        body = [node for node in body if isinstance(node, ast.ClassDef) and node.name == wanted][-1].body
    return [node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name][-1]


try:
    answer = plan(json.load(sys.stdin)["files"])
except Unsure as why:
    answer = dict(unsure=str(why))
except SyntaxError as why:
    answer = dict(unsure=f"{why.filename} is no Python: {why.msg}")
except (RecursionError, ValueError) as why:
    # Deeper, or longer, than what can be written anew.
    answer = dict(unsure=f"they are too large for that: {why}")
json.dump(answer, sys.stdout)
