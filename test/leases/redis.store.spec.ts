import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import type { RedisLeaseStoreOptions } from '../../lib/leases/redis/index.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import { added, commitOf, HOUR, LINK, query, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';
import type { StoreUnderTest } from '../../lib/leases/testing/index.js';
import { hasRedis, RedisServer } from './support/redis-server.js';

describe('Redis store options', () => {
  it('are a client or a url, and others that exist', () => {
    expect(() => new RedisLeaseStore({})).toThrow(/a client or a url/);
    expect(() => new RedisLeaseStore({ client: {} as never, url: 'redis://localhost' })).toThrow(TypeError);
    expect(() => new RedisLeaseStore({ client: {} as never })).toThrow(/ioredis or redis/);
    expect(() => new RedisLeaseStore({ uri: 'redis://localhost' } as never)).toThrow(/no option "uri"/);
    expect(() => new RedisLeaseStore({ url: 'redis://localhost', clock: 'mine' as never })).toThrow(
      /RedisLeaseStore\.clock: write 'server' or 'caller'/,
    );
  });
});

it('remembers after an outage, even if commands can be sent later than messages are heard', async () => {
  const handlers = new Map<string, () => void>();
  const subscriber = {
    on: (event: string, listener: () => void) => handlers.set(event, listener),
    subscribe: () => Promise.resolve(),
    disconnect: () => {},
  };
  const evalsha = vi.fn(() => Promise.resolve(START));
  evalsha
    .mockRejectedValueOnce(new Error("Stream isn't writeable"))
    .mockRejectedValueOnce(new Error('still'));
  const client = { evalsha, on: () => {}, duplicate: () => subscriber };
  const store = new RedisLeaseStore({ client: client as never });
  const end = store.subscribe({ revoked: () => {}, missed: () => {} });
  handlers.get('ready')!();
  await vi.waitUntil(() => evalsha.mock.calls.length === 3);
  end();
  await store.close();
});

describe.skipIf(!hasRedis)('Redis store', () => {
  let server: RedisServer;
  const cleanUps: (() => unknown)[] = [];

  beforeAll(async () => {
    server = await RedisServer.start({ persistent: false });
  });
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) {
      await cleanUp();
    }
  });
  afterAll(() => server?.remove());

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
      const made = [
        new Redis(server.url, { keyPrefix: 'app:' }),
        new Redis(server.url, { keyPrefix: 'app:' }),
      ];
      return pair({ client: made[0] }, { client: made[1] }, () =>
        made.forEach((client) => client.disconnect()),
      );
    },
    'node-redis': async () => {
      const made = [createClient({ url: server.url }), createClient({ url: server.url })];
      await Promise.all(made.map((client) => client.connect()));
      return pair({ client: made[0] }, { client: made[1] }, () => made.forEach((client) => client.destroy()));
    },
  };

  function pair(
    one: RedisLeaseStoreOptions,
    two: RedisLeaseStoreOptions,
    cleanUp: () => void = () => {},
  ): StoreUnderTest {
    const shared = { prefix: `suite-${prefixes++}:`, clock: 'caller' } as const;
    return {
      store: new RedisLeaseStore({ ...one, ...shared }),
      other: new RedisLeaseStore({ ...two, ...shared }),
      cleanUp,
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
    const first = added('ada');
    await store.commit(commitOf([first], { keepUntil: START + HOUR }));
    const sooner = { ...first, was: 1, version: 2 };
    await store.commit(commitOf([sooner], { keepUntil: START + 5 }));
    await store.revoke(
      { name: `link:${LINK}`, issuedBefore: WHENEVER_ISSUED, keepUntil: START + 2 * HOUR },
      START,
    );
    const keys = await client.keys('expiry:*');
    const ttls = Object.fromEntries(
      await Promise.all(keys.map(async (key) => [key, Math.round((await client.pttl(key)) / HOUR)])),
    );
    expect(ttls).toEqual({
      'expiry:link:{link-1}': 1,
      'expiry:{revoked}:link:link-1': 2,
      'expiry:{revoked}:since': -0,
    });
    expect(await client.pttl('expiry:{revoked}:since')).toBe(-1);
  });

  it('leaves nothing of a link whose leases were all given back', async () => {
    const client = ioredis();
    const store = await opened({ client, prefix: 'nothing:' });
    await store.commit(commitOf([added('link'), added('ada')]));
    await store.commit(commitOf(['link', 'ada'].map((id) => ({ id, was: 1, version: 2 }))));
    expect(await client.keys('nothing:*')).toEqual(['nothing:{revoked}:since']);
  });

  it('goes on when the server has forgotten its scripts', async () => {
    const client = ioredis();
    const store = await opened({ client });
    await store.commit(commitOf([added('ada')]));
    await client.script('FLUSH');
    expect((await store.read(query())).records).toHaveLength(1);
  });

  it('knows that it lost its memory when the server comes back empty', async () => {
    const client = ioredis();
    const store = await opened({ client });
    await store.commit(commitOf([added('ada')]));
    await client.flushall();
    const state = await store.read(query({ now: START + HOUR }));
    expect(state).toMatchObject({ since: START + HOUR, records: [] });
    expect((await store.read(query({ now: START + 2 * HOUR }))).since).toBe(START + HOUR);
  });

  it('opens within seconds though the server is away, and rejects calls meanwhile', async () => {
    const store = new RedisLeaseStore({ url: 'redis://127.0.0.1:1' });
    cleanUps.push(() => store.close());
    await store.open(Date.now());
    await expect(store.read(query())).rejects.toThrow();
    await expect(store.commit(commitOf([]))).rejects.toThrow();
  });

  it.each(['', 'nonsense', 'null', '{}', '{"name":"all"}'])(
    'has everything looked up again at a notice that says nothing: %j',
    async (notice) => {
      const client = ioredis();
      const store = await opened({ client, prefix: 'notice:' });
      const heard: unknown[] = [];
      let told = () => {};
      cleanUps.push(
        store.subscribe({
          revoked: (revocation) => heard.push(revocation),
          missed: () => told(),
        }),
      );
      const next = () => new Promise<void>((resolve) => (told = resolve));
      await next();
      const missed = next();
      await client.publish('notice:revoked', notice);
      await missed;
      expect(heard).toEqual([]);
    },
  );

  it('is an error to use before it is opened', async () => {
    await expect(new RedisLeaseStore({ url: server.url }).commit(commitOf([]))).rejects.toThrow(/not open/);
  });
});
