// What leases add to a request, one request after another: the guard's look, the acquisition before
// the first byte, and the report at the end (which no client waits for). Then 1,000 requests at once for one link of
// 500. Medians over alternating rounds. Usage: node bench/leases/cost.mjs [requests per round] [rounds]
import { join } from 'node:path';
import { cleanUp, compile, median, postgres, redis, temporaryFolder } from './support.mjs';

const REQUESTS = Number(process.argv[2] ?? 2000);
const ROUNDS = Number(process.argv[3] ?? 7);
const HOUR = 3_600_000;

const load = compile();
const { LeaseKeeper } = await load('leases/keeper.js');
const { MemoryLeaseStore } = await load('leases/memory/memory.store.js');

const stores = { memory: new MemoryLeaseStore() };
if (process.getBuiltinModule('node:sqlite')) {
  const { SqliteLeaseStore } = await load('leases/sqlite/index.js');
  stores.SQLite = new SqliteLeaseStore({ file: join(temporaryFolder(), 'leases.db') });
} else {
  console.log(`SQLite: not measured, Node ${process.versions.node} has no node:sqlite`);
}
const url = await redis();
if (url) {
  const { RedisLeaseStore } = await load('leases/redis/index.js');
  stores.Redis = new RedisLeaseStore({ url });
}
const database = await postgres();
if (database) {
  const { PostgresLeaseStore } = await load('leases/postgres/index.js');
  stores.PostgreSQL = new PostgresLeaseStore({ url: database });
}

const LENGTH = 100_000;
const plan = {
  method: 'GET',
  status: 200,
  length: LENGTH,
  intervals: [{ start: 0, end: LENGTH }],
  etag: '"v1"',
  ranged: false,
  ifRangeMatched: false,
};
const client = { address: '192.0.2.1', userAgent: 'bench' };

let links = 0;
const link = (maxDownloads, revocable) => ({
  id: `link-${links++}`,
  subject: 'ada',
  resource: '/files/42',
  issuedAt: Date.now() + 1000,
  expiresAt: Date.now() + HOUR,
  maxDownloads,
  revocable,
});

const kinds = {
  'unlimited, revocable': () => link(undefined, true),
  'limited, first request': () => link(1),
  'limited, joining': (() => {
    let one;
    return (i) => (one = i % 1000 === 0 ? { ...link(1), byteBudget: 1e12 } : one);
  })(),
};

async function round(keeper, kind) {
  const spent = { guard: 0, acquire: 0, end: 0 };
  for (let i = 0; i < REQUESTS; i++) {
    const to = kinds[kind](i);
    const start = performance.now();
    const admission = await keeper.admit(to, client);
    const admitted = performance.now();
    await admission.planned(plan);
    const planned = performance.now();
    // Half of it, so that the lease is joined again and not complete.
    admission.sent(0, LENGTH / 2);
    admission.ended({ status: 200, completed: false, bytes: LENGTH / 2 });
    await keeper.settled();
    spent.guard += admitted - start;
    spent.acquire += planned - admitted;
    spent.end += performance.now() - planned;
  }
  return Object.fromEntries(Object.entries(spent).map(([part, ms]) => [part, (1000 * ms) / REQUESTS]));
}

const keepers = {};
for (const [name, store] of Object.entries(stores)) {
  keepers[name] = new LeaseKeeper({ store });
  await keepers[name].start();
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

const results = {};
const bursts = {};
for (let i = 0; i <= ROUNDS; i++) {
  for (const [name, keeper] of Object.entries(keepers)) {
    for (const kind of Object.keys(kinds)) {
      const measured = await round(keeper, kind);
      if (i > 0) {
        ((results[name] ??= {})[kind] ??= []).push(measured);
      }
    }
    const time = await burst(keeper);
    if (i > 0) {
      (bursts[name] ??= []).push(time);
    }
  }
}
const table = Object.entries(results).flatMap(([store, byKind]) =>
  Object.entries(byKind).map(([kind, rounds]) => {
    const of = (part) => Math.round(10 * median(rounds.map((measured) => measured[part]))) / 10;
    return { store, link: kind, 'guard µs': of('guard'), 'acquire µs': of('acquire'), 'end µs': of('end') };
  }),
);
console.log(`Node ${process.versions.node}, ${REQUESTS} requests a round, median of ${ROUNDS} rounds`);
console.table(table);
const rows = Object.entries(bursts).map(([store, times]) => ({
  store,
  '1,000 requests at once, link of 500, ms': Math.round(10 * median(times)) / 10,
}));
console.table(rows);
for (const keeper of Object.values(keepers)) {
  await keeper.close();
}
await cleanUp();
