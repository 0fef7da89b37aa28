// pg-boss with its documented means for speed: large batches, bursts while they come back full, and either LISTEN and
// NOTIFY or, with the argument "polling", the shortest poll it takes. The project publishes no settings of a benchmark.

import { PgBoss } from "pg-boss";
import { measure, url } from "./measure.mjs";

const notify = process.argv[2] !== "polling";

const open = async (max) => {
  const boss = new PgBoss({ connectionString: url, max, useListenNotify: notify, schedule: false, supervise: false });
  boss.on("error", (error) => { throw error; });
  await boss.start();
  return boss;
};

const sender = await open(64);
await sender.createQueue("noop", { notify });

await measure(
  {
    name: notify ? "pg-boss" : "pg-boss, polling",
    version: "12.38.0",
    settings: `batches of 1000, burst when full, 2 workers, ${notify ? "notify" : "poll every 0.5 s"}`,
  },
  {
    anyLeft: "SELECT 1 FROM pgboss.job WHERE name = 'noop' AND state < 'completed' LIMIT 1",
    enqueue: (n) => sender.send("noop", { n }),
    enqueueMany: (numbers) => sender.insert("noop", numbers.map((n) => ({ data: { n } }))),
    async start(onJob) {
      const worker = await open(10);
      const options = { batchSize: 1_000, burstWhenBatchFull: true, localConcurrency: 2, pollingIntervalSeconds: 0.5 };
      await worker.work("noop", options, async (batch) => onJob(batch.length));
      return () => worker.stop({ graceful: true });
    },
    close: () => sender.stop({ graceful: false }),
  },
  // With polling a pick-up takes up to half a second, and pauses must reach every part of it.
  notify ? undefined : { samples: 30, spread: 500 },
);
