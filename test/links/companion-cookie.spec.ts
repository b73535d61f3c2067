import { Controller, Get, Param, StreamableFile } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadEvents, DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type {
  CreateLinkOptions,
  DownloadAuthOptions,
  DownloadEvent,
  DownloadGrant,
} from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { testClock } from '../support/clock.js';
import type { Answer } from '../support/http-client.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const MINUTE = 60_000;

class SessionGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
    return headers.cookie?.includes('session=ada') === true;
  }
}

/** Tells who it thinks is asking, and for what. */
abstract class Videos {
  @Get(':id/:file')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  file(@Param() { id, file }: { id: string; file: string }, @Grant() grant: DownloadGrant) {
    const { kind, subject, transport } = grant;
    return new StreamableFile(Buffer.from(JSON.stringify({ id, file, kind, subject, transport })));
  }
}

@Controller('token')
class TokenController extends Videos {}

@Controller('guard')
@StreamDownload({ auth: SessionGuard })
class GuardController extends Videos {}

@Controller('public')
@StreamDownload({ auth: 'public' })
class PublicController extends Videos {}

@Controller('links')
@StreamDownload({ auth: 'links' })
class LinksController extends Videos {}

@Controller('off')
@StreamDownload({ transports: { companion: false } })
class OffController extends Videos {}

@Controller('strict')
@StreamDownload({ transports: { companion: 'same-site' } })
class StrictController extends Videos {}

const CONTROLLERS = {
  token: TokenController,
  guard: GuardController,
  public: PublicController,
  links: LinksController,
  off: OffController,
  strict: StrictController,
};
type Place = keyof typeof CONTROLLERS;

const clock = testClock();

const signedIn = (sub = 'ada') => accessToken({ sub, exp: clock() / 1000 + 3600 });

function start(adapter: AdapterName, options: Partial<DownloadAuthOptions> = {}): Promise<TestApp> {
  return startApp({
    adapter,
    controllers: Object.values(CONTROLLERS),
    options: { secret: SECRET, clock, ...options },
  });
}

function mint(app: TestApp, options: CreateLinkOptions & { place?: Place } = {}) {
  const { place = 'token', ...given } = options;
  return app.get(DownloadLinks).create(CONTROLLERS[place], 'file', {
    params: { id: '1', file: 'index.m3u8' },
    free: ['file'],
    subject: 'grace',
    ...given,
  });
}

/** `Set-Cookie` lines of companion cookies. */
function companions({ headers }: Answer): string[] {
  return (headers['set-cookie'] ?? []).filter((line) => line.startsWith('ss-open-'));
}

/** What a browser sends back after these answers. */
function jar(...answers: Answer[]): string {
  return answers.flatMap(companions).map((line) => line.split(';', 1)[0] as string).join('; ');
} // prettier-ignore

const BROWSER = { 'sec-fetch-mode': 'navigate', accept: 'text/html,*/*;q=0.8' };
const SEGMENT = { id: '1', file: 'seg-1.ts' };
const BY_LINK = { kind: 'link', subject: 'grace', transport: 'companion', ...SEGMENT };

describe.each(ADAPTERS)('the companion cookie of a collection, on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await start(adapter);
  });
  afterAll(() => app.close());

  const open = async (options?: Parameters<typeof mint>[1]) => app.request(mint(app, options).url);
  const segment = (cookie: string, place: Place = 'token', headers: object = {}) =>
    app.request(`/${place}/1/seg-1.ts`, { headers: { cookie, ...headers } });

  it('comes with the first answer, confined to the collection, and ends with the link', async () => {
    const { url, token } = mint(app, { expiresIn: '2m' });
    const [cookie, ...more] = companions(await app.request(url));
    expect(more).toEqual([]);
    expect(cookie).toMatch(/^ss-open-[\w-]{12}=/);
    expect(cookie?.split('; ')).toEqual([
      expect.stringMatching(new RegExp(`=${token}$`)),
      'Path=/token/1',
      'Max-Age=120',
      'HttpOnly',
      'SameSite=Lax',
      'Priority=Low',
    ]);
    clock.advance(MINUTE);
    expect(companions(await app.request(url))[0]).toContain('Max-Age=60');
  });

  it.each<[string, (token: string, url: string) => [string, object]]>([
    ['the token in the query', (_token, url) => [url, {}]],
    ['a HEAD', (_token, url) => [url, { method: 'HEAD' }]],
    ['a range', (_token, url) => [url, { headers: { range: 'bytes=0-1' } }]],
    ['the token in the header', (token) => ['/token/1/index.m3u8', { headers: bearer(token) }]],
  ])('comes for %s', async (_name, request) => {
    const { token, url } = mint(app);
    expect(companions(await app.request(...request(token, url)))).toHaveLength(1);
  });

  it('is not set again where the browser has it, nor by itself, nor by a refusal, nor by a link to one file', async () => {
    const { url } = mint(app);
    const cookie = jar(await app.request(url));
    expect(companions(await app.request(url, { headers: { cookie } }))).toEqual([]);
    expect(companions(await segment(cookie))).toEqual([]);
    const elsewhere = url.replace('/token/1/', '/token/2/');
    expect(companions(await app.request(elsewhere))).toEqual([]);
    expect(companions(await open({ free: undefined }))).toEqual([]);
  });

  it.each<[Place]>([['token'], ['guard'], ['public'], ['links']])(
    "opens the collection without a token in the URL, where auth is '%s'",
    async (place) => {
      const cookie = jar(await open({ place }));
      for (const method of ['GET', 'HEAD']) {
        const answer = await app.request(`/${place}/1/seg-1.ts`, { method, headers: { cookie } });
        expect(answer.status).toBe(200);
        if (method === 'GET') {
          expect(answer.json).toEqual(BY_LINK);
          expect(answer.headers).toMatchObject({ 'cache-control': 'private, no-store, no-transform', vary: 'Cookie' });
        }
      }
    },
  ); // prettier-ignore

  it.each<[string, Place, number, string?]>([
    ['another collection', 'token', 401, 'TOKEN_MISSING'],
    ['another collection', 'links', 403, 'LINK_MISSING'],
    ['another collection', 'guard', 403],
    ['another collection', 'public', 200],
  ])('of %s is as if it were not there (auth: %s)', async (_name, place, status, code) => {
    const cookie = jar(await open({ place }));
    const answer = await app.request(`/${place}/2/seg-1.ts`, { headers: { cookie } });
    expect([answer.status, answer.code]).toEqual([status, code]);
  });

  const endings: [string, (id: string) => unknown, string][] = [
    ['expired', () => clock.advance(6 * MINUTE), 'LINK_EXPIRED'],
    ['was revoked', (id) => app.get(DownloadLinks).revoke({ link: id }), 'LINK_REVOKED'],
  ];
  it.each(
    endings.flatMap(([name, end, code]) =>
      (['token', 'guard', 'links'] as const).map((place) => [name, place, end, code] as const),
    ),
  )(
    'says that its link %s, where nothing else lets the request in (auth: %s)',
    async (_n, place, end, code) => {
      const { url, id, token } = mint(app, { place });
      const cookie = jar(await app.request(url));
      await end(id);
      expectRefusal(await segment(cookie, place), 410, code as 'LINK_EXPIRED', token);
    },
  );

  it.each(endings)('whose link %s does not refuse who may in anyway', async (_name, end) => {
    const [token, guard, open] = (['token', 'guard', 'public'] as const).map((place) => mint(app, { place }));
    for (const [link, place, cookie, kind] of [
      [token!, 'token', `ss-tok=${signedIn()}`, 'access'],
      [guard!, 'guard', 'session=ada', 'other'],
      [open!, 'public', '', 'other'],
    ] as const) {
      const companion = jar(await app.request(link.url));
      await end(link.id);
      const answer = await segment(`${companion}; ${cookie}`, place);
      expect(answer.json).toMatchObject({ kind, ...SEGMENT });
    }
  });

  it('opens what is somebody else’s for a person who is signed in', async () => {
    const cookie = `ss-tok=${signedIn()}; ${jar(await open())}`;
    expect((await segment(cookie)).json).toEqual(BY_LINK);
    expect((await segment(cookie, 'token', bearer(signedIn()))).json).toMatchObject({ kind: 'access' });
    expect((await app.request('/token/2/seg-1.ts', { headers: { cookie } })).json).toMatchObject({
      kind: 'access',
      transport: 'cookie',
      id: '2',
    });
  });

  it('comes after a token in header and query, good or bad', async () => {
    const cookie = jar(await open());
    expectRefusal(await segment(cookie, 'token', bearer(accessToken({ exp: 1 }))), 401, 'TOKEN_EXPIRED');
    const answer = await app.request('/token/1/seg-1.ts?ss-tok=nonsense', { headers: { cookie } });
    expectRefusal(answer, 401, 'TOKEN_INVALID');
    expect((await segment(cookie, 'token', bearer('undefined'))).json).toEqual(BY_LINK);
  });

  it('of two collections in two tabs opens each of them', async () => {
    const other = await open({ params: { id: '2', file: 'index.m3u8' }, subject: 'eve' });
    const cookie = jar(await open(), other);
    expect((await segment(cookie)).json).toEqual(BY_LINK);
    const answer = await app.request('/token/2/seg-1.ts', { headers: { cookie } });
    expect(answer.json).toMatchObject({ id: '2', subject: 'eve' });
  });

  it('gives way to a newer link to the same collection', async () => {
    const [old, next] = [await open(), await open({ subject: 'eve' })];
    expect(jar(old).split('=')[0]).toBe(jar(next).split('=')[0]);
  });

  it('opens with the second link where the first of two that contain a file is revoked', async () => {
    const [narrow, wide] = [mint(app), mint(app, { free: ['id', 'file'], subject: 'eve' })];
    const cookie = jar(await app.request(narrow.url), await app.request(wide.url));
    await app.get(DownloadLinks).revoke({ link: narrow.id });
    expect((await segment(cookie)).json).toMatchObject({ subject: 'eve' });
    await app.get(DownloadLinks).revoke({ link: wide.id });
    expectRefusal(await segment(cookie), 410, 'LINK_REVOKED');
  });

  it('leaves no more than 8 of one path in a browser', async () => {
    const pairs: string[] = [];
    for (let size = 0; size < 8; size++) {
      pairs.push(jar(await open({ query: { size } })));
    }
    const { url } = mint(app, { query: { size: 8 } });
    const [set, cleared, ...more] = companions(
      await app.request(url, { headers: { cookie: pairs.join('; ') } }),
    );
    expect(set).toContain('Max-Age=300');
    expect(cleared?.split('; ')).toEqual(
      expect.arrayContaining([`${pairs[0]?.split('=')[0]}=`, 'Max-Age=0', 'Path=/token/1']),
    );
    expect(more).toEqual([]);
  });

  it.each<[string, string]>([
    ['an access token', signedIn()],
    ['a link to one file', ''],
    ['nonsense', 'x'],
    ['a token that is cut short', 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImRsK2p3dCJ9.x'],
  ])('with %s in it opens nothing', async (_name, value) => {
    const one = mint(app, { params: SEGMENT, free: undefined }).token;
    expectRefusal(await segment(`ss-open-x=${value || one}`), 401, 'TOKEN_MISSING');
  });

  it('is neither set nor read where the transport is off', async () => {
    const answer = await open({ place: 'off' });
    expect([answer.status, companions(answer)]).toEqual([200, []]);
    const cookie = `ss-open-x=${mint(app, { place: 'off' }).token}`;
    expectRefusal(await segment(cookie, 'off'), 401, 'TOKEN_MISSING');
  });

  it("is not read for requests of another site with 'same-site'", async () => {
    const cookie = jar(await open({ place: 'strict' }));
    const from = (site: string) => segment(cookie, 'strict', { 'sec-fetch-site': site });
    expect((await from('same-site')).json).toMatchObject({ kind: 'link' });
    expectRefusal(await from('cross-site'), 401, 'TOKEN_MISSING');
  });

  it('opens a link that is bound to who is signed in for that person alone, and not once they are signed out', async () => {
    const { url, token } = mint(app, { bindTo: { signedIn: true } });
    const ada = `ss-tok=${signedIn('grace')}`;
    const companion = jar(await app.request(url, { headers: { cookie: ada } }));
    expect((await segment(`${companion}; ${ada}`)).json).toEqual(BY_LINK);
    expectRefusal(await segment(companion), 403, 'LINK_SUBJECT', token);
    const eve = `ss-tok=${signedIn('eve')}`;
    expect((await segment(`${companion}; ${eve}`)).json).toMatchObject({ kind: 'access', subject: 'eve' });
  });

  it('may be cached by a browser with a link that stays the same, for who has the cookie', async () => {
    const first = await open({ reuseWithin: '10m' });
    expect(first.headers['cache-control']).toMatch(/^private, max-age=\d+, no-transform$/);
    const { headers } = await segment(jar(first));
    expect(headers).toMatchObject({ 'cache-control': first.headers['cache-control'], vary: 'Cookie' });
  });

  it('is named in what events and grants say', async () => {
    const { url, id } = mint(app);
    const cookie = jar(await app.request(url));
    const seen: DownloadEvent[] = [];
    const subscription = app.get(DownloadEvents).subscribe((event) => seen.push(event));
    await segment(cookie);
    await app.get(DownloadLinks).revoke({ link: id });
    await segment(`${cookie}; ss-tok=x`);
    await app.request('/token/2/seg-1.ts', { headers: { cookie } });
    subscription.unsubscribe();
    const refused = seen.filter(({ type }) => type === 'refused');
    expect(refused).toMatchObject([
      { code: 'LINK_REVOKED', linkId: id, subject: 'grace', transport: 'companion' },
      { code: 'TOKEN_MISSING' },
    ]);
    expect(refused[1]).not.toHaveProperty('linkId');
    expect(refused[1]?.type === 'refused' && refused[1].transport).toBeUndefined();
  });

  it.each<[string, object, Record<string, string>]>([
    ['in a browser', {}, BROWSER],
    ['in a browser without fetch metadata', {}, { accept: 'text/html' }],
    ['in a browser with a query', { query: { lang: 'en' } }, BROWSER],
    ['at a file whose name is one of a scheme', { params: { id: '1', file: 'a:b' } }, BROWSER],
  ])(
    "with exchange: 'redirect' leads a person who opens it %s to the clean URL",
    async (_name, options, headers) => {
      const { url, token } = mint(app, { exchange: 'redirect', ...options });
      const answer = await app.request(url, { headers });
      expect(answer.status).toBe(303);
      expect(answer.headers['cache-control']).toBe('no-store');
      const clean = new URL(answer.headers.location!, app.url + url);
      expect(clean.href).toBe(app.url + url.replace(/[?&]ss-tok=[^&]*/, ''));
      expect(JSON.stringify([answer.headers.location, answer.text])).not.toContain(token.slice(-20));
      const next = await app.request(clean.pathname + clean.search, {
        headers: { ...headers, cookie: jar(answer) },
      });
      expect([next.status, next.json.transport]).toEqual([200, 'companion']);
    },
  );

  it.each<[string, object, object]>([
    ['a player', { exchange: 'redirect' }, { headers: { 'sec-fetch-mode': 'no-cors', accept: '*/*' } }],
    ['a program', { exchange: 'redirect' }, { headers: { accept: '*/*' } }],
    ['a HEAD', { exchange: 'redirect' }, { method: 'HEAD', headers: BROWSER }],
    ['a person, without it', {}, { headers: BROWSER }],
  ])('leads %s nowhere', async (_name, options, request) => {
    const { url } = mint(app, options);
    expect((await app.request(url, request)).status).toBe(200);
  });
});

describe.each(ADAPTERS)('the cookies of links, on %s', (adapter) => {
  it.each(['https://example.com/api', '/api'])('have the path that browsers see: %s', async (base) => {
    const app = await start(adapter, { links: { publicUrl: `${base}/` }, cookie: { path: '/elsewhere' } });
    const { url } = mint(app, { params: { id: 'a b/ü', file: 'x' } });
    expect(url).toContain(`${base}/token/a%20b%2F%C3%BC/x?`);
    const answer = await app.request(url.slice(base.length));
    expect(companions(answer)[0]).toContain('; Path=/api/token/a%20b%2F%C3%BC;');
    await app.close();
  });

  // `Strict` would lose them on the way from a mail to the clean URL
  it.each<[NonNullable<DownloadAuthOptions['cookie']>, string[]]>([
    [{ sameSite: 'strict' }, ['SameSite=Lax', 'Priority=Low']],
    [{ sameSite: 'none' }, ['SameSite=None', 'Priority=Low', 'Secure']],
    [{ partitioned: true }, ['SameSite=None', 'Priority=Low', 'Secure', 'Partitioned']],
  ])('have the marks of the access token’s cookie: %o', async (cookie, marks) => {
    const app = await start(adapter, { cookie });
    const kinds: [string, CreateLinkOptions][] = [
      ['ss-open-', {}],
      ['ss-lease-', { free: undefined, maxDownloads: 1 }],
      ['ss-prompt-', { free: undefined, confirm: true }],
    ];
    for (const [kind, options] of kinds) {
      const { headers } = await app.request(mint(app, options).url, { headers: BROWSER });
      const set = headers['set-cookie']?.filter((line) => line.startsWith(kind)) ?? [];
      expect(set.map((line) => line.split('; ').slice(4))).toEqual([marks]);
    }
    await app.close();
  });
}); // prettier-ignore
