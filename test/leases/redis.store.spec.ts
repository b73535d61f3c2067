import { Cluster, Redis } from 'ioredis';
import { Redis as Valkey } from 'iovalkey';
import { Logger } from '@nestjs/common';
import { createClient, createCluster } from 'redis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import type { RedisLeaseStoreOptions } from '../../lib/leases/redis/index.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import { added, commitOf, HOUR, query, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';
import type { StoreUnderTest } from '../../lib/leases/testing/index.js';
import { silentProxy } from '../support/silent-proxy.js';
import { hasRedis, RedisServer } from './support/redis-server.js';

describe('Redis store options', () => {
  it('are a client or a url, and others that exist', () => {
    expect(() => new RedisLeaseStore({})).toThrow(/a client or a url/);
    const both = { client: new Redis({ lazyConnect: true }), url: 'redis://localhost' };
    expect(() => new RedisLeaseStore(both)).toThrow(/one of/);
    expect(() => new RedisLeaseStore({ client: {} as never })).toThrow(/ioredis, iovalkey or redis/);
    expect(() => new RedisLeaseStore({ uri: 'redis://localhost' } as never)).toThrow(/no option "uri"/);
    expect(() => new RedisLeaseStore({ url: 'redis://localhost', clock: 'mine' as never })).toThrow(
      /RedisLeaseStore\.clock: write 'server' or 'caller'/,
    );
  });
});

describe.skipIf(!hasRedis)('Redis store', () => {
  let server: RedisServer;
  /** Of one node, which refuses what would need two slots. */
  let cluster: RedisServer;
  const cleanUps: (() => unknown)[] = [];

  beforeAll(async () => {
    server = await RedisServer.start({ persistent: false });
    cluster = await RedisServer.start({ persistent: false, cluster: true });
  });
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) {
      await cleanUp();
    }
  });
  afterAll(async () => {
    await server?.remove();
    await cluster?.remove();
  });

  let prefixes = 0;

  function ioredis(options = {}): Redis {
    const client = new Redis(server.url, options);
    cleanUps.push(() => client.disconnect());
    return client;
  }

  async function opened(options: Partial<RedisLeaseStoreOptions> = {}): Promise<RedisLeaseStore> {
    const prefix = `own-${prefixes++}:`;
    const source = options.client ? {} : { url: server.url };
    const store = new RedisLeaseStore({ prefix, clock: 'caller', ...source, ...options });
    cleanUps.push(() => store.close());
    await store.open(START);
    return store;
  }

  const clients: Record<string, () => Promise<StoreUnderTest> | StoreUnderTest> = {
    'ioredis, given a url': () => pair({ url: server.url }, { url: server.url }),
    'ioredis, with a key prefix of its own': () => {
      const [one, two] = [ioredis({ keyPrefix: 'app:' }), ioredis({ keyPrefix: 'app:' })];
      return pair({ client: one }, { client: two });
    },
    iovalkey: () => {
      const made = [new Valkey(server.url), new Valkey(server.url)];
      made.forEach((client) => cleanUps.push(() => client.disconnect()));
      return pair({ client: made[0] }, { client: made[1] });
    },
    'node-redis': async () => {
      const made = [createClient({ url: server.url }), createClient({ url: server.url })];
      await Promise.all(made.map((client) => client.connect()));
      made.forEach((client) => cleanUps.push(() => client.destroy()));
      return pair({ client: made[0] }, { client: made[1] });
    },
    'a cluster through ioredis': () => {
      const made = [0, 1].map(() => new Cluster([cluster.url]));
      made.forEach((client) => cleanUps.push(() => client.disconnect()));
      return pair({ client: made[0] }, { client: made[1] });
    },
    'a cluster through node-redis': async () => {
      const made = [0, 1].map(() => createCluster({ rootNodes: [{ url: cluster.url }] }));
      await Promise.all(made.map((client) => client.connect()));
      made.forEach((client) => cleanUps.push(() => client.destroy()));
      return pair({ client: made[0] }, { client: made[1] });
    },
  };

  function pair(one: RedisLeaseStoreOptions, two: RedisLeaseStoreOptions): StoreUnderTest {
    const shared = { prefix: `suite-${prefixes++}:`, clock: 'caller' } as const;
    return {
      store: new RedisLeaseStore({ ...one, ...shared }),
      other: new RedisLeaseStore({ ...two, ...shared }),
    };
  }

  describe.each(Object.entries(clients))('%s', (_, create) => {
    describeLeaseStore({ test: it, create });
  });

  it('goes by the clock of the server, whatever the callers think', async () => {
    const store = await opened({ clock: 'server' });
    const { since, now } = await store.read(query());
    expect(Math.abs(since - Date.now())).toBeLessThan(5000);
    expect(Math.abs(now - Date.now())).toBeLessThan(5000);
  });

  it('lets every key but one expire, and none too early', async () => {
    const client = ioredis();
    const store = await opened({ client, prefix: 'expiry:' });
    await store.commit(commitOf([added('a')], { keepUntil: START + HOUR }));
    await store.commit(commitOf([added('a', { was: 1, version: 2 })], { keepUntil: START + 5 }));
    const revocation = { name: 'link:1', issuedBefore: WHENEVER_ISSUED };
    await store.revoke({ ...revocation, keepUntil: START + 2 * HOUR }, START);
    await store.revoke({ ...revocation, keepUntil: START + HOUR }, START);
    const keys = await client.keys('expiry:*');
    const minutes = await Promise.all(
      keys.map(async (key) => [key, Math.round((await client.pttl(key)) / 60_000)] as const),
    );
    expect(Object.fromEntries(minutes)).toEqual({
      [`expiry:link:{link-1}:${START}`]: 60,
      'expiry:{revoked}:link:1': 120,
      'expiry:{revoked}:log': 10,
      'expiry:{revoked}:since': -0,
    });
  });

  it('leaves nothing of a link whose records were all removed', async () => {
    const client = ioredis();
    const store = await opened({ client, prefix: 'nothing:' });
    await store.commit(commitOf([added('a')]));
    await store.commit(commitOf([added('a', { was: 1, version: 2, value: undefined })]));
    expect(await client.keys('nothing:*')).toEqual(['nothing:{revoked}:since']);
  });

  it('finds what is kept by each of the first reads, sent together', async () => {
    const prefix = 'together:';
    await (await opened({ prefix })).commit(commitOf([added('a')]));
    const other = await opened({ prefix });
    const states = await Promise.all([1, 2, 3].map(() => other.read(query())));
    expect(states.map(({ records }) => records.length)).toEqual([1, 1, 1]);
  });

  it('rejects commits while the memory of the server is full, but hears of revocations', async () => {
    const client = ioredis();
    const store = await opened();
    cleanUps.push(() => client.config('SET', 'maxmemory', 0));
    await store.revoke({ name: 'all', issuedBefore: 1, keepUntil: START + HOUR }, START);
    await client.config('SET', 'maxmemory', 1);
    await expect(store.commit(commitOf([added('a')]))).rejects.toThrow(/OOM/);
    expect(await store.read(query({ revocations: ['all'] }))).toMatchObject({
      revokedBefore: 1,
      records: [],
    });
    const heard = await new Promise((resolve) => {
      cleanUps.push(
        store.subscribe({ revoked: () => {}, missed: () => resolve('listening'), interrupted: resolve }),
      );
    });
    expect(heard).toBe('listening');
    await client.config('SET', 'maxmemory', 0);
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it.each([
    ['warns', 'of a server that may evict keys', ['allkeys-lru', 1e9], [/maxmemory-policy allkeys-lru/]],
    ['does not warn', 'of one that has no limit', ['allkeys-lru', 0], []],
    ['does not warn', 'of one that refuses to write instead', ['noeviction', 1e9], []],
  ] as const)('%s %s', async (_, __, [policy, most], lines) => {
    const warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    cleanUps.push(() => warned.mockRestore());
    const client = ioredis();
    cleanUps.push(() => client.config('SET', 'maxmemory', 0, 'maxmemory-policy', 'noeviction'));
    await client.config('SET', 'maxmemory', most, 'maxmemory-policy', policy);
    const store = await opened({ client });
    // Answered after what opening has asked
    await store.read(query());
    expect(warned.mock.calls.map(([line]) => String(line))).toEqual(
      lines.map((line) => expect.stringMatching(line) as string),
    );
  });

  it('opens where the server does not say whether it evicts keys', async () => {
    const admin = ioredis();
    await admin.acl('SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-info');
    cleanUps.push(() => admin.acl('DELUSER', 'app'));
    const store = await opened({ url: server.url.replace('//', '//app:secret@') });
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it('leaves a server that has become a replica, for the one that its address leads to by then', async () => {
    const promoted = await RedisServer.start({ persistent: false });
    cleanUps.push(() => promoted.remove());
    const client = ioredis();
    const address = await silentProxy(server.port);
    cleanUps.push(() => address.close());
    const store = await opened({ url: `redis://127.0.0.1:${address.port}` });
    cleanUps.push(() => client.replicaof('NO', 'ONE'));
    await client.replicaof('127.0.0.1', promoted.port);
    address.upstream = promoted.port;
    await expect(store.commit(commitOf([added('a')]))).rejects.toThrow(/READONLY/);
    const written = async () => {
      const { since } = await store.read(query());
      return store.commit(commitOf([added('a')], { since }));
    };
    await vi.waitUntil(() => written().catch(() => false), { timeout: 5000 });
  });

  it('knows that it lost its memory when the server comes back empty', async () => {
    const client = ioredis();
    const store = await opened({ client });
    await store.commit(commitOf([added('a')]));
    await client.flushall();
    expect(await store.read(query({ now: START + HOUR }))).toMatchObject({
      since: START + HOUR,
      records: [],
    });
    expect((await store.read(query({ now: START + 2 * HOUR }))).since).toBe(START + HOUR);
  });

  it('opens within seconds though the server is away, and rejects calls meanwhile', async () => {
    const store = new RedisLeaseStore({ url: 'redis://127.0.0.1:1' });
    cleanUps.push(() => store.close());
    await store.open(Date.now());
    await expect(store.read(query())).rejects.toThrow();
    await expect(store.commit(commitOf([]))).rejects.toThrow();
  });

  it("takes what is reported after it was closed, on the application's client", async () => {
    const store = await opened({ client: ioredis() });
    await store.close();
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it('is an error to use before it is opened', async () => {
    await expect(new RedisLeaseStore({ url: server.url }).commit(commitOf([]))).rejects.toThrow(/not open/);
  });
});
