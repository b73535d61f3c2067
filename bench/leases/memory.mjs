// What links take in the memory store, each with one lease under which something was sent.
// Usage: node --expose-gc bench/leases/memory.mjs [links]
import { randomUUID } from 'node:crypto';
import { cleanUp, compile } from './support.mjs';

const LINKS = Number(process.argv[2] ?? 1_000_000);
const HOUR = 3_600_000;

const load = compile();
const { LeaseKeeper } = await load('leases/keeper.js');
const { MemoryLeaseStore } = await load('leases/memory/memory.store.js');

const store = new MemoryLeaseStore({ capacity: 2 * LINKS });
const keeper = new LeaseKeeper({ store });
await keeper.start();
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

const used = () => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};
const before = used();
const start = performance.now();
for (let i = 0; i < LINKS; i++) {
  const link = {
    id: randomUUID(),
    resource: `/files/${i}`,
    issuedAt: Date.now() + 1000,
    expiresAt: Date.now() + HOUR,
    maxDownloads: 1,
  };
  const admission = await keeper.admit(link, { address: '192.0.2.1', userAgent: `client ${i}` });
  await admission.planned(plan);
  admission.sent(0, LENGTH);
  admission.ended({ status: 200, completed: true, bytes: LENGTH });
}
const seconds = (performance.now() - start) / 1000;
const bytes = used() - before;
console.log(`Node ${process.versions.node}${globalThis.gc ? '' : ' (without --expose-gc, so too much)'}`);
console.log(
  `${LINKS} links, ${store.size} records: ${Math.round(bytes / 1e6)} MB, ${Math.round(bytes / LINKS)} bytes each`,
);
console.log(`filled in ${seconds.toFixed(1)} s`);
await keeper.close();
await cleanUp();
