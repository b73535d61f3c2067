import pg from 'pg';
import { afterEach, expect, it, vi } from 'vitest';
import type { LeaseStore } from '../../lib/index.js';
import { PostgresLeaseStore } from '../../lib/leases/postgres/index.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { hasPostgres, PostgresServer } from '../leases/support/postgres-server.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { undo } from '../leases/support/shared-stores.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { silentProxy } from '../support/silent-proxy.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';

const cleanUps: (() => unknown)[] = [];
afterEach(() => undo(cleanUps));

const redisUrl = (port: number) => `redis://127.0.0.1:${port}`;
const postgresUrl = (port: number) => `postgres://test@127.0.0.1:${port}/postgres`;

const CASES = [
  {
    name: 'Redis',
    adapter: 'express',
    server: hasRedis && RedisServer,
    storeOn: (port: number) => new RedisLeaseStore({ url: redisUrl(port) }),
  },
  {
    name: 'PostgreSQL',
    adapter: 'fastify',
    server: hasPostgres && PostgresServer,
    storeOn: (port: number) => new PostgresLeaseStore({ url: postgresUrl(port) }),
  },
  {
    name: "PostgreSQL through the application's pool",
    adapter: 'express',
    server: hasPostgres && PostgresServer,
    storeOn: (port: number) => {
      const pool = new pg.Pool({ connectionString: postgresUrl(port) });
      cleanUps.push(() => void pool.end());
      return new PostgresLeaseStore({ pool });
    },
  },
] as const;

it.each(CASES.filter(({ server }) => server))(
  'limited links are refused while connections to $name are silent, and served again on new ones ($adapter)',
  async ({ adapter, server: kind, storeOn }) => {
    const server = await (kind as typeof RedisServer | typeof PostgresServer).start();
    cleanUps.push(() => server.remove());
    const proxy = await silentProxy(server.port);
    cleanUps.push(() => proxy.close());
    const held = new HeldContent(Buffer.alloc(2000));
    const logger = new MemoryLogger();
    const node = async (store: LeaseStore) => {
      const app = await startLimitedApp(adapter, {
        logger,
        options: { leases: { store, storeTimeout: '400ms' } },
        contents: { file: () => held.download() },
      });
      cleanUps.push(() => app.close());
      return app;
    };
    const [app, other] = [await node(storeOn(proxy.port)), await node(storeOn(server.port))];
    const link = app.link('file');
    const running = await app.start(link);
    await running.until(held.half);

    proxy.silence();
    const limited = app.link('file', { maxDownloads: 1 });
    expect((await app.fetch(limited)).code).toBe('STORE_UNAVAILABLE');
    await other.links.revoke({ link: link.id });
    // Revocations that were not heard of are looked up, on a new connection
    expect((await running.ended).broken).toBe(true);
    expect(logger.text).toContain('Revocations by other processes are not heard of');

    held.release();
    await vi.waitUntil(async () => (await app.fetch(limited)).status === 200, { timeout: 15_000 });
    const types = () => app.events.map(({ type }) => type);
    expect(types()).toContain('storeUnavailable');
    await vi.waitUntil(() => types().includes('storeAvailable'), { timeout: 5000 });
  },
);
