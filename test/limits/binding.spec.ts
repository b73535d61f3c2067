import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, grantOf } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { ADAPTERS } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const ada = accessToken();
const grace = accessToken({ sub: 'grace' });
const nobody = accessToken({ sub: undefined });
const expired = accessToken({ exp: Math.floor(Date.now() / 1000) - 1 });
const forged = `${ada.slice(0, -6)}AAAAAA`;
const inHeader = (token: string) => ({ authorization: `Bearer ${token}` });
const inCookie = (token: string) => ({ cookie: `ss-tok=${token}` });
const BYTES = Buffer.from('for your eyes only');

/** Fastify and Express take the first address of X-Forwarded-For from a proxy on this machine. */
const trusting = (adapter: string) =>
  adapter === 'express'
    ? { configure: (app: any) => app.set('trust proxy', 'loopback') }
    : { fastify: { trustProxy: 'loopback' } };

describe.each(ADAPTERS)('a link that is bound, on %s', (adapter) => {
  let app: LimitedApp;
  let behindProxy: LimitedApp;
  const seen: { user: any; subject?: string }[] = [];
  beforeAll(async () => {
    const contents = {
      file: (request: any) => {
        seen.push({ user: request.user, subject: grantOf(request)?.subject });
        return Download.buffer(BYTES);
      },
    };
    app = await startLimitedApp(adapter, {
      contents,
      options: {
        validate: (claims) => claims.sub !== 'banned' && { name: claims.sub, by: 'access token' },
        links: { validate: (claims) => ({ name: claims.sub, by: 'link' }) },
      },
    });
    behindProxy = await startLimitedApp(adapter, { contents, ...trusting(adapter) });
  });
  afterAll(() => Promise.all([app.close(), behindProxy.close()]));

  const bound = (more = {}) =>
    app.link('file', { subject: 'ada', bindTo: { signedIn: true }, maxDownloads: 1, ...more });

  it.each([
    ['header', inHeader(ada)],
    ['cookie', inCookie(ada)],
  ])(
    'to who is signed in, opens beside an access token of the same subject in the %s',
    async (_where, headers) => {
      const link = bound();
      const { status, body } = await app.fetch(link, { headers });
      expect([status, body.equals(BYTES)]).toEqual([200, true]);
      expect(seen.at(-1)).toEqual({ user: { name: 'ada', by: 'access token' }, subject: 'ada' });
      expect(await app.used(link)).toBe(1);
    },
  );

  it.each([
    ['none', {}],
    ["another's in the header", inHeader(grace)],
    ["another's in the cookie", inCookie(grace)],
    ["nobody's", inHeader(nobody)],
    ['an expired one in the header', inHeader(expired)],
    ['an expired one in the cookie', inCookie(expired)],
    ['a forged one in the header', inHeader(forged)],
    ['a forged one in the cookie', inCookie(forged)],
    ['no token at all in the cookie', inCookie('x')],
    ['another scheme in the header', { authorization: `Basic ${ada}` }],
    // the header decides, here as elsewhere
    ["another's in the header, the right one in the cookie", { ...inHeader(grace), ...inCookie(ada) }],
  ])('to who is signed in, is refused with 403, never 401, beside %s', async (_what, headers) => {
    const link = bound();
    const answer = await app.fetch(link, { headers });
    expect([answer.status, answer.code]).toEqual([403, 'LINK_SUBJECT']);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    expect(await app.used(link)).toBe(0);
  });

  it('to who is signed in, does not serve as its own access token', async () => {
    const link = bound();
    for (const headers of [inHeader(link.token), inCookie(link.token)]) {
      expect((await app.fetch(link, { headers })).code).toBe('LINK_SUBJECT');
    }
  });

  it('to who is signed in, does not open for who is not admitted any more', async () => {
    const link = app.link('file', { subject: 'banned', bindTo: { signedIn: true }, maxDownloads: 1 });
    const answer = await app.fetch(link, { headers: inHeader(accessToken({ sub: 'banned' })) });
    expect([answer.status, answer.code]).toEqual([403, 'ACCESS_DENIED']);
    expect(await app.used(link)).toBe(0);
  });

  it('to who is signed in, may come in a form, with the access token in the header', async () => {
    const options = { subject: 'ada', bindTo: { signedIn: true }, maxDownloads: 1 };
    const link = app.form('file', options);
    const post = (headers: object) =>
      app.fetch(link, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: `ss-tok=${link.token}`,
      });
    expect((await post(inHeader(grace))).code).toBe('LINK_SUBJECT');
    expect((await post(inHeader(ada))).status).toBe(201);
    expect(await app.used(link)).toBe(1);
  });

  it('to who is signed in, may come in the cookie, with the access token in the header', async () => {
    const { token, url } = bound();
    const path = new URL(url).pathname;
    const answer = await app.fetch(path, { headers: { ...inHeader(ada), ...inCookie(token) } });
    expect(answer.status).toBe(200);
  });

  it.each([
    ['header', inHeader],
    ['cookie', inCookie],
  ])(
    'to no subject, opens beside a token in the %s, and the user is the one it was made for',
    async (_place, carry) => {
      const answer = await app.fetch(app.link('file', { subject: 'grace' }), { headers: carry(ada) });
      expect(answer.status).toBe(200);
      expect(seen.at(-1)).toEqual({ user: { name: 'grace', by: 'link' }, subject: 'grace' });
    },
  );

  const status = async (from: LimitedApp, addresses: string | string[], forwarded?: string) => {
    const link = from.link('file', { bindTo: { addresses } });
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const answer = await from.fetch(link, { headers });
    if (answer.status !== 200) {
      expect(answer.code).toBe('LINK_ADDRESS');
    }
    return answer.status;
  };

  it.each([
    ['192.0.2.0/24', '192.0.2.7', 200],
    ['192.0.2.0/24', '192.0.3.7', 403],
    ['192.0.2.7', '192.0.2.7', 200],
    ['192.0.2.7', '192.0.2.8', 403],
    ['192.0.2.0/24', '::ffff:192.0.2.7', 200],
    ['::ffff:192.0.2.0/120', '192.0.2.7', 200],
    ['2001:db8::/32', '2001:db8:1::7', 200],
    ['2001:db8::/32', '2001:db9::7', 403],
    ['2001:db8::/32', '192.0.2.7', 403],
    ['0.0.0.0/0', '2001:db8::7', 403],
    // only the address that the trusted proxy itself saw counts
    ['192.0.2.0/24', '192.0.2.7, 198.51.100.1', 403],
    ['192.0.2.0/24', '198.51.100.1, 192.0.2.7', 200],
    ['192.0.2.0/24', 'nonsense', 403],
  ])('to a network, %s, behind a trusted proxy, for %s: %i', async (block, forwarded, expected) => {
    expect(await status(behindProxy, block, forwarded)).toBe(expected);
  });

  it('to a network, takes any of several', async () => {
    expect(await status(behindProxy, ['192.0.2.0/24', '2001:db8::/32'], '2001:db8::7')).toBe(200);
    expect(await status(behindProxy, ['192.0.2.0/24', '2001:db8::/32'], '198.51.100.1')).toBe(403);
  });

  it('to a network, takes the address for unknown where a header names another one and no proxy is trusted', async () => {
    expect(await status(app, '192.0.2.0/24', '192.0.2.7')).toBe(403);
    expect(await status(app, '127.0.0.0/8', '192.0.2.7')).toBe(403);
    expect(await status(app, '127.0.0.0/8')).toBe(200);
  });

  it('to a network, counts nothing for who is elsewhere', async () => {
    const link = app.link('file', { maxDownloads: 1, bindTo: { addresses: '192.0.2.0/24' } });
    expect((await app.fetch(link)).status).toBe(403);
    expect(await app.used(link)).toBe(0);
  });

  it('tells clients behind a trusted proxy apart by their addresses', async () => {
    const link = behindProxy.link('file', { maxDownloads: 1 });
    const from = (address: string) => behindProxy.fetch(link, { headers: { 'x-forwarded-for': address } });
    expect((await from('2001:db8:0:1::1')).status).toBe(200);
    // the same subscriber's /64
    expect((await from('2001:db8:0:1:ffff::2')).status).toBe(200);
    expect((await from('2001:db8:0:2::1')).code).toBe('LINK_USED_UP');
    expect(await behindProxy.used(link)).toBe(1);
  });
});
