// Which tests there are, and what is left out of every copy: the last part of the program that begins in values.js.

const MAX_TESTS = 2000;
const FINE_OPTIONS = ['timeout', 'concurrency', 'signal', 'plan'];
const FINE_OF_CONTEXT = ['diagnostic', 'mock', 'signal', 'after', 'before', 'beforeEach', 'afterEach', 'plan', 'waitFor', 'assert'];

class File {
  constructor({ path, text }, number, acorn) {
    Object.assign(this, { path, text, number });
    const modules = path.endsWith('.cjs') ? ['script'] : path.endsWith('.mjs') ? ['module'] : ['script', 'module'];
    this.read(modules, acorn);
    this.names = new Names(this.program);
    this.seen = new Set();
    this.tests = [];
    this.always = [];
    this.groups = 0;
    this.helpers = this.findHelpers();
    const taken = new Set(this.names.all.map(({ name }) => name));
    const fresh = (name) => (taken.has(name) ? fresh(`${name}_`) : name);
    this.fresh = { error: fresh('failure'), first: fresh('first') };
  }

  read([sourceType, ...others], acorn) {
    [this.comments, this.tokens] = [[], []];
    const settings = { ecmaVersion: 'latest', sourceType, locations: true, allowHashBang: true, allowReturnOutsideFunction: sourceType === 'script' };
    try {
      this.program = acorn.parse(this.text, { ...settings, onComment: this.comments, onToken: this.tokens });
    } catch (why) {
      if (others.length === 0) {
        throw new Unsure(`${this.path} is no JavaScript that this Node reads: ${why.message}`);
      }
      this.read(others, acorn);
    }
  }

  /** Functions that assert something. */
  findHelpers() {
    const functions = [];
    for (const [node] of parts(this.program)) {
      const made = node.type === 'VariableDeclarator' && isFunction(node.init) ? node.init : node;
      const name = (made === node ? node.id : node.id)?.name;
      if (isFunction(made) && name) {
        functions.push({ name, body: made.body });
      }
    }
    this.helpers = new Set();
    for (let before = -1; before < this.helpers.size; ) {
      before = this.helpers.size;
      functions.filter(({ body }) => this.asserts(body)).forEach(({ name }) => this.helpers.add(name));
    }
    return this.helpers;
  }

  asserts(node) {
    return some(node, (part) => this.names.assertion(part) !== undefined || (part.type === 'Identifier' && this.helpers.has(part.name)));
  }

  isIdle(found) {
    const message = messageOf(found);
    return !message || isIdle(message);
  }

  /** The number of the first token from there on. */
  tokenAt(start) {
    let [from, to] = [0, this.tokens.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      [from, to] = this.tokens[middle].start < start ? [middle + 1, to] : [from, middle];
    }
    return from;
  }

  /** One more argument for a call. */
  more(call, text) {
    const at = call.end - 1;
    const last = this.tokens[this.tokenAt(at) - 1];
    return { at: [at, at], text: last.type.label === ',' ? ` ${text}` : `, ${text}` };
  }

  /** A message with the comma before it. */
  messageSpan(message) {
    let at = this.tokenAt(message.start) - 1;
    let depth = 0;
    for (; this.tokens[at]?.type.label === '('; at -= 1) {
      depth += 1;
    }
    const next = this.tokenAt(message.end);
    return [this.tokens[at].start, depth ? this.tokens[next + depth - 1].end : message.end];
  }

  /** Comments and messages, apart from what is edited otherwise. */
  blank(edited) {
    const messages = [];
    for (const [part] of parts(this.program)) {
      const found = isCall(part) && this.names.assertion(part);
      const message = found && messageOf(found);
      if (message && isIdle(message)) {
        messages.push(this.messageSpan(message));
      }
    }
    messages.sort(([a, b], [c, d]) => a - c || d - b);
    let end = 0;
    const outer = messages.filter(([, to]) => {
      const isOuter = to > end;
      end = Math.max(end, to);
      return isOuter;
    });
    // The work may be asked for the text of a function, comments and all.
    const written = parts(this.program).map(([part]) => (part.type === 'TemplateElement' ? part.value.cooked : constant(part)));
    const texts = [...new Set(written.filter((text) => typeof text === 'string'))];
    const idle = this.comments.filter(({ value }) => !value.trim() || !texts.some((text) => text.includes(value.trim())));
    const lines = idle.flatMap(({ start, end }) => {
      // Each line by itself: an end of a line can be the end of a statement.
      let at = start;
      return this.text.slice(start, end).split(/(?<=[\n\r\u2028\u2029])/).map((line) => {
        const from = at;
        at += line.length;
        return [from, from + line.replace(/[\n\r\u2028\u2029]+$/, '').length];
      });
    });
    const taken = new Uint8Array(this.text.length + 1);
    outer.forEach(([from, to]) => taken.fill(1, from, to));
    // What is put in between two characters is held apart from a comment around both.
    edited.forEach(([from, to]) => taken.fill(1, from, Math.max(to, from + 1)));
    const isFree = ([from, to]) => from < to && !taken.subarray(from, to).includes(1);
    return [...outer, ...lines.filter(isFree)];
  }

  /** The rows of a table that is written out, or of one under a name that nothing else uses; absent where there are none. */
  rows(node, env) {
    if (isCall(node) && dotted(node.callee) === 'Object.entries' && node.arguments[0]?.type === 'ObjectExpression') {
      const { properties } = node.arguments[0];
      const plain = properties.length > 0 && members(node.arguments[0]).length === properties.length;
      return plain ? properties.map((part) => ({ type: 'ArrayExpression', elements: [part.key, part.value] })) : undefined;
    }
    const [own, ...others] = env.get(dotted(node)) ?? [];
    // A name for several rows stands for several tables.
    const named = node.type === 'Identifier' ? (own ?? this.table(node.name)) : node;
    if (others.length > 0) {
      return undefined;
    }
    const fits = named?.type === 'ArrayExpression' && named.elements.length > 0;
    return fits && named.elements.every((row) => row && row.type !== 'SpreadElement') ? named.elements : undefined;
  }

  /** What a name at the top of the file stands for, when it is used once. */
  table(name) {
    const uses = this.names.called(name);
    const declared = this.program.body.flatMap((s) => (s.type === 'VariableDeclaration' ? s.declarations : []));
    return uses.length === 2 ? declared.find(({ id }) => id.name === name)?.init : undefined;
  }

  /** Uses of a name below a node that are no part of a message. */
  uses(name, root) {
    const shown = ({ node, around }) => [...around, node].some((part, at, all) => {
      const found = at > 0 && this.names.assertion(all[at - 1]);
      return found && messageOf(found) === part;
    });
    return this.names.called(name, root).filter((use) => !shown(use));
  }

  /** The cells that each name of a loop stands for, when it is used once. */
  columns(target, rows, body) {
    const found = new Map();
    const give = (name, cells, fits) => {
      if (cells.every(Boolean) && fits) {
        found.set(name, cells);
      }
    };
    const isOnce = (name) => this.uses(name, body).length === 1;
    const field = (row, key) => {
      const part = row.type === 'ObjectExpression' && members(row).length === row.properties.length && row.properties.find(({ key: own }) => (own.name ?? own.value) === key);
      return part ? part.value : undefined;
    };
    if (target.type === 'Identifier') {
      const uses = this.uses(target.name, body);
      give(target.name, rows, uses.length === 1);
      const fields = uses.map(({ around }) => (isMember(around.at(-1)) && around.at(-1).object.type === 'Identifier' ? around.at(-1).property.name : ''));
      if (fields.every(Boolean) && uses.length > 0) {
        for (const key of new Set(fields)) {
          give(`${target.name}.${key}`, rows.map((row) => field(row, key)), fields.filter((other) => other === key).length === 1);
        }
      }
    } else if (target.type === 'ArrayPattern') {
      target.elements.forEach((name, at) => {
        const cell = (row) => row.type === 'ArrayExpression' && !row.elements.slice(0, at + 1).some((part) => part?.type === 'SpreadElement') && row.elements[at];
        if (name?.type === 'Identifier') {
          give(name.name, rows.map(cell), isOnce(name.name));
        }
      });
    } else if (target.type === 'ObjectPattern' && target.properties.every(({ type }) => type === 'Property')) {
      for (const { key, value, computed } of target.properties) {
        if (value.type === 'Identifier' && !computed) {
          give(value.name, rows.map((row) => field(row, key.name ?? key.value)), isOnce(value.name));
        }
      }
    }
    return found;
  }

  // ---- tests ----

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
    const file = new File(given, number, acorn);
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
