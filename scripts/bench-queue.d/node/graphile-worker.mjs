// graphile-worker with the settings of its own performance page (website/docs/performance.md, "With batching").

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { measure, url } from "./measure.mjs";

const quiet = new Logger(() => () => {});
const fail = (error) => { throw error; };
const pool = (max) => {
  const made = new pg.Pool({ connectionString: url, max });
  made.on("error", fail);
  made.on("connect", (client) => client.on("error", fail));
  return made;
};

const senders = pool(64);
const utils = await makeWorkerUtils({ pgPool: senders, logger: quiet });
await utils.migrate();

await measure({ name: "graphile-worker", version: "0.18.0", settings: "24 at once, local queue 500, batch delays 0" }, {
  anyLeft: "SELECT 1 FROM graphile_worker._private_jobs LIMIT 1",
  enqueue: (n) => utils.addJob("noop", { n }),
  enqueueMany: (numbers) => utils.addJobs(numbers.map((n) => ({ identifier: "noop", payload: { n } }))),
  async start(onJob) {
    const workers = pool(25);
    const runner = await run({
      pgPool: workers,
      taskList: { noop: () => onJob(1) },
      noHandleSignals: true,
      preset: {
        worker: {
          concurrentJobs: 24,
          maxPoolSize: 25,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
          logger: quiet,
        },
      },
    });
    return async () => {
      await runner.stop();
      await workers.end();
    };
  },
  async close() {
    await utils.release();
    await senders.end();
  },
});
