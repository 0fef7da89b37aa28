# Which tests there are: a part of the program that begins in wrong.py.

FINE_MARKS = ("staticmethod", "patch", "patch.object", "patch.dict", "patch.multiple")


# Marks of the file that have a name of their own, and whether any row of a table may be marked as one to be skipped.
aliases, marked_rows = {}, set()


class Marks:
    """What decorators and pytestmark say of a test."""

    def __init__(self, count=1):
        self.count, self.skip, self.unknown, self.fixture = count, False, "", False

    def read(self, nodes):
        for node in nodes:
            node = aliases.get(node.id, node) if isinstance(node, ast.Name) else node
            name = dotted(node)
            tail = name.rsplit(".", 1)[-1]
            if tail == "parametrize":
                rows = node.args[1] if isinstance(node, ast.Call) and len(node.args) > 1 else None
                known = isinstance(rows, (ast.List, ast.Tuple)) and rows.elts
                known = known and not any(isinstance(row, ast.Starred) for row in rows.elts)
                self.count = self.count and (self.count * len(rows.elts) if known else None)
                self.skip = self.skip or any(part.arg == "marks" for part in ast.walk(node) if isinstance(part, ast.keyword))
                # Of a table that stands elsewhere nobody knows which rows are marked.
                self.skip = self.skip or not known and bool(marked_rows)
            elif tail in ("skip", "skipif", "skipIf", "skipUnless"):
                self.skip = True
            elif tail in ("xfail", "expectedFailure"):
                self.skip, self.unknown = True, f"it is marked {tail}"
            elif tail == "fixture":
                self.fixture = True
            elif "mark." in name or any(name == fine or name.endswith("." + fine) for fine in FINE_MARKS):
                pass
            elif any(word in name.lower() for word in ("param", "expand", "ddt", "data", "repeat")):
                raise Unsure(f"`@{name}` makes tests of its own")
            else:
                self.unknown, self.count = self.unknown or f"nobody knows what `@{name}` does", None

    def under(self):
        below = Marks(self.count)
        below.skip, below.unknown = self.skip, self.unknown
        return below


def skips(part):
    """Whether it skips the test in which it is run: a method of the work's may be called `skip` too."""
    if last(part) == "SkipTest" or is_kind(part, ("importorskip", "skipTest")):
        return True
    return isinstance(part, ast.Call) and dotted(part) in ("pytest.skip", "skip", "pytest.xfail", "xfail")


def own_parts(function):
    """What is in it, and not in a function within it."""
    for part in ast.iter_child_nodes(function):
        yield part
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield from own_parts(part)


class Test:
    def __init__(self, path, classes, function, marks, has_fixtures):
        self.path, self.classes, self.name, self.function = path, classes, function.name, function
        self.skip, self.count = marks.skip, marks.count
        arguments = [a.arg for a in function.args.args if a.arg not in ("self", "cls")]
        if has_fixtures:
            self.count = None
        self.many = self.count != 1 or bool(arguments)
        self.skip = self.skip or any(skips(part) for part in ast.walk(function))
        parts = list(own_parts(function))
        if any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in parts):
            raise Unsure(f"{self.name} yields")
        self.sites = sites_of(function)
        if any(isinstance(part, ast.Return) for part in parts):
            marks.unknown = marks.unknown or "it may return early"
        if marks.unknown:
            self.sites.found, self.sites.weak = [], marks.unknown
        if not self.sites.found:
            self.sites.weak = self.sites.weak or "it asserts nothing"

    def named(self, name):
        module = self.path[:-3].replace("/", ".")
        return ".".join([module, *self.classes]) + "::" + name


# Classes of the file, so far, that bring no test to whoever inherits from them, and whether each is a TestCase.
plain_classes = {}


def is_case(node):
    return any(last(base).endswith("TestCase") or plain_classes.get(dotted(base)) for base in node.bases)


def is_plain_base(base):
    return last(base) in ("TestCase", "IsolatedAsyncioTestCase", "object") or dotted(base) in plain_classes


def is_plain(node):
    names = [name for part in node.body for name in names_of(part)]
    # Of what decides what a test is, and what its assertions mean, nothing is taken over.
    shunned = any(name.startswith(("test", "__", "assert", "run", "fail", "subTest")) or name == "pytestmark" for name in names)
    simple = all(isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass)) for part in node.body)
    return simple and not (shunned or node.decorator_list or node.keywords) and all(map(is_plain_base, node.bases))


def names_of(statement):
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return [part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
    return [getattr(statement, "name", "")]


def makes_tests(statement):
    """Whether what it gives a name may be a test."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return False
    names = names_of(statement)
    data = (*CONTAINERS, ast.Constant, ast.JoinedStr, ast.UnaryOp, ast.BinOp, ast.Compare, ast.ListComp, ast.DictComp)
    is_data = statement.value is None or isinstance(statement.value, data) and (len(names) < 2 or is_literal(statement.value))
    return "__test__" in names or any(name.startswith(("test", "Test")) for name in names) and not is_data


def collect(path, tree, fixtures):
    tests, modular = {}, Marks()
    aliases.clear()
    plain_classes.clear()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and ".mark." in "." + dotted(node.value):
            aliases[node.targets[0].id] = node.value
    # What is run around a test may skip it.
    around = [f for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) and not f.name.startswith("test")]
    skips_all = any(skips(part) for function in around for part in ast.walk(function))
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = (alias.asname or alias.name).split(".")[0]
                if name.lower().startswith("test") and name not in ("TestCase", "TestClient") and isinstance(node, ast.ImportFrom):
                    raise Unsure(f"{path} imports {name}, which may be tests")
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for part in ast.walk(node):
            if isinstance(part, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and part.name.lower().startswith("test"):
                raise Unsure(f"{path} holds tests under a condition")
            if is_kind(part, ("globals", "setattr", "exec", "locals", "vars")):
                raise Unsure(f"{path} makes names while it is loaded")
            skips_all = skips_all or is_kind(part, ("skip", "importorskip"))
        if makes_tests(node):
            raise Unsure(f"{path} makes {', '.join(names_of(node))}, which may be tests")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in [t for t in targets if isinstance(t, ast.Name)]:
            if target.id == "pytestmark":
                modular.read(node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value])
            elif target.id in ("pytest_plugins", "__test__", "collect_ignore", "collect_ignore_glob"):
                raise Unsure(f"{path} sets {target.id}")
    modular.skip = modular.skip or skips_all
    walk(path, tree.body, (), modular, fixtures, tests, False)
    used = {part.id if isinstance(part, ast.Name) else part.attr for part in ast.walk(tree) if isinstance(part, (ast.Name, ast.Attribute))}
    for test in tests.values():
        if test.name in used:
            raise Unsure(f"{path} uses the test {test.name} by its name")
    return list(tests.values())


def walk(path, body, classes, marks, fixtures, tests, case):
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
            for name in list(plain_classes) if "*" in names else names:
                plain_classes.pop(name, None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.name.startswith("pytest_") or node.name in ("load_tests", "setUpModule") and node.name == "load_tests":
                raise Unsure(f"{path} holds {node.name}, which may change the tests")
            own = marks.under()
            if not node.name.startswith("test"):
                continue
            own.read(node.decorator_list)
            if (*classes, node.name) in tests:
                raise Unsure(f"{path} holds two tests called {node.name}")
            if not own.fixture:
                tests[(*classes, node.name)] = Test(path, classes, node, own, fixtures)
            if len(tests) > MAX_TESTS:
                raise Unsure(f"there are more than {MAX_TESTS} tests")
        elif isinstance(node, ast.ClassDef):
            inner_case = is_case(node)
            if not classes:
                plain_classes.pop(node.name, None)
                if is_plain(node):
                    plain_classes[node.name] = inner_case
            if not (node.name.startswith("Test") or inner_case):
                if any(isinstance(part, ast.FunctionDef) and part.name.startswith("test") for part in node.body):
                    # Somebody may inherit them.
                    raise Unsure(f"the class {node.name} of {path} holds tests that may be inherited")
                continue
            if not all(map(is_plain_base, node.bases)):
                raise Unsure(f"the class {node.name} of {path} may inherit tests")
            for part in node.body:
                if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
                    if part.name in ("__init__", "__new__") and not inner_case:
                        raise Unsure(f"the class {node.name} of {path} has a constructor")
                    if part.name == "runTest":
                        raise Unsure(f"the class {node.name} of {path} may be a test by itself")
                elif isinstance(part, (ast.If, ast.For, ast.Try, ast.While, ast.With)):
                    raise Unsure(f"the class {node.name} of {path} is made under a condition")
                elif makes_tests(part):
                    raise Unsure(f"the class {node.name} of {path} makes tests")
            below = marks.under()
            below.read(node.decorator_list)
            for part in node.body:
                if isinstance(part, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in part.targets):
                    below.read(part.value.elts if isinstance(part.value, (ast.List, ast.Tuple)) else [part.value])
            walk(path, node.body, (*classes, node.name), below, fixtures, tests, inner_case)
