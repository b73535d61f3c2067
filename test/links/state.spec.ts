import { Controller, createParamDecorator, Get, Param, Res, StreamableFile } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Download,
  DownloadAuthConfigurationError,
  DownloadEvents,
  DownloadLinks,
  Grant,
  MemoryLeaseStore,
  StreamDownload,
} from '../../lib/index.js';
import type { CreateLinkOptions, DownloadGrant, LinkedState } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { receive } from '../support/http-client.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const SHARED = new Date('2026-01-31T12:00:00.123Z');
/** What shares depend on; a share that is not here does not exist. */
const states: Record<string, LinkedState> = {};

const file = (text: string) => new StreamableFile(Buffer.from(text));

/** The response of node:http, unbeknown to Nest. */
const RawResponse = createParamDecorator((_, context: ExecutionContext) => {
  const response = context.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
  return response.raw ?? response;
});

@Controller('shares')
class SharesController {
  constructor(private readonly links: DownloadLinks) {}

  @Get('careless/:id')
  @StreamDownload()
  careless(@Param('id') id: string) {
    const answers: Record<string, unknown> = {
      file: file('careless'),
      object: { careless: true },
      redirect: Download.redirect('https://bucket.example/file'),
    };
    return answers[id];
  }

  @Get('by-hand/:id')
  @StreamDownload()
  byHand(@Param('id') id: string, @Grant() grant: DownloadGrant, @Res() response: { send(text: string): void }) {
    if (id !== 'careless') {
      this.links.requireState(grant, states[id]);
    }
    response.send('by hand');
  }

  @Get('secretly/:id')
  @StreamDownload()
  secretly(@Param('id') id: string, @Grant() grant: DownloadGrant, @RawResponse() answer: ServerResponse) {
    this.links.requireState(grant, states[id]);
    answer.end('secretly');
  }

  @Get('object/:id')
  @StreamDownload()
  object(@Param('id') id: string, @Grant() grant: DownloadGrant) {
    this.links.requireState(grant, states[id]);
    return { id };
  }

  @Get('misused/:id')
  @StreamDownload()
  misused(@Grant() grant: DownloadGrant) {
    this.links.requireState(grant, new Date(NaN));
    return file('misused');
  }

  @Get(':id/:file')
  @StreamDownload()
  file(
    @Param() { id, file: name }: Record<string, string>,
    @Grant() grant: DownloadGrant,
    @Res({ passthrough: true }) response: { header(name: string, value: string): void },
  ) {
    this.links.requireState(grant, states[id!]);
    response.header('X-Transport', String(grant.transport));
    return file(`${name} of ${id}`);
  }
} // prettier-ignore

describe.each(ADAPTERS)('a link that depends on a state, on %s', (adapter) => {
  let app: TestApp;
  let links: DownloadLinks;
  const logger = new MemoryLogger();
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [SharesController], logger });
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  const mint = (id: string, options: CreateLinkOptions) =>
    links.create(SharesController, 'file', { params: { id, file: 'a' }, ...options });

  it.each<[string, LinkedState, LinkedState | undefined]>([
    ['a date', SHARED, new Date(SHARED.getTime() + 1)],
    ['a number', 1, 2],
    ['a text', 'on', 'off'],
    ['true', true, false],
    ['null', null, SHARED],
    ['a list', [SHARED, 'ada', null], [SHARED, 'eve', null]],
    ['what no longer exists', 1, undefined],
    ['a number that became a text', 1, '1'],
    ['null that became a text', null, 'null'],
    ['a list that became its only member', ['on'], 'on'],
  ])(
    'opens as long as it is the same, and is revoked when it is another: %s',
    async (_name, state, other) => {
      states.share = state;
      const { url, token } = mint('share', { state });
      expect((await app.request(url)).text).toBe('a of share');
      states.share = other!;
      expectRefusal(await app.request(url), 410, 'LINK_REVOKED', token);
      states.share = state;
      expect((await app.request(url)).status).toBe(200);
    },
  );

  it('opens with a state that a database gives back as a text', async () => {
    states.share = SHARED.toISOString();
    expect((await app.request(mint('share', { state: SHARED }).url)).status).toBe(200);
  });

  it('does not tell what it depends on, and has another digest for another resource', async () => {
    const [one, other] = await Promise.all(
      ['one', 'other'].map((id) => links.inspect(mint(id, { state: 'a secret' }).token)),
    );
    expect(one!.state).toMatch(/^[\w-]{22}$/);
    expect(one!.state).not.toBe(other!.state);
  });

  it('is refused without a state, where its handler asks for one', async () => {
    states.share = 1;
    const { url, token } = mint('share', {});
    expectRefusal(await app.request(url), 410, 'LINK_REVOKED', token);
  });

  it('is no concern of a request without a link', async () => {
    const answer = await app.request('/shares/share/a', { headers: bearer(accessToken()) });
    expect(answer.text).toBe('a of share');
  });

  it('holds for every file of a collection, by the companion cookie too', async () => {
    states.share = 1;
    const { url, token } = mint('share', { state: 1, free: ['file'] });
    const [line = ''] = (await app.request(url)).headers['set-cookie'] ?? [];
    const headers = { cookie: line.split(';', 1)[0] };
    expect((await app.request('/shares/share/b', { headers })).text).toBe('b of share');
    states.share = 2;
    expectRefusal(await app.request('/shares/share/b', { headers }), 410, 'LINK_REVOKED', token);
  });

  it.each(['file', 'object', 'redirect'])(
    'is answered with 500 where its handler does not look at it, and returns: %s',
    async (id) => {
      const { url } = links.create(SharesController, 'careless', { params: { id }, state: 1 });
      const answer = await app.request(url);
      expect([answer.status, answer.text]).not.toContain('careless');
      expect(answer.status).toBe(500);
      expect(answer.headers).not.toHaveProperty('location');
      expect(logger.text).toContain('SharesController.careless does not look at the state');
      expect(logger.text).toContain('links.requireState(grant, share.updatedAt)');
      const without = links.create(SharesController, 'careless', { params: { id } });
      expect((await app.request(without.url)).status).toBeLessThan(400);
    },
  );

  it('breaks off where a handler answers by hand and does not look at it', async () => {
    const create = (id: string) => links.create(SharesController, 'byHand', { params: { id }, state: 1 });
    states.careful = 1;
    expect((await app.request(create('careful').url)).text).toBe('by hand');
    states.careful = 2;
    expect((await app.request(create('careful').url)).status).toBe(410);
    const answer = await receive(app.url + create('careless').url);
    expect([answer.status, answer.text]).toEqual([0, '']);
    expect(logger.text).toContain('SharesController.byHand does not look at the state');
  });

  it('is answered with 500 where its handler gives what cannot be one', async () => {
    const { url } = links.create(SharesController, 'misused', { params: { id: 'a' }, state: 1 });
    expect((await app.request(url)).status).toBe(500);
    expect(logger.text).toContain('links.requireState: state: give a string, a number');
  });

  it.each<[object, RegExp]>([
    [{ state: undefined }, /state: undefined would make a link that depends on nothing/],
    [{ state: new Date(NaN) }, /state: give a string, a number, a boolean, a valid Date/],
    [{ state: NaN }, /state: give/],
    [{ state: {} }, /state: give/],
    [{ state: [1, undefined] }, /state: give/],
    [{ claims: { st: 'x' } }, /claims\.st: this name is reserved/],
  ])('is not made of %o', (options, says) => {
    expect(() => mint('share', options)).toThrow(DownloadAuthConfigurationError);
    expect(() => mint('share', options)).toThrow(says);
  });
});

/** A store that counts how often it is asked or told something. */
function countingStore() {
  const store = Object.assign(new MemoryLeaseStore(), { calls: 0 });
  for (const name of ['read', 'commit', 'revoke'] as const) {
    const call = store[name].bind(store) as (...args: unknown[]) => unknown;
    Object.assign(store, { [name]: (...args: unknown[]) => (store.calls++, call(...args)) });
  }
  return store;
}

describe.each(ADAPTERS)('a state and the store, on %s', (adapter) => {
  const store = countingStore();
  const logger = new MemoryLogger();
  let app: TestApp;
  let links: DownloadLinks;
  beforeAll(async () => {
    const options = { secret: SECRET, leases: { store } };
    app = await startApp({ adapter, controllers: [SharesController], logger, options });
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  const mint = (options: CreateLinkOptions) =>
    links.create(SharesController, 'file', { params: { id: 'x', file: 'a' }, ...options });

  /** The status of an answer, and how often the store was called for it. */
  const ask = async (url: string, headers = {}) => {
    const before = store.calls;
    return [(await app.request(url, { headers })).status, store.calls - before];
  };

  /** The companion cookie of a collection. */
  const companionOf = async ({ url }: { url: string }) => {
    const [line = ''] = (await app.request(url)).headers['set-cookie'] ?? [];
    return line.split(';', 1)[0]!;
  };

  it.each<[string, CreateLinkOptions]>([
    ['a link', { state: 1 }],
    ['a link that must be revocable', { state: 1, revocable: true }],
    ['a limited link', { state: 1, maxDownloads: 1 }],
    ['a collection', { state: 1, free: ['file'] }],
  ])('without a call to it, a state that changed is found out: %s', async (_name, options) => {
    const { url } = mint(options);
    states.x = 2;
    expect(await ask(url)).toEqual([410, 0]);
    states.x = 1;
    expect(await ask(url)).toEqual([200, expect.toSatisfy((calls) => calls > 0)]);
  });

  it('without a call to it, a state that changed is found out by the companion cookie', async () => {
    states.x = 1;
    const cookie = await companionOf(mint({ state: 1, free: ['file'] }));
    expect(await ask('/shares/x/b', { cookie })).toEqual([200, 1]);
    states.x = 2;
    expect(await ask('/shares/x/b', { cookie })).toEqual([410, 0]);
  });

  it('is asked about a link whose state is the same, and its revocation holds', async () => {
    states.x = 1;
    const link = mint({ state: 1 });
    const object = links.create(SharesController, 'object', { params: { id: 'x' }, state: 1 });
    const byHand = links.create(SharesController, 'byHand', { params: { id: 'x' }, state: 1 });
    for (const { url, token, id } of [link, object, byHand]) {
      expect(await ask(url)).toEqual([200, 1]);
      await links.revoke({ link: id });
      expectRefusal(await app.request(url), 410, 'LINK_REVOKED', token);
    }
  });

  it('does not let a revoked companion cookie refuse what an access token allows', async () => {
    states.x = 1;
    const link = mint({ state: 1, free: ['file'] });
    const cookie = await companionOf(link);
    await links.revoke({ link: link.id });
    expectRefusal(await app.request('/shares/x/b', { headers: { cookie } }), 410, 'LINK_REVOKED');
    const both = `${cookie}; ss-tok=${accessToken()}`;
    expect((await app.request('/shares/x/b', { headers: { cookie: both } })).text).toBe('b of x');
  });

  it('a companion cookie whose state changed refuses nothing that something else allows', async () => {
    states.x = 1;
    const link = mint({ state: 1, free: ['file'], reuseWithin: '1m' });
    const companion = await companionOf(link);
    states.x = 2;
    const other = await companionOf(mint({ state: 2, free: ['id', 'file'] }));
    const refused: unknown[] = [];
    const watching = app
      .get(DownloadEvents)
      .subscribe((event) => event.type === 'refused' && refused.push(event));
    for (const [beside, transport] of [
      [`ss-tok=${accessToken()}`, 'cookie'],
      [other, 'companion'],
    ] as const) {
      for (const cookie of [`${companion}; ${beside}`, `${beside}; ${companion}`]) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await app.request('/shares/x/b', { method, headers: { cookie } });
          expect([answer.status, answer.headers['x-transport']]).toEqual([200, transport]);
          expect(answer.headers['cache-control']).toBe('private, no-store, no-transform');
          expect(answer.headers.etag).toBeDefined();
        }
      }
    }
    expect(refused).toEqual([]);
    states.x = 3;
    const both = { cookie: `${companion}; ${other}` };
    expectRefusal(await app.request('/shares/x/b', { headers: both }), 410, 'LINK_REVOKED');
    const stranger = { cookie: `${companion}; ss-tok=nonsense` };
    expectRefusal(await app.request('/shares/x/b', { headers: stranger }), 410, 'LINK_REVOKED');
    const event = { code: 'LINK_REVOKED', transport: 'companion' };
    expect(refused).toMatchObject([event, { ...event, linkId: link.id }]);
    watching.unsubscribe();
  });

  it('is asked before a handler sends anything behind the back of its decorators', async () => {
    states.x = 1;
    const { url } = links.create(SharesController, 'secretly', { params: { id: 'x' }, state: 1 });
    expect((await receive(app.url + url)).text).toBe('');
    expect(logger.text).toContain('SharesController.secretly sends its answer before it is known');
    expect(logger.text).toContain('write @Res()');
  });
});

it('a state fits after the key was rotated', async () => {
  const [old, next] = [SECRET, `${SECRET} of next year`];
  const start = (secret: string[]) =>
    startApp({
      adapter: 'express',
      controllers: [SharesController],
      options: { secret: SECRET, links: { secret } },
    });
  const [before, after] = [await start([old]), await start([next, old])];
  states.share = 1;
  const { url } = before
    .get(DownloadLinks)
    .create(SharesController, 'file', { params: { id: 'share', file: 'a' }, state: 1 });
  expect((await after.request(url)).status).toBe(200);
  states.share = 2;
  expect((await after.request(url)).status).toBe(410);
  await Promise.all([before.close(), after.close()]);
});
