/**
 * Prints the figures of docs/leases.md, as Markdown: what leases add to a request, one request after another, and how
 * long 1,000 requests at once for one link of 500 take: `npm run bench:leases`. With `--write` they take their place in
 * the page. `--rounds 7`, `--scale 1` (how many requests a round has), `--only memory` (one store).
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeIntoPage } from '../support/page.mjs';
import { cleanUp, compile, median, postgres, redis, temporaryFolder } from './support.mjs';

const { values: args } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    scale: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const ROUNDS = Number(args.rounds);
const HOUR = 3_600_000;
const LENGTH = 100_000;
/** A round of memory is as long as one of the others. */
const REQUESTS = { memory: 10_000, SQLite: 1000, PostgreSQL: 300, Redis: 1000 };

const redisUrl = await redis();
const postgresUrl = await postgres();

const load = compile();
const { LeaseKeeper } = await load('leases/keeper.js');

const STORES = {
  memory: async () => {
    const { MemoryLeaseStore } = await load('leases/memory/memory.store.js');
    return new MemoryLeaseStore();
  },
  SQLite: async () => {
    const { SqliteLeaseStore } = await load('leases/sqlite/index.js');
    return new SqliteLeaseStore({ file: join(temporaryFolder(), 'leases.db') });
  },
  PostgreSQL: async () => {
    const { PostgresLeaseStore } = await load('leases/postgres/index.js');
    return new PostgresLeaseStore({ url: postgresUrl });
  },
  Redis: async () => {
    const { RedisLeaseStore } = await load('leases/redis/index.js');
    return new RedisLeaseStore({ url: redisUrl });
  },
};
if (!process.getBuiltinModule('node:sqlite')) {
  console.log(`SQLite: not measured, Node ${process.versions.node} has no node:sqlite`);
  delete STORES.SQLite;
}
if (!redisUrl) {
  delete STORES.Redis;
}
if (!postgresUrl) {
  delete STORES.PostgreSQL;
}

for (const store of Object.keys(STORES)) {
  if (args.only && args.only !== store) {
    delete STORES[store];
  }
}

const plan = {
  method: 'GET',
  status: 200,
  reason: 'no Range',
  length: LENGTH,
  intervals: [{ start: 0, end: LENGTH }],
  etag: '"v1"',
  ranged: false,
  ifRangeMatched: false,
};
const client = { address: '192.0.2.1', userAgent: 'bench' };

let links = 0;
const link = (maxDownloads) => ({
  id: `link-${links++}`,
  subject: 'ada',
  resource: '/files/42',
  issuedAt: Date.now() + 1000,
  expiresAt: Date.now() + HOUR,
  maxDownloads,
  revocable: true,
});

const KINDS = {
  unlimited: () => link(undefined),
  'limited, first request': () => link(1),
  'limited, joining': (() => {
    let one;
    return (i) => (one = i % 1000 === 0 ? { ...link(1), byteBudget: 1e12 } : one);
  })(),
};

/** Microseconds for each request: what it waits for in its parts, and CPU of this process with all its threads. */
async function round(keeper, kind, requests) {
  const spent = { guard: 0, acquire: 0, end: 0 };
  const cpu = process.cpuUsage();
  for (let i = 0; i < requests; i++) {
    if (i % 100 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const to = KINDS[kind](i);
    const start = performance.now();
    const admission = await keeper.admit(to, client);
    const admitted = performance.now();
    await admission.planned(plan);
    const planned = performance.now();
    // Half of it, so that the lease is joined again and not complete
    admission.sent(0, LENGTH / 2);
    admission.ended({ status: 200, completed: false, bytes: LENGTH / 2 });
    await keeper.settled();
    spent.guard += admitted - start;
    spent.acquire += planned - admitted;
    spent.end += performance.now() - planned;
  }
  const { user, system } = process.cpuUsage(cpu);
  const parts = Object.entries(spent).map(([part, ms]) => [part, (1000 * ms) / requests]);
  return { ...Object.fromEntries(parts), cpu: (user + system) / requests };
}

/** Milliseconds until 1,000 simultaneous requests of as many clients for one link of 500 are all decided. */
async function burst(keeper) {
  const to = link(500);
  const start = performance.now();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 1000 }, async (_, i) => {
      const admission = await keeper.admit(to, { ...client, userAgent: `client ${i}` });
      await admission.planned(plan);
      return admission;
    }),
  );
  const time = performance.now() - start;
  const served = outcomes.filter(({ status }) => status === 'fulfilled');
  if (served.length !== 500) {
    throw new Error(`${served.length} of 500 were served`);
  }
  for (const { value: admission } of served) {
    admission.sent(0, LENGTH);
    admission.ended({ status: 200, completed: true, bytes: LENGTH });
  }
  await keeper.settled();
  return time;
}

/** Each store with a keeper, and what was measured. */
const subjects = [];
for (const [store, make] of Object.entries(STORES)) {
  // A busy machine is measured, too
  const keeper = new LeaseKeeper({ store: await make(), storeTimeout: '30s' });
  await keeper.start();
  subjects.push({ store, keeper, kinds: {}, bursts: [] });
}

for (let i = 0; i <= ROUNDS; i++) {
  for (const { store, keeper, kinds, bursts } of subjects) {
    for (const kind of Object.keys(KINDS)) {
      const measured = await round(keeper, kind, Math.round(REQUESTS[store] * Number(args.scale)));
      if (i > 0) {
        (kinds[kind] ??= []).push(measured);
      }
    }
    const time = await burst(keeper);
    if (i > 0) {
      bursts.push(time);
    }
  }
}
for (const { keeper } of subjects) {
  await keeper.close();
}

const rounded = (number) => (number < 10 ? number.toFixed(1) : String(Math.round(number)));
const rowsOf = ({ store, kinds }) =>
  Object.entries(kinds).map(([kind, rounds]) => {
    const parts = ['guard', 'acquire', 'end', 'cpu'];
    const cells = parts.map((part) => rounded(median(rounds.map((measured) => measured[part]))));
    return `| ${[store, kind, ...cells].join(' | ')} |`;
  });
const memory = fileURLToPath(new URL('memory.mjs', import.meta.url));
const kept = execFileSync(process.execPath, ['--expose-gc', memory, '200000'], { encoding: 'utf8' });
const figures = [
  '| store | link | guard | before the first byte | end | CPU |',
  '| --- | --- | --- | --- | --- | --- |',
  ...subjects.flatMap(rowsOf),
  '',
  `Time until 1,000 simultaneous requests for one link of 500 are decided, exactly 500 of them granted: ${subjects
    .map(({ store, bursts }) => `${store} ${rounded(median(bursts))} ms`)
    .join(', ')}.`,
  '',
  `A link in the memory store, with one complete lease, takes ${/(\d+) bytes each/.exec(kept)[1]} bytes.`,
  '',
  `Node ${process.versions.node}, medians of ${ROUNDS} rounds.`,
].join('\n');
console.log(`\n${figures}`);

if (args.write) {
  writeIntoPage('leases.md', 'figures', figures);
}
await cleanUp();
