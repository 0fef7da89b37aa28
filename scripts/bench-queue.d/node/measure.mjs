// What every peer of Node.js is put through, in the order and with the rules that bench-queue states.

import { readFileSync, readdirSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

export const url = process.env.DATABASE_URL;
const jobs = Number(process.env.JOBS);
const server = Number(process.env.POSTGRES_PID);

const BULK = 5_000;
const CALLERS = 64;
const ENQUEUE_MS = 2_000;
const WARM_UP = 20;

/**
 * Measures one peer and prints its line of JSON.
 *
 * `queue` has `enqueue(n)` and `enqueueMany(numbers)`, both done once committed; `start(onJob)`, which runs a worker
 * that calls `onJob(count)` as handlers begin and resolves to a function that stops it; `anyLeft`, SQL whose rows say
 * that a job is not completed; and `close()`. `latency`: how many samples to take, and the
 * range of milliseconds over which the pauses between them are spread.
 */
export async function measure(facts, queue, latency = { samples: 300, spread: 11 }) {
  const postgres = new pg.Client({ connectionString: url });
  await postgres.connect();

  const numbers = Array.from({ length: jobs }, (_, n) => n);
  const bulk = await timed(async () => {
    for (let from = 0; from < jobs; from += BULK) await queue.enqueueMany(numbers.slice(from, from + BULK));
  });

  const before = await usage(postgres);
  const { seconds: drain, after } = await drained(queue, postgres);

  const latencies = await pickUps(queue, latency);
  const one = await enqueueFor(queue, 1);
  const many = await enqueueFor(queue, CALLERS);

  console.log(JSON.stringify({
    ...facts,
    enqueue_one_per_s: one,
    enqueue_64_per_s: many,
    bulk_per_s: jobs / bulk,
    drain_per_s: jobs / drain,
    postgres_cpu_ms_per_job: (after.server - before.server) / jobs,
    client_cpu_ms_per_job: (after.client - before.client) / jobs,
    wal_bytes_per_job: (after.wal - before.wal) / jobs,
    latency_p50_ms: quantile(latencies, 0.5),
    latency_p99_ms: quantile(latencies, 0.99),
  }));
  await postgres.end();
  await queue.close();
  // A peer may keep timers that would hold the process for seconds.
  process.exit(0);
}

async function timed(work) {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}

/** Runs a worker until every job is completed in the database: how long that took, and the usage then. */
async function drained(queue, postgres) {
  const started = performance.now();
  let begun = 0;
  let allBegun;
  const whenAllBegun = new Promise((resolve) => { allBegun = resolve; });
  const stop = await queue.start((count) => { if ((begun += count) >= jobs) allBegun(); });
  await whenAllBegun;
  while ((await postgres.query(queue.anyLeft)).rowCount > 0) await sleep(2);
  const seconds = (performance.now() - started) / 1_000;
  const after = await usage(postgres);
  if (begun !== jobs) throw new Error(`${begun} handlers ran for ${jobs} jobs`);
  await stop();
  return { seconds, after };
}

/** Milliseconds from before an enqueue to the start of its handler, in a worker that is idle. */
async function pickUps(queue, { samples, spread }) {
  const latencies = [];
  let picked;
  const stop = await queue.start(() => picked(performance.now()));
  for (let n = 0; n < WARM_UP + samples; n++) {
    const whenPicked = new Promise((resolve) => { picked = resolve; });
    const started = performance.now();
    await queue.enqueue(n);
    const latency = (await whenPicked) - started;
    if (n >= WARM_UP) latencies.push(latency);
    // Uneven pauses: even ones could fall in step with a worker that polls.
    await sleep(10 + (n * 197) % spread);
  }
  await stop();
  return latencies;
}

/** Jobs a second that this many callers enqueue, each one at a time, waiting for its commit. */
async function enqueueFor(queue, callers) {
  const call = async (until) => {
    let done = 0;
    while (performance.now() < until) {
      await queue.enqueue(done);
      done += 1;
    }
    return done;
  };
  const round = (until) => Promise.all(Array.from({ length: callers }, () => call(until)));
  await round(performance.now() + ENQUEUE_MS / 10);
  const started = performance.now();
  const counts = await round(started + ENQUEUE_MS);
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - started) / 1_000);
}

/** CPU milliseconds of the server and of this process, and bytes of write-ahead log, since they began. */
async function usage(postgres) {
  const { rows: [{ wal }] } = await postgres.query("SELECT pg_current_wal_insert_lsn() - '0/0' AS wal");
  const { user, system } = process.cpuUsage();
  return { wal: Number(wal), server: serverTime(), client: (user + system) / 1_000 };
}

/** Of the server's first process, its living children, to the nanosecond, and its ended ones, to 10 ms. */
function serverTime() {
  const stat = (pid) => readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ").map(Number);
  const own = (pid) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
  const ended = () => stat(server).slice(13, 15).reduce((sum, ticks) => sum + ticks, 0) * 10;
  for (;;) {
    const before = ended();
    const living = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
      try {
        return Number(pid) === server || stat(pid)[1] === server ? own(pid) : 0;
      } catch {
        return 0; // It ended while we looked.
      }
    });
    // A child that ended in between may be in neither figure, or in both.
    if (ended() === before) return before + living.reduce((sum, time) => sum + time, 0);
  }
}

function quantile(values, share) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
