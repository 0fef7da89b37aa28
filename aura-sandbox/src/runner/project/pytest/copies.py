# The copies of the tests: the last part of the program that begins in wrong.py.


def load(file):
    return Fold().visit(ast.parse(file["text"], file["path"]))


# What every copy begins with. A test goes on behind an assertion that failed, and fails by it at its end: a twin would else leave behind
# what the rest of the test takes away, or not do what later tests wait for.
EVERY_ASSERTION = ast.parse("""
class _EveryAssertion:
    def __init__(self):
        self.depth, self.failed = 0, []
    def __enter__(self):
        self.depth += 1
        return self
    def __exit__(self, kind, error, trace):
        __tracebackhide__ = True
        self.depth -= 1
        if self.depth == 0 and self.failed:
            raise self.failed[0]
        if self.depth == 0 or not (isinstance(error, Exception) or str(error).startswith("DID NOT RAISE")):
            return False
        self.failed.append(error)
        return len(self.failed) < 10
""").body


def block(kind, statements):
    new = ast.parse(f"with {kind}: pass").body[0]
    new.body = statements
    return new


def go_on(function):
    """Has a test go on behind its assertions, unless its only one is its end."""
    *before, end = function.body
    is_last = is_assertion(end) and not any(asserts(statement) for statement in before)
    if any(asserts(statement) for statement in function.body) and not is_last:
        function.body = [block("_EveryAssertion() as _every", going_on(function.body))]


def going_on(statements):
    for s in statements:
        if isinstance(s, ast.For) and goes_round(s) or is_harmless(s):
            s.body = going_on(s.body)
    return [block("_every", [s]) if is_assertion(s) else s for s in statements]


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


def plan(files):
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
    suites = [file for file in files if file["kind"] == "test"]
    tests = [t for file, tree in zip(files, pristine) if file["kind"] == "test" for t in collect(file["path"], tree, fixtures)]
    known = dict.fromkeys(v for t in tests for site in t.sites.found for v in site.values() if type(v) in (int, str))
    right_values.extend(list(known)[:VALUES])
    total = runs_for(tests)
    right = [rng.randrange(total) if total and test.sites.found else 0 for test in tests]
    order = [rng.sample(range(len(test.sites.found)), len(test.sites.found)) for test in tests]
    runs = [one_run(suites, tests, [r == at for r in right], order, at) for at in range(total)]
    told = [
        dict(id=t.named(t.name), many=t.many, count=t.count, may_skip=t.skip, weak=t.sites.weak, right=r)
        for t, r in zip(tests, right)
    ]
    return dict(tests=told, runs=runs)


def one_run(suites, tests, are_right, order, at):
    names, twins, files = [None] * len(tests), [None] * len(tests), []
    for file in suites:
        tree = load(file)
        for number, test in enumerate(tests):
            if test.path != file["path"]:
                continue
            function = found(tree.body, test.classes, test.name)
            if not are_right[number] and order[number]:
                places = order[number]
                site = sites_of(function).found[places[at % len(places)]]
                kind = site.change()
                twins[number] = dict(kind=kind, expects=shown(site.statement))
            go_on(function)
        for number, test in enumerate(tests):
            if test.path == file["path"]:
                function = found(tree.body, test.classes, test.name)
                name = "test_" + letters()
                names[number] = (function, test.named(name), name)
        for entry in [n for n, t in zip(names, tests) if t.path == file["path"]]:
            entry[0].name = entry[2]
        begin(tree.body)
        files.append(dict(path=file["path"], text=ast.unparse(ast.fix_missing_locations(tree)) + "\n"))
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
json.dump(answer, sys.stdout)
