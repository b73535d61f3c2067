import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_ADAPTERS } from '../../sample-app/settings/sample-settings.js';
import type { Storage } from '../../sample-app/storage/storage.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { bearer } from '../support/test-app.js';
import { followLinks } from './support/live.js';
import { type RunningSample, startSample } from './support/sample.js';

const REPORT = Buffer.alloc(400_000, 'report ');
const hasSqlite = process.getBuiltinModule('node:sqlite') !== undefined;

const folder = mkdtempSync(join(tmpdir(), 'sample-instances-'));
writeFileSync(join(folder, 'report.pdf'), REPORT);
afterAll(() => rmSync(folder, { recursive: true }));

if (!hasSqlite) {
  test('SQLITE_FILE on a Node without SQLite is an error that says what to do', async () => {
    const start = startSample('express', folder, { kind: 'sqlite', file: join(folder, 'links.db') });
    await expect(start).rejects.toThrow(/SQLITE_FILE.*Node 22\.13/);
  });
}

test.skipIf(!hasSqlite)('SQLITE_FILE that cannot be opened is an error that says what to do', async () => {
  const start = startSample('express', folder, { kind: 'sqlite', file: join(folder, 'none', 'links.db') });
  await expect(start).rejects.toThrow(/SQLITE_FILE.*folder that exists/);
});

/** One scenario for whatever two instances share. */
function describeInstances(
  name: string,
  can: boolean,
  open: () => Promise<{ storage: Storage; close(): void }>,
) {
  describe.skipIf(!can).each(HTTP_ADAPTERS)(`two instances that share ${name}, on %s`, (adapter) => {
    let shared: Awaited<ReturnType<typeof open>>;
    let one: RunningSample;
    let other: RunningSample;
    let ada: string;
    beforeAll(async () => {
      shared = await open();
      one = await startSample(adapter, folder, shared.storage);
      other = await startSample(adapter, folder, shared.storage);
      ada = await one.login('ada');
    });
    afterAll(async () => {
      await one?.close();
      await other?.close();
      shared?.close();
    });

    const mint = async (body: unknown) =>
      (await one.post('/files/report.pdf/links', body, await one.login('ada'))).json;
    const list = async (sample: RunningSample) =>
      (await sample.request('/links', { headers: bearer(ada) })).json;

    test('list the same links', async () => {
      const { id, url } = await mint({ maxDownloads: 3 });
      expect(await list(other)).toMatchObject([{ id, url, maxDownloads: 3, used: 0 }]);
      expect(await list(other)).toEqual(await list(one));
    });

    test('count together', async () => {
      const { id, url } = await mint({ maxDownloads: 2 });
      const as = (sample: RunningSample, userAgent: string) =>
        sample.request(url, { headers: { 'user-agent': userAgent } });
      expect((await as(one, 'first')).body.equals(REPORT)).toBe(true);
      expect((await as(other, 'second')).body.equals(REPORT)).toBe(true);
      for (const sample of [one, other]) {
        expect((await as(sample, 'third')).status).toBe(410);
        expect((await list(sample)).find((link: any) => link.id === id).used).toBe(2);
      }
    });

    test('tell live what happens on the other one', async () => {
      const live = await followLinks(other.url, ada);
      const { id, url } = await mint({ maxDownloads: 1, bytesPerSecond: 200_000 });
      const upTo = (isIt: (link: any) => unknown) => live.until((link) => link.id === id && isIt(link));
      await upTo(({ used }) => used === 0);
      const download = one.request(url);
      await upTo(({ progress }) => progress?.running && progress.bytes > 0);
      expect((await download).status).toBe(200);
      await upTo(({ used, progress }) => used === 1 && progress.complete);
      await one.request(url, { headers: { 'user-agent': 'somebody else' } });
      const { happenings } = await upTo((link) => link.happenings.at(-1)?.type === 'refused');
      expect(happenings.map(({ type }: any) => type)).toEqual(['opened', 'completed', 'refused']);
      live.close();
    });

    test('revoke for each other, and stop what runs there', async () => {
      const live = await followLinks(one.url, ada);
      const { id, url } = await mint({ bytesPerSecond: 50_000 });
      const body = (await fetch(one.url + url)).body!.getReader();
      await body.read();
      const rest = (async () => {
        while (!(await body.read()).done);
      })();
      rest.catch(() => undefined);
      const revoked = performance.now();
      await other.request(`/links/${id}`, { method: 'DELETE', headers: bearer(ada) });
      await expect(rest).rejects.toThrow();
      expect(performance.now() - revoked).toBeLessThan(2_000);
      await live.until((link) => link.id === id && link.state === 'revoked');
      await live.until((link) => link.id === id && link.happenings.some((it: any) => it.type === 'aborted'));
      expect((await one.request(url)).json.code).toBe('LINK_REVOKED');
      live.close();
    });
  });
}

describeInstances('a Redis', hasRedis, async () => {
  const server = await RedisServer.start({ persistent: false });
  return { storage: { kind: 'redis', url: server.url }, close: () => void server.remove() };
});

describeInstances('an SQLite file', hasSqlite, async () => {
  const place = mkdtempSync(join(tmpdir(), 'sample-sqlite-'));
  return {
    storage: { kind: 'sqlite', file: join(place, 'links.db') },
    close: () => rmSync(place, { recursive: true }),
  };
});

test.skipIf(!hasRedis)('while Redis is away links are a 503, and other downloads go on', async () => {
  const server = await RedisServer.start({ persistent: false });
  const sample = await startSample('express', folder, { kind: 'redis', url: server.url });
  try {
    const ada = await sample.login('ada');
    const { url } = (await sample.post('/files/report.pdf/links', { maxDownloads: 1 }, ada)).json;
    await server.stop();
    expect((await sample.request('/links', { headers: bearer(ada) })).status).toBe(503);
    expect((await sample.request(url)).json).toMatchObject({ statusCode: 503, code: 'STORE_UNAVAILABLE' });
    expect((await sample.request('/files/report.pdf', { headers: bearer(ada) })).body.equals(REPORT)).toBe(
      true,
    );
  } finally {
    await sample.close();
    await server.remove();
  }
});
