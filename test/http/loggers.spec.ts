import { Controller, Get, Req } from '@nestjs/common';
import type { NestMiddleware } from '@nestjs/common';
import morgan from 'morgan';
import { pino } from 'pino';
import { pinoHttp } from 'pino-http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DownloadLinks, Grant, redactUrl, StreamDownload } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { forge, inAnHour } from '../support/forge.js';
import { expectNoTrace } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import type { RequestOptions } from '../support/http-client.js';

const good = accessToken();
const bad = forge({ alg: 'HS256' }, { sub: 'eve', exp: inAnHour() }, `not ${SECRET}`);
const FORMATS = ['combined', 'common', 'default', 'short', 'tiny', 'dev'];

@Controller('files')
class FilesController {
  @Get('broken')
  @StreamDownload()
  broken(): never {
    throw new Error('the disk is gone');
  }

  @Get(':id')
  @StreamDownload()
  get(@Req() request: any, @Grant() grant: unknown): unknown {
    const raw = request.raw ?? request;
    return {
      grant: grant !== undefined,
      seen: [request.url, request.originalUrl, request.query, raw.url, raw.originalUrl, raw.headers.referer],
    };
  }
}

type Log = { lines: string[]; written(): Promise<void> };
type Way = [name: string, request: (token: string) => [path: string, options: RequestOptions]];

const WAYS: Way[] = [
  ['the query', (token) => [`/files/42?a=1&ss-tok=${token}&b=2`, {}]],
  ['the query of a file with a semicolon in its name', (token) => [`/files/a;v=1?ss-tok=${token}`, {}]],
  ['a list in the query', (token) => [`/files/42?ss-tok[]=${token}`, {}]],
  ['capitals in the query', (token) => [`/files/42?SS-TOK=${token}`, {}]],
  ['an encoded name in the query', (token) => [`/files/42?ss%2dtok=${token}`, {}]],
  ['a query behind a semicolon', (token) => [`/files/42?a=1;ss-tok=${token}`, {}]],
  ['the header', (token) => ['/files/42', { headers: { authorization: `Bearer ${token}` } }]],
  ['the cookie', (token) => ['/files/42', { headers: { cookie: `ss-tok=${token}` } }]],
  ['the Referer of a page', (token) => ['/files/42', { headers: { referer: `https://a.example/x?ss-tok=${token}` } }]],
  ['a route that breaks', (token) => [`/files/broken?ss-tok=${token}`, {}]],
]; // prettier-ignore

function memory(): Log & { write(line: string): void } {
  const lines: string[] = [];
  return {
    lines,
    write: (line) => void lines.push(line),
    async written() {
      for (let i = 0; lines.length === 0 && i < 1000; i++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/** pino-http as docs/security.md has it. */
function pinoMiddleware(log: { write(line: string): void }) {
  return pinoHttp(
    {
      redact: ['req.headers.authorization', 'req.headers.cookie', 'req.headers.referer'],
      serializers: { req: (req: { url: string; query?: object }) => ({ ...req, url: redactUrl(req.url), query: undefined }) },
    },
    log,
  );
} // prettier-ignore

const log = memory();
const LOGGERS: [string, () => NestMiddleware['use']][] = [
  ...FORMATS.map((format): [string, () => NestMiddleware['use']] => [
    `morgan ${format}`,
    () => morgan(format, { stream: log }) as never,
  ]),
  ['morgan with every URL it knows', () => morgan(':url :req[referer] :referrer :req[host]', { stream: log }) as never],
  [
    'morgan that writes before, with redactUrl',
    () => {
      const early = morgan((_tokens, request: any) => redactUrl(request.originalUrl ?? request.url), { stream: log, immediate: true });
      return early as never;
    },
  ],
  ['pino-http', () => pinoMiddleware(log) as never],
]; // prettier-ignore

describe.each(ADAPTERS.flatMap((adapter) => LOGGERS.map((logger) => [adapter, ...logger] as const)))('log lines on %s of %s', (adapter, _name, middleware) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [FilesController],
      configure: (app: any) => app.use(middleware()),
    });
  });
  afterAll(() => app.close());
  beforeEach(() => {
    log.lines.length = 0;
  });

  it.each(WAYS)('show no token that came in %s', async (_way, request) => {
    for (const token of [good, bad, 'eyJhbGciOiJub25lIn0.malformed-token']) {
      log.lines.length = 0;
      const [path, options] = request(token);
      const answer = await app.request(path, options);
      await log.written();
      expect(log.lines.join('')).toContain('/files/');
      expectNoTrace(log.lines.join(''), token);
      expectNoTrace(answer.text, token);
    }
  });

  it('show no link', async () => {
    const link = app.get(DownloadLinks).create(FilesController, 'get', { params: { id: 'x' } });
    expect((await app.request(link.url)).json.grant).toBe(true);
    await log.written();
    expectNoTrace(log.lines.join(''), link.token);
  });
}); // prettier-ignore

describe.each(ADAPTERS)('on %s, a handler', (adapter) => {
  it('sees the URL and the query without the token', async () => {
    const app = await startApp({ adapter, controllers: [FilesController] });
    const url = `/files/a;v=1?a=1&ss-tok=${good}&b=2`;
    const answer = await app.request(url, { headers: { referer: `https://a.example${url}` } });
    const clean = '/files/a;v=1?a=1&b=2';
    const [seen, original, query, raw] = answer.json.seen;
    expect([seen, original, query, raw]).toEqual([clean, clean, { a: '1', b: '2' }, clean]);
    expectNoTrace(answer.text, good);
    await app.close();
  });

  it('of a route at the root of a prefix sees it too', async () => {
    const app = await startApp({
      adapter,
      controllers: [FilesController],
      configure: (app) => void app.setGlobalPrefix('api/v1'),
    });
    const answer = await app.request(`/api/v1/files/42?ss-tok=${good}`);
    expect(answer.json.seen.slice(0, 2)).toEqual(['/api/v1/files/42', '/api/v1/files/42']);
    await app.close();
  });
});

it("Fastify's own logger shows no token, with redactUrl in its serializer", async () => {
  const loggerInstance = pino(
    {
      serializers: {
        req: (request: { method: string; url: string }) => ({ method: request.method, url: redactUrl(request.url) }),
      },
    },
    log,
  );
  const app = await startApp({ adapter: 'fastify', controllers: [FilesController], fastify: { loggerInstance } });
  for (const [, request] of WAYS) {
    for (const token of [good, bad]) {
      log.lines.length = 0;
      await app.request(...request(token));
      await log.written();
      expect(log.lines.join('')).toContain('/files/');
      expectNoTrace(log.lines.join(''), token);
    }
  }
  await app.close();
}); // prettier-ignore
