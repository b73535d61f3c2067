import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LeaseKeeper } from '../../lib/leases/keeper.js';
import type { LeasedLink } from '../../lib/leases/counted-delivery.js';
import type { LeaseStore } from '../../lib/leases/lease-store.js';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { PostgresLeaseStore } from '../../lib/leases/postgres/index.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { SqliteLeaseStore } from '../../lib/leases/sqlite/index.js';
import { HOUR } from '../../lib/leases/testing/fixtures.js';
import { plan } from './support/downloads.js';
import type { StoreDescription, Worker } from './support/processes.js';
import { sharedStores } from './support/shared-stores.js';
import { hasSqlite } from './support/sqlite.js';

interface Raced {
  served: number;
  codes: string[];
}

interface Loaded {
  link: string;
  outcome: string;
}

const IDLE = fileURLToPath(new URL('./support/idle-process.mjs', import.meta.url));

const { cleanUps, sqlite, worker, stores, servers, lockable } = sharedStores('race:');

// Real processes have real clocks; so a link is made once its store is open, or it is refused.
let links = 0;
const link = (maxDownloads: number): LeasedLink => ({
  id: `link-${links++}`,
  resource: '/files/42',
  issuedAt: Date.now(),
  expiresAt: Date.now() + HOUR,
  maxDownloads,
});

async function keeperOf(store: LeaseStore, clock = Date.now): Promise<LeaseKeeper> {
  const keeper = new LeaseKeeper({ store }, clock);
  cleanUps.push(() => keeper.close());
  await keeper.start();
  return keeper;
}

function storeOf(description: StoreDescription): LeaseStore {
  if ('sqlite' in description) {
    return new SqliteLeaseStore(description.sqlite);
  }
  return 'redis' in description
    ? new RedisLeaseStore(description.redis)
    : new PostgresLeaseStore(description.postgres);
}

/** How many of as many clients at once are granted a download. */
async function granted(
  keeper: LeaseKeeper,
  to: LeasedLink,
  clients: number,
  name = 'client',
): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: clients }, async (_, i) => {
      const admission = await keeper.admit(to, { address: '192.0.2.1', userAgent: `${name}-${i}` });
      await admission.planned(plan());
    }),
  );
  return results.filter(({ status }) => status === 'fulfilled').length;
}

it('lets exactly 5 of 200 have a link of 5, and 500 of 1,000 one of 500: memory, one process', async () => {
  const keeper = await keeperOf(new MemoryLeaseStore());
  expect(await granted(keeper, link(5), 200)).toBe(5);
  expect(await granted(keeper, link(500), 1000)).toBe(500);
});

describe.each(stores)('$store, several processes', ({ available, describe: describeStore }) => {
  it.skipIf(!available)('let exactly 5 of 200 have a link of 5, and 500 of 1,000 one of 500', async () => {
    // all at once they take longer than an answer may on a busy machine, and none may be refused for that
    const description = { ...(await describeStore()), storeTimeout: '15s' };
    const workers = await Promise.all(['a', 'b'].map(() => worker(description)));
    for (let round = 0; round < 3; round++) {
      const to = link(5);
      workers.forEach((one, i) => one.tell({ do: 'race', link: to, clients: 100, name: `process-${i}` }));
      const raced = await Promise.all(workers.map((one) => one.next<Raced>('raced')));
      expect(raced[0]!.served + raced[1]!.served).toBe(5);
      expect(new Set(raced.flatMap(({ codes }) => codes))).toEqual(new Set(['LINK_USED_UP']));
    }
    const busy = link(500);
    workers.forEach((one, i) => one.tell({ do: 'race', link: busy, clients: 500, name: `busy-${i}` }));
    const raced = await Promise.all(workers.map((one) => one.next<Raced>('raced')));
    expect(raced[0]!.served + raced[1]!.served).toBe(500);
  });

  it.skipIf(!available)('cut a running download within a second of its revocation elsewhere', async () => {
    const description = await describeStore();
    const [here, there] = await Promise.all([worker(description), worker(description)]);
    const to = link(1);
    here.tell({ do: 'hold', link: to });
    await here.next('holding');
    const keeper = await keeperOf(storeOf(description));
    const revokedAt = performance.now();
    await keeper.revoke({ link: to.id });
    expect(await here.next('cut')).toMatchObject({ code: 'LINK_REVOKED' });
    expect(performance.now() - revokedAt).toBeLessThan(1000);
    there.tell({ do: 'race', link: to, clients: 3, name: 'after' });
    expect((await there.next<Raced>('raced')).codes).toEqual(Array(3).fill('LINK_REVOKED'));
  });
});

it.each(servers.filter(({ available }) => available))(
  '$store: nodes whose clocks differ by 5 minutes agree on what is counted, and for how long',
  async ({ start }) => {
    const { description } = await start();
    const nodes = await Promise.all(
      [0, 300_000, -300_000].map((shift) => keeperOf(storeOf(description), () => Date.now() + shift)),
    );
    const to = link(5);
    const served = await Promise.all(nodes.map((node, i) => granted(node, to, 50, `node-${i}`)));
    expect(served.reduce((sum, count) => sum + count)).toBe(5);

    const one = { ...link(1), byteBudget: 1e12 };
    const client = { address: '192.0.2.1', userAgent: 'one' };
    const complete = async (node: LeaseKeeper) => {
      const admission = await node.admit(one, client);
      const planned = plan();
      await admission.planned(planned);
      admission.sent(0, planned.length!);
      admission.ended({ status: 200, completed: true, bytes: planned.length! });
      await node.settled();
    };
    // A complete download can be joined for ten seconds, on every node
    for (const node of nodes) {
      await complete(node);
    }
    expect((await nodes[0]!.usage(one.id)).used).toBe(1);
  },
);

it.skipIf(!hasSqlite)('SQLite does not keep a process alive that leaves its store open', async () => {
  const idle = await worker(sqlite(), IDLE);
  await expect(idle.next('anything more')).rejects.toThrow('the worker ended (0)');
});

it.each(stores.filter(({ available }) => available))(
  '$store forgets nothing that was counted when processes are killed under load',
  async ({ describe: describeStore }) => {
    const description = await describeStore();
    let loaded: LeasedLink[] | undefined;
    const served = new Map<string, number>();
    for (let round = 0; round < 2; round++) {
      const workers = await Promise.all(['a', 'b'].map(() => worker(description)));
      loaded ??= Array.from({ length: 40 }, () => link(50));
      workers.forEach((one, i) =>
        one.tell({ do: 'load', links: loaded, name: `round-${round}-process-${i}` }),
      );
      for (const one of workers) {
        for (let i = 0; i < 200; i++) {
          count(await one.next<Loaded>('loaded'), served);
        }
      }
      await Promise.all(workers.map((one) => one.kill()));
      workers.flatMap((one) => one.all<Loaded>('loaded')).forEach((load) => count(load, served));
    }
    const keeper = await keeperOf(storeOf(description));
    let told = 0;
    for (const { id } of loaded!) {
      const { used } = await keeper.usage(id);
      expect(used).toBeGreaterThanOrEqual(served.get(id) ?? 0);
      expect(served.get(id) ?? 0).toBeLessThanOrEqual(50);
      told += served.get(id) ?? 0;
    }
    expect(told).toBeGreaterThan(500);
  },
);

it.each([...servers, lockable].filter(({ available }) => available))(
  '$store refuses while it is away, returns by itself, and grants none too many',
  async ({ start }) => {
    const { server, description } = await start();
    const workers = await Promise.all(['a', 'b'].map(() => worker(description)));
    const loaded = Array.from({ length: 5 }, () => link(400));
    const served = new Map<string, number>();
    const outcomes = new Set<string>();
    workers.forEach((one, i) => one.tell({ do: 'load', links: loaded, name: `process-${i}` }));

    const until = async (one: Worker, outcome: string) => {
      for (;;) {
        const load = await one.next<Loaded>('loaded');
        outcomes.add(load.outcome);
        count(load, served);
        if (load.outcome === outcome) {
          return;
        }
      }
    };
    for (const signal of [undefined, 'SIGINT'] as const) {
      await Promise.all(workers.map((one) => until(one, 'served')));
      await server.stop(signal);
      await Promise.all(workers.map((one) => until(one, 'STORE_UNAVAILABLE')));
      await server.run();
    }
    await Promise.all(workers.map((one) => until(one, 'LINK_USED_UP')));
    await Promise.all(workers.map((one) => one.kill()));
    workers.flatMap((one) => one.all<Loaded>('loaded')).forEach((load) => count(load, served));
    expect(outcomes).toEqual(new Set(['served', 'STORE_UNAVAILABLE', 'LINK_USED_UP']));
    for (const { id } of loaded) {
      expect(served.get(id)).toBeLessThanOrEqual(400);
    }
  },
  60_000,
);

function count({ link: id, outcome }: Loaded, served: Map<string, number>): void {
  if (outcome === 'served') {
    served.set(id, (served.get(id) ?? 0) + 1);
  }
}
