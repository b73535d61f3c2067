// What limited links take in the memory store, each used once.
// Usage: node --expose-gc bench/leases/memory.mjs [links]
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { cleanUp, compile } from './support.mjs';

const HOUR = 3_600_000;
const LENGTH = 100_000;
const PLAN = {
  method: 'GET',
  status: 200,
  length: LENGTH,
  intervals: [{ start: 0, end: LENGTH }],
  etag: '"v1"',
  ranged: false,
  ifRangeMatched: false,
};

/** Bytes of the heap that are in use. */
export function heap() {
  if (!globalThis.gc) {
    throw new Error('Run it with node --expose-gc.');
  }
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

export function linkNamed(id) {
  const now = Date.now();
  return { id, resource: `/files/${id}`, issuedAt: now + 1000, expiresAt: now + HOUR };
}

/** Makes a limited link and downloads it, as client number `i`. */
export async function useLink(keeper, i) {
  const client = { address: '192.0.2.1', userAgent: `client ${i}` };
  const use = await keeper.admit({ ...linkNamed(randomUUID()), maxDownloads: 1 }, client);
  await use.planned(PLAN);
  use.sent(0, LENGTH);
  use.ended({ status: 200, completed: true, bytes: LENGTH });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const links = Number(process.argv[2] ?? 1_000_000);
  const load = compile();
  const { LeaseKeeper } = await load('leases/keeper.js');
  const { MemoryLeaseStore } = await load('leases/memory/memory.store.js');
  const store = new MemoryLeaseStore({ capacity: 2 * links });
  const keeper = new LeaseKeeper({ store });
  await keeper.start();
  const before = heap();
  for (let i = 0; i < links; i++) {
    await useLink(keeper, i);
  }
  const bytes = heap() - before;
  console.log(
    `Node ${process.versions.node}, ${links} links, ${store.size} records: ${Math.round(bytes / links)} bytes each`,
  );
  await keeper.close();
  await cleanUp();
}
