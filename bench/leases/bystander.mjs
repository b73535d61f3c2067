// How late timers fire in a process that writes to an SQLite file, once from the thread of the event loop and once
// through the store's worker thread: while nothing else happens, while another thread holds the write lock, and where
// each commit waits for the disk (durability 'power'); the last with a checkpoint after each few commits.
// Usage: node bench/leases/bystander.mjs [seconds per scenario] [writes under way at once]
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { cleanUp, compile, temporaryFolder } from './support.mjs';

const SECONDS = Number(process.argv[2] ?? 5);
const AT_ONCE = Number(process.argv[3] ?? 20);
/** How long a call is tried, ms; what `storeTimeout` is to the store. */
const PATIENCE = 2000;
const SQL = 'INSERT INTO rows (text) VALUES (?)';
const TEXT = 'x'.repeat(500);
const LOCKER = `
  const { DatabaseSync } = require('node:sqlite');
  const { parentPort, workerData } = require('node:worker_threads');
  const db = new DatabaseSync(workerData);
  db.exec('PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE');
  parentPort.postMessage('locked');
  parentPort.on('message', () => { db.exec('COMMIT'); db.close(); process.exit(); });
`;

const scenarios = [
  { name: 'nothing else', durability: 'process' },
  { name: 'another holds the lock', durability: 'process', locked: true },
  { name: 'each commit on disk', durability: 'power' },
  { name: 'each commit on disk, checkpoints', durability: 'power', checkpointAfter: 20 },
];

const { DatabaseSync } = process.getBuiltinModule('node:sqlite') ?? {};
if (!DatabaseSync) {
  console.log(`not measured: Node ${process.versions.node} has no node:sqlite`);
  process.exit();
}
const load = compile();
const { SqliteThread } = await load('leases/sqlite/sqlite-thread.js');

/** As the store did it before it had a thread: SQLite waits 20 ms a try, every call for itself. */
function inTheLoop(file, { durability, checkpointAfter }) {
  const db = new DatabaseSync(file);
  if (checkpointAfter) {
    db.exec(`PRAGMA wal_autocheckpoint = ${checkpointAfter}`);
  }
  db.exec(`PRAGMA busy_timeout = 20; PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`);
  const insert = db.prepare(SQL);
  return {
    async write() {
      const giveUp = performance.now() + PATIENCE;
      for (;;) {
        try {
          db.exec('BEGIN IMMEDIATE');
          insert.all(TEXT);
          db.exec('COMMIT');
          return;
        } catch (error) {
          if (performance.now() > giveUp) {
            throw error;
          }
        }
        await sleep(1 + Math.random() * 10);
      }
    },
    close: () => db.close(),
  };
}

async function inAThread(file, { durability, checkpointAfter }) {
  const thread = new SqliteThread(file, durability === 'power' ? 'FULL' : 'NORMAL');
  if (checkpointAfter) {
    await thread.read(
      { sql: `PRAGMA wal_autocheckpoint = ${checkpointAfter}`, values: [] },
      Date.now(),
      PATIENCE,
    );
  }
  const insert = [{ sql: SQL, values: [TEXT] }];
  return {
    write: () => thread.write(insert, Date.now(), PATIENCE),
    close: () => thread.close(),
  };
}

async function measure(open, scenario) {
  const file = join(temporaryFolder(), 'rows.db');
  const db = new DatabaseSync(file);
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)');
  const writer = await open(file, scenario);
  const locker = scenario.locked && new Worker(LOCKER, { eval: true, workerData: file });
  if (locker) {
    await new Promise((resolve) => locker.once('message', resolve));
  }
  const until = performance.now() + SECONDS * 1000;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let written = 0;
  delay.enable();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (performance.now() < until) {
        await writer.write().then(
          () => written++,
          () => {},
        );
        // As requests arrive: through the loop
        await new Promise((resolve) => setImmediate(resolve));
      }
    }),
  );
  delay.disable();
  locker?.postMessage('end');
  await writer.close();
  db.close();
  const ms = (nanoseconds) => (nanoseconds / 1e6).toFixed(1);
  return { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max), written };
}

console.log(
  `Node ${process.versions.node}, ${AT_ONCE} writes at once, ${SECONDS} s each; delay of timers in ms`,
);
for (const scenario of scenarios) {
  for (const [where, open] of Object.entries({ 'in the loop': inTheLoop, 'in a thread': inAThread })) {
    const { p50, p99, max, written } = await measure(open, scenario);
    console.log(`${scenario.name}, ${where}: p50 ${p50}, p99 ${p99}, max ${max}; ${written} written`);
  }
}
await cleanUp();
