// A test file: its text, its comments, and its tables: the fourth part of the program that begins in values.js.

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
}
