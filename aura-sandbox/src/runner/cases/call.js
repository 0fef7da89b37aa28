// Calls one function of the work with the arguments that come in, line by line, and tells what came back. It knows nothing of what is
// right. What the work prints goes where errors go, so that answers stay apart.
const fs = require("node:fs");
const path = require("node:path");
const url = require("node:url");

const [mark, file, name] = process.argv.slice(1, 4);
const write = fs.writeSync;
const dumps = JSON.stringify;
process.stdout.write = process.stderr.write.bind(process.stderr);

const tell = (number, answer) => write(1, `\n${mark} ${number} ${answer}\n`);

function failure(error) {
  const kinds = [];
  for (let kind = error; kind; kind = Object.getPrototypeOf(kind)) {
    const own = kind.constructor && kind.constructor.name;
    if (own && own !== "Object" && !kinds.includes(own)) kinds.push(own);
  }
  const text = String((error && error.message) ?? error).slice(0, 2000);
  return dumps({ raised: kinds, message: text });
}

// What JSON has no word for is no answer, instead of a wrong one.
function checked(key, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`${value} is no JSON`);
  if (value instanceof Map || value instanceof Set) throw new TypeError(`a ${value.constructor.name} is no JSON`);
  return value;
}

async function load() {
  const full = path.resolve(file);
  const pick = (holder) => name.split(".").reduce((at, part) => (at == null ? undefined : at[part]), holder);
  let module;
  try {
    module = require(full);
  } catch (error) {
    if (error.code !== "ERR_REQUIRE_ESM" && !(error instanceof SyntaxError)) throw error;
    // A module of the newer kind, whatever its file is called.
    const text = fs.readFileSync(full, "utf8");
    const any = `data:text/javascript,${encodeURIComponent(text)}`;
    module = await import(url.pathToFileURL(full).href).catch(() => import(any));
  }
  const found = [module, module && module.default].map((holder) => pick(holder)).find((f) => typeof f === "function");
  if (found) return found;
  if (typeof module === "function" && module.name === name) return module;
  // A script that exports nothing: its own scope is asked.
  const scope = { exports: {} };
  const text = `${fs.readFileSync(full, "utf8")}\n;return ${name};`;
  return new Function("module", "exports", "require", text)(scope, scope.exports, require);
}

(async () => {
  const calls = fs.readFileSync(0, "utf8");
  let target;
  try {
    target = await load();
    if (typeof target !== "function") throw new TypeError(`${file} has no function ${name}`);
  } catch (error) {
    tell("load", failure(error));
    process.exit(1);
  }
  tell("ready", "{}");
  for (const line of calls.split("\n").filter(Boolean)) {
    const { number, args } = JSON.parse(line);
    const begun = performance.now();
    let value;
    try {
      value = await target(...args);
    } catch (error) {
      tell(number, failure(error));
      continue;
    }
    const seconds = (performance.now() - begun) / 1000;
    let answer;
    try {
      answer = dumps({ returned: value === undefined ? null : value, seconds }, checked);
    } catch (error) {
      answer = dumps({ unsaid: String(error.message).slice(0, 2000) });
    }
    tell(number, answer);
  }
  process.exit(0);
})();
