import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import * as redisClient from '../../lib/leases/redis/redis-client.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { undo } from '../leases/support/shared-stores.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { silentProxy } from '../support/silent-proxy.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';

const cleanUps: (() => unknown)[] = [];
afterEach(() => undo(cleanUps));

/** The store prefers ioredis where both packages are installed. */
function useNodeRedis(): void {
  const connect = vi.spyOn(redisClient, 'connect').mockImplementation((url) => {
    const client = createClient({ url, disableOfflineQueue: true });
    client.on('error', () => {});
    client.connect().catch(() => {});
    return Promise.resolve(redisClient.driverFor(client as never, true));
  });
  cleanUps.push(() => connect.mockRestore());
}

const subscribes = ({ said }: { said: string }) => /\r\nsubscribe\r\n/i.test(said);

const CASES = ADAPTERS.flatMap((adapter) =>
  (['ioredis', 'node-redis'] as const).map((driver) => ({ adapter, driver })),
);

describe.skipIf(!hasRedis).each(CASES)(
  'an application on $adapter whose connection to Redis through $driver goes silent',
  ({ adapter, driver }) => {
    async function start() {
      if (driver === 'node-redis') {
        useNodeRedis();
      }
      const server = await RedisServer.start({ persistent: false });
      cleanUps.push(() => server.remove());
      const proxy = await silentProxy(server.port);
      cleanUps.push(() => proxy.close());
      const held = new HeldContent(Buffer.alloc(2000));
      const logger = new MemoryLogger();
      const node = async (port: number) => {
        const store = new RedisLeaseStore({ url: `redis://127.0.0.1:${port}` });
        const app = await startLimitedApp(adapter, {
          logger,
          options: { leases: { store, storeTimeout: '200ms' } },
          contents: { file: () => held.download() },
        });
        cleanUps.push(() => app.close());
        return app;
      };
      const [app, other] = [await node(proxy.port), await node(server.port)];
      await vi.waitUntil(() => proxy.connections.filter(subscribes).length === 1, { timeout: 5000 });
      return { app, other, proxy, held, logger };
    }

    it('serves limited links again on a new connection', async () => {
      const { app, proxy, held, logger } = await start();
      held.release();
      proxy.silence();
      const link = app.link('file', { maxDownloads: 1 });
      expect((await app.fetch(link)).code).toBe('STORE_UNAVAILABLE');
      await vi.waitUntil(async () => (await app.fetch(link)).status === 200, { timeout: 15_000 });
      expect(logger.text).toContain('A connection to Redis has gone silent, and is replaced.');
      const types = app.events.map(({ type }) => type);
      expect(types).toContain('storeUnavailable');
      await vi.waitUntil(() => app.events.some(({ type }) => type === 'storeAvailable'), { timeout: 5000 });
    });

    it('cuts a download that another node revoked while only the subscription was silent', async () => {
      const { app, other, proxy, held, logger } = await start();
      const link = app.link('file');
      const running = await app.start(link);
      await running.until(held.half);
      proxy.silence(subscribes);
      await other.links.revoke({ link: link.id });
      expect((await running.ended).broken).toBe(true);
      expect(logger.text).toContain('Revocations by other processes are not heard of');

      // Once it has been replaced, notices are heard again.
      await vi.waitUntil(() => proxy.connections.filter(subscribes).length === 2, { timeout: 15_000 });
      const next = app.link('file');
      const later = await app.start(next);
      await later.until(held.half);
      await other.links.revoke({ link: next.id });
      expect((await later.ended).broken).toBe(true);
    });
  },
);

it.skipIf(!hasRedis).each(ADAPTERS)(
  'an application on %s whose own client goes silent is told so',
  async (adapter) => {
    const server = await RedisServer.start({ persistent: false });
    cleanUps.push(() => server.remove());
    const proxy = await silentProxy(server.port);
    cleanUps.push(() => proxy.close());
    const client = new Redis(proxy.port);
    cleanUps.push(() => client.disconnect());
    const logger = new MemoryLogger();
    const app = await startLimitedApp(adapter, {
      logger,
      options: { leases: { store: new RedisLeaseStore({ client }), storeTimeout: '200ms' } },
    });
    cleanUps.push(() => app.close());
    await vi.waitUntil(() => proxy.connections.some(subscribes), { timeout: 5000 });
    const { length: made } = proxy.connections;
    proxy.silence((connection) => !subscribes(connection));
    const silent = "The application's own Redis client has gone silent";
    await vi.waitUntil(() => logger.text.includes(silent), { timeout: 10_000 });
    expect(proxy.connections.length).toBe(made);
    expect(client.status).toBe('ready');
  },
);
