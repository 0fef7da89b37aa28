// Which tests there are, and what is left out of every copy: the last part of the program that begins in values.js.

const MAX_TESTS = 2000;
const FINE_OPTIONS = ['timeout', 'concurrency', 'signal', 'plan'];
const FINE_OF_CONTEXT = ['diagnostic', 'mock', 'signal', 'after', 'before', 'beforeEach', 'afterEach', 'plan', 'waitFor', 'assert'];

class TestFile extends File {
  line(node) {
    return `line ${node.loc.start.line} of ${this.path}`;
  }

  collect() {
    for (const fn of this.testFunctions()) {
      const context = fn.params[0]?.type === 'Identifier' && fn.params[0].name;
      const isOther = ({ role, around }) => role !== 'read' && !this.testFunctions().has(around.at(-1));
      if (context && !this.names.contexts.has(context) && !this.names.called(context).some(isOther)) {
        this.names.contexts.add(context);
      }
    }
    this.helpers = this.findHelpers();
    this.group(this.program.body, '', false);
    for (const use of this.names.all) {
      this.checkUse(use);
    }
    const ids = this.tests.map(({ prefix, name }) => prefix + name);
    const twice = ids.find((id, at) => ids.indexOf(id) !== at);
    if (twice !== undefined) {
      throw new Unsure(`${this.path} has two tests called ${twice}`);
    }
  }

  testFunctions() {
    const calls = () => parts(this.program).map(([node]) => node).filter((node) => this.isTestCall(node));
    this.functions ??= new Set(calls().map((call) => call.arguments.at(-1)).filter(isFunction));
    return this.functions;
  }

  isTestCall(node) {
    return isCall(node) && ['test', 'it'].includes(this.names.runner(node.callee)?.kind);
  }

  /** A use of the runner that is no plain test, group or hook may make tests. */
  checkUse({ name, node, around, role }) {
    if (role === 'read' && name === 'arguments') {
      throw new Unsure(`nobody can tell what \`arguments\` is used for in ${this.line(node)}`);
    }
    if (this.names.meanings.get(name)?.of !== 'test' || role !== 'read' || this.seen.has(node)) {
      return;
    }
    let whole = node;
    for (const outer of [...around].reverse()) {
      if (!isMember(outer) || outer.object !== whole) {
        break;
      }
      whole = outer;
    }
    const { path } = this.names.meaning(whole);
    const isHarmless = path.includes('mock') || path.some((part) => HOOKS.includes(part)) || around.at(-1).init === node || around.some((part) => part.init && loaded(part.init));
    if (!isHarmless || path.includes('only')) {
      throw new Unsure(`nobody can tell which tests \`${this.text.slice(whole.start, whole.end)}\` makes in ${this.line(node)}`);
    }
  }

  group(statements, prefix, mayAllSkip) {
    for (const s of statements) {
      let call = s.type === 'ExpressionStatement' ? s.expression : undefined;
      while (call?.type === 'AwaitExpression' || (call?.type === 'UnaryExpression' && call.operator === 'void')) {
        call = call.argument;
      }
      if (!call || !isCall(call)) {
        continue;
      }
      const runner = this.names.runner(call.callee);
      if (runner && TESTS.includes(runner.kind)) {
        this.define(call, runner, prefix, mayAllSkip);
      } else if (!runner) {
        this.checkForeign(call);
      }
    }
  }

  /** A function from another file may make tests of what it is given. */
  checkForeign(call) {
    let root = call.callee;
    while (root.type === 'MemberExpression' || root.type === 'CallExpression') {
      root = root.object ?? root.callee;
    }
    const required = loaded(call);
    const from = required && constant(required.from);
    const isForeign = this.names.foreign.has(root.name) || (root.name === 'require' && (!required || /test|spec/i.test(from ?? '')));
    if (isForeign && (call.arguments.some(isFunction) || required || /test|spec|suite|check|behav/i.test(dotted(call.callee)))) {
      throw new Unsure(`what is called in ${this.line(call)} may make tests`);
    }
  }

  define(call, { kind, marks }, prefix, mayAllSkip) {
    let root = call.callee;
    while (root.type === 'MemberExpression') {
      root = root.object;
    }
    this.seen.add(root);
    const [title, ...rest] = call.arguments;
    const name = title && constant(title);
    if (typeof name !== 'string' || !['Literal', 'TemplateLiteral'].includes(title.type)) {
      throw new Unsure(`the name of a test is not written out in ${this.line(call)}`);
    }
    if (name.trim() === '' || name !== name.trim() || /[\p{Cc}\p{Surrogate}\ufeff]/u.test(name) || Buffer.byteLength(prefix + name) > 400) {
      throw new Unsure(`a report cannot hold the name of the test in ${this.line(call)}`);
    }
    const options = rest.length > 1 || rest[0]?.type === 'ObjectExpression' ? rest[0] : undefined;
    const said = this.options(options, marks, call);
    const body = options ? rest[1] : rest[0];
    const made = { file: this.number, prefix, name, name_at: span(title), may_skip: mayAllSkip || said.maySkip, weak: said.why, sites: [] };
    const isGroup = kind === 'describe' || kind === 'suite';
    if (isGroup && !said.skips) {
      const before = this.tests.length;
      this.inside(body, `${prefix}${name} > `, made.may_skip, call);
      if (this.tests.length > before) {
        return;
      }
      made.weak ||= 'it is a group without tests';
    } else if (isGroup) {
      // What it holds is never made.
      names(call).forEach(({ node }) => this.seen.add(node));
    } else {
      this.test(made, body);
    }
    this.tests.push(made);
    if (this.tests.length > MAX_TESTS) {
      throw new Unsure(`there are more than ${MAX_TESTS} tests`);
    }
  }

  /** What marks and options say of a test or a group. */
  options(options, marks, call) {
    const said = { skips: marks.includes('skip'), maySkip: marks.length > 0, why: marks.includes('todo') ? 'it is marked todo' : '' };
    if (marks.includes('only') || (options && options.type !== 'ObjectExpression')) {
      throw new Unsure(`nobody can tell which tests are run by ${this.line(call)}`);
    }
    for (const part of options?.properties ?? []) {
      const key = part.type === 'Property' && !part.computed ? part.key.name ?? part.key.value : '';
      if (key === 'skip' || key === 'todo') {
        const isOff = constant(part.value) === false;
        const isOn = constant(part.value) === true || (typeof constant(part.value) === 'string' && constant(part.value) !== '');
        said.maySkip ||= !isOff;
        said.skips ||= key === 'skip' && isOn;
        said.isUncertain ||= key === 'skip' && !isOff && !isOn;
        said.why ||= key === 'todo' && !isOff ? 'it is marked todo' : '';
      } else if (!FINE_OPTIONS.includes(key)) {
        throw new Unsure(`nobody knows what an option means in ${this.line(call)}`);
      }
    }
    const { kind } = this.names.runner(call.callee);
    if ((said.isUncertain || said.why) && (kind === 'describe' || kind === 'suite')) {
      throw new Unsure(`nobody can tell which tests are run by ${this.line(call)}`);
    }
    return said;
  }

  inside(body, prefix, mayAllSkip, call) {
    const plain = isFunction(body) && body.params.length === 0 && !body.generator;
    const statements = plain && (body.body.type === 'BlockStatement' ? body.body.body : [{ type: 'ExpressionStatement', expression: body.body }]);
    if (!plain || statements.some((s) => ownParts(s).some(({ type }) => type === 'ReturnStatement' || type === 'ThisExpression'))) {
      throw new Unsure(`nobody can tell which tests the group in ${this.line(call)} holds`);
    }
    this.group(statements, prefix, mayAllSkip);
  }

  test(made, fn) {
    if (!isFunction(fn)) {
      made.weak ||= fn ? 'its function stands elsewhere' : 'it does nothing';
      if (fn?.type === 'Identifier' || !fn) {
        return;
      }
      throw new Unsure(`nobody can tell what ${made.name} runs`);
    }
    const unclear = this.context(made, fn);
    const sites = new Sites(this, this.fresh);
    if (fn.body.type === 'BlockStatement') {
      this.body(fn.body, sites);
    } else if (!sites.assertion(fn.body, new Map(), { returned: true })) {
      sites.hidden(fn.body);
    }
    made.weak ||= unclear || sites.weak;
    if (!unclear && sites.found.length > 0) {
      made.sites = sites.found;
      this.always.push(...sites.always);
    }
    made.weak ||= sites.found.length === 0 ? 'it asserts nothing that could be made wrong' : '';
  }

  /** Why a twin of a test would prove little; empty when it would. */
  context(made, fn) {
    const [context] = fn.params;
    if (fn.params.length > 1 || context?.type === 'RestElement') {
      return 'it ends by a callback';
    }
    if (fn.generator) {
      return 'its function is a generator';
    }
    const block = ownParts(fn.body);
    if (fn.type === 'FunctionExpression' && block.some(({ type }) => type === 'ThisExpression')) {
      throw new Unsure(`nobody can tell what \`this\` is used for in ${this.line(fn)}`);
    }
    const members = context?.type === 'ObjectPattern' ? context.properties.map(({ key }) => key?.name) : [];
    const uses = context?.type === 'Identifier' ? this.names.called(context.name, fn.body) : [];
    const called = [...members, ...uses.map(({ around }) => (isMember(around.at(-1)) ? around.at(-1).property.name : undefined))];
    if (called.some((name) => name === 'skip' || name === 'todo')) {
      made.may_skip = true;
    }
    const other = called.find((name) => name !== 'skip' && name !== 'todo' && !FINE_OF_CONTEXT.includes(name));
    const isSnapshot = uses.some(({ around }) => isMember(around.at(-2)) && /snapshot/i.test(around.at(-2).property.name));
    if (called.some((name) => name === undefined) || other || isSnapshot) {
      throw new Unsure(`nobody can tell what the test in ${this.line(fn)} does with its context`);
    }
    return made.may_skip && called.some((name) => name === 'skip' || name === 'todo') ? 'it may skip itself' : '';
  }

  body(block, sites) {
    const all = ownParts(block);
    const last = block.body.at(-1);
    const isLast = last?.type === 'ReturnStatement' && last.argument && this.names.assertion(last.argument);
    const leaves = all.some((part) => (part.type === 'ReturnStatement' && !(isLast && part === last)) || part.type === 'ThrowStatement');
    if (leaves) {
      sites.weak = 'it may end early';
      return;
    }
    const { first } = this.fresh;
    const directives = block.body.filter(({ directive }) => directive);
    const from = directives.at(-1)?.end ?? block.start + 1;
    const statements = block.body.slice(directives.length);
    sites.always.push({ at: [from, from], text: ` let ${first}; try {` });
    const env = sites.scan(block, new Map(), isLast ? statements.slice(0, -1) : statements);
    if (isLast) {
      sites.assertion(last.argument, env, { returned: true });
    }
    sites.always.push({ at: [block.end - 1, block.end - 1], text: ` } finally { if (${first}) throw ${first}[0]; }` });
  }
}

/** Where each character of a text begins, in bytes. */
function bytesOf(text) {
  const at = new Uint32Array(text.length + 1);
  for (let index = 0, bytes = 0; index < text.length; ) {
    const point = text.codePointAt(index);
    const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (const end = index + (point > 0xffff ? 2 : 1); index < end; index += 1) {
      at[index] = bytes;
    }
    bytes += size;
    at[index] = bytes;
  }
  return at;
}

function found(files, acorn) {
  const answer = { tests: [], blank: [], always: [] };
  files.forEach((given, number) => {
    const file = new TestFile(given, number, acorn);
    file.collect();
    const bytes = bytesOf(given.text);
    const isSpan = (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isInteger);
    const edited = [];
    const inBytes = (key, value) => {
      if (['at', 'statement', 'name_at'].includes(key) && isSpan(value)) {
        if (key !== 'statement') {
          edited.push(value);
        }
        return value.map((index) => bytes[index]);
      }
      return value;
    };
    const [tests, always] = JSON.parse(JSON.stringify([file.tests, file.always], inBytes));
    answer.tests.push(...tests);
    answer.always.push(...always.map((edit) => [number, edit]));
    answer.blank.push(...file.blank(edited).map((at) => [number, at.map((index) => bytes[index])]));
  });
  return answer;
}

function answer() {
  let acorn;
  try {
    acorn = require('internal/deps/acorn/acorn/dist/acorn');
  } catch {
    return { unsure: 'this Node brings no parser of JavaScript' };
  }
  try {
    const { files } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
    return { found: found(files, acorn) };
  } catch (why) {
    if (why instanceof Unsure) {
      return { unsure: why.message };
    }
    throw why;
  }
}

process.stdout.write(JSON.stringify(answer()));
