import { afterEach, describe, expect, it, vi } from 'vitest';
import { Controller, Get } from '@nestjs/common';
import { StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { expectRefusal } from '../support/refusal.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

@Controller('files')
class FilesController {
  @Get('default')
  @StreamDownload()
  byDefault(): string {
    return 'the file';
  }

  @Get('always')
  @StreamDownload({ requireSecureConnection: true })
  always(): string {
    return 'the file';
  }

  @Get('never')
  @StreamDownload({ requireSecureConnection: false })
  never(): string {
    return 'the file';
  }
}

describe.each(ADAPTERS)('a connection without TLS on %s', (adapter) => {
  let app: TestApp;
  let logger: MemoryLogger;
  afterEach(async () => {
    vi.unstubAllEnvs();
    await app.close();
  });
  const start = async (options: Partial<DownloadAuthOptions>, trusted: boolean, https?: object) => {
    logger = new MemoryLogger();
    app = await startApp({
      adapter,
      controllers: [FilesController],
      options: { secret: SECRET, ...options },
      logger,
      https: https as undefined,
      fastify: { trustProxy: trusted && 'loopback' },
      configure: (app: any) =>
        adapter === 'express' ? app.set('trust proxy', trusted && 'loopback') : undefined,
    });
  };
  const ask = (path: string, headers: object = {}) =>
    app.request(`/files/${path}`, { headers: { ...bearer(accessToken()), ...headers } });

  it('is good enough unless it is said otherwise', async () => {
    await start({}, false);
    expect((await ask('default')).status).toBe(200);
    expectRefusal(await ask('always'), 403, 'INSECURE_CONNECTION', accessToken());
  });

  it('is refused when NODE_ENV is production, and the answer says what to configure', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    await start({}, false);
    const answer = await ask('default');
    expectRefusal(answer, 403, 'INSECURE_CONNECTION', accessToken());
    expect(answer.json.message).toMatch(/"trust proxy" on Express, trustProxy on Fastify/);
    expect((await ask('never')).status).toBe(200);
  });

  it('is announced as refused by one line at start, in production by default', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    await start({}, false);
    await ask('default');
    const lines = logger.lines.filter((line) => line.includes('INSECURE_CONNECTION'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^warn .*'trust proxy'.*trustProxy.*requireSecureConnection: false/);
  });

  it.each<[string, string, Partial<DownloadAuthOptions>, object?]>([
    ['outside of production', 'development', {}],
    ['where it is allowed', 'production', { requireSecureConnection: false }],
    ['where it is refused on purpose', 'production', { requireSecureConnection: true }],
    ['where the server itself has TLS', 'production', {}, {}],
  ])('is not announced as refused %s', async (_name, environment, options, https) => {
    vi.stubEnv('NODE_ENV', environment);
    await start(options, false, https);
    expect(logger.text).not.toContain('INSECURE_CONNECTION');
  });

  it('is allowed in production where that is said', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    await start({ requireSecureConnection: false }, false);
    expect((await ask('default')).status).toBe(200);
  });

  it.each([
    { 'x-forwarded-proto': 'https' },
    { 'X-Forwarded-Proto': 'HTTPS', 'x-forwarded-for': '127.0.0.1' },
    { 'x-forwarded-protocol': 'https' },
    { 'x-forwarded-ssl': 'on', 'front-end-https': 'on', 'x-url-scheme': 'https' },
    { forwarded: 'proto=https' },
  ])('is not made secure by %j from who is not trusted', async (headers) => {
    await start({ requireSecureConnection: true }, false);
    expectRefusal(await ask('default', headers), 403, 'INSECURE_CONNECTION', accessToken());
  });

  it.each([
    ['https', 200],
    ['http', 403],
    ['', 403],
    ['wss', 403],
  ])('is what a trusted proxy says: %j', async (proto, status) => {
    await start({ requireSecureConnection: true }, true);
    expect((await ask('default', proto === '' ? {} : { 'x-forwarded-proto': proto })).status).toBe(status);
  });

  it('a refusal of it takes the token out of the URL all the same', async () => {
    await start({ requireSecureConnection: true }, false);
    const token = accessToken();
    expectRefusal(await app.request(`/files/default?ss-tok=${token}`), 403, 'INSECURE_CONNECTION', token);
  });
});
