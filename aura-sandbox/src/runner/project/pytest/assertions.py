# What can be made wrong in a test: the second part of the program that begins in wrong.py.

SWAPPED = {
    ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SWAPPED_CALLS = dict(
    assertTrue="assertFalse", assertIsNone="assertIsNotNone", assertNotEqual="assertEqual", assertNotIn="assertIn",
    assertGreater="assertLessEqual", assertLess="assertGreaterEqual", assertIs="assertIsNot",
    assertIsInstance="assertNotIsInstance",
)  # fmt: skip
SWAPPED_CALLS.update({v: k for k, v in SWAPPED_CALLS.items() if k not in ("assertNotEqual", "assertNotIn")})
EQUAL_CALLS = ("assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual", "assertSetEqual",
               "assertSequenceEqual", "assertMultiLineEqual", "assertCountEqual")  # fmt: skip
RAISES = ("raises", "assertRaises", "assertRaisesRegex")
# Ways into a block that lets its errors out.
HARMLESS = ("open", "TemporaryDirectory", "NamedTemporaryFile", "catch_warnings", "redirect_stdout", "redirect_stderr",
            "patch", "patch.object", "patch.dict", "localcontext", "closing")  # fmt: skip
LIKELY = "ValueError TypeError KeyError IndexError ZeroDivisionError AttributeError RuntimeError OverflowError".split()
UNLIKELY = "BufferError ChildProcessError BlockingIOError UnicodeTranslateError IsADirectoryError".split()


class Site:
    """Where a test can be made wrong: in which way, by what, and in which cells a value is written out."""

    def __init__(self, kind, change, cells=()):
        self.kind, self._change, self.cells, self.statement = kind, change, cells, None

    def change(self):
        """Makes it wrong; tells the kinds of its rows, where each is a test of its own, and its kind."""
        return self._change() or ([], self.kind)

    def values(self):
        return (part.value for cell in self.cells for part in ast.walk(get(cell)) if isinstance(part, ast.Constant))


def is_kind(node, names):
    return isinstance(node, ast.Call) and last(node) in names


def is_own_assertion(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and dotted(node).startswith("self.assert")


# Functions of the files, and of their conftests, that assert something.
asserting = set()


def asserts(node):
    return any(
        isinstance(part, ast.Assert) or is_own_assertion(part) or is_kind(part, (*RAISES, "fail")) or is_helper(part)
        for part in ast.walk(node)
    )


def is_helper(part):
    return isinstance(part, ast.Call) and (last(part) in asserting or last(part).startswith("assert"))


def find_helpers(trees):
    functions = [
        part
        for tree in trees
        for part in ast.walk(tree)
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and not part.name.startswith("test")
    ]
    more = True
    while more:
        found = {function.name for function in functions if any(asserts(part) for part in function.body)}
        more = found - asserting
        asserting.update(found)


def raising(statement):
    """The errors that a block waits for."""
    items = statement.items if isinstance(statement, (ast.With, ast.AsyncWith)) else []
    return [item.context_expr for item in items if is_kind(item.context_expr, RAISES)]


def is_harmless(statement):
    """Whether it is a block that lets its errors out."""
    items = statement.items if isinstance(statement, (ast.With, ast.AsyncWith)) else []
    names = [dotted(item.context_expr) for item in items]
    return bool(names) and all(any(name == h or name.endswith("." + h) for h in HARMLESS) for name in names)


def is_assertion(statement):
    value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
    return isinstance(statement, ast.Assert) or raising(statement) or is_own_assertion(value) or is_kind(value, RAISES)


def literal_change(place, env, far=False):
    """How to make what stands there wrong: a literal, or the one use of a name for a column of literals."""
    node = get(place)
    cells = env.get(node.id) if isinstance(node, ast.Name) else [place]
    if not cells or any(wrong(get(cell), far) is None for cell in cells):
        return None
    return Site("value", lambda: put_wrong(cells, far), cells)


class Rows(list):
    """The cells of a column of which each is a test of its own."""


def put_wrong(cells, far):
    """Makes each wrong; tells the kind of each that is a test of its own, and of all together."""
    for cell in cells:
        put(cell, wrong(get(cell), far))
    # Bad work gives likely values by itself.
    kinds = ["other" if is_likely(get(cell)) else "value" for cell in cells]
    one_test = "other" if "value" not in kinds else "value"
    return (kinds, "other" if "other" in kinds else "value") if isinstance(cells, Rows) else ([], one_test)


def changes(place, env):
    """The ways to make an assertion wrong; None when it is weak."""
    node = get(place)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        all_parts = [changes((node, "values", at), env) for at in range(len(node.values))]
        return None if any(part is None for part in all_parts) else sum(all_parts, [])
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        op, left, right = type(node.ops[0]), (node, "left", None), (node, "comparators", 0)
        if op is ast.Eq:
            found = literal_change(right, env) or literal_change(left, env)
            return [found] if found else None
        if op is ast.In:
            if needle(get(left)) is not None and not isinstance(get(right), (ast.List, ast.Tuple, ast.Set)):
                return [Site("needle", lambda: put(left, needle(get(left))))]
            group = get(right)
            if isinstance(group, (ast.List, ast.Tuple, ast.Set)) and group.elts:
                if all(isinstance(part, ast.Constant) and needle(part) is not None for part in group.elts):
                    return [Site("value", lambda: put((group, "elts", None), [needle(part) for part in group.elts]))]
            return None
        return [Site("other", lambda: put((node, "ops", 0), SWAPPED[op]()))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [Site("other", lambda: put(place, node.operand))]
    # A value equal to everything would pass such a test, and fail its opposite.
    hides = any(isinstance(op, (ast.Eq, ast.In)) for part in ast.walk(node) if isinstance(part, ast.Compare) for op in part.ops)
    if hides or isinstance(node, ast.Constant):
        return None
    return [Site("other", lambda: put(place, ast.UnaryOp(op=ast.Not(), operand=node)))]


# Names that a file gives a meaning of its own.
bound = set()


def find_bound(trees):
    for part in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(part, ast.alias):
            bound.add((part.asname or part.name).split(".")[0])
        elif isinstance(part, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            bound.add(part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            bound.add(part.id)


def other_exception(call):
    if not call.args:
        return None
    name = call.args[0].id if isinstance(call.args[0], ast.Name) and call.args[0].id not in bound else ""
    kind = getattr(builtins, name, None)
    if kind is KeyboardInterrupt:
        # It ends everything where it is not waited for.
        return None
    kinds = UNLIKELY
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
        of = {name: getattr(builtins, name) for name in LIKELY}
        kinds = [name for name, other in of.items() if not issubclass(other, kind) and not issubclass(kind, other)]
    kinds = [name for name in kinds if name not in bound]
    if not kinds:
        return None
    return Site("raises", lambda: put((call, "args", 0), ast.Name(id=rng.choice(kinds), ctx=ast.Load())))


class Sites:
    """Where a test can be made wrong, and why it is weak."""

    def __init__(self, spoilt):
        # Names that a loop gives a value and that are used more than once.
        self.spoilt = spoilt
        self.found, self.weak = [], ""

    def add(self, options, statement):
        if options is None:
            self.weak = self.weak or f"what is right is not written out in `{shown(statement)[:120]}`"
        else:
            for option in options:
                option.statement = statement
            self.found += options

    def hidden(self, statement):
        if asserts(statement):
            self.weak = self.weak or f"it may not get to an assertion in line {getattr(statement, 'lineno', '?')}"

    def own(self, call, env, statement):
        name = call.func.attr
        if name in SWAPPED_CALLS:
            self.add([Site("other", lambda: put((call.func, "attr", None), SWAPPED_CALLS[name]))], statement)
        elif name == "assertAlmostEqual" and (len(call.args) > 2 or any(k.arg != "msg" for k in call.keywords)):
            # Any value may be close enough.
            self.add(None, statement)
        elif name in EQUAL_CALLS or name == "assertAlmostEqual":
            far = name == "assertAlmostEqual"
            sides = [(call, "args", at) for at in (1, 0) if at < len(call.args)]
            options = [change for change in (literal_change(side, env, far) for side in sides) if change]
            self.add(options[:1] or None, statement)
        elif name == "assertIn" and call.args and needle(call.args[0]) is not None:
            self.add([Site("needle", lambda: put((call, "args", 0), needle(call.args[0])))], statement)
        elif name in RAISES:
            option = other_exception(call)
            self.add([option] if option else None, statement)
        else:
            self.add(None, statement)

    def scan(self, statements, env):
        for s in statements:
            value = s.value if isinstance(s, (ast.Expr, ast.Assign)) else None
            if isinstance(s, ast.Assert):
                self.add(changes((s, "test", None), env), s)
            elif raising(s):
                for call in raising(s):
                    option = other_exception(call)
                    self.add([option] if option else None, ast.With(items=s.items, body=[ast.Pass()]))
                for inner in s.body:
                    self.hidden(inner)
            elif is_harmless(s):
                self.scan(s.body, env)
            elif isinstance(s, ast.For) and goes_round(s):
                given = {n: cells for n, cells in columns(s.target, s.iter).items() if n not in self.spoilt}
                self.scan(s.body, {**env, **given})
            elif isinstance(value, ast.Call) and is_own_assertion(value):
                self.own(value, env, s)
            elif isinstance(value, ast.Call) and is_kind(value, RAISES) and len(value.args) > 1:
                option = other_exception(value)
                self.add([option] if option else None, s)
            else:
                self.hidden(s)


def goes_round(loop):
    """Whether its body is certain to be run, and to its end."""
    leaves = any(isinstance(part, (ast.Break, ast.Continue)) for part in ast.walk(loop))
    rows = isinstance(loop.iter, (ast.List, ast.Tuple)) and loop.iter.elts
    return bool(rows) and not loop.orelse and not leaves and not any(isinstance(row, ast.Starred) for row in rows)


def columns(target, rows):
    """The literals that each of the names stands for, row by row."""
    names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else None
    found = {}
    for column, name in enumerate(names or [target]):
        cells = []
        for at, row in enumerate(rows.elts):
            if names is None:
                cells.append((rows, "elts", at))
            elif isinstance(row, (ast.Tuple, ast.List)) and len(row.elts) == len(names):
                cells.append((row, "elts", column))
        if isinstance(name, ast.Name) and len(cells) == len(rows.elts):
            found[name.id] = cells
    return found


# What fixtures are given: a value that a test is given too would be wrong in both.
of_fixtures = set()


def find_arguments_of_fixtures(trees):
    for part in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(last(mark) == "fixture" for mark in part.decorator_list):
            of_fixtures.update(argument.arg for argument in (*part.args.args, *part.args.kwonlyargs))


def parameters(function):
    """The columns of its parametrize marks."""
    found = {}
    for mark in function.decorator_list:
        if not (is_kind(mark, ("parametrize",)) and len(mark.args) == 2 and isinstance(mark.args[1], (ast.List, ast.Tuple))):
            continue
        if any(keyword.arg not in ("ids", "scope") for keyword in mark.keywords):
            continue
        heads = mark.args[0]
        if isinstance(heads, ast.Constant) and isinstance(heads.value, str):
            names = [name.strip() for name in heads.value.split(",") if name.strip()]
        elif isinstance(heads, (ast.List, ast.Tuple)) and all(isinstance(h, ast.Constant) for h in heads.elts):
            names = [h.value for h in heads.elts]
        else:
            continue
        for column, name in enumerate(names):
            if name in of_fixtures:
                continue
            cells = Rows()
            for at, row in enumerate(mark.args[1].elts):
                if is_kind(row, ("param",)) and len(row.args) == len(names):
                    cells.append((row, "args", column))
                elif len(names) == 1 and not is_kind(row, ("param",)):
                    cells.append((mark.args[1], "elts", at))
                elif isinstance(row, (ast.Tuple, ast.List)) and len(row.elts) == len(names):
                    cells.append((row, "elts", column))
            if len(cells) == len(mark.args[1].elts):
                found[name] = cells
    return found


def sites_of(function):
    env = parameters(function)
    for s in function.body:
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name):
            env.setdefault(s.targets[0].id, []).append((s, "value", None))
    uses = [part.id for part in ast.walk(function) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)]
    stores = [part.id for part in ast.walk(function) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)]
    # A value that is used elsewhere too would be wrong there as well: on both sides, nothing would be.
    once = lambda name: uses.count(name) == 1 and stores.count(name) <= 1
    loops = {n.id for part in ast.walk(function) if isinstance(part, ast.For) for n in ast.walk(part.target) if isinstance(n, ast.Name)}
    env = {name: cells for name, cells in env.items() if once(name) and name not in loops}
    sites = Sites({name for name in loops if not once(name)})
    sites.scan(function.body, env)
    return sites
