# Names of a file that stand for literals: a part of the program that begins in wrong.py. Each use of one becomes the literal itself, and
# the name goes: so each test has right values of its own, nobody can look them up, and the rows of a table can be counted.

# Names that others may ask for; None stands for all.
shared = set()
# Calls that are held to be the same whenever they are done.
TABLE_CALLS = ("param",)
MUTABLE = (ast.List, ast.Tuple, ast.Dict, ast.Set)
# Most that the copies of one literal may add, in characters.
MOST = 1 << 20
SPECIAL = ("pytestmark", "pytest_plugins", "collect_ignore", "collect_ignore_glob")


def find_shared(files):
    stems = [file["path"].rpartition("/")[2][:-3] for file in files]
    trees = [ast.parse(file["text"], file["path"]) for file in files]
    for part in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(part, ast.ImportFrom):
            is_ours = (part.module or "").rpartition(".")[2] in stems
            shared.update(None if is_ours and alias.name == "*" else alias.name for alias in part.names)
        elif isinstance(part, ast.Attribute):
            shared.add(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            # It may be asked for, or set, by its name.
            shared.add(part.value.rpartition(".")[2])
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
        elif len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            self.note(node.comparators[0], self.compared)
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
        super().generic_visit(node)


class Inline(ast.NodeTransformer):
    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        value = self.values.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if value is None else self.visit(copy.deepcopy(value))


def given(statement):
    """The name that a statement of a file gives to a value."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    one = isinstance(statement, (ast.Assign, ast.AnnAssign)) and len(targets) == 1 and isinstance(targets[0], ast.Name)
    return targets[0].id if one and statement.value is not None else None


def inline(tree):
    if None in shared:
        return tree
    uses = Uses()
    uses.visit(tree)
    values = {}
    for statement in tree.body:
        name = given(statement)
        if name is None or uses.stores.count(name) != 1 or name in shared or name in SPECIAL or name.startswith("__"):
            continue
        everywhere, tables = uses.others.get(name, set()), uses.tables.get(name, set())
        if sum(len(str(getattr(part, "value", ""))) for part in ast.walk(statement.value)) * len(everywhere) > MOST:
            continue
        if is_literal(statement.value) and not isinstance(statement.value, MUTABLE):
            values[name] = statement.value
        elif is_literal(statement.value) and everywhere == tables | uses.compared.get(name, set()):
            values[name] = statement.value
        elif everywhere == tables and is_table(statement.value, uses, len(tables)):
            values[name] = statement.value
    tree.body = [statement for statement in tree.body if given(statement) not in values]
    return Inline(values).visit(tree) if values else tree


def is_table(node, uses, times):
    """Whether it means the same where a mark of a test asks for it."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return False
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and times > 1 and last(part) not in TABLE_CALLS:
            return False
        if isinstance(part, ast.Name) and uses.stores.count(part.id) > 1 or isinstance(part, (ast.Starred, ast.NamedExpr, ast.Lambda)):
            return False
    return True
