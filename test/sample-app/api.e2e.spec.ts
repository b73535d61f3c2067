import jwt from 'jsonwebtoken';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_ADAPTERS } from '../../sample-app/settings/sample-settings.js';
import { bearer } from '../support/test-app.js';
import { followLinks } from './support/live.js';
import { type RunningSample, startSample } from './support/sample.js';

const HARD_NAME = 'Grüße & mehr, 100% 🏔.txt';
const REPORT = Buffer.alloc(300_000, 'report ');

const outside = mkdtempSync(join(tmpdir(), 'sample-api-'));
const folder = join(outside, 'files');
mkdirSync(join(folder, 'folder'), { recursive: true });
writeFileSync(join(folder, 'report.pdf'), REPORT);
writeFileSync(join(folder, HARD_NAME), 'hello');
writeFileSync(join(folder, 'empty'), '');
writeFileSync(join(folder, '.hidden'), 'secret');
writeFileSync(join(folder, 'folder', 'inner.txt'), 'secret');
writeFileSync(join(outside, 'secret.txt'), 'secret');
symlinkSync(join(outside, 'secret.txt'), join(folder, 'way-out.txt'));
afterAll(() => rmSync(outside, { recursive: true }));

describe.each(HTTP_ADAPTERS)('the sample application on %s', (adapter) => {
  let sample: RunningSample;
  let ada: string;
  let grace: string;
  beforeAll(async () => {
    sample = await startSample(adapter, folder);
    ada = await sample.login('ada');
    grace = await sample.login('grace');
  });
  afterAll(() => sample.close());

  const mint = async (body?: unknown, token = ada, file = 'report.pdf') => {
    const answer = await sample.post(`/files/${encodeURIComponent(file)}/links`, body, token);
    expect(answer.status).toBe(201);
    return answer.json;
  };
  /** A link as the list shows it. */
  const linkOf = async (id: string) => {
    const { json } = await sample.request('/links', { headers: bearer(ada) });
    return json.find((link: { id: string }) => link.id === id);
  };

  describe('GET /', () => {
    test('is a page that nothing foreign may run in', async () => {
      const page = await sample.request('/');
      expect(page.status).toBe(200);
      expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
      expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'/);
      expect(page.headers['content-security-policy']).not.toContain('unsafe');
      expect(page.text).toContain('<title>Private downloads</title>');
    });

    test('has all its parts', async () => {
      const page = (await sample.request('/')).text;
      const names = new Set([...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path));
      for (const script of ['app.js', 'tickets.js', 'downloads.js', 'live.js']) {
        const { text } = await sample.request(`/assets/${script}`);
        for (const [, name] of text.matchAll(/from '\.\/([^']+)'/g)) names.add(`/assets/${name}`);
      }
      expect(names.size).toBe(9);
      for (const name of names) expect((await sample.request(name!)).status, name).toBe(200);
    });

    test.each(['/assets/index.html', '/assets/..%2fmain.ts', '/assets/constructor', '/assets/none.js'])(
      'serves nothing else: %s',
      async (path) => {
        expect((await sample.request(path)).status).toBe(404);
      },
    );
  });

  describe('POST /auth/login', () => {
    test.each(['ada', 'grace'])('gives %s an access token for an hour', async (username) => {
      const answer = await sample.post('/auth/login', { username, password: 'demo' });
      expect(answer.status).toBe(200);
      expect(Object.keys(answer.json).sort()).toEqual(['accessToken', 'expiresAt']);
      expect(answer.headers['cache-control']).toBe('no-store');
      const claims = jwt.decode(answer.json.accessToken) as jwt.JwtPayload;
      expect(claims.sub).toBe(username);
      expect(claims.exp! * 1000).toBe(Date.parse(answer.json.expiresAt));
      expect(Date.parse(answer.json.expiresAt) - Date.now()).toBeGreaterThan(3_590_000);
    });

    test('takes a form as well, which is easier to type', async () => {
      const answer = await sample.request('/auth/login', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'username=ada&password=demo',
      });
      expect(answer.status).toBe(200);
    });

    test.each([
      [{ username: 'ada', password: 'wrong' }, 401],
      [{ username: 'eve', password: 'demo' }, 401],
      [{ username: '__proto__', password: 'demo' }, 401],
      [{ username: 'ada' }, 400],
      [{ username: ['ada'], password: 'demo' }, 400],
      [{ username: 'ada', password: 'demo', role: 'admin' }, 400],
      [['ada', 'demo'], 400],
      [undefined, 400],
    ])('answers %j with %i', async (body, status) => {
      const answer = await sample.post('/auth/login', body);
      expect(answer.status).toBe(status);
      expect(answer.json).toMatchObject({ statusCode: status, message: expect.any(String) });
    });

    test('answers broken JSON with 400', async () => {
      const answer = await sample.request('/auth/login', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{',
      });
      expect(answer.status).toBe(400);
    });
  });

  describe('POST /auth/cookie and /auth/logout', () => {
    test('the cookie opens downloads, until it is cleared', async () => {
      const set = await sample.post('/auth/cookie', undefined, ada);
      expect(set.status).toBe(204);
      const [cookie] = set.headers['set-cookie'] ?? [];
      expect(cookie).toMatch(/^ss-tok=[^;]+;.*HttpOnly/i);
      const headers = { cookie: cookie!.split(';')[0] };
      expect((await sample.request('/files/report.pdf', { headers })).status).toBe(200);

      const cleared = await sample.post('/auth/logout');
      expect(cleared.status).toBe(204);
      expect(cleared.headers['set-cookie']?.[0]).toMatch(/^ss-tok=;.*Max-Age=0/);
    });

    test('the cookie opens downloads only, not the API', async () => {
      const headers = { cookie: `ss-tok=${ada}` };
      expect((await sample.request('/files', { headers })).status).toBe(401);
      expect((await sample.request(`/files?ss-tok=${ada}`)).status).toBe(401);
    });
  });

  describe('the routes of the API', () => {
    test.each([
      ['POST', '/auth/cookie'],
      ['GET', '/files'],
      ['POST', '/files/report.pdf/links'],
      ['GET', '/links'],
      ['GET', '/links/events'],
      ['DELETE', '/links/some'],
    ])('%s %s asks for a token', async (method, path) => {
      const none = await sample.request(path, { method });
      expect(none.status).toBe(401);
      expect(none.headers['www-authenticate']).toBe('Bearer');
      const { token } = await mint();
      for (const bad of ['nonsense', jwt.sign({ sub: 'ada' }, 'another secret'), `${ada}x`, token]) {
        const answer = await sample.request(path, { method, headers: bearer(bad) });
        expect(answer.status).toBe(401);
        expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
      }
    });
  });

  describe('GET /files', () => {
    test('lists the plain files of the folder, and nothing else', async () => {
      const answer = await sample.request('/files', { headers: bearer(ada) });
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual([
        { id: 'empty', name: 'empty', size: 0, type: 'application/octet-stream' },
        { id: HARD_NAME, name: HARD_NAME, size: 5, type: 'text/plain' },
        { id: 'report.pdf', name: 'report.pdf', size: REPORT.length, type: 'application/pdf' },
      ]);
    });
  });

  describe('GET /files/:id', () => {
    test.each([
      ['header', () => ['/files/report.pdf', bearer(ada)] as const],
      ['query', () => [`/files/report.pdf?ss-tok=${ada}`, {}] as const],
      ['cookie', () => ['/files/report.pdf', { cookie: `ss-tok=${ada}` }] as const],
      ['link', async () => [(await mint()).url as string, {}] as const],
    ])('sends the file to a caller with a token by %s', async (_transport, request) => {
      const [path, headers] = await request();
      const answer = await sample.request(path, { headers });
      expect(answer.status).toBe(200);
      expect(answer.body.equals(REPORT)).toBe(true);
      expect(answer.headers['content-type']).toBe('application/pdf');
      expect(answer.headers['content-disposition']).toMatch(/^attachment; filename="?report\.pdf"?$/);
      expect(answer.headers['content-length']).toBe(String(REPORT.length));
    });

    test('answers HEAD with the headers alone', async () => {
      const answer = await sample.request('/files/report.pdf', { method: 'HEAD', headers: bearer(ada) });
      expect(answer.status).toBe(200);
      expect(answer.headers['content-length']).toBe(String(REPORT.length));
      expect(answer.body).toHaveLength(0);
    });

    test('finds a name that is hard to spell, and saves it under that name', async () => {
      for (const path of [`/files/${encodeURIComponent(HARD_NAME)}`, (await mint({}, ada, HARD_NAME)).url]) {
        const answer = await sample.request(path, { headers: path.includes('?') ? {} : bearer(ada) });
        expect(answer.status).toBe(200);
        expect(answer.text).toBe('hello');
        expect(answer.headers['content-disposition']).toMatch(
          /filename\*=utf-8''Gr%C3%BC%C3%9Fe%20(?:%26|&)%20mehr/i,
        );
      }
    });

    test('sends an empty file', async () => {
      const answer = await sample.request('/files/empty', { headers: bearer(ada) });
      expect([answer.status, answer.headers['content-length']]).toEqual([200, '0']);
    });

    test.each([
      'none.txt',
      '..',
      '%2e%2e',
      '..%2fsecret.txt',
      '%2e%2e%2fsecret.txt',
      '..%5csecret.txt',
      'folder',
      'folder%2finner.txt',
      '.hidden',
      'way-out.txt',
      'report.pdf%00',
      '%2fetc%2fpasswd',
      'REPORT.PDF%2f',
      'a'.repeat(5_000),
    ])('knows no file %s', async (name) => {
      const answer = await sample.request(`/files/${name}`, { headers: bearer(ada) });
      // an over-long parameter is refused by one of the routers before anybody looks for a file
      expect([404, ...(name.length > 1_000 ? [400, 414] : [])]).toContain(answer.status);
      expect(answer.text).not.toBe('secret');
    });

    test('answers a name that is no percent-encoding with 400', async () => {
      expect((await sample.request('/files/%zz', { headers: bearer(ada) })).status).toBe(400);
    });

    test('tells a stranger nothing about which files there are', async () => {
      for (const name of ['report.pdf', 'none.txt']) {
        const answer = await sample.request(`/files/${name}`);
        expect(answer.status).toBe(401);
        expect(answer.json.code).toBe('TOKEN_MISSING');
      }
    });
  });

  describe('POST /files/:id/links', () => {
    test('makes a link for 5 minutes where nothing is asked for', async () => {
      const link = await mint();
      expect(Object.keys(link).sort()).toEqual(['expiresAt', 'id', 'token', 'url']);
      expect(link.url).toBe(`/files/report.pdf?ss-tok=${link.token}`);
      expect(Math.abs(Date.parse(link.expiresAt) - Date.now() - 300_000)).toBeLessThan(5_000);
    });

    test.each([
      [60, 60],
      ['90s', 90],
      ['2 hours', 7_200],
      ['7d', 604_800],
    ])('makes a link that lives for %j', async (expiresIn, seconds) => {
      const { expiresAt } = await mint({ expiresIn });
      expect(Math.abs(Date.parse(expiresAt) - Date.now() - seconds * 1000)).toBeLessThan(5_000);
    });

    test.each([
      [{ expiresIn: 0 }],
      [{ expiresIn: -5 }],
      [{ expiresIn: '300' }],
      [{ expiresIn: 'soon' }],
      [{ expiresIn: '8d' }],
      [{ expiresIn: null }],
      [{ expiresIn: true }],
      [{ expiresIn: ['5m'] }],
      [{ expiresIn: '' }],
      [{ maxDownloads: 0 }],
      [{ maxDownloads: -1 }],
      [{ maxDownloads: 1.5 }],
      [{ maxDownloads: '3' }],
      [{ maxDownloads: null }],
      [{ bytesPerSecond: 0 }],
      [{ bytesPerSecond: '4 MB' }],
      [{ expires: '5m' }],
      [[]],
      ['text'],
    ])('refuses %j with a sentence', async (body: unknown) => {
      const answer = await sample.post('/files/report.pdf/links', body, ada);
      expect(answer.status).toBe(400);
      expect(answer.json).toMatchObject({ statusCode: 400, message: expect.any(String) });
    });

    test('makes a link for a number of downloads, and counts them', async () => {
      const { id, url } = await mint({ maxDownloads: 2 });
      const as = (userAgent: string, headers = {}) =>
        sample.request(url, { headers: { 'user-agent': userAgent, ...headers } });
      expect((await as('first')).body.equals(REPORT)).toBe(true);
      // what goes on with a download is none of its own
      expect((await as('first', { range: 'bytes=100-199' })).status).toBe(206);
      expect(await linkOf(id)).toMatchObject({ maxDownloads: 2, used: 1 });
      expect((await as('second')).status).toBe(200);
      const refused = await as('third');
      expect([refused.status, refused.json.code]).toEqual([410, 'LINK_USED_UP']);
      expect(await linkOf(id)).toMatchObject({ maxDownloads: 2, used: 2, state: 'active' });
    });

    test('tells what happened to a link', async () => {
      const { id, url } = await mint({ maxDownloads: 1 });
      await sample.request(url);
      await sample.request(url, { headers: { 'user-agent': 'somebody else' } });
      await expect
        .poll(async () => (await linkOf(id)).happenings.map(({ type }: { type: string }) => type))
        .toEqual(['opened', 'completed', 'refused']);
      const { happenings, progress } = await linkOf(id);
      expect(happenings[2]).toMatchObject({ code: 'LINK_USED_UP', status: 410 });
      expect(progress).toEqual({
        bytes: REPORT.length,
        length: REPORT.length,
        running: false,
        complete: true,
        downloads: 0,
      });
    });

    test('makes a link in slow motion, which can be resumed like any other', async () => {
      const { url } = await mint({ bytesPerSecond: 1_000_000 });
      const started = performance.now();
      const whole = await sample.request(url);
      expect(whole.body.equals(REPORT)).toBe(true);
      expect(performance.now() - started).toBeGreaterThan(250);
      expect(whole.headers['content-type']).toBe('application/pdf');
      const rest = await sample.request(url, {
        headers: { range: 'bytes=299990-', 'if-range': whole.headers.etag },
      });
      expect([rest.status, rest.text]).toEqual([206, REPORT.subarray(299_990).toString()]);
    });

    test.each(['none.txt', '..%2fsecret.txt', '.hidden', 'way-out.txt'])(
      'makes no link to %s',
      async (name) => {
        expect((await sample.post(`/files/${name}/links`, {}, ada)).status).toBe(404);
      },
    );

    test('makes a link that opens one file only', async () => {
      const { token } = await mint();
      const answer = await sample.request(`/files/empty?ss-tok=${token}`);
      expect(answer.status).toBe(403);
      expect(answer.json.code).toBe('LINK_SCOPE');
    });

    test('makes a link that expires', async () => {
      const { url, expiresAt } = await mint({ expiresIn: 0.05 });
      await expect
        .poll(async () => (await sample.request(url)).status, { timeout: 5_000, interval: 20 })
        .toBe(410);
      expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt));
      expect((await sample.request(url)).json.code).toBe('LINK_EXPIRED');
    });
  });

  describe('GET /links and DELETE /links/:id', () => {
    test('show the caller the own links, the newest first', async () => {
      const first = await mint({}, grace);
      const second = await mint({ expiresIn: '1h' }, grace, HARD_NAME);
      await mint({}, ada);
      const { json } = await sample.request('/links', { headers: bearer(grace) });
      expect(json).toEqual([
        {
          id: second.id,
          file: HARD_NAME,
          url: second.url,
          createdAt: expect.any(String),
          expiresAt: second.expiresAt,
          state: 'active',
          used: 0,
          happenings: [],
        },
        expect.objectContaining({ id: first.id, file: 'report.pdf', state: 'active' }),
      ]);
    });

    test('take a link back, once and for all', async () => {
      const link = await mint();
      const other = await mint();
      const revoke = () => sample.request(`/links/${link.id}`, { method: 'DELETE', headers: bearer(ada) });
      expect((await revoke()).status).toBe(204);
      expect((await revoke()).status).toBe(204);

      const refused = await sample.request(link.url);
      expect(refused.status).toBe(410);
      expect(refused.json.code).toBe('LINK_REVOKED');
      expect((await sample.request(other.url)).status).toBe(200);
      expect((await linkOf(link.id)).state).toBe('revoked');
    });

    test('stop a download that runs', async () => {
      const link = await mint({ bytesPerSecond: 100_000 });
      const download = await fetch(sample.url + link.url);
      const body = download.body!.getReader();
      await body.read();
      const rest = (async () => {
        while (!(await body.read()).done);
      })();
      rest.catch(() => undefined);
      await sample.request(`/links/${link.id}`, { method: 'DELETE', headers: bearer(ada) });
      await expect(rest).rejects.toThrow();
      const resumed = await sample.request(link.url, { headers: { range: 'bytes=1000-' } });
      expect([resumed.status, resumed.json.code]).toEqual([410, 'LINK_REVOKED']);
      await expect
        .poll(async () => (await linkOf(link.id)).happenings.map(({ type }: { type: string }) => type))
        .toEqual(expect.arrayContaining(['opened', 'aborted', 'revoked', 'refused']));
    });

    test('leave the links of others alone', async () => {
      const link = await mint({}, grace);
      for (const id of [link.id, 'unknown', '__proto__']) {
        const answer = await sample.request(`/links/${id}`, { method: 'DELETE', headers: bearer(ada) });
        expect(answer.status).toBe(404);
      }
      expect((await sample.request(link.url)).status).toBe(200);
    });
  });

  describe('GET /links/events', () => {
    test('tells what happens to the own links, as it happens, and nothing of others', async () => {
      const before = await mint();
      const live = await followLinks(sample.url, ada);
      await live.until(({ id }) => id === before.id);
      await mint({}, grace);
      const link = await mint({ maxDownloads: 1, bytesPerSecond: 150_000 });
      await live.until(({ id }) => id === link.id);
      await sample.request(link.url);
      const running = await live.until(({ id, progress }) => id === link.id && progress?.running);
      expect(running).toMatchObject({ used: 1, maxDownloads: 1 });
      await live.until(
        ({ id, progress }) => id === link.id && progress?.bytes > 0 && progress.bytes < REPORT.length,
      );
      await live.until(({ id, progress }) => id === link.id && progress?.complete);
      await sample.request(`/links/${link.id}`, { method: 'DELETE', headers: bearer(ada) });
      await live.until(({ id, state }) => id === link.id && state === 'revoked');
      expect(live.seen.every(({ url }) => url.startsWith('/files/'))).toBe(true);
      const own = (await sample.request('/links', { headers: bearer(ada) })).json;
      const ids = new Set(own.map(({ id }: { id: string }) => id));
      expect(live.seen.filter(({ id }) => !ids.has(id))).toEqual([]);
      live.close();
    });
  });

  test('a person who opens an expired link in a browser gets a page', async () => {
    const link = await mint();
    await sample.request(`/links/${link.id}`, { method: 'DELETE', headers: bearer(ada) });
    const answer = await sample.request(link.url, {
      headers: { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' },
    });
    expect(answer.status).toBe(410);
    expect(answer.headers['content-type']).toContain('text/html');
    expect(answer.text).not.toContain(link.token);
  });
});
