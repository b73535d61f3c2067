import { Redis } from 'ioredis';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HTTP_ADAPTERS } from '../../sample-app/settings/sample-settings.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { bearer } from '../support/test-app.js';
import { type RunningSample, startSample } from './support/sample.js';

const MIB = 1024 * 1024;
const hasSqlite = process.getBuiltinModule('node:sqlite') !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'sample-hardening-'));
writeFileSync(join(folder, 'report.pdf'), 'report');
writeFileSync(join(folder, 'huge.bin'), '');
truncateSync(join(folder, 'huge.bin'), 512 * MIB);
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(HTTP_ADAPTERS)('the sample application on %s', (adapter) => {
  let sample: RunningSample;
  beforeEach(async () => {
    sample = await startSample(adapter, folder);
  });
  afterEach(() => sample.close());

  it.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
  ])('answers nothing to a request for the host %j', async (host) => {
    for (const path of ['/', '/files', '/assets/app.js']) {
      const answer = await sample.request(path, { headers: { host } });
      expect(answer.status).toBe(421);
    }
  });

  it.each([
    'localhost',
    'localhost:3000',
    'LOCALHOST',
    '127.0.0.1:3000',
    '192.168.1.7',
    '[::1]:3000',
    'files.example',
    'files.example:80',
  ])('answers a request for the host %j', async (host) => {
    expect((await sample.request('/', { headers: { host } })).status).toBe(200);
  });

  const FOREIGN: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'http://localhost:4200' },
    { origin: 'null' },
  ];
  it.each(FOREIGN)('lets no page of another site change anything: %j', async (headers) => {
    const ada = await sample.login();
    for (const path of ['/auth/logout', '/auth/cookie', '/auth/login']) {
      const answer = await sample.request(path, { method: 'POST', headers: { ...headers, ...bearer(ada) } });
      expect([path, answer.status, answer.headers['set-cookie']]).toEqual([path, 403, undefined]);
    }
  });

  const OWN: Record<string, string>[] = [
    {},
    { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:3000', host: 'localhost:3000' },
    { origin: 'https://files.example', host: '127.0.0.1' },
  ];
  it.each(OWN)('lets its own page and programs sign out: %j', async (headers) => {
    const answer = await sample.request('/auth/logout', { method: 'POST', headers });
    expect([answer.status, answer.headers['set-cookie']?.length]).toEqual([204, 1]);
  });

  it('lets a link be opened from anywhere', async () => {
    const { url } = (await sample.post('/files/report.pdf/links', {}, await sample.login())).json;
    expect((await sample.request(url, { headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(200);
  });

  it('lets nobody try many passwords, not even all at once', async () => {
    const attempt = (password: string) => sample.post('/auth/login', { username: 'ada', password });
    const statuses = (await Promise.all(Array.from({ length: 30 }, (_, n) => attempt(`guess ${n}`)))).map(
      ({ status }) => status,
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    const blocked = await attempt('demo');
    expect(blocked.status).toBe(429);
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('counts failures, not people who know their password', async () => {
    for (let n = 0; n < 30; n++) expect(await sample.login()).toEqual(expect.any(String));
  });

  it('needs little memory for a link that wants to be served very fast', async () => {
    const body = { bytesPerSecond: Number.MAX_SAFE_INTEGER };
    const { url } = (await sample.post('/files/huge.bin/links', body, await sample.login())).json;
    const before = process.memoryUsage().external;
    let most = 0;
    await new Promise<void>((resolve, reject) => {
      let received = 0;
      const request = get(sample.url + url, (response) => {
        response.on('data', (chunk: Buffer) => {
          most = Math.max(most, process.memoryUsage().external - before);
          received += chunk.length;
          if (received < MIB) return;
          request.destroy();
          resolve();
        });
        response.on('error', () => undefined);
      });
      request.on('error', reject);
    });
    expect(most).toBeLessThan(64 * MIB);
  });

  /** What a person of the list sees is unchanged: the URL opens. */
  async function mintAndList(running: RunningSample) {
    const ada = await running.login();
    const { url, token } = (await running.post('/files/report.pdf/links', {}, ada)).json;
    const { json } = await running.request('/links', { headers: bearer(ada) });
    expect(json).toMatchObject([{ url }]);
    return token as string;
  }

  it.skipIf(!hasSqlite)('keeps its SQLite file to itself, and no token in it', async () => {
    const place = mkdtempSync(join(tmpdir(), 'sample-private-'));
    const kept = await startSample(adapter, folder, { kind: 'sqlite', file: join(place, 'links.db') });
    try {
      const token = await mintAndList(kept);
      const files = readdirSync(place).map((name) => join(place, name));
      expect(files.map((file) => (statSync(file).mode & 0o777).toString(8))).toEqual(files.map(() => '600'));
      const text = files.map((file) => readFileSync(file, 'latin1')).join('\n');
      expect(text).toContain('report.pdf');
      for (const part of token.split('.')) expect(text).not.toContain(part);
    } finally {
      await kept.close();
      rmSync(place, { recursive: true });
    }
  });

  it.skipIf(!hasRedis)('leaves no token in Redis', async () => {
    const server = await RedisServer.start({ persistent: false });
    const kept = await startSample(adapter, folder, { kind: 'redis', url: server.url });
    const redis = new Redis(server.url);
    try {
      const token = await mintAndList(kept);
      let text = '';
      for (const key of await redis.keys('*')) text += (await redis.dump(key)) ?? '';
      const entries = await redis.mget((await redis.keys('sample:link:*')) as [string]);
      text += entries.join('\n');
      expect(text).toContain('report.pdf');
      for (const part of token.split('.')) expect(text).not.toContain(part);
    } finally {
      redis.disconnect();
      await kept.close();
      await server.remove();
    }
  });
});
