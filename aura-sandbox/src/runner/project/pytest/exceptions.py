# What must raise, and what else may be waited for: a part of the program that begins in wrong.py.

LIKELY = "ValueError TypeError KeyError IndexError ZeroDivisionError AttributeError RuntimeError OverflowError".split()
# What no work raises by itself.
UNLIKELY = "BufferError ChildProcessError BlockingIOError UnicodeTranslateError IsADirectoryError".split()


def raising(statement):
    """The errors that a block waits for."""
    items = statement.items if isinstance(statement, (ast.With, ast.AsyncWith)) else []
    return [item.context_expr for item in items if is_kind(item.context_expr, RAISES)]


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


# For each exception that must come, what was waited for in its place so far.
waited = {}


def another(kinds, right):
    """One that was not waited for yet, while there is any: who raises everything at once is told by how many of them it is."""
    before = waited.setdefault(right, [])
    fresh = [name for name in kinds if before.count(name) == min(map(before.count, kinds))]
    before.append(rng.choice(fresh))
    return before[-1]


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
    is_unlikely = kinds is UNLIKELY
    kinds = [name for name in kinds if name not in bound]
    if not kinds:
        return None
    site = Site("raises", None)

    def change():
        right = dotted(call.args[0])
        other = another(kinds, right)
        site.classes = [right, other] + (["what no work raises"] if is_unlikely else [])
        put((call, "args", 0), ast.Name(id=other, ctx=ast.Load()))

    site._change = change
    return site


# What a call is held to be elsewhere in the suite: operators and constants.
held = []


def find_held(trees):
    for part in (part for tree in trees for part in ast.walk(tree)):
        test = part.test if isinstance(part, ast.Assert) else None
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Call):
            if isinstance(test.ops[0], (ast.Eq, ast.Is)) and isinstance(test.comparators[0], ast.Constant):
                held.append((type(test.ops[0]), test.comparators[0].value))


def answers(block, statements, at):
    """Has a call answer what another one does, where it must raise: else work would see by `raises` what to do."""
    only = block.body[0] if len(block.body) == 1 else None
    unnamed = all(item.optional_vars is None for item in block.items) and len(block.items) == 1
    if not (held and unnamed and isinstance(only, ast.Expr) and isinstance(only.value, ast.Call)):
        return []

    def change():
        op, v = rng.choice(held)
        test = ast.Compare(left=only.value, ops=[op()], comparators=[ast.Constant(v)])
        site.statement = statements[at] = ast.Assert(test=test, msg=None)

    site = Site("raises", change)
    return [site]
