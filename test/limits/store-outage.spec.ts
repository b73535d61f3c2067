import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadEvent } from '../../lib/index.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { undo } from '../leases/support/shared-stores.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { testClock } from '../support/clock.js';
import { ADAPTERS } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { until } from '../support/until.js';

const PASSWORD = 'open-sesame-4711';

const cleanUps: (() => unknown)[] = [];
afterEach(() => undo(cleanUps));

const outages = (events: readonly DownloadEvent[]) =>
  events.map(({ type }) => type).filter((type) => type.startsWith('store'));

describe.skipIf(!hasRedis).each(ADAPTERS)('an application whose Redis server fails, on %s', (adapter) => {
  async function start(leases: { failClosed?: boolean } = {}) {
    const server = await RedisServer.start();
    cleanUps.push(() => server.remove());
    await server.stop();
    await server.run({ password: PASSWORD });
    const logger = new MemoryLogger();
    const url = server.url.replace('//', `//:${PASSWORD}@`);
    const app = await startLimitedApp(adapter, {
      logger,
      options: { leases: { store: new RedisLeaseStore({ url }), storeTimeout: '500ms', ...leases } },
      contents: { file: () => Buffer.from('unused') },
    });
    cleanUps.push(() => app.close());
    app.contents.file = () => ({ found: true });
    return { server, logger, app };
  }

  /** The status that an unlimited, revoked link gets. */
  async function revoked(app: LimitedApp) {
    const link = app.link('file');
    await app.links.revoke({ link: link.id });
    expect((await app.fetch(link)).status).toBe(410);
    return async () => (await app.fetch(link)).status;
  }

  it.each([
    ['is killed', undefined],
    ['is restarted with another password', 'another'],
  ])('and %s, logs one line without the password, and tells both ends in events', async (_, password) => {
    const { server, logger, app } = await start();
    const status = await revoked(app);
    await server.stop();
    if (password) {
      await server.run({ password });
    }
    for (let i = 0; i < 20; i++) {
      expect(await status()).toBe(200);
    }
    expect(outages(app.events)).toEqual(['storeUnavailable']);
    const lines = logger.lines.filter((line) => line.includes('The lease store fails'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^error .*Other links are served, the revoked ones too/);
    await server.stop();
    await server.run({ password: PASSWORD });
    await until(() => outages(app.events).length === 2);
    expect(outages(app.events)).toEqual(['storeUnavailable', 'storeAvailable']);
    expect(logger.text).toContain('The lease store answers again');
    expect(await status()).toBe(410);
    expect(logger.text + JSON.stringify(app.events)).not.toContain(PASSWORD);
  });

  it('serves the first limited link after the server came back empty', async () => {
    const { server, app } = await start();
    await server.empty();
    await server.run({ password: PASSWORD });
    const client = new Redis(server.port, { password: PASSWORD });
    cleanUps.push(() => client.disconnect());
    while ((await client.get('download-auth:{revoked}:since')) === null) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    app.contents.file = () => Download.buffer(Buffer.from('content'));
    expect((await app.fetch(app.link('file', { maxDownloads: 1 }))).status).toBe(200);
  });

  it('refuses links without a limit, too, where failClosed is set', async () => {
    const { server, logger, app } = await start({ failClosed: true });
    const [other, status] = [app.link('file'), await revoked(app)];
    expect((await app.fetch(other)).status).toBe(200);
    await server.stop();
    expect(await status()).toBe(503);
    const refused = await app.fetch(other);
    expect([refused.status, refused.code]).toEqual([503, 'STORE_UNAVAILABLE']);
    expect(logger.text).toContain('So are all other links (leases.failClosed)');
    await server.run({ password: PASSWORD });
    await until(() => outages(app.events).length === 2);
    expect((await app.fetch(other)).status).toBe(200);
    expect(await status()).toBe(410);
  });
});

it.each(ADAPTERS)(
  'an application on %s whose clock was set back says why it refuses new links',
  async (adapter) => {
    const logger = new MemoryLogger();
    const clock = testClock();
    const app = await startLimitedApp(adapter, {
      logger,
      options: { clock },
      contents: { file: () => Download.buffer(Buffer.from('content')) },
    });
    cleanUps.push(() => app.close());
    expect((await app.fetch(app.link('file', { maxDownloads: 1 }))).status).toBe(200);
    expect(logger.text).not.toContain('this clock was set back');
    clock.advance(-3_600_000);
    for (let i = 0; i < 3; i++) {
      expect((await app.fetch(app.link('file', { maxDownloads: 1 }))).code).toBe('LINK_USED_UP');
    }
    expect(logger.lines.filter((line) => line.includes('this clock was set back'))).toHaveLength(1);
  },
);
