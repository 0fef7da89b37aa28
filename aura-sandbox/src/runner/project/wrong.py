# What makes an assertion of a test wrong. With tests.py, which tells the tests and writes the copies, this is one program. It is trusted:
# it runs by `python3 -I` in an empty folder, with nothing of the work within its reach, and it is not within the work's.
#
# Each run of the suite gets one copy of every test, under a random name: either the test itself or a twin of it. So there is no pair
# to be compared, and neither name, place nor form tells which it is. What is certain to be run and has its right value written out
# can be given a wrong one ("value"); other assertions are turned around ("other"). What is neither makes the test weak.
import ast
import builtins
import json
import random
import sys

rng = random.SystemRandom()
MAX_TESTS = 2000


class Unsure(Exception):
    """Which tests there are cannot be told from the files alone."""


def dotted(node):
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def last(node):
    return dotted(node).rsplit(".", 1)[-1]


def get(place):
    holder, field, at = place
    value = getattr(holder, field)
    return value if at is None else value[at]


def put(place, new):
    holder, field, at = place
    if at is None:
        setattr(holder, field, new)
    else:
        getattr(holder, field)[at] = new


# ---- wrong values ----


def wrong_int(v, far):
    size = abs(v)
    if far:
        return v + rng.choice((-1, 1)) * (size + 10) * rng.randint(1, 3)
    # Close to plausible, and none that a usual mistake would give.
    shunned = {v, v - 1, v + 1, -v, 0, 1, v * 2, v * v}
    reach = max(60, size // 2)
    while True:
        new = v + rng.randint(-reach, reach)
        if new not in shunned and (v < 0 or new >= 0):
            return new


def wrong_float(v, far):
    if v != v or v in (float("inf"), float("-inf")):
        return None
    digits = len(repr(v).rpartition(".")[2]) if "e" not in repr(v) else 12
    reach = (abs(v) + 10) * rng.uniform(0.5, 2) if far else max(abs(v) * rng.uniform(0.1, 0.6), 7 * 10.0**-digits)
    new = round(v + rng.choice((-1, 1)) * reach, digits)
    return None if new == v else new


def wrong_text(text):
    """Another text of the same look, also apart from its case."""
    kinds = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
    spots = [(at, kind) for at, c in enumerate(text) for kind in kinds if c in kind]
    new = list(text)
    for at, kind in rng.sample(spots, min(2, len(spots))):
        new[at] = rng.choice([c for c in kind if c.lower() != text[at].lower()])
    if not spots:
        new.insert(rng.randint(0, len(new)), "".join(rng.choice(kinds[0]) for _ in range(rng.randint(2, 4))))
    return "".join(new)


def wrong(node, far=False):
    """Another literal, which differs from this one for certain; None where that cannot be told."""
    if isinstance(node, ast.Constant):
        v = node.value
        new = None
        if isinstance(v, bool):
            new = not v
        elif isinstance(v, int):
            new = wrong_int(v, far)
        elif isinstance(v, float):
            new = wrong_float(v, far)
        elif isinstance(v, str):
            new = wrong_text(v)
        elif isinstance(v, bytes):
            new = wrong_text(v.decode("latin-1")).encode("latin-1")
        elif v is None:
            new = rng.randint(3, 60)
        return None if new is None else ast.Constant(new)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        parts = list(node.elts)
        if any(isinstance(part, ast.Starred) for part in parts):
            return None
        for at in rng.sample(range(len(parts)), len(parts)):
            new = wrong(parts[at], far)
            if new is not None:
                parts[at] = new
                return type(node)(elts=parts, ctx=ast.Load()) if not isinstance(node, ast.Set) else ast.Set(elts=parts)
        if parts:
            return None
        return type(node)(elts=[ast.Constant(rng.randint(2, 40))], ctx=ast.Load())
    if isinstance(node, ast.Dict):
        if any(key is None for key in node.keys):
            return None
        values = list(node.values)
        for at in rng.sample(range(len(values)), len(values)):
            new = wrong(values[at], far)
            if new is not None:
                values[at] = new
                return ast.Dict(keys=list(node.keys), values=values)
        return None if values else ast.Dict(keys=[ast.Constant(wrong_text("key"))], values=[ast.Constant(rng.randint(2, 40))])
    if isinstance(node, ast.Call):
        name = last(node)
        if name == "approx" and len(node.args) == 1 and not node.keywords:
            new = wrong(node.args[0], True)
            return new and ast.Call(func=node.func, args=[new], keywords=[])
        if name == "set" and not node.args:
            return ast.Set(elts=[ast.Constant(rng.randint(2, 40))])
    return None


def needle(node):
    """A literal that is in nothing that was not made for it."""
    v = node.value if isinstance(node, ast.Constant) else None
    if isinstance(v, str) and v:
        new = list(wrong_text(v))
        for _ in range(max(3, 8 - len(new))):
            new.insert(rng.randint(0, len(new)), rng.choice("bcdfghjklmnpqrstvwxz"))
        return ast.Constant("".join(new))
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        return ast.Constant(type(v)(rng.randint(10**6, 10**7)))
    return None


class Fold(ast.NodeTransformer):
    """Writes constant sums as their result, leaves messages and descriptions out: both would tell what is right."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        a, b = (side.value if isinstance(side, ast.Constant) else None for side in (node.left, node.right))
        if type(a) not in (int, float) or type(b) not in (int, float):
            return node
        try:
            if isinstance(node.op, ast.Add):
                return ast.Constant(a + b)
            if isinstance(node.op, ast.Sub):
                return ast.Constant(a - b)
            if isinstance(node.op, ast.Mult) and max(abs(a), abs(b)) < 10**30:
                return ast.Constant(a * b)
            if isinstance(node.op, ast.Pow) and abs(a) <= 1000 and 0 <= b <= 30:
                return ast.Constant(a**b)
        except (ArithmeticError, ValueError):
            pass
        return node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        v = node.operand.value if isinstance(node.operand, ast.Constant) else None
        return ast.Constant(-v) if isinstance(node.op, ast.USub) and type(v) in (int, float) else node

    def visit_Assert(self, node):
        self.generic_visit(node)
        node.msg = None
        return node

    def undocumented(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = undocumented


# ---- assertions ----

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


def is_kind(node, names):
    return isinstance(node, ast.Call) and last(node) in names


def is_own_assertion(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and dotted(node).startswith("self.assert")


def asserts(node):
    return any(
        isinstance(part, ast.Assert) or is_own_assertion(part) or is_kind(part, (*RAISES, "fail"))
        for part in ast.walk(node)
    )


def literal_change(place, env, far=False):
    """How to make what stands there wrong: a literal, or the one use of a name for a column of literals."""
    node = get(place)
    cells = env.get(node.id) if isinstance(node, ast.Name) else [place]
    if not cells or any(wrong(get(cell), far) is None for cell in cells):
        return None
    two_valued = all(isinstance(get(c), ast.Constant) and isinstance(get(c).value, bool) for c in cells)

    def change():
        for cell in cells:
            put(cell, wrong(get(cell), far))

    return ("other" if two_valued else "value", change)


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
                return [("value", lambda: put(left, needle(get(left))))]
            group = get(right)
            if isinstance(group, (ast.List, ast.Tuple, ast.Set)) and group.elts:
                if all(isinstance(part, ast.Constant) and needle(part) is not None for part in group.elts):
                    return [("value", lambda: put((group, "elts", None), [needle(part) for part in group.elts]))]
            return None
        return [("other", lambda: put((node, "ops", 0), SWAPPED[op]()))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [("other", lambda: put(place, node.operand))]
    # A value equal to everything would pass such a test, and fail its opposite.
    hides = any(isinstance(op, (ast.Eq, ast.In)) for part in ast.walk(node) if isinstance(part, ast.Compare) for op in part.ops)
    if hides or isinstance(node, ast.Constant):
        return None
    return [("other", lambda: put(place, ast.UnaryOp(op=ast.Not(), operand=node)))]


def other_exception(call):
    if not call.args:
        return None
    kind = getattr(builtins, call.args[0].id, None) if isinstance(call.args[0], ast.Name) else None
    known = isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception
    if isinstance(kind, type) and issubclass(kind, BaseException) and not known:
        kinds = UNLIKELY
    elif known:
        of = {name: getattr(builtins, name) for name in LIKELY}
        kinds = [name for name, other in of.items() if not issubclass(other, kind) and not issubclass(kind, other)]
    else:
        kinds = UNLIKELY
    return ("raises", lambda: put((call, "args", 0), ast.Name(id=rng.choice(kinds), ctx=ast.Load())))


class Sites:
    """Where a test can be made wrong, and why it is weak."""

    def __init__(self, spoilt):
        # Names that a loop gives a value and that are used more than once.
        self.spoilt = spoilt
        self.found, self.weak = [], ""

    def add(self, options, statement):
        if options is None:
            self.weak = self.weak or f"what is right is not written out in `{ast.unparse(statement)[:120]}`"
        else:
            self.found += [(kind, change, statement) for kind, change in options]

    def hidden(self, statement):
        if asserts(statement):
            self.weak = self.weak or f"it may not get to an assertion in line {getattr(statement, 'lineno', '?')}"

    def own(self, call, env, statement):
        name = call.func.attr
        if name in SWAPPED_CALLS:
            self.add([("other", lambda: put((call.func, "attr", None), SWAPPED_CALLS[name]))], statement)
        elif name in EQUAL_CALLS or name == "assertAlmostEqual":
            far = name == "assertAlmostEqual"
            sides = [(call, "args", at) for at in (1, 0) if at < len(call.args)]
            options = [change for change in (literal_change(side, env, far) for side in sides) if change]
            self.add(options[:1] or None, statement)
        elif name == "assertIn" and call.args and needle(call.args[0]) is not None:
            self.add([("value", lambda: put((call, "args", 0), needle(call.args[0])))], statement)
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
            elif isinstance(s, (ast.With, ast.AsyncWith)):
                raising = [item.context_expr for item in s.items if is_kind(item.context_expr, RAISES)]
                for call in raising:
                    option = other_exception(call)
                    self.add([option] if option else None, ast.With(items=s.items, body=[ast.Pass()]))
                names = [dotted(item.context_expr) for item in s.items]
                if raising:
                    for inner in s.body:
                        self.hidden(inner)
                elif all(any(name == h or name.endswith("." + h) for h in HARMLESS) for name in names):
                    self.scan(s.body, env)
                else:
                    self.hidden(s)
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


def parameters(function):
    """The columns of its parametrize marks."""
    found = {}
    for mark in function.decorator_list:
        if not (is_kind(mark, ("parametrize",)) and len(mark.args) == 2 and isinstance(mark.args[1], (ast.List, ast.Tuple))):
            continue
        heads = mark.args[0]
        if isinstance(heads, ast.Constant) and isinstance(heads.value, str):
            names = [name.strip() for name in heads.value.split(",") if name.strip()]
        elif isinstance(heads, (ast.List, ast.Tuple)) and all(isinstance(h, ast.Constant) for h in heads.elts):
            names = [h.value for h in heads.elts]
        else:
            continue
        for column, name in enumerate(names):
            cells = []
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
