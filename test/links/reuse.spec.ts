import { Controller, Get, Header, NotFoundException, Param, Res, StreamableFile } from '@nestjs/common';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download, DownloadAuthConfigurationError, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions, DownloadAuthOptions } from '../../lib/index.js';
import { testClock } from '../support/clock.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const MINUTE = 60_000;
/** The beginning of a window of 10 minutes. */
const START = 1_800_000_000_000;
const NO_STORE = 'private, no-store, no-transform';

interface Response {
  header(name: string, value: string): void;
  send(body: string): void;
}

@Controller('pictures')
class PicturesController {
  @Get(':id')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  picture(@Param('id') id: string) {
    const circle = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>${id}</text></svg>`;
    return new StreamableFile(Buffer.from(circle), { type: 'image/svg+xml' });
  }

  @Get(':id/chosen')
  @StreamDownload()
  chosen(@Res({ passthrough: true }) response: Response) {
    response.header('Cache-Control', 'private, max-age=7');
    return new StreamableFile(Buffer.from('chosen'));
  }

  @Get(':id/declared')
  @Header('Cache-Control', 'no-cache')
  @StreamDownload()
  declared() {
    return new StreamableFile(Buffer.from('declared'));
  }

  @Get(':id/of-route')
  @StreamDownload({ delivery: { cacheControl: NO_STORE } })
  ofRoute() {
    return new StreamableFile(Buffer.from('of the route'));
  }

  @Get(':id/missing')
  @StreamDownload()
  missing() {
    throw new NotFoundException();
  }

  @Get(':id/elsewhere')
  @StreamDownload()
  elsewhere() {
    return Download.redirect('https://bucket.example/picture');
  }

  @Get(':id/by-hand')
  @StreamDownload()
  byHand(@Res() response: Response) {
    response.send('by hand');
  }
}

const clock = testClock(START);
beforeEach(() => clock.advance(START - clock()));

async function start(adapter: AdapterName, options: Partial<DownloadAuthOptions> = {}): Promise<TestApp> {
  return startApp({
    adapter,
    controllers: [PicturesController],
    options: { secret: SECRET, clock, ...options },
  });
}

const REUSE = { params: { id: '1' }, reuseWithin: '10m', expiresIn: '5m' } as const;

function mint(app: TestApp, options: CreateLinkOptions = {}, handler: keyof PicturesController = 'picture') {
  return app.get(DownloadLinks).create(PicturesController, handler as 'picture', { ...REUSE, ...options });
}

describe.each(ADAPTERS)('a link that may be reused on %s', (adapter) => {
  const apps: Record<string, TestApp> = {};
  let app: TestApp;
  beforeAll(async () => {
    apps.usual = app = await start(adapter);
    apps.shortening = await start(adapter, { links: { maxAge: '12m' }, leases: { resumeWithin: '1h' } });
    apps.uncached = await start(adapter, { delivery: { cacheControl: NO_STORE } });
  });
  afterAll(() => Promise.all(Object.values(apps).map((one) => one.close())));

  it('is the same within its time, and another afterwards', async () => {
    const first = mint(app);
    clock.advance(10 * MINUTE - 1);
    expect(mint(app)).toEqual(first);
    clock.advance(1);
    const next = mint(app);
    expect([next.url, next.id]).not.toEqual([first.url, first.id]);
  });

  it('lives for all of expiresIn where it is handed out last', async () => {
    clock.advance(10 * MINUTE - 1);
    const { url, token, expiresAt } = mint(app);
    expect(expiresAt).toEqual(new Date(START + 15 * MINUTE));
    clock.advance(5 * MINUTE);
    expect((await app.request(url)).status).toBe(200);
    clock.advance(1);
    const late = await app.request(url);
    expectRefusal(late, 410, 'LINK_EXPIRED', token);
    expect(late.headers['cache-control']).toBe('no-store');
  });

  it('begins no earlier than notBefore, and ends at expiresAt', async () => {
    const terms = {
      expiresIn: undefined,
      notBefore: new Date(START + 2 * MINUTE),
      expiresAt: new Date(START + 5 * MINUTE),
    };
    const { url, token } = mint(app, terms);
    expectRefusal(await app.request(url), 403, 'LINK_NOT_YET_VALID', token);
    clock.advance(2 * MINUTE);
    expect(mint(app, terms).url).toBe(url);
    expect((await app.request(url)).headers['cache-control']).toBe('private, max-age=180, no-transform');
    clock.advance(3 * MINUTE);
    expectRefusal(await app.request(url), 410, 'LINK_EXPIRED', token);
  });

  it('stays revoked until its time is over', async () => {
    clock.advance(MINUTE);
    const params = { id: 'revoked' };
    const { url, token, id } = mint(app, { params });
    const resource = app.get(DownloadLinks).resource(PicturesController, 'picture', { params });
    await app.get(DownloadLinks).revoke({ link: id });
    expectRefusal(await app.request(url), 410, 'LINK_REVOKED', token);
    expect(mint(app, { params }).url).toBe(url);
    const anew = mint(app, { params, claims: { revision: 2 } });
    expect((await app.request(anew.url)).status).toBe(200);
    await app.get(DownloadLinks).revoke({ resource });
    const third = mint(app, { params, claims: { revision: 3 } });
    expectRefusal(await app.request(third.url), 410, 'LINK_REVOKED', third.token);
    clock.advance(9 * MINUTE);
    expect((await app.request(mint(app, { params }).url)).status).toBe(200);
  });

  it('says that it is one when it is inspected', async () => {
    const { token } = mint(app, { subject: 'ada' });
    expect(await apps.shortening!.get(DownloadLinks).inspect(token)).toMatchObject({
      subject: 'ada',
      reuseWithin: 600,
      issuedAt: new Date(START),
      expiresAt: new Date(START + 12 * MINUTE),
    });
  });

  it.each<[string, number, string, keyof PicturesController, object, string]>([
    ['as long as it is the same', 0, 'usual', 'picture', {}, 'private, max-age=600, no-transform'],
    ['no longer than the link lives', 12, 'usual', 'picture', {}, 'private, max-age=180, no-transform'],
    ['no longer than links.maxAge', 11, 'shortening', 'picture', {}, 'private, max-age=60, no-transform'],
    ['as the handler says', 0, 'usual', 'chosen', {}, 'private, max-age=7'],
    ['as @Header() says', 0, 'usual', 'declared', {}, 'no-cache'],
    ['as the route says', 0, 'usual', 'ofRoute', {}, NO_STORE],
    ['as the module says', 0, 'uncached', 'picture', {}, NO_STORE],
    ['not at all where the handler answers itself', 0, 'usual', 'byHand', {}, NO_STORE],
    ['not at all where it leads elsewhere', 0, 'usual', 'elsewhere', {}, 'no-store'],
    ['not at all where the handler throws', 0, 'usual', 'missing', {}, 'no-store'],
    ['not at all where a range cannot be had', 0, 'usual', 'picture', { range: 'bytes=9999-' }, 'no-store'],
    ['not at all without reuseWithin', 0, 'usual', 'picture', { reuseWithin: undefined }, NO_STORE],
  ])('lets browsers cache what it opens %s', async (_name, minutes, name, handler, given, expected) => {
    const { range, ...terms } = given as { range?: string; reuseWithin?: undefined };
    const serving = apps[name]!;
    const { url } = mint(serving, terms, handler);
    clock.advance(minutes * MINUTE);
    const answer = await serving.request(url, { headers: range ? { range } : {} });
    expect(answer.headers['cache-control']).toBe(expected);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  it('lets browsers cache nothing where the token is not in the URL', async () => {
    const { token } = mint(app);
    const { status, headers } = await app.request('/pictures/1', { headers: bearer(token) });
    expect([status, headers['cache-control']]).toEqual([200, NO_STORE]);
  });

  it('is not made where links.maxAge would end it while it is given out', () => {
    expect(() => mint(apps.shortening!, { reuseWithin: '12m' })).toThrow(/Write less than links\.maxAge/);
  });

  it('is not counted, whatever the module says of resumes, and is revalidated by its tag', async () => {
    const serving = apps.shortening!;
    const { url } = mint(serving);
    const { headers } = await serving.request(url);
    expect(headers['set-cookie']).toBeUndefined();
    const again = await serving.request(url, { headers: { 'if-none-match': headers.etag } });
    expect([again.status, again.headers['cache-control']]).toEqual([304, headers['cache-control']]);
    const part = await serving.request(url, { headers: { range: 'bytes=0-3' } });
    expect([part.status, part.headers['cache-control']]).toEqual([206, headers['cache-control']]);
  });

  it.each<[object, RegExp]>([
    [{ maxDownloads: 2 }, /reuseWithin: .*cannot have maxDownloads\. Leave one/],
    [{ strict: true }, /cannot have strict/],
    [{ byteBudget: 10 }, /cannot have byteBudget/],
    [{ resumeWithin: '1h' }, /cannot have resumeWithin/],
    [{ bindTo: { addresses: '192.0.2.0/24' } }, /cannot have bindTo\.addresses/],
    [{ reuseWithin: 0 }, /reuseWithin: .*'10m'/],
    [{ reuseWithin: 'soon' }, /reuseWithin: .*not a duration/],
    [{ expiresIn: 0 }, /in the future/],
    [{ reuseWithin: '6d', expiresIn: '2d' }, /7 days at most, reuseWithin included/],
    [{ claims: { win: 1 } }, /claims\.win.*reserved/],
  ])('is not made of %o', async (options, says) => {
    expect(() => mint(app, options)).toThrow(DownloadAuthConfigurationError);
    expect(() => mint(app, options)).toThrow(says);
  });
}); // prettier-ignore

it('a link that may be reused is the same on all nodes that share the key, and another with another key', async () => {
  const [old, next] = [SECRET, `${SECRET} of next year`];
  const nodes = await Promise.all(ADAPTERS.map((adapter) => start(adapter)));
  const rotated = await start('express', { links: { secret: [next, old] } });
  const links = nodes.map((node) => mint(node, { subject: 'ada' }));
  expect(links[0]).toEqual(links[1]);
  expect(mint(nodes[0]!, { subject: 'grace' }).url).not.toBe(links[0]!.url);
  const renewed = mint(rotated, { subject: 'ada' });
  expect([renewed.id, renewed.url]).not.toEqual([links[0]!.id, links[0]!.url]);
  expect((await rotated.request(links[0]!.url)).status).toBe(200);
  expect((await rotated.request(renewed.url)).status).toBe(200);
  await Promise.all([...nodes, rotated].map((node) => node.close()));
});

const TEXT = fc.string({ unit: 'grapheme', maxLength: 4 });
const TERMS = {
  params: fc.record({ id: fc.constantFrom('1', '2', '1/2') }),
  query: fc.dictionary(fc.constantFrom('size', 'crop'), fc.constantFrom('1', '2', ['1', '2'])),
  reuseWithin: fc.constantFrom('10m', '20m', 2400.5),
  expiresIn: fc.constantFrom('10m', '20m'),
  notBefore: fc.constantFrom(new Date(START), new Date(START + 1)),
  subject: fc.constantFrom('ada', 'grace', 'eve'),
  filename: TEXT,
  disposition: fc.constantFrom('inline', 'attachment'),
  revocable: fc.constant(true),
  claims: fc.dictionary(
    fc.constantFrom('a', 'b'),
    fc.oneof(TEXT, fc.integer(), fc.record({ x: TEXT, y: TEXT })),
    { minKeys: 1 },
  ),
};

it('a link that may be reused is the same however its terms are spelled, and another if any differs', async () => {
  const app = await start('express');
  const terms = fc.record(TERMS, { requiredKeys: ['params', 'query', 'reuseWithin'] });
  const names = fc.constantFrom(...(Object.keys(TERMS) as (keyof typeof TERMS)[]));
  const create = (given: object) =>
    app.get(DownloadLinks).create(PicturesController, 'picture', { ...given } as CreateLinkOptions).url;
  fc.assert(
    fc.property(terms, terms, names, (one, other, name) => {
      const url = create(one);
      expect(create(reversed(one) as object)).toBe(url);
      const varied: Record<string, unknown> = { ...one, [name]: other[name] };
      if (other[name] === undefined) {
        delete varied[name];
      }
      expect(create(varied) === url).toBe(isDeepStrictEqual(reversed(one[name]), reversed(other[name])));
    }),
    { numRuns: 300 },
  );
  await app.close();
});

/** The same members in another order. */
function reversed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) {
    return value;
  }
  const members = Object.entries(value).map(([name, member]) => [name, reversed(member)] as const);
  return Object.fromEntries(members.reverse());
}
