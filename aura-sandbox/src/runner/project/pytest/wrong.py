# What makes an assertion of a test wrong. With library.py, literals.py, exceptions.py, assertions.py, constants.py, tests.py, which tells
# the tests, and copies.py, which writes them anew, this is one program. It is trusted: it runs by `python3 -I` in an empty folder, with
# nothing of the work within its reach, and it is not within the work's.
#
# Each run of the suite gets one copy of every test, under a random name: either the test itself or a twin of it. So there is no pair
# to be compared, and neither name, place nor form tells which it is. What is certain to be run and has its right value written out
# can be given a wrong one ("value"); other assertions are turned around ("other"). What is neither makes the test weak.
import ast
import builtins
import copy
import datetime
import json
import random
import re
import string
import sys

rng = random.SystemRandom()
MAX_TESTS = 2000
# Most values that are kept to stand in place of others.
VALUES = 200
# What is right somewhere in the suite.
right_values = []
# How close a value may be to the right one: at all, and in proportion to it.
EXACT = (0, 0)


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


def has_few_others(node):
    """Whether bad work may well give another one of its kind."""
    v = node.value if isinstance(node, ast.Constant) else None
    if type(v) in (str, bytes):
        text = v if type(v) is str else v.decode("latin-1")
        return len(text) == 1 or sum(c in string.ascii_letters + string.digits for c in text) == 1
    return type(v) in (bool, int) and v in (0, 1)


def is_apart(v, new, close):
    try:
        return abs(new - v) > close[0] + close[1] * max(abs(v), abs(new))
    except OverflowError:
        return False


def elsewhere(v, close):
    """A value that is right in another place and may stand here, now and then: else work would know the right ones by their looks."""
    if type(v) in (int, float):
        alike = [w for w in right_values if type(w) is type(v) and (w < 0) == (v < 0) and abs(w) <= 2 * abs(v) + 60]
        alike += [tenth / 10 for tenth in range(11)] if type(v) is float and 0 <= v <= 1 else []
        alike = [w for w in alike if w != v and is_apart(v, w, close)]
    elif type(v) is str:
        alike = [w for w in right_values if type(w) is str and w.lower() != v.lower()]
    else:
        alike = []
    return rng.choice(alike) if alike and rng.random() < 0.5 else None


def wrong_number(v, close):
    """Another number, close to plausible, out of sixty at least, and none that a usual mistake would give."""
    if type(v) is int and v in (0, 1) and is_apart(v, 2, close):
        # Work would know these two by their looks.
        return rng.choice((1 - v, 1 - v, 2)) if is_apart(0, 1, close) else 2
    if v != v or v in (float("inf"), float("-inf")):
        return None
    digits, step, least = 0, 1, 1
    if type(v) is float:
        # One that was added up is no more than a few steps off.
        digits, least = len(repr(v).rpartition(".")[2]) if "e" not in repr(v) else 330, 7
        step = 10.0**-digits if digits < 330 else max(abs(v) / 200, 5e-324)
    shunned = {v, v - 1, v + 1, -v, 0, 1, v * 2} | ({v * v} if abs(v) < 10**100 else set())
    reach = max(60, int(abs(v) // (2 * step)))
    for _ in range(1000):
        new = round(v + rng.choice((-1, 1)) * (least + rng.randint(0, reach)) * step, digits)
        if new not in shunned and (v < 0 or new >= 0) and is_apart(v, new, close):
            return new
        # Nothing as close as that may be apart enough.
        reach += reach // 8
    return None


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


def wrong(node, close=EXACT):
    """Another literal, which differs from this one for certain; None where that cannot be told. What is new in it is `likely` where bad
    work gives such a value by itself."""
    new = changed(node, close)
    try:
        same = new is None or ast.literal_eval(node) == ast.literal_eval(new)
    except ValueError:
        # A name or a call is in it: what stands beside that differs all the same.
        same = False
    return None if same else new


def is_once(parts):
    """Whether none of these can stand for another: the later one would win."""
    return len(parts) < 2 or (
        all(isinstance(part, ast.Constant) for part in parts) and len({part.value for part in parts}) == len(parts)
    )


def is_likely(node):
    return any(getattr(part, "likely", False) for part in ast.walk(node))


def one_wrong(parts, close):
    """The parts with another one in place of one of them; None where there is none."""
    order = rng.sample(range(len(parts)), len(parts))
    for at in sorted(order, key=lambda at: has_few_others(parts[at])):
        new = wrong(parts[at], close)
        if new is not None:
            return [*parts[:at], new, *parts[at + 1 :]]
    return None


def emptied(node):
    """Nothing in place of something, now and then: else work would know by its looks that nothing is right."""
    if rng.random() > 0.1:
        return None
    if isinstance(node, ast.Constant) and type(node.value) is str and node.value:
        new = ast.Constant("")
    elif isinstance(node, (ast.List, ast.Tuple)) and node.elts:
        new = type(node)(elts=[], ctx=ast.Load())
    elif isinstance(node, ast.Dict) and node.keys:
        new = ast.Dict(keys=[], values=[])
    else:
        return None
    new.likely = True
    return new


def changed(node, close):
    empty = emptied(node)
    if empty is not None:
        return empty
    if isinstance(node, ast.Constant):
        v = node.value
        new = elsewhere(v, close)
        likely = new is not None or has_few_others(node)
        if new is not None:
            pass
        elif isinstance(v, bool):
            new = not v
        elif isinstance(v, (int, float)):
            new = wrong_number(v, close)
        elif isinstance(v, str):
            new = wrong_text(v)
        elif isinstance(v, bytes):
            new = wrong_text(v.decode("latin-1")).encode("latin-1")
        elif v is None:
            new = rng.randint(3, 60)
        if new is None:
            return None
        other = ast.Constant(new)
        other.likely = likely
        return other
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        parts = list(node.elts)
        if any(isinstance(part, ast.Starred) for part in parts) or (isinstance(node, ast.Set) and not is_once(parts)):
            return None
        if parts:
            parts = one_wrong(parts, close)
            if parts is None:
                return None
            return ast.Set(elts=parts) if isinstance(node, ast.Set) else type(node)(elts=parts, ctx=ast.Load())
        return type(node)(elts=[ast.Constant(rng.randint(2, 40))], ctx=ast.Load())
    if isinstance(node, ast.Dict):
        if None in node.keys or not is_once(node.keys):
            return None
        if node.values:
            values = one_wrong(node.values, close)
            return values and ast.Dict(keys=list(node.keys), values=values)
        return ast.Dict(keys=[ast.Constant(wrong_text("key"))], values=[ast.Constant(rng.randint(2, 40))])
    if isinstance(node, ast.Call):
        name = last(node)
        if name == "approx" and len(node.args) == 1:
            close = closeness(node, dict(abs=0, rel=1), (0, 1e-6))
            new = close and wrong(node.args[0], close)
            return new and ast.Call(func=node.func, args=[new], keywords=node.keywords)
        if name == "set" and not node.args:
            return ast.Set(elts=[ast.Constant(rng.randint(2, 40))])
        return other_call(node) if close == EXACT else None
    return None


def closeness(call, names, usual):
    """Twice how close a value may be to the right one, by the keywords of a call; None where that is not written out."""
    close = list(usual)
    for keyword in call.keywords:
        v = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if keyword.arg not in names or type(v) not in (int, float):
            return None
        close[names[keyword.arg]] = v
    return (2 * close[0], 2 * close[1])


def needle(node):
    """A literal that is in nothing that was not made for it."""
    v = node.value if isinstance(node, ast.Constant) else None
    if isinstance(v, str) and sum(c in string.ascii_letters + string.digits for c in v) > 3:
        # As long as it is, it looks like the right one: else work would know that one by its looks.
        return ast.Constant(wrong_text(v))
    if isinstance(v, str) and v:
        new = list(wrong_text(v))
        for _ in range(max(3, 8 - len(new))):
            new.insert(rng.randint(0, len(new)), rng.choice("bcdfghjklmnpqrstvwxz"))
        return ast.Constant("".join(new))
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        return ast.Constant(type(v)(rng.randint(10**6, 10**7)))
    return None


class Fold(ast.NodeTransformer):
    """Writes constant sums as their result, and leaves messages and descriptions of tests out: both would tell what is right."""

    def __init__(self):
        self.function, self.in_test = 0, False

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
        if self.in_test:
            node.msg = None
        return node

    def visit_With(self, node):
        for item in node.items:
            does = any(isinstance(part, (ast.NamedExpr, ast.Await, ast.Call)) for at in described(item) for part in ast.walk(at))
            if described(item) and not does:
                item.context_expr.args, item.context_expr.keywords = [], []
        # What is said there may be what is waited for.
        outer, self.in_test = self.in_test, self.in_test and not raising(node)
        self.generic_visit(node)
        self.in_test = outer
        return node

    visit_AsyncWith = visit_With

    def visit_FunctionDef(self, node):
        outer, self.in_test = self.in_test, not self.function and node.name.startswith("test")
        self.function += 1
        self.generic_visit(node)
        if self.in_test:
            undocument(node)
        self.function -= 1
        self.in_test = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        if not self.function and (node.name.startswith("Test") or is_case(node)):
            undocument(node)
        return node

    def visit_Module(self, node):
        self.generic_visit(node)
        undocument(node)
        return node


def described(item):
    """What a subtest is said to be about."""
    call = item.context_expr
    return [*call.args, *(keyword.value for keyword in call.keywords)] if dotted(call) == "self.subTest" and isinstance(call, ast.Call) else []


def undocument(node):
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])


class Signed(ast.NodeTransformer):
    """Writes negative numbers by their sign: as constants they would bind more closely than they do."""

    def visit_Constant(self, node):
        v = node.value
        is_negative = type(v) in (int, float) and v < 0
        return ast.UnaryOp(op=ast.USub(), operand=ast.Constant(-v)) if is_negative else node
