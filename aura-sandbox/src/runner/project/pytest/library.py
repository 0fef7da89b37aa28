# Values of the standard library, written out as calls: a part of the program that begins in wrong.py.

LIBRARY = {
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "datetime": ("date", "datetime", "timedelta"),
    "pathlib": ("Path", "PurePath", "PurePosixPath"),
}
# How the files of the suite call them, and which they are.
called = {}


def find_library(trees):
    strange = set()
    for part in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(part, ast.ImportFrom):
            for alias in part.names:
                if alias.name in LIBRARY.get(part.module, ()) and not part.level:
                    called[alias.asname or alias.name] = alias.name
                else:
                    strange.add(alias.asname or alias.name)
        elif isinstance(part, ast.Import):
            for alias in part.names:
                for name in LIBRARY.get(alias.name, ()):
                    called[f"{alias.asname or alias.name}.{name}"] = name
        elif isinstance(part, (ast.ClassDef, ast.FunctionDef)):
            strange.add(part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            strange.add(part.id)
    for name in [name for name in called if name.split(".")[0] in strange]:
        del called[name]


def other_call(node):
    """Such a call of another value; None where that cannot be told."""
    kind = called.get(dotted(node))
    parts = [*node.args, *(keyword.value for keyword in node.keywords)]
    if kind is None or not parts or not all(isinstance(part, ast.Constant) for part in parts):
        return None
    if kind == "timedelta":
        # Of a fraction, or of many days, another one may be the same, or none.
        is_plain = type(parts[0].value) is int and abs(parts[0].value) < 10**6
        return with_other(node, other_number(parts[0])) if is_plain else None
    if node.keywords:
        return None
    if kind in ("date", "datetime"):
        return other_day(kind, node)
    if kind == "Decimal" and type(parts[0].value) is str:
        return with_other(node, other_digits(parts[0].value))
    if kind in ("Decimal", "Fraction"):
        return with_other(node, other_number(parts[0]))
    is_text = len(parts) == 1 and isinstance(parts[0].value, str)
    return with_other(node, ast.Constant(wrong_text(parts[0].value))) if is_text else None


def with_other(node, first):
    """The call with another first argument."""
    if first is None:
        return None
    keywords = [ast.keyword(arg=keyword.arg, value=keyword.value) for keyword in node.keywords]
    if node.args:
        return ast.Call(func=node.func, args=[first, *node.args[1:]], keywords=keywords)
    keywords[0].value = first
    return ast.Call(func=node.func, args=[], keywords=keywords)


def other_number(node):
    return changed(node, EXACT) if type(node.value) in (int, float) else None


def other_digits(text):
    """Another number, with as many digits behind the point."""
    whole, _, part = text.partition(".")
    digits = whole.lstrip("-") + part
    if not (digits.isdecimal() and digits.isascii()) or len(digits) > 30:
        return None
    new = other_number(ast.Constant(int(digits)))
    if new is not None:
        digits = str(abs(new.value)).rjust(len(part) + 1, "0")
        new.value = ("-" if whole.startswith("-") else "") + (f"{digits[: -len(part)]}.{digits[-len(part) :]}" if part else digits)
    return new


def other_day(kind, node):
    values = [part.value for part in node.args]
    try:
        day = getattr(datetime, kind)(*values)
    except (TypeError, ValueError, OverflowError):
        return None
    if not 1 < day.year < 9999:
        return None
    new = day + datetime.timedelta(days=rng.choice((-1, 1)) * rng.randint(3, 60))
    return ast.Call(func=node.func, args=[ast.Constant(v) for v in (new.year, new.month, new.day, *values[3:])], keywords=[])
