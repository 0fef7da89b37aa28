# Where a right value is written out, and how it is made wrong: a part of the program that begins in wrong.py.


def literal_change(place, env, other=None, close=EXACT):
    """How to make what stands there wrong: a literal, or the one use of a name for a column of literals. `other` is what it is compared
    with."""
    node = get(place)
    cells = env.get(node.id) if isinstance(node, ast.Name) else [place]
    if not cells or any(wrong(get(cell), close) is None for cell in cells):
        return None
    if other is not None and is_instance(other):
        # Its own class says what it is equal to.
        return Site("needle", lambda: put_wrong(cells, close) and None, cells)
    return Site("value", lambda: put_wrong(cells, close), cells)


# Classes of which each object is equal to few values, and names of a test that stand for objects of other classes.
STRICT = ("Decimal", "Fraction", "Counter", "OrderedDict", "Path", "PurePath")
instances = set()


def is_instance(node):
    """Whether it is an object of a class that the work may have made."""
    if isinstance(node, ast.BinOp):
        return is_instance(node.left) or is_instance(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_instance(node.operand)
    if isinstance(node, ast.Name):
        return node.id in instances
    return isinstance(node, ast.Call) and last(node)[:1].isupper() and last(node) not in STRICT


class Rows(list):
    """The cells of a column of which each is a test of its own."""


def put_wrong(cells, close):
    """Makes each wrong; tells the kind of each that is a test of its own, and of all together."""
    for cell in cells:
        put(cell, wrong(get(cell), close))
    # Bad work gives likely values by itself.
    kinds = ["other" if is_likely(get(cell)) else "value" for cell in cells]
    one_test = "other" if "value" not in kinds else "value"
    return (kinds, "other" if "other" in kinds else "value") if isinstance(cells, Rows) else ([], one_test)


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
            # Whoever asks for it by its name would get the wrong one too.
            of_fixtures.add(part.name)
        elif is_kind(part, ("getfixturevalue",)):
            of_fixtures.update(name.value for name in part.args if isinstance(name, ast.Constant))


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
