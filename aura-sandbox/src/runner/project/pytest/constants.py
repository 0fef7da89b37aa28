# Names of a file that stand for literals: a part of the program that begins in wrong.py. Each use of one becomes the literal itself, and
# the name goes: so each test has right values of its own, nobody can look them up, and the rows of a table can be counted.

# Names that others may ask for; None stands for all.
shared = set()
# Calls that make the same whenever they are done.
BUILDERS = ("set", "frozenset", "dict", "list", "tuple", "range", "bytes", "float", "complex")
CONTAINERS = (ast.List, ast.Tuple, ast.Dict, ast.Set)
# Most that the copies of one literal may add, in characters.
MOST = 1 << 20
SPECIAL = ("pytestmark", "pytest_plugins", "collect_ignore", "collect_ignore_glob")


def find_shared(files, trees):
    stems = [file["path"].rpartition("/")[2][:-3] for file in files]
    for part in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(part, ast.ImportFrom):
            is_ours = (part.module or "").rpartition(".")[2] in stems
            shared.update(None if is_ours and alias.name == "*" else alias.name for alias in part.names)
        elif isinstance(part, ast.Attribute):
            shared.add(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            # It may be asked for, or set, by its name.
            shared.update(re.findall(r"\w+", part.value))
        elif isinstance(part, ast.keyword):
            shared.add(part.arg or "")
        elif is_kind(part, ("globals", "exec", "eval", "locals", "vars")):
            shared.add(None)


def is_literal(node):
    """Whether each use may have one of its own."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd)) and is_literal(node.operand)
    if isinstance(node, ast.BinOp):
        return all(isinstance(side, (ast.Constant, ast.BinOp, ast.UnaryOp)) and is_literal(side) for side in (node.left, node.right))
    if isinstance(node, ast.Dict):
        return None not in node.keys and all(map(is_literal, (*node.keys, *node.values)))
    return isinstance(node, (ast.List, ast.Tuple, ast.Set)) and all(map(is_literal, node.elts))


def is_fixed(node):
    """Whether nothing in it can be changed."""
    if isinstance(node, ast.Tuple):
        return all(map(is_fixed, node.elts))
    if is_kind(node, ("param",)):
        return all(map(is_fixed, node.args))
    if isinstance(node, (ast.Name, ast.Attribute)) or isinstance(node, ast.Call) and dotted(node) in called:
        return True
    return not isinstance(node, CONTAINERS) and is_literal(node)


def holds_fixed(node):
    """Whether nothing in what it holds can be changed."""
    return all(map(is_fixed, [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts))


class Uses(ast.NodeVisitor):
    """How each name is used, in which places."""

    def __init__(self):
        self.tables, self.compared, self.others, self.stores = {}, {}, {}, []

    def note(self, node, kind):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            kind.setdefault(node.id, set()).add(id(node))

    def visit_Call(self, node):
        if last(node) == "parametrize" and len(node.args) > 1:
            self.note(node.args[1], self.tables)
        elif last(node) == "approx" or is_own_assertion(node) and node.func.attr in EQUAL_CALLS:
            for part in node.args[:2]:
                self.note(part, self.compared)
        self.generic_visit(node)

    def visit_Compare(self, node):
        if all(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
            for part in (node.left, *node.comparators):
                self.note(part, self.compared)
        self.generic_visit(node)

    def visit_For(self, node):
        self.note(node.iter, self.compared)
        self.generic_visit(node)

    def visit_JoinedStr(self, node):
        # A literal within a text may not be written like one outside.
        self.stores += 2 * [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.others.setdefault(node.id, set()).add(id(node))
        else:
            self.stores.append(node.id)

    def visit_arg(self, node):
        self.stores.append(node.arg)
        self.generic_visit(node)

    def visit_alias(self, node):
        self.stores.append((node.asname or node.name).split(".")[0])

    def generic_visit(self, node):
        if isinstance(node, (*NAMING, ast.AsyncFunctionDef)) and getattr(node, "name", None):
            self.stores.append(node.name)
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            self.stores += 2 * node.names
        if getattr(node, "rest", None):
            self.stores.append(node.rest)
        super().generic_visit(node)


class Inline(ast.NodeTransformer):
    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        value = self.values.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if value is None else self.visit(copy.deepcopy(value))


def given(statement):
    """The name that a statement of a file gives to its value."""
    named = named_values(statement)
    return named[0][0] if len(named) == 1 and named[0][1][0] is statement else None


def inline(tree):
    if None in shared:
        return tree
    uses = Uses()
    uses.visit(tree)
    values = {}
    stars = [at for at, node in enumerate(tree.body) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    for at, statement in enumerate(tree.body):
        name = given(statement)
        everywhere = uses.others.get(name, set())
        # A name that comes with others, later, may be this one.
        if not everywhere or uses.stores.count(name) != 1 or any(star > at for star in stars):
            continue
        if name not in shared and name not in SPECIAL and not name.startswith("__") and can_stand(name, statement.value, uses):
            values[name] = statement.value
    tree.body = [statement for statement in tree.body if given(statement) not in values]
    return Inline(values).visit(tree) if values else tree


def can_stand(name, value, uses):
    """Whether the value may stand in each place that asks for its name."""
    everywhere, tables = uses.others[name], uses.tables.get(name, set())
    if sum(len(str(getattr(part, "value", ""))) for part in ast.walk(value)) * len(everywhere) > MOST:
        return False
    if is_literal(value) and is_fixed(value):
        return True
    # What one test changes in a row, another one may find.
    if not isinstance(value, CONTAINERS) or len(everywhere) > 1 and not holds_fixed(value):
        return False
    if everywhere == tables:
        return isinstance(value, (ast.List, ast.Tuple)) and all(is_row(row, uses) for row in value.elts)
    return is_literal(value) and everywhere == tables | uses.compared.get(name, set())


def is_row(node, uses):
    """Whether it means the same where a mark of a test asks for it."""
    if isinstance(node, ast.Name):
        return uses.stores.count(node.id) <= 1
    if isinstance(node, ast.Attribute):
        return is_row(node.value, uses)
    if isinstance(node, ast.Call):
        is_known = last(node) == "param" or dotted(node) in called or dotted(node) in BUILDERS and dotted(node) not in uses.stores
        return is_known and all(is_row(part, uses) for part in (*node.args, *(keyword.value for keyword in node.keywords)))
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(is_row(part, uses) for part in node.elts)
    if isinstance(node, ast.Dict):
        return None not in node.keys and all(is_row(part, uses) for part in (*node.keys, *node.values))
    return is_literal(node)
