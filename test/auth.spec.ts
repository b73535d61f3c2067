import { Controller, Get, Injectable, Module, Req, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadEvents,
  DownloadLinks,
  Grant,
  StreamDownload,
} from '../lib/index.js';
import type { DownloadAuthOptions, DownloadEvent, DownloadGrant } from '../lib/index.js';
import { HeldContent } from './limits/support/contents.js';
import { accessToken } from './support/access-token.js';
import { testClock } from './support/clock.js';
import { pattern } from './support/files.js';
import { forge, inAnHour } from './support/forge.js';
import { start } from './support/http-client.js';
import type { Answer, RequestOptions } from './support/http-client.js';
import { MemoryLogger } from './support/memory-logger.js';
import { expectNoTrace } from './support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { TestApp } from './support/test-app.js';
import { until } from './support/until.js';

/** The sign-in that an application has already: a token of its own, or a session. */
@Injectable()
class SignInGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<any>();
    const { authorization, cookie } = request.headers as Record<string, string | undefined>;
    const isTheirs = authorization === 'Bearer theirs' || request.query['ss-tok'] === 'theirs';
    if (isTheirs || cookie?.includes('session=ada')) {
      request.user = { id: 7 };
      return true;
    }
    if (authorization === 'Bearer banned') {
      return false;
    }
    throw new UnauthorizedException({ reason: 'of the application', saw: authorization ?? null });
  }
}

/** What the handler sees. */
const seen = (grant: DownloadGrant, request: any) => ({
  kind: grant.kind,
  subject: grant.subject,
  user: request.user ?? null,
  url: request.originalUrl,
  query: request.query,
});

const subject = (request: any) => request.user && `user ${request.user.id}`;

@Controller('files')
class FilesController {
  @Get('token')
  @StreamDownload({ auth: 'token' })
  token(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('guard')
  @StreamDownload({ auth: SignInGuard, subject })
  guard(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('public')
  @StreamDownload({ auth: 'public' })
  public(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('links')
  @StreamDownload({ auth: 'links' })
  links(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('none')
  @StreamDownload({ auth: false })
  none(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }
}

const ROUTES = ['token', 'guard', 'public', 'links', 'none'] as const;
type Route = (typeof ROUTES)[number];

const clock = testClock();
const ours = accessToken();
const forged = forge({ alg: 'HS256', typ: 'dl+jwt' }, { sub: 'ada', exp: inAnHour() }, `not ${SECRET}`);
const cookie = (text: string) => ({ headers: { cookie: text } });
const header = (token: string) => ({ headers: bearer(token) });

/** What a request carries; a link is one to the route, unless it says otherwise. */
type Carried = { query?: string; options?: RequestOptions };
type Case = [what: string, carried: (links: Links) => Carried, outcomes: Record<Route, string | number>];
interface Links {
  readonly good: string;
  readonly expired: string;
  readonly ofAnother: string;
}

const LINK = { token: 'link', guard: 'link', public: 'link', links: 'link', none: 'other' };
/** A bad link is refused wherever links are looked at. */
const bad = (code: string) => ({ token: code, guard: code, public: code, links: code, none: 'other' });

const CASES: Case[] = [
  ['nothing', () => ({}), { token: 'TOKEN_MISSING', guard: 401, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['an access token of ours', () => ({ options: header(ours) }), { token: 'access', guard: 401, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a token of theirs', () => ({ options: header('theirs') }), { token: 'TOKEN_INVALID', guard: 'other', public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a token of theirs in the query', () => ({ query: 'theirs' }), { token: 'TOKEN_INVALID', guard: 'other', public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a session', () => ({ options: cookie('session=ada') }), { token: 'TOKEN_MISSING', guard: 'other', public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['our cookie', () => ({ options: cookie(`ss-tok=${ours}`) }), { token: 'access', guard: 401, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a token that they refuse', () => ({ options: header('bad') }), { token: 'TOKEN_INVALID', guard: 401, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a token that they refuse without a reason', () => ({ options: header('banned') }), { token: 'TOKEN_INVALID', guard: 403, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a link', ({ good }) => ({ query: good }), LINK],
  ['a link as bearer', ({ good }) => ({ options: header(good) }), LINK],
  ['a link beside a token of theirs', ({ good }) => ({ query: good, options: header('theirs') }), LINK],
  ['a link beside a token that they refuse', ({ good }) => ({ query: good, options: header('bad') }), LINK],
  ['a link beside another one as bearer', ({ good, ofAnother }) => ({ query: good, options: header(ofAnother) }), LINK],
  ['a link beside a bad session', ({ good }) => ({ query: good, options: cookie('session=eve') }), LINK],
  ['an expired link', ({ expired }) => ({ query: expired }), bad('LINK_EXPIRED')],
  ['an expired link beside a session', ({ expired }) => ({ query: expired, options: cookie('session=ada') }), bad('LINK_EXPIRED')],
  ['a link to something else', ({ ofAnother }) => ({ query: ofAnother }), bad('LINK_SCOPE')],
  ['a link to something else beside a session', ({ ofAnother }) => ({ query: ofAnother, options: cookie('session=ada') }), bad('LINK_SCOPE')],
  ['a forged link', () => ({ query: forged }), bad('LINK_INVALID')],
  ['a link cut short', ({ good }) => ({ query: good.slice(0, -9) }), bad('LINK_INVALID')],
  ['a forged link as bearer beside a session', () => ({ options: { headers: { ...bearer(forged), cookie: 'session=ada' } } }), bad('LINK_INVALID')],
  ['a link in a cookie, which is not for this request alone', ({ good }) => ({ options: cookie(`ss-tok=${good}`) }), { token: 'link', guard: 401, public: 'other', links: 'LINK_MISSING', none: 'other' }],
  ['a forged link in the cookie beside a session', () => ({ options: cookie(`ss-tok=${forged}; session=ada`) }), { token: 'LINK_INVALID', guard: 'other', public: 'other', links: 'LINK_MISSING', none: 'other' }],
]; // prettier-ignore

const BY_ROUTE = ROUTES.flatMap((route) =>
  CASES.map(([what, carried, outcomes]) => [what, route, carried, outcomes[route]] as const),
);

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController], options: { secret: SECRET, clock } });
  });
  afterAll(() => app.close());

  function linksTo(route: Route): Links {
    const mint = (handler: Route, expiresIn = 3600) =>
      app.get(DownloadLinks).create(FilesController, handler, { expiresIn }).token;
    // nothing can be minted to a route that looks at no link
    const own = route === 'none' ? 'links' : route;
    const expired = mint(own, 1);
    clock.advance(2000);
    return { good: mint(own), expired, ofAnother: mint(route === 'links' ? 'public' : 'links') };
  }

  const outcome = ({ status, json }: Answer): string | number => json.kind ?? json.code ?? status;

  it.each(BY_ROUTE)('%s, where auth is %s', async (_what, route, carried, expected) => {
    const { query, options } = carried(linksTo(route));
    const answer = await app.request(`/files/${route}${query ? `?ss-tok=${query}` : ''}`, options);
    expect(outcome(answer)).toBe(expected);
    if (answer.status === 200 && route !== 'none') {
      expect([answer.json.url, answer.json.query]).toEqual([`/files/${route}`, {}]);
    }
    if (query && answer.status !== 200) {
      expectNoTrace(`${JSON.stringify(answer.headers)}\n${answer.text}`, query);
    }
  });
});

/** Downloads that name whom they are for, with what the module and the class say of `auth`. */
function guarded(name: string): CanActivate {
  return {
    canActivate(context: ExecutionContext) {
      context.switchToHttp().getRequest<any>().user = name;
      return true;
    },
  };
}

@Controller('inherited')
class InheritedController {
  @Get()
  @StreamDownload()
  inherited(@Req() { user }: { user?: unknown }) {
    return { user };
  }
}

@Controller('class')
@StreamDownload({ auth: guarded('of the class') })
class ClassController {
  @Get()
  ofTheClass(@Req() { user }: { user?: unknown }) {
    return { user };
  }

  @Get('handler')
  @StreamDownload({ auth: guarded('of the handler') })
  ofTheHandler(@Req() { user }: { user?: unknown }) {
    return { user };
  }

  @Get('links')
  @StreamDownload({ auth: 'links' })
  links() {
    return 'a file';
  }

  @Get('none')
  @StreamDownload({ auth: false })
  none() {
    return 'a file';
  }

  @Get('undefined')
  @StreamDownload({ auth: undefined, transports: { query: false } })
  undefinedMember(@Req() { user }: { user?: unknown }) {
    return { user };
  }
}

describe.each(ADAPTERS)('auth on %s', (adapter) => {
  const links = { secret: `${SECRET} of links` };
  let app: TestApp;
  afterEach(() => app.close());

  it('of a handler wins over that of its class, and that over the one of the module', async () => {
    const controllers = [InheritedController, ClassController];
    app = await startApp({ adapter, controllers, options: { auth: guarded('of the module'), links } });
    const user = async (path: string) => (await app.request(path)).json.user;
    expect(await user('/inherited')).toBe('of the module');
    expect(await user('/class')).toBe('of the class');
    expect(await user('/class/handler')).toBe('of the handler');
    expect(await user('/class/undefined')).toBe('of the class');
    expect((await app.request('/class/links')).json.code).toBe('LINK_MISSING');
    expect((await app.request('/class/none')).text).toBe('a file');
  });

  it('may come from a factory', async () => {
    const module = DownloadAuthModule.forRootAsync({
      useFactory: async () => ({ auth: 'public' as const, links }),
    });
    app = await startApp({ adapter, controllers: [InheritedController], imports: [module] });
    expect((await app.request('/inherited')).status).toBe(200);
    expect((await app.request(`/inherited?ss-tok=${forged}`)).json.code).toBe('LINK_INVALID');
  });

  it('differs between instances of the module', async () => {
    const instance = (controller: Type, options: DownloadAuthOptions) => {
      @Module({
        imports: [DownloadAuthModule.forRoot({ ...options, isGlobal: false })],
        controllers: [controller],
      })
      class OneModule {}
      return OneModule;
    };
    class OtherController extends InheritedController {}
    Controller('other')(OtherController);
    app = await startApp({
      adapter,
      controllers: [],
      imports: [
        instance(InheritedController, { auth: false }),
        instance(OtherController, { auth: 'links', links }),
      ],
    });
    expect((await app.request('/inherited')).status).toBe(200);
    expect((await app.request('/other')).json.code).toBe('LINK_MISSING');
  });

  it("'token' of a route keeps an application without a key from starting", async () => {
    const starting = startApp({ adapter, controllers: [FilesController], options: { auth: false, links } });
    await expect(starting).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(starting).rejects.toThrow(/^FilesController\.token: auth: 'token' needs the key/);
  });

  it('false needs no key, reads no token, and refuses to make links', async () => {
    app = await startApp({ adapter, controllers: [InheritedController], options: { auth: false } });
    const { status } = await app.request(`/inherited?ss-tok=${ours}`, {
      headers: { cookie: 'ss-tok=a; ss-tok=b' },
    });
    expect(status).toBe(200);
    const mint = () => app.get(DownloadLinks).create(InheritedController, 'inherited');
    expect(mint).toThrow(DownloadAuthConfigurationError);
    expect(mint).toThrow(/InheritedController\.inherited would not look at a link.*auth: 'links'/);
  });

  it('false allows plain HTTP in production, where nothing secret is read', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const logger = new MemoryLogger();
    app = await startApp({ adapter, controllers: [InheritedController], options: { auth: false }, logger });
    vi.unstubAllEnvs();
    expect((await app.request('/inherited')).status).toBe(200);
    expect(logger.text).not.toContain('INSECURE_CONNECTION');
  });

  it('of a guard refuses a prefetch of a limited link, as ever', async () => {
    app = await startApp({
      adapter,
      controllers: [InheritedController],
      options: { auth: guarded('anybody'), links },
    });
    const { url } = app.get(DownloadLinks).create(InheritedController, 'inherited', { maxDownloads: 1 });
    expect((await app.request(url, { headers: { 'sec-purpose': 'prefetch' } })).json.code).toBe(
      'PREFETCH_REFUSED',
    );
  });
});

/** Two ways to be somebody without a link. */
const WAYS: [way: string, options: DownloadAuthOptions, as: (user: string) => RequestOptions][] = [
  [
    'a guard of the application',
    { auth: { canActivate: () => true }, subject: async ({ headers }) => headers['x-user'] },
    (user) => ({ headers: { 'x-user': user } }),
  ],
  ['an access token', { secret: SECRET }, (user) => header(accessToken({ sub: user }))],
];

describe.each(ADAPTERS.flatMap((adapter) => WAYS.map((way) => [adapter, ...way] as const)))(
  'on %s, whom %s let in',
  (adapter, _way, options, as) => {
    const bytes = pattern(200_000);
    let app: TestApp;
    let held: HeldContent;
    let events: DownloadEvent[];

    @Controller('held')
    class HeldController {
      @Get()
      @StreamDownload({ delivery: { disposition: 'inline' } })
      download() {
        return held.download();
      }
    }

    beforeEach(async () => {
      held = new HeldContent(bytes);
      app = await startApp({ adapter, controllers: [HeldController], options });
      events = [];
      app.get(DownloadEvents).subscribe((event) => void events.push(event));
    });
    afterEach(() => app.close());

    it('is named in events, and has the delivery options of the route', async () => {
      held.release();
      const answer = await app.request('/held', as('ada'));
      expect(answer.headers['content-disposition']).toMatch(/^inline/);
      await until(() => events.length === 2, 'both events');
      const about = { subject: 'ada', path: '/held', linkId: undefined, status: 200, length: bytes.length };
      expect(events).toEqual([
        expect.objectContaining({ type: 'opened', ...about }),
        expect.objectContaining({ type: 'completed', ...about, bytes: bytes.length }),
      ]);
    });

    it('is cut where that subject is revoked, and nobody else is', async () => {
      const [ada, eve] = await Promise.all([
        start(`${app.url}/held`, as('ada')),
        start(`${app.url}/held`, as('eve')),
      ]);
      await ada.until(held.half);
      await app.get(DownloadLinks).revoke({ subject: 'ada' });
      await ada.ended;
      held.release();
      await eve.ended;
      expect([ada.broken, eve.broken]).toEqual([true, false]);
      await until(() => events.some(({ type }) => type === 'aborted'), 'the event');
      expect(events.find(({ type }) => type === 'aborted')).toMatchObject({
        subject: 'ada',
        code: 'LINK_REVOKED',
      });
      expect((await app.request('/held', as('ada'))).status).toBe(200);
    });

    it('is not cut where links are revoked', async () => {
      const ada = await start(`${app.url}/held`, as('ada'));
      await ada.until(held.half);
      await app.get(DownloadLinks).revoke({ issuedBefore: new Date() });
      held.release();
      await ada.ended;
      expect(ada.broken).toBe(false);
    });
  },
);

it('subject must be a string', async () => {
  const logger = new MemoryLogger();
  const options: DownloadAuthOptions = { auth: 'public', subject: () => 7 as never };
  const app = await startApp({ adapter: 'express', controllers: [InheritedController], options, logger });
  expect((await app.request('/inherited')).status).toBe(500);
  expect(logger.text).toMatch(/subject: return a string, such as String\(request\.user\.id\)/);
  await app.close();
});
