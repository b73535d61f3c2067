import { Controller, Get, Post, Req, Res } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadCookie, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions, DownloadGrant } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { forge } from '../support/forge.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const NOW = 1_800_000_000;
const thrown: unknown[] = [];

@Controller()
class SessionController {
  constructor(private readonly cookie: DownloadCookie) {}

  @Post('cookie')
  set(
    @Req() request: { headers: Record<string, string> },
    @Res({ passthrough: true }) response: object,
  ): string {
    try {
      this.cookie.set(response, request.headers['x-token'] as string);
      return 'set';
    } catch (error) {
      thrown.push(error);
      return 'thrown';
    }
  }

  @Post('logout')
  clear(@Res({ passthrough: true }) response: object): string {
    this.cookie.clear(response);
    return 'cleared';
  }

  @Get('files/42')
  @StreamDownload()
  get(@Grant() grant: DownloadGrant): string {
    return grant.transport ?? 'none';
  }
}

describe.each(ADAPTERS)('DownloadCookie on %s', (adapter) => {
  let app: TestApp;
  afterEach(() => app.close());
  const start = async (options: Partial<DownloadAuthOptions> = {}, trusted = false) => {
    app = await startApp({
      adapter,
      controllers: [SessionController],
      options: { secret: SECRET, clock: () => NOW * 1000 + 400, ...options },
      fastify: { trustProxy: trusted && 'loopback' },
      configure: (app: any) =>
        adapter === 'express' ? app.set('trust proxy', trusted && 'loopback') : undefined,
    });
  };
  const signed = (claims: object = { exp: NOW + 60 }) =>
    forge({ alg: 'HS256' }, { sub: 'ada', ...claims }, SECRET);
  const set = async (token: string | undefined, headers: object = {}) => {
    const answer = await app.request('/cookie', {
      method: 'POST',
      headers: { ...(token !== undefined && { 'x-token': token }), ...headers },
    });
    return { text: answer.text, cookies: answer.headers['set-cookie'] ?? [] };
  };
  const attributes = (cookie: string | undefined) => cookie?.split('; ').slice(1).sort();

  it('sets a cookie for which the guard opens, and that ends with the token', async () => {
    await start();
    const token = signed();
    const { cookies } = await set(token);
    expect(cookies).toHaveLength(1);
    expect(cookies[0]).toMatch(new RegExp(`^ss-tok=${token}; `));
    expect(attributes(cookies[0])).toEqual(['HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=Lax']);
    const [pair] = (cookies[0] as string).split(';') as [string];
    expect((await app.request('/files/42', { headers: { cookie: pair } })).text).toBe('cookie');
  });

  it.each<[string, Partial<DownloadAuthOptions>, string[]]>([
    ['a path and a domain', { cookie: { path: '/files', domain: 'example.com' } }, ['Domain=example.com', 'HttpOnly', 'Max-Age=59', 'Path=/files', 'SameSite=Lax']],
    ['strict', { cookie: { sameSite: 'strict' } }, ['HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=Strict']],
    ['none, which is secure', { cookie: { sameSite: 'none', secure: true } }, ['HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=None', 'Secure']],
    ['none alone is made secure', { cookie: { sameSite: 'none' } }, ['HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=None', 'Secure']],
  ])('has the attributes that are configured: %s', async (_name, options, expected) => {
    await start(options);
    const { cookies } = await set(signed());
    expect(attributes(cookies[0])).toEqual(expected);
    const cleared = (await app.request('/logout', { method: 'POST' })).headers['set-cookie']?.[0];
    const scope = (list: string[] | undefined) => list?.filter((one) => /^(Path|Domain|Secure)/.test(one));
    expect(scope(attributes(cleared))).toEqual(scope(expected));
  }); // prettier-ignore

  it('goes by the name of the module', async () => {
    await start({ tokenName: 'dl' });
    expect((await set(signed())).cookies[0]).toMatch(/^dl=/);
  });

  it.each([
    ['exp in the past', { exp: NOW - 60 }, 'Max-Age=0'],
    ['exp at once', { exp: NOW }, 'Max-Age=0'],
    ['no exp, so that it ends with the session of the browser', {}, undefined],
  ])('follows the token: %s', async (_name, claims, expected) => {
    await start();
    const { cookies } = await set(signed(claims));
    expect(attributes(cookies[0])?.find((one) => one.startsWith('Max-Age'))).toBe(expected);
  });

  it('is Secure where a trusted proxy says https, and not where nobody trusts it', async () => {
    await start({}, true);
    expect(attributes((await set(signed(), { 'x-forwarded-proto': 'https' })).cookies[0])).toContain(
      'Secure',
    );
    expect(attributes((await set(signed())).cookies[0])).not.toContain('Secure');
    await app.close();
    await start({}, false);
    expect(attributes((await set(signed(), { 'x-forwarded-proto': 'https' })).cookies[0])).not.toContain(
      'Secure',
    );
  });

  it.each<[string, Partial<DownloadAuthOptions>, string[]]>([
    ['partitioned', { cookie: { partitioned: true } }, ['HttpOnly', 'Max-Age=59', 'Partitioned', 'Path=/', 'SameSite=None', 'Secure']],
    ['__Host-', { tokenName: { cookie: '__Host-dl' } }, ['HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=Lax', 'Secure']],
    ['__Host- in capitals, partitioned', { tokenName: { cookie: '__HOST-dl' }, cookie: { partitioned: true, path: '/' } }, ['HttpOnly', 'Max-Age=59', 'Partitioned', 'Path=/', 'SameSite=None', 'Secure']],
    ['__Secure-', { tokenName: { cookie: '__Secure-dl' }, cookie: { domain: 'example.com', sameSite: 'strict' } }, ['Domain=example.com', 'HttpOnly', 'Max-Age=59', 'Path=/', 'SameSite=Strict', 'Secure']],
  ])('is secure where it has to be: %s', async (_name, options, expected) => {
    await start(options);
    const token = signed();
    const [cookie] = (await set(token)).cookies as [string];
    expect(attributes(cookie)).toEqual(expected);
    const [pair] = cookie.split(';') as [string];
    expect((await app.request('/files/42', { headers: { cookie: pair } })).text).toBe('cookie');
    for (const cleared of (await app.request('/logout', { method: 'POST' })).headers['set-cookie'] as string[]) {
      expect(cleared).toContain(`${pair.split('=')[0]}=; `);
      expect(cleared).toContain('Secure');
    }
  }); // prettier-ignore

  it('clears what a browser may have kept of another domain, path or jar', async () => {
    await start({ cookie: { path: '/files', secure: true } });
    const clear = async (host: string) => {
      const answer = await app.request('/logout', { method: 'POST', headers: { host } });
      const scopes = (answer.headers['set-cookie'] ?? []).map((line) => attributes(line) as string[]);
      return scopes.map((list) => list.filter((one) => /^(Domain|Path|Partitioned)/.test(one)).join(' '));
    };
    const both = (scope: string) => [scope, scope.replace('Path', 'Partitioned Path')];
    const scopes = (domains: string[]) =>
      domains.flatMap((domain) => [...both(`${domain}Path=/files`), ...both(`${domain}Path=/`)]);
    expect(await clear('files.example.com:3000')).toEqual(scopes(['', 'Domain=files.example.com ', 'Domain=example.com ']));
    expect(await clear('127.0.0.1:3000')).toEqual(scopes(['']));
    expect(await clear('localhost:3000')).toEqual(scopes(['']));
    expect(await clear('[::1]:3000')).toEqual(scopes(['']));
    expect((await clear(`${'a.'.repeat(100)}example.com`)).length).toBeLessThanOrEqual(20);
    expect(await clear('x;path=y.example.com')).toEqual(scopes(['']));
  }); // prettier-ignore

  it('clears a __Host- cookie for its host alone', async () => {
    await start({ tokenName: { cookie: '__Host-dl' } });
    const answer = await app.request('/logout', { method: 'POST', headers: { host: 'files.example.com' } });
    expect(answer.headers['set-cookie']?.filter((line) => !line.includes('Domain'))).toHaveLength(2);
    expect(answer.headers['set-cookie']).toHaveLength(2);
  });

  it('clears what it has set', async () => {
    await start();
    const [cookie] = (await app.request('/logout', { method: 'POST' })).headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^ss-tok=; /);
    expect(attributes(cookie)).toEqual(['Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'HttpOnly', 'Max-Age=0', 'Path=/', 'SameSite=Lax']);
    expectGuardRefuses((await app.request('/files/42', { headers: { cookie: 'ss-tok=' } })).status);
  }); // prettier-ignore

  it.each<[string, string | undefined]>([
    ['nothing', ''],
    ['a scheme before it', `Bearer ${accessToken()}`],
    ['no token', 'abc'],
    ['no text', undefined],
    ['another attribute behind it', `${accessToken()}; Domain=evil.example`],
    ['more than browsers keep', forge({ alg: 'HS256' }, { x: 'x'.repeat(3000) }, SECRET)],
  ])('refuses %s, and says why without showing it', async (_name, token) => {
    await start();
    thrown.length = 0;
    expect(await set(token)).toEqual({ text: 'thrown', cookies: [] });
    const [error] = thrown as Error[];
    expect(error).toBeInstanceOf(DownloadAuthConfigurationError);
    expect(error?.message).toMatch(
      /DownloadCookie\.set: (give a signed JWT|the cookie would have \d+ bytes)/,
    );
    if (token && token.length > 20) {
      expect(error?.message).not.toContain(token.slice(-20));
    }
  });

  function expectGuardRefuses(status: number): void {
    expect(status).toBe(401);
  }
});
