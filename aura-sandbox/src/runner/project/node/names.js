// What the names in a test file stand for: the second part of the program that begins in values.js.

const TESTS = ['test', 'it', 'describe', 'suite'];
const HOOKS = ['before', 'after', 'beforeEach', 'afterEach'];
const MARKS = ['skip', 'todo', 'only'];

const inner = new WeakMap();

/** The nodes right below one. */
function children(node) {
  if (!inner.has(node)) {
    const below = Object.keys(node).filter((key) => key !== 'loc').flatMap((key) => node[key]);
    inner.set(node, below.filter((part) => typeof part?.type === 'string'));
  }
  return inner.get(node);
}

/** Each node below one, with the nodes around it, the nearest last. */
function parts(node, around = [], found = []) {
  found.push([node, around]);
  const below = children(node);
  const outer = below.length > 0 ? [...around, node] : around;
  below.forEach((part) => parts(part, outer, found));
  return found;
}

/** Nodes below one that are run where it is: not those of functions within it. */
function ownParts(node) {
  const below = children(node).filter((part) => !isFunction(part) && !part.type.startsWith('Class'));
  return [node, ...below.flatMap(ownParts)];
}

const some = (node, is) => is(node) || children(node).some((part) => some(part, is));

/** The names that a pattern gives values to. */
function bound(pattern) {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern];
    case 'ObjectPattern':
      return pattern.properties.flatMap((part) => bound(part.type === 'RestElement' ? part.argument : part.value));
    case 'ArrayPattern':
      return pattern.elements.flatMap(bound);
    case 'AssignmentPattern':
      return bound(pattern.left);
    case 'RestElement':
      return bound(pattern.argument);
    default:
      return [];
  }
}

/** Every name below a node: whether it is given a value there ("bind", "write") or stands for one ("read"), and what is around it. */
function names(root) {
  const binds = new Set();
  const writes = new Set();
  for (const [node] of parts(root)) {
    if (node.type === 'VariableDeclarator' || node.type === 'CatchClause') {
      bound(node.id ?? node.param).forEach((name) => binds.add(name));
    } else if (isFunction(node) || node.type.startsWith('Class')) {
      [node.id, ...(node.params ?? [])].flatMap(bound).forEach((name) => binds.add(name));
    } else if (/^Import.*Specifier$/.test(node.type)) {
      binds.add(node.local);
    } else if (node.type === 'AssignmentExpression' || (/^For(Of|In)/.test(node.type) && node.left.type !== 'VariableDeclaration')) {
      bound(node.left).forEach((name) => writes.add(name));
    } else if (node.type === 'UpdateExpression') {
      bound(node.argument).forEach((name) => writes.add(name));
    }
  }
  const found = [];
  for (const [node, around] of parts(root)) {
    const outer = around.at(-1);
    const isLabel = (key) => outer?.[key] === node && !outer.computed;
    const called = isLabel('key') || isLabel('label') || isLabel('exported') || (isLabel('imported') && outer.local !== node);
    if (node.type === 'Identifier' && !called && !(outer?.type === 'MemberExpression' && isLabel('property'))) {
      found.push({ node, name: node.name, around, role: binds.has(node) ? 'bind' : writes.has(node) ? 'write' : 'read' });
    }
  }
  return found;
}

/** The module that `require('x')`, `await import('x')` or a member of one stands for, with the members. */
function loaded(node) {
  if (isMember(node)) {
    const of = loaded(node.object);
    return of && { ...of, path: [...of.path, node.property.name] };
  }
  if (node?.type === 'AwaitExpression' && node.argument.type === 'ImportExpression') {
    return { from: node.argument.source, path: [] };
  }
  const required = node && isCall(node) && dotted(node.callee) === 'require' && node.arguments.length === 1;
  return required ? { from: node.arguments[0], path: [] } : undefined;
}

/** What is known of a module's members under this path. */
function known(module, path) {
  const inner = path.filter((part) => part !== 'default');
  if (module === 'node:test') {
    return { of: 'test', path: inner };
  }
  const asserts = /^(node:)?assert(\/strict)?$/.test(module);
  return asserts && { of: 'assert', path: module.endsWith('/strict') ? ['strict', ...inner] : inner };
}

class Names {
  constructor(program) {
    this.all = names(program);
    this.byName = new Map();
    for (const use of this.all) {
      const others = this.byName.get(use.name);
      if (others) {
        others.push(use);
      } else {
        this.byName.set(use.name, [use]);
      }
    }
    this.meanings = new Map();
    /** Names that come from files beside the test. */
    this.foreign = new Set();
    /** Names for the context that a test is called with. */
    this.contexts = new Set();
    const sources = new Set();
    const give = (id, module, path) => {
      const meaning = known(module, path);
      if (meaning) {
        this.meanings.set(id.name, meaning);
      } else if (!module.startsWith('node:')) {
        this.foreign.add(id.name);
      }
    };
    for (const statement of program.body) {
      if (statement.type === 'ImportDeclaration') {
        sources.add(statement.source);
        for (const part of statement.specifiers) {
          const path = part.type === 'ImportSpecifier' ? [part.imported.name ?? part.imported.value] : [];
          give(part.local, statement.source.value, path);
        }
      }
      for (const { id, init } of statement.type === 'VariableDeclaration' ? statement.declarations : []) {
        const of = loaded(init);
        const module = of && constant(of.from);
        const again = !of && init && this.meaning(init);
        if (typeof module === 'string') {
          sources.add(of.from);
          this.destructure(id, of.path, (name, path) => give(name, module, path));
        } else if (again) {
          this.destructure(id, again.path, (name, path) => this.meanings.set(name.name, { of: again.of, path }));
        }
      }
    }
    for (const { name, role, node } of this.all) {
      if (this.meanings.has(name) && role !== 'read' && this.called(name).some((other) => other.role !== 'read' && other.node !== node)) {
        throw new Unsure(`\`${name}\` stands for several things`);
      }
    }
    if (some(program, (part) => part.type === 'Literal' && part.value === 'node:test' && !sources.has(part))) {
      throw new Unsure('it loads node:test in a way that nobody follows');
    }
  }

  /** Where a name stands, or where it does below a node. */
  called(name, root) {
    const uses = this.byName.get(name) ?? [];
    return root ? uses.filter(({ node }) => root.start <= node.start && node.end <= root.end) : uses;
  }

  destructure(id, path, give) {
    if (id.type === 'Identifier') {
      give(id, path);
    } else if (id.type === 'ObjectPattern') {
      for (const part of id.properties) {
        if (part.type === 'Property' && !part.computed && part.value.type === 'Identifier') {
          give(part.value, [...path, part.key.name ?? part.key.value]);
        }
      }
    }
  }

  /** What a name, or a member of one, stands for; absent where it is nothing of the test tool's. */
  meaning(node) {
    if (isMember(node)) {
      if (node.property.name === 'assert' && node.object.type === 'Identifier' && this.contexts.has(node.object.name)) {
        return { of: 'assert', path: [] };
      }
      const of = this.meaning(node.object);
      return of && { of: of.of, path: [...of.path, node.property.name].filter((part) => part !== 'default') };
    }
    return node?.type === 'Identifier' ? this.meanings.get(node.name) : undefined;
  }

  /** What of the test runner a callee is, with its marks; absent where it is nothing of it. */
  runner(node) {
    const meaning = this.meaning(node);
    if (meaning?.of !== 'test') {
      return undefined;
    }
    const marks = meaning.path.filter((part) => MARKS.includes(part));
    return { kind: meaning.path.filter((part) => !MARKS.includes(part)).at(-1) ?? 'test', marks };
  }

  /** The assertion that a call makes; absent where it is none. */
  assertion(node) {
    const call = node?.type === 'AwaitExpression' ? node.argument : node;
    const meaning = call && isCall(call) ? this.meaning(call.callee) : undefined;
    if (meaning?.of !== 'assert') {
      return undefined;
    }
    const path = meaning.path.filter((part) => part !== 'strict');
    return { call, method: path.at(-1) ?? 'ok', strict: path.length < meaning.path.length, awaited: call !== node };
  }

  /** How an assertion's sibling is called there; absent where it is out of reach. */
  sibling(callee, method) {
    if (isMember(callee) && !MARKS.includes(callee.property.name) && callee.property.name !== 'strict') {
      return { at: span(callee.property), text: method };
    }
    const strict = this.meaning(callee).path.includes('strict');
    const fits = ([, { of, path }]) => of === 'assert' && path.at(-1) === method && path.includes('strict') === strict;
    const other = [...this.meanings].find(fits);
    return other && { at: span(callee), text: other[0] };
  }
}
