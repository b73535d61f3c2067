import {
  Catch,
  ClassSerializerInterceptor,
  Controller,
  Get,
  Header,
  HttpException,
  NotFoundException,
  Param,
  ParseIntPipe,
  RequestTimeoutException,
  Res,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, ExceptionFilter, NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import helmet from 'helmet';
import { map, NEVER, timeout } from 'rxjs';
import { afterEach, expect, it } from 'vitest';
import { Download, StreamDownload } from '../../lib/index.js';
import type { DeliveryOptions } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const PAGE = Buffer.from('<script>document.title = "ran"</script>');
const SANDBOX = /(?:^|, )sandbox;/;

const set = (response: any, name: string, value: string) =>
  (response.header ?? response.set).call(response, name, value);

/** All that a handler can say of a file. */
const OF_THE_FILE = {
  'Content-Disposition': 'attachment; filename="salaries.pdf"',
  'Content-Type': 'application/pdf',
  'Content-Length': '4711',
  'Content-Language': 'de',
  'Content-Range': 'bytes 0-1/2',
  'Content-Location': '/salaries',
  ETag: '"v1"',
  'Last-Modified': 'Mon, 06 May 2024 07:08:09 GMT',
  'Accept-Ranges': 'bytes',
  'Repr-Digest': 'sha-256=:AAAA:',
  Digest: 'sha-256=AAAA',
  'Cache-Control': 'public, max-age=3600',
  Expires: 'Fri, 01 Jan 2100 00:00:00 GMT',
  'CDN-Cache-Control': 'max-age=3600',
};

const describeFile = (response: unknown) => {
  for (const [name, value] of Object.entries(OF_THE_FILE)) {
    set(response, name, value);
  }
};

const envelope: NestInterceptor = {
  intercept: (_context, next: CallHandler) => next.handle().pipe(map((data: unknown) => ({ data }))),
};
/** As interceptors do that leave empty members out of every answer. */
const copier: NestInterceptor = {
  intercept: (_context, next: CallHandler) => next.handle().pipe(map((data: object) => ({ ...data }))),
};
const throwing: NestInterceptor = {
  intercept: (_context, next: CallHandler) =>
    next.handle().pipe(
      map(() => {
        throw new NotFoundException('after all');
      }),
    ),
};
const impatient: NestInterceptor = {
  intercept: (_context, next: CallHandler) =>
    next.handle().pipe(
      timeout({
        first: 20,
        with: () => {
          throw new RequestTimeoutException();
        },
      }),
    ),
};

@Controller()
class FilesController {
  @Get('plain')
  @StreamDownload()
  plain() {
    return Download.buffer(PAGE, { type: 'application/pdf' });
  }

  @Get('own')
  @StreamDownload({ delivery: { crossOriginResourcePolicy: 'cross-origin', referrerPolicy: 'origin' } })
  own(@Res({ passthrough: true }) response: unknown) {
    set(response, 'X-Content-Type-Options', 'of-the-handler');
    return Download.buffer(PAGE);
  }

  @Get('same')
  @StreamDownload()
  same(@Res({ passthrough: true }) response: unknown) {
    set(response, 'Cross-Origin-Resource-Policy', 'same-origin');
    return Download.buffer(PAGE);
  }

  @Get('declared')
  @Header('Cache-Control', 'private, max-age=9')
  @Header('Access-Control-Expose-Headers', 'X-Mine')
  @Header('Content-Type', 'text/x-mine')
  @Header('Content-Security-Policy', "default-src 'self'")
  @StreamDownload({ delivery: { disposition: 'inline' } })
  declared() {
    return Download.buffer(PAGE);
  }

  @Get('inline/:type/:subtype')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  inline(@Param('type') type: string, @Param('subtype') subtype: string) {
    return Download.buffer(PAGE, { type: `${type}/${subtype}` });
  }

  @Get('spelled/:disposition')
  @StreamDownload()
  spelled(@Param('disposition') disposition: string) {
    return new StreamableFile(PAGE, { type: 'text/html', disposition });
  }

  @Get('throws/:status')
  @StreamDownload()
  throws(@Param('status', ParseIntPipe) status: number, @Res({ passthrough: true }) response: unknown) {
    describeFile(response);
    throw status === 500 ? new Error('no') : new HttpException('no', status);
  }

  @Get('piped/:number')
  @Header('Content-Disposition', 'attachment; filename="salaries.pdf"')
  @Header('Cache-Control', 'public, max-age=3600')
  @StreamDownload()
  piped(@Param('number', ParseIntPipe) _number: number) {
    return Download.buffer(PAGE);
  }

  @Get('missing')
  @StreamDownload({ delivery: { cacheControl: 'private, max-age=60' } })
  missing(@Res({ passthrough: true }) response: unknown) {
    describeFile(response);
    return Download.file('nowhere.pdf', { root: '/tmp' });
  }

  @Get('slow')
  @UseInterceptors(impatient)
  @StreamDownload()
  slow(@Res({ passthrough: true }) response: unknown) {
    describeFile(response);
    return NEVER;
  }

  @Get('outer')
  @UseInterceptors(throwing)
  @StreamDownload()
  outer(@Res({ passthrough: true }) response: unknown) {
    set(response, 'Content-Disposition', 'attachment; filename="salaries.pdf"');
    set(response, 'Cache-Control', 'public, max-age=3600');
    return Download.buffer(PAGE, { etag: 'v1', lastModified: new Date() });
  }

  @Get('enveloped')
  @UseInterceptors(envelope)
  @StreamDownload()
  enveloped() {
    return Download.file('/etc/hostname', { etag: 'v1' });
  }

  @Get('enveloped-inside')
  @StreamDownload()
  @UseInterceptors(envelope)
  envelopedInside() {
    return new StreamableFile(PAGE);
  }

  @Get('copied')
  @UseInterceptors(copier)
  @StreamDownload()
  copied() {
    return Download.file('/etc/hostname', { etag: 'v1' });
  }

  @Get('copied-inside')
  @StreamDownload()
  @UseInterceptors(copier)
  copiedInside() {
    return Download.file('/etc/hostname', { etag: 'v1' });
  }

  @Get('copied-redirect')
  @StreamDownload()
  @UseInterceptors(copier)
  copiedRedirect() {
    return Download.redirect('https://bucket.example/hostname');
  }

  @Get('by-hand')
  @StreamDownload()
  byHand(@Res() response: any) {
    set(response, 'Content-Type', 'text/plain');
    set(response, 'Referrer-Policy', 'origin');
    response.send('by hand');
  }

  @Get('redirect')
  @StreamDownload({ delivery: { cacheControl: 'private, max-age=86400, immutable' } })
  redirect() {
    return Download.redirect('/media/a b\\c.pdf?x=1#y');
  }

  @Get('kept-redirect')
  @StreamDownload()
  keptRedirect() {
    return Download.redirect('../media', { cacheControl: 'private, max-age=60' });
  }

  @Get('text')
  @StreamDownload()
  text() {
    return 'text';
  }
}

@Controller('serialized')
@StreamDownload()
class SerializedController {
  @Get('download')
  @UseInterceptors(ClassSerializerInterceptor)
  download() {
    return Download.buffer(PAGE, { filename: 'a.txt' });
  }
}

@Controller('unmarked')
class UnmarkedController {
  @Get()
  download() {
    return Download.file('/etc/hostname');
  }
}

let app: TestApp;
const logger = new MemoryLogger();
afterEach(() => app.close());

async function start(
  adapter: AdapterName,
  setup: { delivery?: DeliveryOptions; configure?: (app: any) => void | Promise<void> } = {},
): Promise<void> {
  logger.lines.length = 0;
  app = await startApp({
    adapter,
    controllers: [FilesController, SerializedController, UnmarkedController],
    options: { secret: SECRET, delivery: setup.delivery },
    logger,
    configure: setup.configure,
  });
}
const get = (path: string, method = 'GET') => app.request(path, { method, headers: bearer(accessToken()) });

async function useHelmet(nest: any, adapter: AdapterName): Promise<void> {
  if (adapter === 'fastify') {
    await nest.register((await import('@fastify/helmet')).default);
  } else {
    nest.use(helmet());
  }
}

const SETUPS = [
  ...ADAPTERS.map((adapter) => [adapter, 'helmet', (nest: any) => useHelmet(nest, adapter)] as const),
  ['fastify', 'helmet as a middleware', (nest: any) => void nest.use(helmet())] as const,
  ...ADAPTERS.map((adapter) => [adapter, 'nothing', () => {}] as const),
];

it.each(SETUPS)('on %s with %s, the options of the route win over it', async (adapter, _name, configure) => {
  await start(adapter, { configure });
  const { headers } = await get('/own');
  expect(headers).toMatchObject({
    'cross-origin-resource-policy': 'cross-origin',
    'referrer-policy': 'origin',
    'x-content-type-options': 'of-the-handler',
  });
  expect((await get('/plain')).headers['cross-origin-resource-policy']).toBe('same-site');
  expect((await get('/same')).headers['cross-origin-resource-policy']).toBe('same-origin');
});

it.each(SETUPS)(
  'on %s with %s, what could run a script is shown in a sandbox',
  async (adapter, name, configure) => {
    await start(adapter, { configure });
    const withHelmet = name !== 'nothing';
    for (const type of [
      'text/html',
      'application/xhtml+xml',
      'image/svg+xml',
      'text/xml',
      'application/x-unknown',
    ]) {
      const policy = String((await get(`/inline/${type}`)).headers['content-security-policy']);
      expect(policy).toMatch(SANDBOX);
      expect(policy.startsWith("default-src 'self'")).toBe(withHelmet);
    }
    for (const type of ['application/pdf', 'image/png', 'audio/mpeg', 'video/mp4', 'text/plain']) {
      const policy = (await get(`/inline/${type}`)).headers['content-security-policy'];
      expect(policy ?? 'none').not.toMatch(/sandbox/);
      expect(policy !== undefined).toBe(withHelmet);
    }
  },
);

it.each(
  ADAPTERS.flatMap((adapter) =>
    [
      ['inline', true],
      ['INLINE', true],
      ['Inline; filename=a.html', true],
      [' inline', true],
      ['filename="a.html"', true],
      ['; filename=a.html', true],
      ['"inline"', true],
      ['"attachment"', true],
      ['attachment=yes', true],
      ['attachments', true],
      ['attachment, inline', true],
      ['attachment', false],
      ['ATTACHMENT;filename="a.html"', false],
      ['attachment ; filename=inline', false],
    ].map(([value, sandboxed]) => [adapter, value, sandboxed] as const),
  ),
)('on %s, HTML under Content-Disposition %j is in a sandbox: %s', async (adapter, value, sandboxed) => {
  await start(adapter);
  const { headers, status } = await get(`/spelled/${encodeURIComponent(String(value))}`);
  expect(status).toBe(200);
  expect(SANDBOX.test(headers['content-security-policy'] as string)).toBe(sandboxed);
});

it.each(ADAPTERS)('on %s, enableCors and the delivery expose their headers together', async (adapter) => {
  await start(adapter, {
    configure: (nest) =>
      nest.enableCors({
        origin: 'https://app.example',
        exposedHeaders: ['X-Total', 'etag'],
        credentials: true,
      }),
  });
  const { headers } = await get('/plain');
  expect(headers['access-control-expose-headers']).toBe(
    'X-Total, ETag, Content-Disposition, Content-Range, Accept-Ranges, Repr-Digest',
  );
  expect(headers['access-control-allow-origin']).toBe('https://app.example');
});

it.each(ADAPTERS)(
  "on %s, what a middleware says of files is not taken for the handler's",
  async (adapter) => {
    await start(adapter, {
      configure: (nest) =>
        nest.use((_request: unknown, response: any, next: () => void) => {
          response.setHeader('Content-Type', 'text/html');
          response.setHeader('ETag', '"of-the-middleware"');
          response.setHeader('Content-Disposition', 'inline');
          response.setHeader('Cache-Control', 'public, max-age=60');
          next();
        }),
    });
    const { headers } = await get('/plain');
    expect(headers).toMatchObject({
      'content-type': 'application/pdf',
      'content-disposition': 'attachment',
      'cache-control': 'private, no-store, no-transform',
    });
    expect(headers.etag).not.toBe('"of-the-middleware"');
    expect((await get('/text')).headers['content-type']).toContain('text/html');
  },
);

it.each(ADAPTERS)("on %s, @Header() is the handler's", async (adapter) => {
  await start(adapter, { configure: (nest) => useHelmet(nest, adapter) });
  expect((await get('/declared')).headers).toMatchObject({
    'cache-control': 'private, max-age=9',
    'access-control-expose-headers': 'X-Mine',
    'content-type': expect.stringContaining('text/x-mine') as unknown,
    'content-security-policy': "default-src 'self'",
  });
});

/** Nest's own filter, and one of the application that says nothing of caching. */
@Catch()
class ApplicationFilter implements ExceptionFilter {
  catch(error: any, host: any): void {
    const status = error instanceof HttpException ? error.getStatus() : 500;
    const response = host.switchToHttp().getResponse();
    response.status(status).send({ problem: status });
  }
}

const ERRORS = [
  'throws/404',
  'throws/500',
  'throws/403',
  'throws/429',
  'piped/x',
  'missing',
  'slow',
  'outer',
];

it.each(
  ADAPTERS.flatMap((adapter) =>
    ERRORS.flatMap((path) => [false, true].map((own) => [adapter, path, own] as const)),
  ),
)('on %s, the error of /%s carries nothing of the file; own filter: %s', async (adapter, path, own) => {
  await start(adapter, {
    configure: (nest) => void (own && nest.useGlobalFilters(new ApplicationFilter())),
  });
  const { status, headers, json } = await get(`/${path}`);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(json).toBeTypeOf('object');
  expect(headers['content-type']).toContain('application/json');
  expect(headers['cache-control']).toBe('no-store');
  for (const name of Object.keys(OF_THE_FILE)) {
    const value = headers[name.toLowerCase()];
    if (name === 'ETag' && value !== undefined) {
      // Express makes one of the error's own bytes
      expect(value).toMatch(/^W\//);
    } else if (!['Content-Type', 'Content-Length', 'Cache-Control'].includes(name)) {
      expect([name, value]).toEqual([name, undefined]);
    }
  }
  expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
});

it.each(
  ADAPTERS.flatMap((adapter) =>
    ['enveloped', 'enveloped-inside', 'copied', 'copied-inside', 'copied-redirect'].map(
      (path) => [adapter, path] as const,
    ),
  ),
)('on %s, a file in an envelope is a 500 that the log explains: /%s', async (adapter, path) => {
  await start(adapter);
  const { status, headers, text } = await get(`/${path}`);
  expect(status).toBe(500);
  expect(text).not.toContain('hostname');
  expect(headers['content-type']).toContain('application/json');
  expect(headers['cache-control']).toMatch(/\bno-store\b/);
  expect([headers['content-disposition'], headers['last-modified'], headers['accept-ranges']]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(logger.text).toContain('wraps every answer');
});

it.each(ADAPTERS)('on %s, a Download passes a serializer inside and outside', async (adapter) => {
  await start(adapter, {
    configure: (nest) =>
      nest.useGlobalInterceptors(
        new ClassSerializerInterceptor(nest.get(Reflector), { strategy: 'exposeAll' }),
      ),
  });
  const { status, headers, body } = await get('/serialized/download');
  expect([status, headers['content-disposition'], body.equals(PAGE)]).toEqual([
    200,
    'attachment; filename=a.txt',
    true,
  ]);
});

it.each(ADAPTERS)('on %s, a Download of a handler that is not marked shows no path', async (adapter) => {
  await start(adapter);
  const { status, text } = await get('/unmarked');
  expect([status, text.includes('hostname')]).toEqual([500, false]);
  expect(logger.text).toContain('without @StreamDownload()');
});

it('neither a Download nor its inspection shows where the bytes are', () => {
  const download = Download.file('/srv/secret/place');
  expect(() => JSON.stringify({ download })).toThrow(/wraps every answer/);
  app = { close: () => Promise.resolve() } as TestApp;
});

it.each(ADAPTERS)(
  'on %s, a handler that answers by hand has the common headers, and its own win',
  async (adapter) => {
    await start(adapter, { configure: (nest) => useHelmet(nest, adapter) });
    const { status, headers, text } = await get('/by-hand');
    expect([status, text]).toEqual([200, 'by hand']);
    expect(headers).toMatchObject({
      'cache-control': 'private, no-store, no-transform',
      'referrer-policy': 'origin',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-site',
    });
    expect(headers['content-type']).toContain('text/plain');
  },
);

it.each(ADAPTERS)('on %s, a redirect is not cached unless it says so', async (adapter) => {
  await start(adapter);
  for (const method of ['GET', 'HEAD']) {
    const { status, headers } = await get('/redirect', method);
    expect([status, headers.location, headers['cache-control']]).toEqual([
      302,
      '/media/a%20b%5Cc.pdf?x=1#y',
      'no-store',
    ]);
  }
  const { headers } = await get('/kept-redirect');
  expect([headers.location, headers['cache-control']]).toEqual(['../media', 'private, max-age=60']);
});

it.each(ADAPTERS)('on %s, a handler that returns no file is warned about once', async (adapter) => {
  await start(adapter);
  await get('/text');
  await get('/text');
  const lines = logger.lines.filter((line) => line.includes('Return a StreamableFile or a Download'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/warn.*FilesController\.text.*a string/);
});

it.each(ADAPTERS)('on %s, JSON refusals are not sniffed', async (adapter) => {
  await start(adapter);
  const { status, headers } = await app.request('/plain');
  expect([status, headers['x-content-type-options']]).toEqual([401, 'nosniff']);
});

@Controller()
class CachedController {
  @Get('cached')
  @StreamDownload({ delivery: { cacheControl: 'max-age=60, s-maxage=60' } })
  cached() {
    return Download.buffer(PAGE);
  }
}

it('a start warns of a cacheControl that lets shared caches give files away', async () => {
  logger.lines.length = 0;
  app = await startApp({
    adapter: 'express',
    controllers: [CachedController, FilesController],
    options: { secret: SECRET, delivery: { cacheControl: 'public, max-age=60' } },
    logger,
  });
  const warnings = logger.lines.filter((line) => line.includes('shared caches'));
  expect(warnings).toEqual([
    expect.stringMatching(/^warn forRoot: .*"public, max-age=60"/),
    expect.stringMatching(/^warn CachedController\.cached: .*s-maxage/),
  ]);
});
