// The dashboard: reads the REST calls, follows the live stream, and submits tasks.
// Whatever a model or a user wrote reaches the page as text only: elements are made by `el`, which knows no markup.
"use strict";

const $ = (id) => document.getElementById(id);
const MAX_EVENTS = 200;
const HISTORY = 50;

const EXAMPLE = {
  prompt:
    "Write a Python function slugify(text) that turns a title into a URL slug: lower case, runs of anything but ASCII " +
    "letters and digits become one hyphen, no hyphen at the start or the end.",
  tests: `from solution import slugify


def test_words_are_joined_by_hyphens():
    assert slugify("Hello World") == "hello-world"


def test_punctuation_becomes_one_hyphen():
    assert slugify("Rock & Roll!  Live") == "rock-roll-live"


def test_no_hyphen_at_the_ends():
    assert slugify("  --Hi!--  ") == "hi"


def test_digits_stay():
    assert slugify("Top 10") == "top-10"


def test_nothing_gives_nothing():
    assert slugify("") == ""
`,
};

const state = { selected: null, prds: [], models: [], source: null, newest: 0, shown: {} };

// ---- making elements ---------------------------------------------------------------------------------------------

function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") node.textContent = value;
    else if (key === "class") node.className = value;
    else if (key === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

const fill = (node, ...children) => node.replaceChildren(...children.flat().filter((child) => child !== null));
const empty = (text) => el("p", { class: "empty", text });
const cell = (text, options = {}) => el("td", { ...options, text });
const head = (...names) =>
  el("thead", {}, el("tr", {}, names.map(([text, kind]) => el("th", { text, class: kind, scope: "col" }))));

const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const short = (id) => (id ? id.slice(-8) : "");
const clock = (time) => new Date(time).toLocaleTimeString();

function badge(text, kind) {
  return el("span", { class: `badge ${kind || text.toLowerCase().replace(/[^a-z]+/g, "-")}`, text });
}

// ---- talking to the orchestra --------------------------------------------------------------------------------------

async function call(path, body) {
  const options = { headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The orchestra does not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Error(answer?.detail || answer?.title || `The orchestra answered ${response.status}.`);
  return answer;
}

function showError(error) {
  $("error").textContent = error ? error.message : "";
  $("error").hidden = !error;
}

async function attempt(action) {
  try {
    await action();
    showError(null);
  } catch (error) {
    showError(error);
  }
}

// ---- overview ------------------------------------------------------------------------------------------------------

const STATES = ["QUEUED", "ASSIGNED", "IN_PROGRESS", "SUBMITTED", "VALIDATED", "FAILED", "CANCELLED"];

function showOverview(overview) {
  fill($("notices"), overview.notices.map((text) => el("p", { text, data: { test: "notice" } })));
  fill(
    $("jobs"),
    STATES.map((name) => {
      const count = overview.jobs[name] || 0;
      const label = name.toLowerCase().replace("_", " ");
      return el(
        "li",
        { class: count ? "" : "zero", data: { test: "job-count", state: name, count: String(count) } },
        el("b", { text: String(count) }),
        el("span", { text: label }),
      );
    }),
  );
  $("version").textContent = `Aura Orchestra ${overview.version} · ${overview.workers} workers in this process`;
  state.newest = overview.newest_event;
}

// ---- models --------------------------------------------------------------------------------------------------------

function showModels(models) {
  state.models = models;
  const able = models.filter((model) => !model.hold).length;
  $("count").max = String(Math.min(16, Math.max(2, able)));
  if (!models.length) {
    fill($("models"), empty("No model is employed yet. Start the server with one configured, or register one: POST /models/{name}/register."));
    return;
  }
  const rows = models.map((model) => {
    const held = Boolean(model.hold);
    const name = el("td", {}, el("b", { text: model.name }), el("small", { text: `${model.provider} · ${model.model}` }));
    if (model.stub) name.append(el("small", { class: "warn", text: `stub: ${model.stub}` }));
    if (held) name.append(el("small", { class: "warn", text: `held: ${model.hold}` }));
    for (const gate of model.gates) {
      const shut = !gate.passes;
      const shown = el("small", { class: shut ? "warn" : "", text: `${gate.name}: ${gate.state}` });
      shown.dataset.test = "gate";
      name.append(shown);
    }
    if (!model.has_adapter) name.append(el("small", { text: "worked for by remote workers" }));
    const score = el("td", { class: "score-cell" }, el("span", { text: number(model.avg_score, 3) }), bar(model.avg_score));
    const button = el("button", {
      type: "button",
      class: "quiet",
      text: held ? "Release" : "Hold",
      "aria-label": `${held ? "Release" : "Hold"} ${model.name}`,
      data: { test: "hold", name: model.name },
      on: { click: () => attempt(() => setHold(model)) },
    });
    return el(
      "tr",
      { data: { test: "model", name: model.name, standing: model.standing, held: String(held) } },
      name,
      cell(model.kind),
      el("td", {}, badge(model.standing), held ? badge("on hold", "held") : null),
      score,
      cell(String(model.runs), { class: "num" }),
      cell(model.hr ? number(model.hr.avg_score, 3) : "–", { class: "num" }),
      cell(money(model.spent), { class: "num", data: { test: "spent" } }),
      el("td", { class: "num" }, button),
    );
  });
  const columns = head(
    ["Model"], ["Kind"], ["Standing"], ["Mean score"], ["Scored runs", "num"], ["As HR saw it", "num"], ["Spent", "num"], ["", "num"],
  );
  fill($("models"), el("table", {}, columns, el("tbody", {}, rows)));
}

// What is not known is not 0: a sum over some of the runs says so.
function money(spent) {
  if (!spent.runs || spent.unpriced === spent.runs) return "–";
  const digits = spent.cost && spent.cost < 0.01 ? 6 : 2;
  return `${spent.unpriced ? "≥ " : ""}$${spent.cost.toFixed(digits)}`;
}

async function setHold(model) {
  const name = encodeURIComponent(model.name);
  if (model.hold) await call(`models/${name}/release`, {});
  else await call(`models/${name}/hold`, { reason: "held on the page" });
  showModels(await call("models"));
}

function bar(value) {
  const inner = el("i");
  inner.style.width = `${Math.round(100 * (value || 0))}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, inner);
}

// ---- tasks ---------------------------------------------------------------------------------------------------------

const OUTCOMES = { working: "working", won: "won", nobody_won: "nobody won", cancelled: "cancelled" };

function showPrds(prds) {
  state.prds = prds;
  if (!prds.length) {
    fill($("prds"), empty("No task yet. Fill in the example and submit it: the models start at once."));
    return;
  }
  const rows = prds.map((prd) => {
    const open = el("button", {
      type: "button", class: "link", text: prd.title, on: { click: () => select(prd.id) },
    });
    const plan = prd.plan.panel ? `panel of ${prd.plan.panel}` : String(prd.plan);
    return el(
      "tr",
      {
        class: prd.id === state.selected ? "selected" : "",
        data: { test: "prd", id: prd.id, state: prd.state },
        "aria-current": prd.id === state.selected ? "true" : null,
      },
      el("td", { class: "title" }, open, el("small", { text: `${plan} · ${clock(prd.created_at)}` })),
      el("td", {}, badge(OUTCOMES[prd.state], prd.state)),
      cell(prd.winner || "", { class: "name" }),
      cell(prd.score === null ? "" : number(prd.score, 3), { class: "num" }),
    );
  });
  fill($("prds"), el("table", {}, head(["Task"], ["State"], ["Winner"], ["Score", "num"]), el("tbody", {}, rows)));
}

function select(id) {
  state.selected = id;
  showPrds(state.prds);
  attempt(showSelected);
}

// ---- the verdict ---------------------------------------------------------------------------------------------------

async function showSelected() {
  const id = state.selected;
  if (!id) {
    $("verdict").dataset.state = "none";
    state.shown = {};
    fill($("verdict"), empty("Choose a task to see how it stands, who won, and every part of every score."));
    return;
  }
  if (state.shown.id === id && state.shown.settled) return;
  const prd = await call(`prds/${id}`);
  const told = JSON.stringify(prd);
  if (id !== state.selected || told === state.shown.told) return;
  // What a reader has opened stays open: the box is made anew only when something changed.
  const box = $("verdict");
  const opened = new Set([...box.querySelectorAll("details[open]")].map((node) => node.dataset.key));
  state.shown = { id, told, settled: Boolean(prd.verdict) };
  box.dataset.state = prd.state;
  box.dataset.prd = prd.id;
  const parts = [
    el("div", { class: "verdict-head" }, el("h3", { text: prd.title }), badge(OUTCOMES[prd.state], prd.state)),
    prd.verdict ? el("p", { class: "why", text: prd.verdict.why, data: { test: "why" } }) : null,
    prd.verdict ? null : progress(prd),
    prd.verdict ? ranking(prd.verdict) : null,
    prd.verdict ? el("div", { class: "entries" }, prd.verdict.entries.map((entry) => scored(entry, prd.verdict))) : null,
    fold("task", "The task as it was submitted", () => [
      el("pre", { text: prd.prompt }),
      ...(prd.tests ? prd.tests.files.map((file) => [el("small", { text: file.path }), el("pre", { text: file.text })]).flat() : []),
    ]),
    el("small", { class: "hint", text: `PRD ${prd.id}` }),
  ];
  if (prd.state === "working") {
    parts.push(el("button", {
      type: "button", class: "quiet", text: "Call it off", data: { test: "cancel" },
      on: { click: () => attempt(async () => { await call(`prds/${id}/cancel`, { reason: "called off on the page" }); await refresh(); }) },
    }));
  }
  fill(box, parts);
  for (const node of box.querySelectorAll("details")) if (opened.has(node.dataset.key)) node.open = true;
}

function progress(prd) {
  const rows = prd.jobs.map((job) =>
    el(
      "tr",
      { data: { test: "job", id: job.id, status: job.status } },
      cell(job.assigned_model || "not assigned yet", { class: "name" }),
      el("td", {}, badge(job.status.toLowerCase().replace("_", " "), job.status)),
      cell(`${job.attempt} of ${job.max_attempts}`, { class: "num" }),
      cell(job.waiting || job.last_error || "", { class: "break" }),
    ),
  );
  return el("div", { class: "scroll" },
    el("table", {}, head(["Model"], ["State"], ["Attempt", "num"], ["Note"]), el("tbody", {}, rows)));
}

const SIGNALS = [
  ["tests", "test_score"], ["agreement", "cross_model_agreement"], ["docs", "docs_quality"], ["performance", "performance_ok"],
];

function ranking(verdict) {
  const rows = verdict.entries.map((entry, i) => {
    const signals = entry.assessment?.signals || {};
    const won = verdict.outcome === "won" && verdict.job === entry.job;
    return el(
      "tr",
      { class: won ? "selected" : "", data: { test: "entry", model: entry.model || "", status: entry.status, won: String(won) } },
      cell(String(i + 1), { class: "num" }),
      el("td", {}, el("b", { text: entry.model || "nobody" }), won ? badge("winner", "won") : null),
      SIGNALS.map(([, key]) => cell(number(signals[key]), { class: "num" })),
      cell(entry.assessment ? number(entry.assessment.penalties) : "–", { class: "num" }),
      el("td", { class: "num" }, el("b", { text: entry.assessment ? number(entry.assessment.score, 4) : "–", data: { test: "score" } })),
      cell(entry.why, { class: "break" }),
    );
  });
  const columns = head(
    ["#", "num"], ["Model"], ...SIGNALS.map(([name]) => [name, "num"]), ["penalties", "num"], ["score", "num"], ["Why"],
  );
  return el("div", { class: "scroll" }, el("table", { data: { test: "ranking" } }, columns, el("tbody", {}, rows)));
}

const PENALTY_WEIGHT = 0.25;

function scored(entry, verdict) {
  const key = `entry-${entry.job}`;
  const title = `How ${entry.model || "nobody"} got ${entry.assessment ? number(entry.assessment.score, 4) : "no score"}`;
  const facts = [
    entry.tests ? `${entry.tests.passed} of ${entry.tests.total} tests passed` : "no tests were run",
    entry.strength ? `evidence: ${entry.strength.replace("_", " ")}` : null,
    entry.isolation ? `isolation when tested: ${entry.isolation}` : null,
    `${entry.attempts} attempt${entry.attempts === 1 ? "" : "s"}`,
    entry.stub ? `stub: ${entry.stub}` : null,
  ].filter(Boolean);
  const details = fold(key, title, () => [
    el("p", { class: "hint", text: facts.join(" · ") }),
    entry.assessment ? sum(entry.assessment) : empty("Nothing was scored."),
    work(entry.job),
  ]);
  if (verdict.outcome === "won" && verdict.job === entry.job) details.open = true;
  return details;
}

function sum(assessment) {
  const term = (name, value, weight, part, why) =>
    el(
      "tr",
      { data: { test: "component", name } },
      cell(name), cell(value, { class: "num" }), cell(weight, { class: "num" }), cell(part, { class: "num" }), cell(why, { class: "break" }),
    );
  let total = 0;
  const rows = assessment.components.map((part) => {
    const added = part.weight * (part.value || 0);
    total += added;
    return term(part.name, number(part.value, 4), `× ${number(part.weight)}`, number(added, 4), part.why);
  });
  const taken = PENALTY_WEIGHT * assessment.penalties;
  rows.push(term("penalties", number(assessment.penalties, 4), `× −${number(PENALTY_WEIGHT)}`, taken ? `−${number(taken, 4)}` : "0.0000", assessment.penalties ? "what it was punished for" : "none"));
  total -= taken;
  const foot = el(
    "tfoot", {},
    el("tr", { data: { test: "total" } },
      el("th", { text: "score", scope: "row" }), cell(""), cell("sum", { class: "num" }),
      cell(number(assessment.score, 4), { class: "num" }),
      cell(`${number(total, 4)}, kept within 0 to 1; the signals there were allowed ${number(assessment.attainable, 4)} at most`)),
  );
  return el("div", { class: "scroll" },
    el("table", { class: "sum" }, head(["Part"], ["Value", "num"], ["Weight", "num"], ["Adds", "num"], ["How it was measured"]), el("tbody", {}, rows), foot));
}

function work(job) {
  const box = el("div");
  const open = async () => {
    const pieces = await call(`jobs/${job}/artifacts`);
    const shown = pieces.flatMap((piece) => [
      el("small", { text: `${piece.artifact_type}, attempt ${piece.attempt}` }),
      ...texts(piece.artifact).map((text) => el("pre", { text })),
    ]);
    fill(box, shown.length ? shown : [empty("It handed in nothing.")]);
  };
  return fold(`work-${job}`, "What it handed in", () => { attempt(open); return [box]; });
}

function texts(artifact) {
  if (typeof artifact === "string") return [artifact];
  if (Array.isArray(artifact?.files)) return artifact.files.map((file) => `# ${file.path}\n${file.text}`);
  const text = artifact?.patch ?? artifact?.text ?? artifact?.output;
  return [typeof text === "string" ? text : JSON.stringify(artifact, null, 2)];
}

// A part that is made when it is opened for the first time.
function fold(key, title, make) {
  const node = el("details", { data: { key } }, el("summary", { text: title }));
  node.addEventListener("toggle", () => {
    if (node.open && node.childElementCount === 1) node.append(...make());
  });
  return node;
}

// ---- the live stream -----------------------------------------------------------------------------------------------

function follow(actions) {
  state.source?.close();
  const source = new EventSource(`events?after=${Math.max(0, state.newest - HISTORY)}`);
  state.source = source;
  source.onopen = () => live("live");
  source.onerror = () => {
    live("reconnecting");
    // A browser gives up after a refusal, e.g. when the log is another one now: begin anew.
    if (source.readyState === EventSource.CLOSED) setTimeout(start, 3000);
  };
  for (const action of actions) source.addEventListener(action, onEntry);
  source.addEventListener("gap", (message) => {
    const gap = JSON.parse(message.data);
    addEvent(el("li", { class: "gap", text: `Entries ${gap.missed_from} to ${gap.oldest - 1} are no longer kept.`, data: { test: "gap" } }));
  });
}

function live(word) {
  $("live").textContent = word;
  $("live").dataset.state = word;
}

function onEntry(message) {
  const entry = JSON.parse(message.data);
  const details = entry.details || {};
  const about = [details.model, details.title, details.reason, details.worker, details.why]
    .filter((part) => typeof part === "string" || typeof part === "number")
    .join(" · ");
  const target = details.job_id || details.prd_id || (details.jobs || [])[0];
  addEvent(
    el(
      "li",
      { data: { test: "event", action: entry.action, seq: String(entry.seq) }, title: JSON.stringify(details) },
      el("time", { text: clock(entry.created_at), datetime: entry.created_at }),
      badge(entry.action, entry.action.split(".")[0].replace("_", "-")),
      el("span", { class: "actor", text: entry.actor }),
      el("span", { class: "about", text: about }),
      el("code", { text: short(target) }),
    ),
  );
  touched.add(entry.action.split(".")[0]);
  schedule();
}

function addEvent(node) {
  const list = $("events");
  list.querySelector(".empty")?.remove();
  list.prepend(node);
  while (list.childElementCount > MAX_EVENTS) list.lastElementChild.remove();
}

// ---- keeping up ----------------------------------------------------------------------------------------------------

const touched = new Set();
let timer = null;
let busy = false;

// Many entries at once cause one refresh, and never two at the same time.
function schedule() {
  timer ??= setTimeout(async () => {
    timer = null;
    if (busy) return schedule();
    busy = true;
    const models = ["model", "run", "orchestra"].some((word) => touched.has(word));
    touched.clear();
    await attempt(() => refresh(models));
    busy = false;
  }, 250);
}

async function refresh(models = true) {
  const [overview, prds, found] = await Promise.all([
    call("overview"), call("prds?limit=50"), models ? call("models") : null,
  ]);
  showOverview(overview);
  // A page that is opened later begins with the newest task.
  if (!state.source) state.selected ??= prds[0]?.id ?? null;
  showPrds(prds);
  if (found) showModels(found);
  await showSelected();
  return overview;
}

async function start() {
  try {
    const overview = await refresh();
    showError(null);
    fill($("events"), el("li", { class: "empty", text: "Nothing has happened yet. Submit a task and watch it here." }));
    follow(overview.actions);
  } catch (error) {
    showError(error);
    live("reconnecting");
    setTimeout(start, 3000);
  }
}

// ---- the form ------------------------------------------------------------------------------------------------------

function formError(error) {
  $("submit-error").textContent = error ? error.message : "";
  $("submit-error").hidden = !error;
}

$("plan").addEventListener("change", () => { $("count").disabled = $("plan").value === "solo"; });

$("example").addEventListener("click", () => {
  $("prompt").value = EXAMPLE.prompt;
  $("tests").value = EXAMPLE.tests;
  $("language").value = "python";
  const able = state.models.filter((model) => !model.hold).length;
  $("plan").value = able > 1 ? "panel" : "solo";
  $("count").disabled = able < 2;
  $("count").value = String(Math.max(2, Math.min(3, able)));
  formError(null);
  $("submit").focus();
});

$("submit-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = $("submit");
  button.disabled = true;
  try {
    const body = { prompt: $("prompt").value, language: $("language").value, plan: "solo" };
    if ($("tests").value.trim()) body.tests = $("tests").value;
    if ($("plan").value === "panel") body.plan = { panel: Number($("count").value) };
    const prd = await call("prds", body);
    formError(null);
    state.selected = prd.id;
    await attempt(() => refresh(false));
  } catch (error) {
    formError(error);
  } finally {
    button.disabled = false;
  }
});

start();
