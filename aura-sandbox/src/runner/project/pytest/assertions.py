# What can be made wrong in a test: a part of the program that begins in wrong.py.

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
            "patch", "patch.object", "patch.dict", "localcontext", "closing", "self.subTest")  # fmt: skip


class Site:
    """Where a test can be made wrong: in which way, by what, and in which cells a value is written out."""

    def __init__(self, kind, change, cells=()):
        self.kind, self._change, self.cells, self.statement = kind, change, cells, None
        # What must be raised, and what is waited for instead.
        self.classes = []

    def change(self):
        """Makes it wrong; tells the kinds of its rows, where each is a test of its own, and its kind."""
        return self._change() or ([], self.kind)

    def values(self):
        nodes = [part for cell in self.cells for part in (get(cell).args if isinstance(get(cell), ast.Call) else [get(cell)])]
        return (part.value for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant))


def is_kind(node, names):
    return isinstance(node, ast.Call) and last(node) in names


# Assertions of a TestCase to which a file gives a meaning of its own.
overridden = set()


def is_own_assertion(node):
    is_such = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and dotted(node).startswith("self.assert")
    return is_such and node.func.attr not in overridden


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
    overridden.update(function.name for function in functions if function.name.startswith("assert"))
    more = True
    while more:
        found = {function.name for function in functions if any(asserts(part) for part in function.body)}
        more = found - asserting
        asserting.update(found)


def is_harmless(statement):
    """Whether it is a block that lets its errors out."""
    items = statement.items if isinstance(statement, (ast.With, ast.AsyncWith)) else []
    names = [dotted(item.context_expr) for item in items]
    return bool(names) and all(any(name == h or name.endswith("." + h) for h in HARMLESS) for name in names)


def is_assertion(statement):
    value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
    plain = is_own_assertion(value) or is_kind(value, RAISES) or is_told_by_mock(value)
    return plain or isinstance(statement, ast.Assert) or raising(statement)


# What a mock asserts of its last call. That it was called at all has no form with something wrong in it but the same name.
CALLED_WITH = ("assert_called_with", "assert_called_once_with")
MOCKS = ("Mock", "MagicMock", "NonCallableMock", "AsyncMock", "create_autospec")
# Names of a test that stand for mocks.
mocks = set()


def is_told_by_mock(node):
    is_such = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLED_WITH
    return is_such and dotted(node).split(".")[0] in mocks


def told_by_mock(call, env):
    places = [(call, "args", at) for at in range(len(call.args))] + [(keyword, "value", None) for keyword in call.keywords]
    found = next((change for change in (literal_change(place, env) for place in places) if change), None)
    return [found] if found else None


def changes(place, env):
    """The ways to make an assertion wrong; None when it is weak."""
    node = get(place)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        all_parts = [changes((node, "values", at), env) for at in range(len(node.values))]
        return None if any(part is None for part in all_parts) else sum(all_parts, [])
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        op, left, right = type(node.ops[0]), (node, "left", None), (node, "comparators", 0)
        if op is ast.Eq:
            found = literal_change(right, env, get(left)) or literal_change(left, env, get(right))
            return [found] if found else None
        if op in (ast.Lt, ast.LtE) and is_difference(get(left)):
            # How far it is from what is right: else that would be the same in both forms.
            return distance(get(left), get(right), env)
        if op is ast.Is and isinstance(get(right), ast.Constant) and isinstance(get(right).value, bool):
            return [Site("other", lambda: put(right, ast.Constant(not get(right).value)))]
        if op is ast.In:
            if needle(get(left)) is not None and not isinstance(get(right), (ast.List, ast.Tuple, ast.Set)):
                return [look_for(left)]
            group = get(right)
            if isinstance(group, (ast.List, ast.Tuple, ast.Set)) and group.elts:
                if all(isinstance(part, ast.Constant) and needle(part) is not None for part in group.elts):
                    return [Site("value", lambda: put((group, "elts", None), [needle(part) for part in group.elts]))]
            return None
        return [Site("other", lambda: put((node, "ops", 0), SWAPPED[op]()))]
    if isinstance(node, ast.Compare):
        return between(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return None if hides(node.operand, (ast.NotEq, ast.NotIn)) else [Site("other", lambda: put(place, node.operand))]
    if is_kind(node, ("isclose",)) and len(node.args) == 2:
        close = closeness(node, dict(abs_tol=0, rel_tol=1), (0, 1e-6))
        found = close and (literal_change((node, "args", 1), env, None, close) or literal_change((node, "args", 0), env, None, close))
        return [found] if found else None
    if is_kind(node, ("startswith", "endswith")) and len(node.args) == 1:
        text = (node, "args", 0)
        v = get(text).value if isinstance(get(text), ast.Constant) else None
        if type(v) is not str or not any(c in string.ascii_letters + string.digits for c in v):
            return None
        return [Site("other" if has_few_others(get(text)) else "value", lambda: put(text, ast.Constant(wrong_text(v))))]
    if hides(node, (ast.Eq, ast.In)) or isinstance(node, ast.Constant):
        return None
    return [Site("other", lambda: put(place, ast.UnaryOp(op=ast.Not(), operand=node)))]


def hides(node, operators):
    """Whether a value equal to everything would pass such a test, and fail its opposite."""
    return any(isinstance(op, operators) for part in ast.walk(node) if isinstance(part, ast.Compare) for op in part.ops)


def look_for(place):
    return Site("needle", lambda: put(place, needle(get(place))))


def number(node):
    v = node.value if isinstance(node, ast.Constant) else None
    return v if type(v) in (int, float) and abs(v) < 1e15 else None


def is_difference(node):
    inner = node.args[0] if is_kind(node, ("abs", "fabs")) and len(node.args) == 1 else None
    return isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)


def distance(call, most, env):
    """`abs(x - 3.14) < 0.01` with another value."""
    if number(most) is None:
        return None
    close = (2 * abs(number(most)), 0)
    sides = ((call.args[0], "right", None), (call.args[0], "left", None))
    found = next((change for change in (literal_change(side, env, None, close) for side in sides) if change), None)
    return [found] if found else None


def between(node):
    """`0 < x < 10` with other bounds."""
    low, high = (node, "left", None), (node, "comparators", 1)
    bounds = (number(get(low)), number(get(high))) if len(node.ops) == 2 else (None, None)
    one_way = all(isinstance(op, (ast.Lt, ast.LtE)) for op in node.ops) or all(isinstance(op, (ast.Gt, ast.GtE)) for op in node.ops)
    if None in bounds or not one_way or isinstance(node.comparators[0], ast.Constant):
        return None

    def move():
        width = abs(bounds[1] - bounds[0])
        by = width + rng.randint(1, 5 + 3 * int(width))
        by = -by if min(bounds) < by and min(bounds) < 0 or min(bounds) >= by and rng.random() < 0.5 else by
        for place, bound in zip((low, high), bounds):
            put(place, ast.Constant(round(bound + by, 9)))

    return [Site("other", move)]


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
        if name == "assertTrue" and call.args and isinstance(call.args[0], (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Call)):
            test = changes((call, "args", 0), env)
            plain = test and test[0].kind == "other" and isinstance(call.args[0], ast.Call)
            self.add([swapped(call)] if plain else test, statement)
        elif name == "assertFalse" and call.args and hides(call.args[0], (ast.NotEq, ast.NotIn)):
            self.add(None, statement)
        elif name == "assertIs" and len(call.args) > 1 and isinstance(getattr(call.args[1], "value", None), bool):
            self.add([Site("other", lambda: put((call, "args", 1), ast.Constant(not call.args[1].value)))], statement)
        elif name in SWAPPED_CALLS:
            self.add([swapped(call)], statement)
        elif name in EQUAL_CALLS or name == "assertAlmostEqual":
            close = almost(call) if name == "assertAlmostEqual" else EXACT
            sides = [at for at in (1, 0) if close and len(call.args) > 1]
            options = [literal_change((call, "args", at), env, call.args[1 - at], close) for at in sides]
            self.add([option for option in options if option][:1] or None, statement)
        elif name == "assertIn" and call.args and needle(call.args[0]) is not None:
            self.add([look_for((call, "args", 0))], statement)
        elif name in RAISES:
            option = other_exception(call)
            self.add([option] if option else None, statement)
        else:
            self.add(None, statement)

    def scan(self, statements, env):
        for at, s in enumerate(statements):
            value = s.value if isinstance(s, (ast.Expr, ast.Assign)) else None
            if isinstance(s, ast.Assert):
                self.add(changes((s, "test", None), env), s)
            elif raising(s):
                for call in raising(s):
                    option = other_exception(call)
                    options = [option, *answers(s, statements, at)] if option else None
                    self.add(options, ast.With(items=s.items, body=[ast.Pass()]))
                for inner in s.body:
                    self.hidden(inner)
            elif is_harmless(s):
                self.scan(s.body, env)
            elif isinstance(s, ast.For) and goes_round(s):
                given = {n: cells for n, cells in columns(s.target, s.iter).items() if n not in self.spoilt}
                self.scan(s.body, {**env, **given})
            elif isinstance(value, ast.Call) and is_own_assertion(value):
                self.own(value, env, s)
            elif is_told_by_mock(value):
                self.add(told_by_mock(value, env), s)
            elif isinstance(value, ast.Call) and is_kind(value, RAISES) and len(value.args) > 1:
                option = other_exception(value)
                self.add([option] if option else None, s)
            else:
                self.hidden(s)


def swapped(call):
    return Site("other", lambda: put((call.func, "attr", None), SWAPPED_CALLS[call.func.attr]))


def almost(call):
    """Twice how close assertAlmostEqual lets a value be; None where that is not written out."""
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg != "msg"}
    given.update(zip(("places", "msg", "delta"), call.args[2:]))
    given.pop("msg", None)
    values = {name: number(value) for name, value in given.items()}
    if None in values.values() or not set(values) <= {"places", "delta"}:
        return None
    return (2 * abs(values.get("delta", 10.0 ** -values.get("places", 7))), 0)


# What gives a name a value besides assignments; Python before 3.10 has no `match`.
NAMING = (ast.ExceptHandler, ast.FunctionDef, ast.ClassDef, *(getattr(ast, n) for n in ("MatchAs", "MatchStar") if hasattr(ast, n)))


def named_values(statement):
    """The names that an assignment gives values, and where those stand."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    if all(isinstance(target, ast.Name) for target in targets):
        return [(target.id, (statement, "value", None)) for target in targets]
    target = targets[0] if len(targets) == 1 else None
    if not (isinstance(target, (ast.Tuple, ast.List)) and isinstance(statement.value, (ast.Tuple, ast.List))):
        return []
    plain = len(target.elts) == len(statement.value.elts) and all(isinstance(t, ast.Name) for t in target.elts)
    return [(t.id, (statement.value, "elts", at)) for at, t in enumerate(target.elts)] if plain else []


def sites_of(function):
    env = parameters(function)
    for s in function.body:
        # Of two names for one value, the other one may be used for something else.
        for name, place in named_values(s) if len(getattr(s, "targets", [s])) == 1 else []:
            env.setdefault(name, []).append(place)
    parts = list(ast.walk(function))
    uses = [part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)]
    stores = [part.id for part in parts if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)]
    stores += [part.name for part in parts if isinstance(part, NAMING)]
    # What others see too.
    stores += 2 * [name for part in parts if isinstance(part, (ast.Global, ast.Nonlocal)) for name in part.names]
    # A value that is used elsewhere too would be wrong there as well: on both sides, nothing would be.
    once = lambda name: uses.count(name) == 1 and stores.count(name) <= 1
    loops = {n.id for part in ast.walk(function) if isinstance(part, ast.For) for n in ast.walk(part.target) if isinstance(n, ast.Name)}
    env = {name: cells for name, cells in env.items() if once(name) and name not in loops}
    instances.clear()
    mocks.clear()
    for part in parts:
        for name, place in named_values(part):
            instances.update({name} if is_instance(get(place)) else ())
            mocks.update({name} if is_kind(get(place), MOCKS) else ())
        if isinstance(part, ast.withitem) and isinstance(part.optional_vars, ast.Name):
            mocks.update({part.optional_vars.id} if "patch" in dotted(part.context_expr).split(".") else ())
    sites = Sites({name for name in loops if not once(name)})
    sites.scan(function.body, env)
    return sites
