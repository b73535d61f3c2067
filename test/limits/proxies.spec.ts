import { afterEach, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp, LimitedAppOptions } from '../support/limited-app.js';

const BYTES = Buffer.alloc(1000, 'x');

describe.each(ADAPTERS)('behind a proxy, on %s', (adapter) => {
  let app: LimitedApp;
  let logger: MemoryLogger;
  const start = async (trust?: unknown, options: LimitedAppOptions['options'] = {}) => {
    logger = new MemoryLogger();
    const configure =
      trust === undefined
        ? {}
        : adapter === 'express'
          ? { configure: (it: any) => it.set('trust proxy', trust) }
          : { fastify: { trustProxy: trust } };
    const contents = { file: () => Download.buffer(BYTES) };
    app = await startLimitedApp(adapter, { ...configure, options, contents, logger });
  };
  afterEach(() => app.close());

  const warnings = () => logger.lines.filter((line) => /^warn .*trusts no proxy/.test(line));
  const as = (forwarded: Record<string, string>) => ({
    headers: { 'user-agent': 'one browser', ...forwarded },
  });

  it.each<[string, Record<string, string>]>([
    ['X-Forwarded-For', { 'x-forwarded-for': '198.51.100.7' }],
    ['Forwarded', { forwarded: 'for=198.51.100.7' }],
  ])('that is not trusted and sends %s, nobody joins a download by address', async (_name, forwarded) => {
    await start();
    const link = app.link('file', { maxDownloads: 2 });
    await app.fetch(link, as(forwarded));
    await app.fetch(link, as(forwarded));
    expect(await app.used(link)).toBe(2);
    expect((await app.fetch(link, as(forwarded))).code).toBe('LINK_USED_UP');
  });

  it('that is not trusted, the log says once what to write', async () => {
    await start(false);
    const link = app.link('file', { maxDownloads: 2 });
    expect(warnings()).toEqual([]);
    await app.fetch(link, as({ 'x-forwarded-for': '198.51.100.7' }));
    await app.fetch(link, as({ 'x-forwarded-for': '198.51.100.8' }));
    expect(warnings()).toEqual([expect.stringMatching(/'trust proxy', 'loopback'.*trustProxy: 'loopback'/)]);
  });

  it('that is not trusted, a link that is bound to a network does not open to all who come through it', async () => {
    await start();
    const link = app.link('file', { bindTo: { addresses: '127.0.0.0/8' } });
    expect((await app.fetch(link, as({ 'x-forwarded-for': '198.51.100.7' }))).code).toBe('LINK_ADDRESS');
    expect((await app.fetch(link)).status).toBe(200);
  });

  it('that is named, its clients are told apart and join their own downloads', async () => {
    await start('loopback');
    const link = app.link('file', { maxDownloads: 2 });
    const ask = async (address: string) =>
      (await app.fetch(link, as({ 'x-forwarded-for': address }))).code ?? 'served';
    expect(await ask('198.51.100.7')).toBe('served');
    expect(await ask('198.51.100.7')).toBe('served');
    expect(await app.used(link)).toBe(1);
    expect(await ask('198.51.100.8')).toBe('served');
    expect(await ask('198.51.100.9')).toBe('LINK_USED_UP');
    expect(warnings()).toEqual([]);
  });

  it.each([['loopback'], ['127.0.0.0/8, ::1'], [['127.0.0.1']]])(
    'named as %j, a client does not choose its address by writing another before',
    async (trust) => {
      await start(trust);
      const link = app.link('file', { bindTo: { addresses: '192.0.2.0/24' } });
      const ask = async (chain: string) => (await app.fetch(link, as({ 'x-forwarded-for': chain }))).status;
      expect(await ask('192.0.2.1, 198.51.100.7')).toBe(403);
      expect(await ask('198.51.100.7, 192.0.2.1')).toBe(200);
    },
  );

  it('that does not exist, two requests of one address are one download, and nothing is logged', async () => {
    await start();
    const link = app.link('file', { maxDownloads: 1 });
    for (const _ of [1, 2]) {
      expect((await app.fetch(link, as({}))).status).toBe(200);
    }
    expect(await app.used(link)).toBe(1);
    expect(warnings()).toEqual([]);
  });
});
