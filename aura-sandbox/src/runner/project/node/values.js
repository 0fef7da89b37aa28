// Values that are written out in a test, and others that are wrong for certain. With names.js, assertions.js, file.js and tests.js this is one
// program. It is trusted: it runs in an empty folder, with nothing of the work within its reach, and it is not within the work's.
//
// It tells where in the pristine test files a test can be made wrong; the copies themselves are written outside of it.
'use strict';
const { randomInt } = require('node:crypto');

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const RARE = 'bcdfghjklmnpqrstvwxz';
const MAX_TEXT = 4000;

class Unsure extends Error {}

const pick = (list) => list[randomInt(list.length)];
const span = (node) => [node.start, node.end];
const rare = (count) => Array.from({ length: count }, () => pick(RARE)).join('');
const isCall = (node) => node.type === 'CallExpression' && !node.optional;
const isFunction = (node) => ['ArrowFunctionExpression', 'FunctionExpression', 'FunctionDeclaration'].includes(node?.type);
const isMember = (node) => node?.type === 'MemberExpression' && !node.computed && node.property.type === 'Identifier';

/** `a.b.c` of names; empty when it is something else. */
function dotted(node) {
  if (isMember(node)) {
    const left = dotted(node.object);
    return left && `${left}.${node.property.name}`;
  }
  return node?.type === 'Identifier' ? node.name : '';
}

/** What a constant expression is; absent where it is none. */
function constant(node) {
  const found = folded(node);
  return typeof found === 'string' && found.length > MAX_TEXT ? undefined : found;
}

function folded(node) {
  if (node.type === 'Literal') {
    return node.regex || node.value === null ? undefined : node.value;
  }
  if (node.type === 'TemplateLiteral') {
    return node.expressions.length === 0 ? node.quasis[0].value.cooked : undefined;
  }
  if (node.type === 'UnaryExpression' && node.operator === '-') {
    const of = constant(node.argument);
    return typeof of === 'number' || typeof of === 'bigint' ? -of : undefined;
  }
  if (node.type === 'BinaryExpression') {
    const [a, b] = [constant(node.left), constant(node.right)];
    if (typeof a === 'string' && typeof b === 'string' && node.operator === '+') {
      return a + b;
    }
    const large = typeof a === 'bigint' && (b < 0n || b > 200n || a > 1000n || a < -1000n);
    if (typeof a !== typeof b || !['number', 'bigint'].includes(typeof a) || (node.operator === '**' && large)) {
      return undefined;
    }
    const by = { '+': () => a + b, '-': () => a - b, '*': () => a * b, '**': () => a ** b };
    return by[node.operator]?.();
  }
  if (isCall(node) && isMember(node.callee) && node.callee.property.name === 'repeat' && node.arguments.length === 1) {
    const [text, times] = [constant(node.callee.object), constant(node.arguments[0])];
    const few = typeof text === 'string' && Number.isInteger(times) && times >= 0 && text.length * times <= MAX_TEXT;
    return few ? text.repeat(times) : undefined;
  }
  return undefined;
}

/** One text out of few: what else could stand there. */
const oneOf = (text, others) => ({ one_of: [text, [text, ...others]] });

const isWhole = (text) => !/[\ud800-\udfff]/.test(text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, ''));

/** A value as the writer of the copies reads it; absent where nobody knows another. `loose`: whether it is compared by `==`. */
function scalar(node, loose) {
  const dot = dotted(node);
  if ((node.type === 'Literal' && node.raw === 'null') || dot === 'undefined' || (node.operator === 'void' && node.argument.type === 'Literal')) {
    const text = dot || 'null';
    // `null == undefined`.
    return oneOf(text, loose ? ['false', '0'] : ['false', text === 'null' ? 'undefined' : 'null']);
  }
  const minus = node.type === 'UnaryExpression' && node.operator === '-' && dotted(node.argument) === 'Infinity';
  const odd = { NaN: ['0', '-1'], Infinity: ['-Infinity', 'NaN'], '-Infinity': ['Infinity', 'NaN'] };
  const name = minus ? '-Infinity' : dot;
  if (Object.hasOwn(odd, name)) {
    return oneOf(name, odd[name]);
  }
  const value = constant(node);
  if (typeof value === 'string') {
    return isWhole(value) ? { text: value } : undefined;
  }
  if (typeof value === 'boolean') {
    return { bool: value };
  }
  if (typeof value === 'bigint') {
    const [text, size] = [`${value}n`, value < 0n ? -value : value];
    return size <= Number.MAX_SAFE_INTEGER ? { int: [Number(value), 'n'] } : oneOf(text, [`${value + BigInt(randomInt(3, 10 ** 9))}n`]);
  }
  if (Object.is(value, -0)) {
    return oneOf('-0', ['-1', '-7']);
  }
  if (typeof value === 'number' && Number.isFinite(value)) {
    return Number.isSafeInteger(value) ? { int: [value, ''] } : { float: [value, ''] };
  }
  return undefined;
}

/** Literals in a value, each of which makes all of it another one. */
function literals(node, how) {
  const value = scalar(node, how.loose);
  const whole = (text, other) => [{ at: span(node), value: oneOf(text, [other]), far: false }];
  if (value) {
    return [{ at: span(node), value, far: how.far ?? false }];
  }
  const some = randomInt(2, 40);
  if (node.type === 'ArrayExpression') {
    const items = node.elements.filter((item) => item && item.type !== 'SpreadElement');
    return node.elements.length === 0 ? whole('[]', `[${some}]`) : items.flatMap((item) => literals(item, how));
  }
  if (node.type === 'ObjectExpression') {
    return node.properties.length === 0 ? whole('{}', `{ ${rare(4)}: ${some} }`) : members(node).flatMap((item) => literals(item, how));
  }
  const [first, ...more] = node.arguments ?? [];
  const made = node.type === 'NewExpression' ? dotted(node.callee) : '';
  if (made === 'Set' || made === 'Map') {
    if (node.arguments.length === 0) {
      return whole(`new ${made}()`, made === 'Set' ? `new Set([${some}])` : `new Map([[${some}, 1]])`);
    }
    return more.length === 0 && first.type === 'ArrayExpression' ? entries(made, first, how) : [];
  }
  const bytes = /^(Uint|Int|Float)\d+(Clamped)?Array$/.test(made) || (node.type === 'CallExpression' && dotted(node.callee) === 'Buffer.from');
  if (bytes && first && more.length === 0) {
    // Numbers that an array of bytes holds as they are: others may come to the same.
    const fits = (part) => part && constant(part) >= 0 && constant(part) < (/^Int8/.test(made) ? 128 : 256);
    const plain = first.type !== 'ArrayExpression' || (first.elements.length > 0 && (/^(Float64|U?[Ii]nt32)Array$/.test(made) || first.elements.every(fits)));
    return plain ? literals(first, how) : [];
  }
  return made === 'Date' && first ? date(first, more) : [];
}

/** The values of an object that nothing after them can replace. */
function members(node) {
  const last = node.properties.findLastIndex((part) => part.type === 'SpreadElement' || part.computed);
  const own = node.properties.slice(last + 1);
  const key = (part) => String(part.key.name ?? part.key.value);
  const plain = (part) => part.kind === 'init' && !part.method && !part.shorthand && key(part) !== '__proto__';
  return new Set(own.map(key)).size === own.length ? own.filter(plain).map((part) => part.value) : [];
}

/** What is in a set, or the values of a map, where none can stand for another. */
function entries(made, list, how) {
  const isPair = (item) => item?.type === 'ArrayExpression' && item.elements.length === 2 && item.elements.every((part) => part && part.type !== 'SpreadElement');
  const parts = made === 'Set' ? list.elements : list.elements.map((item) => (isPair(item) ? item.elements[0] : null));
  const keys = parts.map((part) => part && constant(part));
  if (keys.some((key) => key === undefined || key === null) || new Set(keys).size !== keys.length) {
    return [];
  }
  if (keys.length === 0) {
    const other = made === 'Set' ? `[${randomInt(2, 40)}]` : `[[${randomInt(2, 40)}, 1]]`;
    return [{ at: span(list), value: oneOf('[]', [other]), far: false }];
  }
  return (made === 'Set' ? list.elements : list.elements.map((item) => item.elements[1])).flatMap((item) => literals(item, how));
}

/** A date in another year. */
function date(first, more) {
  const text = constant(first);
  if (typeof text === 'number') {
    return more.every((part) => typeof constant(part) === 'number') ? literals(first, {}) : [];
  }
  if (more.length > 0 || typeof text !== 'string' || !/^\d{4}(-\d\d){0,2}(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?$/.test(text)) {
    return [];
  }
  const years = Array.from({ length: 60 }, () => String(Number(text.slice(0, 4)) + randomInt(-40, 40)).padStart(4, '0'));
  const others = years.map((year) => year + text.slice(4)).filter((other) => Date.parse(other) && Date.parse(other) !== Date.parse(text));
  return others.length ? [{ at: span(first), value: oneOf(JSON.stringify(text), [JSON.stringify(others[0])]), far: false }] : [];
}

/** A pattern that is plain text, and one that nothing matches that the first was made for; absent where it is more than that. */
function otherPattern(node) {
  const plain = node.regex && /^\^?(?:[A-Za-z0-9 _,:;'"!@#%&=<>~-]|\\[^A-Za-z0-9])+\$?$/.test(node.regex.pattern);
  if (!plain || !/[A-Za-z0-9]/.test(node.regex.pattern)) {
    return undefined;
  }
  const { pattern, flags } = node.regex;
  const spots = [...pattern.matchAll(/[A-Za-z0-9]/g)].map((found) => found.index);
  if (spots.length < 5) {
    const at = pick(spots);
    return oneOf(`/${pattern}/${flags}`, [`/${pattern.slice(0, at)}${rare(5)}${pattern.slice(at)}/${flags}`]);
  }
  const letters = [...pattern];
  const [one, two] = [pick(spots), pick(spots)];
  for (const at of [one, two]) {
    const kind = [LETTERS, LETTERS.toUpperCase(), '0123456789'].find((all) => all.includes(letters[at]));
    letters[at] = pick([...kind].filter((other) => other.toLowerCase() !== pattern[at].toLowerCase()));
  }
  return oneOf(`/${pattern}/${flags}`, [`/${letters.join('')}/${flags}`]);
}
