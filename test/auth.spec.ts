import { Controller, Get, Injectable, Req, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, Grant, StreamDownload } from '../lib/index.js';
import type { DownloadGrant } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { testClock } from './support/clock.js';
import { forge, inAnHour } from './support/forge.js';
import { expectNoTrace } from './support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { Answer, RequestOptions } from './support/http-client.js';
import type { TestApp } from './support/test-app.js';

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
  @StreamDownload()
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
