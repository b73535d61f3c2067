import { Controller, Get, NotFoundException, Param } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../lib/index.js';
import type { CreateLinkOptions } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { MemoryLogger } from './support/memory-logger.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { TestApp } from './support/test-app.js';

/** What the functions of the application do, by the name of their option. */
let hooks: Record<string, () => unknown> = {};
const hook = (option: string, otherwise: unknown) => (): any => (hooks[option] ? hooks[option]() : otherwise);

@Controller()
class FilesController {
  @Get('files/:name')
  @StreamDownload()
  file(@Param('name') name: string) {
    if (name === 'missing') {
      const fail = () => Promise.reject(new Error('unreachable'));
      return Download.source({ length: 5, open: fail, missing: hook('missing', false) });
    }
    return Download.buffer(Buffer.from('bytes'));
  }

  @Get('guarded')
  @StreamDownload({ auth: 'public', subject: hook('subject', 'ada') })
  guarded() {
    return Download.buffer(Buffer.from('bytes'));
  }
}

type Ask = (app: TestApp) => ReturnType<TestApp['request']>;

const link =
  (options: CreateLinkOptions = {}, name = 'a'): Ask =>
  (app) =>
    app.request(app.get(DownloadLinks).create(FilesController, 'file', { params: { name }, ...options }).url);
const access: Ask = (app) => app.request('/files/a', { headers: bearer(accessToken()) });

/** Requests that call each of them. */
const requests: Record<string, Ask> = {
  validate: access,
  notIssuedBefore: access,
  subject: (app) => app.request('/guarded'),
  'links.validate': link(),
  'leases.isBot': link({ maxDownloads: 1 }),
  'leases.clientKey': link({ maxDownloads: 1 }),
  challenge: (app) => {
    const { url } = app.get(DownloadLinks).create(FilesController, 'file', { params: { name: 'a' }, challenge: true });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return app.request(url, { method: 'POST', headers, body: 'answer=right' });
  },
  missing: link({}, 'missing'),
}; // prettier-ignore

describe.each(ADAPTERS)('a function of the application, on %s', (adapter) => {
  let app: TestApp;
  const logger = new MemoryLogger();
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [FilesController],
      logger,
      options: {
        secret: SECRET,
        validate: hook('validate', {}),
        notIssuedBefore: hook('notIssuedBefore', undefined),
        challenge: hook('challenge', true),
        links: { validate: hook('links.validate', {}) },
        leases: { isBot: hook('leases.isBot', false), clientKey: hook('leases.clientKey', 'client') },
      },
    });
  });
  afterAll(() => app.close());
  beforeEach(() => {
    hooks = {};
    logger.lines.splice(0);
  });

  const options = Object.keys(requests);
  const ways = options.flatMap((option) => [[option, 'throws'], [option, 'rejects']] as const); // prettier-ignore
  it.each(ways)('that fails is named in the log: %s %s', async (option, way) => {
    hooks[option] = () => {
      const error = new Error(`${way} in ${adapter}`);
      if (way === 'throws') {
        throw error;
      }
      return Promise.reject(error);
    };
    const { status, text } = await requests[option]!(app);
    expect(status).toBe(500);
    expect(text).not.toContain('throws');
    // A function that has to answer at once is refused for its promise, before that fails
    expect(logger.text).toMatch(new RegExp(`${option}(?: failed)?: `));
    expect(logger.text).not.toMatch(/eyJ/);
    delete hooks[option];
    const after = await requests[option]!(app);
    expect(after.status).toBe({ challenge: 303, missing: 500 }[option] ?? 200);
  });

  it.each(options.filter((option) => option !== 'missing'))('may answer with an HttpException: %s', async (option) => {
    hooks[option] = () => {
      throw new NotFoundException();
    };
    expect((await requests[option]!(app)).status).toBe(404);
    expect(logger.text).not.toContain('failed');
  }); // prettier-ignore

  it.each([
    ['validate', false, 403],
    ['links.validate', undefined, 403],
    ['subject', 'ada', 200],
    ['challenge', false, 403],
    ['leases.isBot', false, 200],
    ['leases.isBot', true, 403],
    ['notIssuedBefore', new Date(Date.now() + 60_000), 401],
    // These have to answer at once
    ['leases.clientKey', 'client', 500],
    ['missing', false, 500],
  ])('may be async, or is refused: %s that resolves to %s', async (option, answer, status) => {
    hooks[option] = () => Promise.resolve(answer);
    expect((await requests[option]!(app)).status).toBe(status);
    if (status === 500) {
      expect(logger.text).toContain(`${option}: return the answer itself, not a promise.`);
    }
  });
});

it('Download.source() refuses an async function where the answer is needed at once', () => {
  const source = { length: 5, open: () => Promise.reject(new Error()), missing: async () => true };
  expect(() => Download.source(source as never)).toThrow(/missing: give a function that is not async/);
});
