import { Controller, Get, Module, UseGuards } from '@nestjs/common';
import { AuthGuard, PassportStrategy } from '@nestjs/passport';
import jwt from 'jsonwebtoken';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions, DownloadAuthOptions } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { forge, inAnHour } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const NOW = 1_800_000_000_000;

describe.each(ADAPTERS)('the life of a link on %s', (adapter) => {
  let clock: TestClock;
  let app: TestApp;
  let links: DownloadLinks;
  beforeEach(() => {
    clock = testClock(NOW);
  });
  afterEach(() => app.close());
  const start = async (options: Partial<DownloadAuthOptions> = {}) => {
    app = await startApp({ adapter, controllers: [HelloController], options: { secret: SECRET, clock, ...options } });
    links = app.get(DownloadLinks);
  };
  const mint = (options: Omit<CreateLinkOptions, 'params'> = {}) => links.create(HelloController, 'get', { params: { id: 'a' }, ...options });

  it.each<[string, Partial<DownloadAuthOptions>, object, number]>([
    ['5 minutes by default', {}, {}, 300],
    ['as long as the module says', { links: { expiresIn: '1h' } }, {}, 3600],
    ['as long as it says itself', { links: { expiresIn: '1h' } }, { expiresIn: '90s' }, 90],
    ['a fraction of a second', {}, { expiresIn: 0.5 }, 0.5],
    ['until a date', {}, { expiresAt: new Date(NOW + 1_234) }, 1.234],
    ['7 days at most', {}, { expiresIn: '7d' }, 7 * 24 * 3600],
  ])('is %s, and over at the very moment', async (_name, options, own, seconds) => {
    await start(options);
    const link = mint(own);
    expect(link.expiresAt).toEqual(new Date(NOW + seconds * 1000));
    clock.advance(seconds * 1000 - 1);
    expect((await app.request(link.url)).status).toBe(200);
    clock.advance(1);
    expectRefusal(await app.request(link.url), 410, 'LINK_EXPIRED', link.token);
    expect(await links.inspect(link.token)).toMatchObject({ id: link.id, refusal: 'LINK_EXPIRED' });
  });

  it('begins when it says so, and the answer says when to come back', async () => {
    await start();
    const link = mint({ notBefore: new Date(NOW + 90_500), expiresIn: '5m' });
    const early = await app.request(link.url);
    expectRefusal(early, 403, 'LINK_NOT_YET_VALID', link.token);
    expect(early.headers['retry-after']).toBe('91');
    expect(await links.inspect(link.token)).toMatchObject({ refusal: 'LINK_NOT_YET_VALID', notBefore: new Date(NOW + 90_500) });
    clock.advance(90_500);
    expect((await app.request(link.url)).status).toBe(200);
    expect((await links.inspect(link.token)).refusal).toBeUndefined();
  });

  it('is shortened by links.maxAge when it is out already', async () => {
    await start();
    const link = mint({ expiresIn: '1d' });
    await app.close();
    await start({ links: { maxAge: '10m' } });
    clock.advance(10 * 60_000 - 1);
    expect((await app.request(link.url)).status).toBe(200);
    clock.advance(1);
    expectRefusal(await app.request(link.url), 410, 'LINK_EXPIRED', link.token);
  });

  it('ends when links.maxAge ends it, and says so', async () => {
    await start({ links: { maxAge: '1m' } });
    const link = mint({ expiresIn: '5m' });
    expect(link.expiresAt).toEqual(new Date(NOW + 60_000));
    expect(() => mint({ notBefore: new Date(NOW + 90_000) })).toThrow(/notBefore: the link would end before it begins/);
    clock.advance(60_000);
    expectRefusal(await app.request(link.url), 410, 'LINK_EXPIRED', link.token);
  });

  it('is not lengthened by a clock tolerance for access tokens', async () => {
    await start({ clockTolerance: '5m' });
    const link = mint({ expiresIn: 1 });
    clock.advance(1000);
    expectRefusal(await app.request(link.url), 410, 'LINK_EXPIRED', link.token);
  });

  it('its exact end is told only to the holder of a genuine link', async () => {
    await start();
    const [header, payload, signature] = mint({ expiresIn: 1 }).token.split('.') as [string, string, string];
    clock.advance(10_000);
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const longer = Buffer.from(JSON.stringify({ ...claims, exp: NOW + 99 })).toString('base64url');
    for (const forged of [`${header}.${longer}.${signature}`, `${header}.${payload}.${'A'.repeat(43)}`]) {
      expectRefusal(await app.request(`/files/a?ss-tok=${forged}`), 403, 'LINK_INVALID', forged);
      await expect(links.inspect(forged)).rejects.toMatchObject({ code: 'LINK_INVALID' });
    }
  });

  it.each([
    ['an access token', () => accessToken()],
    ['an access token that says it is a link', () => forge({ alg: 'HS256', typ: 'dl+jwt' }, { exp: inAnHour() }, SECRET)],
    ['nothing', () => ''],
    ['a text', () => 'a.b.c'],
    ['a parameter that is missing', () => undefined as never],
    ['a parameter that is repeated', () => ['a', 'b'] as never],
  ])('cannot be inspected in %s', async (_name, token) => {
    await start();
    await expect(links.inspect(token())).rejects.toMatchObject({ code: 'LINK_INVALID', status: 403 });
  });

  it('says no more than it must', async () => {
    await start();
    const [header, payload] = mint({ subject: 'ada' }).token.split('.').map((part) => Buffer.from(part, 'base64url').toString()) as [string, string];
    expect(JSON.parse(header)).toEqual({ alg: 'HS256', typ: 'dl+jwt', kid: expect.any(String) });
    expect(Object.keys(JSON.parse(payload)).sort()).toEqual(['aud', 'exp', 'iat', 'jti', 'res', 'sub']);
    expect(payload).not.toContain('files');
  });

  it('an unknown kid, and every name that a key ring inherits, is not a genuine link', async () => {
    await start();
    const [, payload] = mint().token.split('.') as [string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    for (const kid of [undefined, '', '__proto__', 'constructor', '../../dev/null', "' OR 1=1 --"]) {
      for (const key of [SECRET, '', 'null', 'undefined']) {
        const forged = forge({ alg: 'HS256', typ: 'dl+jwt', kid }, claims, key);
        expectRefusal(await app.request(`/files/a?ss-tok=${forged}`), 403, 'LINK_INVALID', forged);
      }
    }
  });
}); // prettier-ignore

class OrdinaryStrategy extends PassportStrategy(Strategy, 'ordinary-jwt') {
  constructor() {
    super({
      secretOrKey: SECRET,
      jwtFromRequest: ExtractJwt.fromExtractors([ExtractJwt.fromUrlQueryParameter('ss-tok'), ExtractJwt.fromAuthHeaderAsBearerToken()]),
    });
  }

  validate(payload: object): object {
    return payload;
  }
} // prettier-ignore

@Controller('account')
class AccountController {
  @Get()
  @UseGuards(AuthGuard('ordinary-jwt'))
  get(): string {
    return 'the account';
  }

  @Get('file/:id')
  @StreamDownload()
  file(): string {
    return 'the file';
  }
}

@Module({ providers: [OrdinaryStrategy], controllers: [AccountController] })
class AccountModule {}

describe.each(ADAPTERS)('beside an ordinary guard with the same secret on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [AccountModule], options: { secret: SECRET } });
  });
  afterAll(() => app.close());

  it('an access token opens both, a link only its file', async () => {
    const link = app
      .get(DownloadLinks)
      .create(AccountController, 'file', { params: { id: '1' }, subject: 'ada' });
    expect((await app.request('/account', { headers: bearer(accessToken()) })).text).toBe('the account');
    expect((await app.request(link.url)).text).toBe('the file');
    expect((await app.request(`/account?ss-tok=${link.token}`)).status).toBe(401);
    expect((await app.request('/account', { headers: bearer(link.token) })).status).toBe(401);
  });

  it('a link is not accepted by any library that has the secret', () => {
    const { token } = app.get(DownloadLinks).create(AccountController, 'file', { params: { id: '1' } });
    expect(() => jwt.verify(token, SECRET)).toThrow('invalid signature');
    expect(() => jwt.verify(token, SECRET, { algorithms: ['HS256'], ignoreExpiration: true })).toThrow();
  });
});
