// What can be made wrong in a test: the third part of the program that begins in values.js.
//
// A failed assertion does not end a copy: the rest of the test is run, and the first failure is thrown at its end. So a twin leaves
// behind what the test itself leaves, and tests that build on one another hold for honest work in every copy.

const EQUAL = ['equal', 'strictEqual', 'deepEqual', 'deepStrictEqual'];
const STRICT = { equal: 'strictEqual', deepEqual: 'deepStrictEqual' };
const TURNED = {
  notEqual: 'equal', notStrictEqual: 'strictEqual', notDeepEqual: 'deepEqual', notDeepStrictEqual: 'deepStrictEqual',
  match: 'doesNotMatch', doesNotMatch: 'match', ifError: 'ok',
};
const SWAPPED = { '!==': '===', '!=': '==', '<': '>=', '>=': '<', '>': '<=', '<=': '>' };
/** Where the message stands: behind so many arguments. */
const BEHIND = { ok: 1, match: 2, doesNotMatch: 2, throws: 2, rejects: 2, doesNotThrow: 2, doesNotReject: 2 };
/** Errors that code is asked to throw, none of which is another one. */
const ERRORS = ['TypeError', 'RangeError', 'SyntaxError'];
/** A class of which nothing is. */
const OTHER = 'class extends Error {}';
/** What an object can say of itself, whatever it is. */
const PREDICATES = ['includes', 'every', 'some', 'startsWith', 'endsWith', 'has', 'hasOwn', 'hasOwnProperty', 'equals', 'isPrototypeOf', 'test', 'is'];
const NEEDLES = ['includes', 'startsWith', 'endsWith', 'has', 'hasOwn', 'hasOwnProperty'];

const isText = (node) => node?.type === 'TemplateLiteral' || typeof (node && constant(node)) === 'string';

/** The message of an assertion; absent where it has none. */
function messageOf({ call, method }) {
  const at = BEHIND[method] ?? (/qual$/.test(method) ? 2 : Infinity);
  const early = /throw|reject/i.test(method) && isText(call.arguments[1]) ? 1 : at;
  return call.arguments[early];
}

/** Whether leaving it out changes nothing but what a failure says. */
const isIdle = (message) => !some(message, ({ type }) => /^(Await|Yield|Assignment|Update)Expression$|^SpreadElement$/.test(type));

class Sites {
  constructor(file, fresh) {
    Object.assign(this, { file, names: file.names, fresh });
    this.found = [];
    this.always = [];
    this.weak = '';
  }

  add(options, node) {
    if (!options || options.length === 0) {
      this.weak ||= `what is right is not written out in \`${this.file.text.slice(node.start, node.end).split('\n')[0].slice(0, 120)}\``;
    } else {
      this.found.push(...options.map((way) => ({ statement: span(node), way })));
    }
  }

  hidden(node) {
    if (this.file.asserts(node)) {
      this.weak ||= `it may not get to an assertion in line ${node.loc.start.line}`;
    }
  }

  /** One literal of a value, or of each row that a name stands for; absent where it is not written out. */
  value(node, env, how) {
    const table = node.type === 'Identifier' && this.file.table(node.name);
    const cells = env.get(dotted(node)) ?? [table || node];
    const groups = cells.map((cell) => literals(cell, how));
    return groups.every((group) => group.length > 0) ? [{ value: groups }] : undefined;
  }

  /** The ways to make a condition wrong; absent where it is weak. */
  condition(node, env) {
    if (node.type === 'LogicalExpression' && node.operator === '&&') {
      const sides = [this.condition(node.left, env), this.condition(node.right, env)];
      return sides.every(Boolean) ? sides.flat() : undefined;
    }
    if (node.type === 'UnaryExpression' && node.operator === '!') {
      return [{ other: [{ at: [node.start, node.start + 1], text: '' }] }];
    }
    if (node.type === 'BinaryExpression') {
      const { left, right, operator } = node;
      if (operator === '===' || operator === '==') {
        const how = { loose: operator === '==' };
        return this.value(right, env, how) ?? this.value(left, env, how);
      }
      if (operator === 'in') {
        return this.needle(left);
      }
      const close = (operator === '<' || operator === '<=') && isCall(left) && dotted(left.callee) === 'Math.abs' && left.arguments[0];
      if (close && close.type === 'BinaryExpression' && close.operator === '-') {
        const ways = this.value(close.right, env, { far: true }) ?? this.value(close.left, env, { far: true });
        const reach = constant(right);
        // Another value has to be out of reach of the tolerance.
        const isOut = ({ value }) => 4 * Math.abs(reach) < Math.abs((value.int ?? value.float ?? [0])[0]) + 9;
        return typeof reach === 'number' && ways?.[0].value.flat().every(isOut) ? ways : undefined;
      }
      if (operator in SWAPPED) {
        const isSign = (token) => this.file.text.slice(token.start, token.end) === operator;
        const sign = this.file.tokens.slice(this.file.tokenAt(left.end), this.file.tokenAt(right.start)).find(isSign);
        return [{ other: [{ at: span(sign), text: SWAPPED[operator] }] }];
      }
    }
    if (isCall(node) && isMember(node.callee) && NEEDLES.includes(node.callee.property.name)) {
      return this.needle(node.arguments.at(dotted(node.callee) === 'Object.hasOwn' ? 1 : 0));
    }
    if (this.hides(node) || constant(node) !== undefined) {
      return undefined;
    }
    const bare = ['CallExpression', 'MemberExpression', 'Identifier'].includes(node.type);
    const around = [{ at: [node.start, node.start], text: bare ? '!' : '!(' }];
    return [{ other: bare ? around : [...around, { at: [node.end, node.end], text: ')' }] }];
  }

  /** Whether a value that answers every question with yes would pass such a test, and fail its opposite. */
  hides(node) {
    return some(node, (part) => {
      if (part.type === 'BinaryExpression') {
        return ['==', '===', 'in'].includes(part.operator);
      }
      const method = isCall(part) && isMember(part.callee) && part.callee;
      return method && PREDICATES.includes(method.property.name) && !method.object.regex;
    });
  }

  /** A literal that is in nothing that was not made for it. */
  needle(node) {
    const value = node && scalar(node, true);
    return value?.text || value?.int ? [{ needle: [[{ at: span(node), value, far: true }]] }] : undefined;
  }

  equal(call, env, how) {
    const [actual, expected] = call.arguments;
    if (constant(expected) === true && (actual.type === 'BinaryExpression' || this.hides(actual))) {
      return this.condition(actual, env);
    }
    // What stands on the left may be there to be tested: it has to be written out as a whole.
    const isWritten = !some(actual, ({ type }) => ['CallExpression', 'AwaitExpression', 'TemplateLiteral'].includes(type));
    return this.value(expected, env, how) ?? (isWritten ? this.value(actual, env, how) : undefined);
  }

  /** Another error than the one that has to come. */
  raises(call, method, env) {
    const expected = call.arguments[1];
    if (!expected || isText(expected)) {
      const none = method === 'throws' ? 'doesNotThrow' : 'doesNotReject';
      const sibling = this.names.sibling(call.callee, none);
      return [{ raises: [sibling && randomInt(2) ? sibling : this.file.more(call, OTHER)] }];
    }
    if (expected.regex) {
      const other = otherPattern(expected);
      return other ? [{ value: [[{ at: span(expected), value: other }]] }] : [{ raises: [{ at: span(expected), text: `/${rare(9)}/` }] }];
    }
    if (expected.type === 'ObjectExpression') {
      const plain = members(expected).flatMap((part) => {
        const other = part.regex && otherPattern(part);
        return other ? [{ at: span(part), value: other }] : part.regex ? [] : literals(part, {});
      });
      return plain.length ? [{ value: [plain] }] : undefined;
    }
    if (isFunction(expected)) {
      return expected.body.type === 'BlockStatement' || expected.async ? undefined : this.condition(expected.body, env);
    }
    const name = dotted(expected);
    const others = [...ERRORS, 'ReferenceError', 'URIError'].includes(name) ? ERRORS.filter((other) => other !== name) : [OTHER];
    return name ? [{ raises: [{ at: span(expected), text: pick(others) }] }] : undefined;
  }

  options({ call, method, strict }, env) {
    if (call.arguments.length === 0 || call.arguments.some((part) => part.type === 'SpreadElement')) {
      return undefined;
    }
    const [first, second] = call.arguments;
    if (method === 'ok') {
      return this.condition(first, env);
    }
    if (EQUAL.includes(method) || method === 'partialDeepStrictEqual') {
      const isLoose = !strict && method in STRICT;
      return second && this.equal(call, env, { loose: isLoose });
    }
    if (method === 'throws' || method === 'rejects') {
      return this.raises(call, method, env);
    }
    if (method === 'doesNotThrow' || method === 'doesNotReject') {
      const turned = this.names.sibling(call.callee, method === 'doesNotThrow' ? 'throws' : 'rejects');
      return turned && [{ raises: [turned] }];
    }
    if (method === 'match' && second?.regex && otherPattern(second)) {
      return [{ value: [[{ at: span(second), value: otherPattern(second) }]] }];
    }
    const turned = Object.hasOwn(TURNED, method) && this.names.sibling(call.callee, TURNED[method]);
    return turned ? [{ other: [turned] }] : undefined;
  }

  /** An assertion that is certain to be reached; whether it was one. */
  assertion(node, env, { returned = false } = {}) {
    const found = this.names.assertion(node);
    if (!found) {
      return false;
    }
    const later = /reject/i.test(found.method);
    if (found.call.arguments.some((part) => this.file.asserts(part))) {
      this.hidden(node);
    } else if (later && !found.awaited && !returned) {
      this.weak ||= `nobody waits for the assertion in line ${node.loc.start.line}`;
    } else if (!this.file.isIdle(found)) {
      this.weak ||= `the message in line ${node.loc.start.line} does something`;
    } else {
      this.add(this.options(found, env), found.call);
    }
    return true;
  }

  /** Keeps what fails in a statement for the end of the test. */
  kept(node, before = '', behind = '') {
    const { error, first } = this.fresh;
    this.always.push({ at: [node.start, node.start], text: `${before}try { ` });
    this.always.push({ at: [node.end, node.end], text: ` } catch (${error}) { ${first} ??= [${error}]; }${behind}` });
  }

  statement(s, env) {
    const { type, expression } = s;
    if (type === 'ExpressionStatement' && this.assertion(expression, env)) {
      this.kept(s);
    } else if (type === 'BlockStatement') {
      this.scan(s, env);
    } else if (type === 'ForOfStatement' && !s.await) {
      this.loop(s, s.left.declarations?.[0]?.id, s.right, s.body, env);
    } else if (type === 'ExpressionStatement' && isCall(expression) && isMember(expression.callee) && expression.callee.property.name === 'forEach') {
      const [each, ...more] = expression.arguments;
      const plain = isFunction(each) && !each.async && !each.generator && each.params.length === 1 && more.length === 0;
      this.loop(s, plain ? each.params[0] : undefined, expression.callee.object, each?.body, env);
    } else {
      this.hidden(s);
    }
  }

  /** Looks through a block; what its names stand for. */
  scan(block, around, statements = block.body) {
    const env = new Map(around);
    for (const { id, init } of block.body.flatMap((s) => (s.type === 'VariableDeclaration' ? s.declarations : []))) {
      // A value that is used elsewhere too would be wrong there as well: on both sides, nothing would be.
      env.delete(id.name);
      if (id.type === 'Identifier' && init && this.file.uses(id.name, block).length === 2) {
        env.set(id.name, [init]);
      }
    }
    for (const s of statements) {
      this.statement(s, env);
    }
    return env;
  }

  /** A loop over rows that are written out, when its body is certain to be run to its end. */
  loop(s, target, over, body, env) {
    const rows = target && this.file.rows(over, env);
    const leaves = body && some(body, ({ type }) => ['BreakStatement', 'ContinueStatement', 'ReturnStatement'].includes(type));
    if (!rows || leaves) {
      this.hidden(s);
      return;
    }
    const inner = new Map([...env, ...this.file.columns(target, rows, body)]);
    if (body.type === 'BlockStatement' || body.type.endsWith('Statement')) {
      this.statement(body, inner);
    } else if (this.file.text.slice(0, body.start).trimEnd().endsWith('=>') && this.assertion(body, inner)) {
      this.kept(body, '{ ', ' }');
    } else {
      this.hidden(s);
    }
  }
}
