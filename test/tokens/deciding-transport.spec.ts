import { Controller, Get, Post } from '@nestjs/common';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions, DownloadGrant, RefusalCode } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { forge, inAnHour } from '../support/forge.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const good = accessToken({ jti: 'good' });
const other = accessToken({ jti: 'other' });
const expired = accessToken({ exp: 1 });
const bad = forge({ alg: 'HS256' }, { sub: 'eve', exp: inAnHour() }, `not ${SECRET}`);
const madeUp = forge({ alg: 'HS256', typ: 'dl+jwt' }, { sub: 'eve', exp: inAnHour() }, SECRET);

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload()
  get(@Grant() grant: DownloadGrant): unknown {
    return [grant.kind, grant.transport, grant.claims?.jti];
  }

  @Post(':id')
  @StreamDownload({ transports: { form: true } })
  post(@Grant() grant: DownloadGrant): unknown {
    return [grant.kind, grant.transport];
  }
}

let app: TestApp;
afterEach(() => app.close());

async function start(adapter: AdapterName, options: Partial<DownloadAuthOptions> = {}): Promise<void> {
  app = await startApp({ adapter, controllers: [FilesController], options: { secret: SECRET, ...options } });
}

type Ask = { path?: string; headers?: Record<string, string> | string[] };
type Outcome = readonly unknown[] | RefusalCode;
const mint = () => app.get(DownloadLinks).create(FilesController, 'get', { params: { id: '42' } });

/** What a client sends beside a link or a good token, or in place of one, and what becomes of it. */
const CASES: readonly (readonly [name: string, ask: () => Ask, outcome: Outcome])[] = [
  ['two cookies beside a link', () => ({ path: mint().url, headers: { cookie: `ss-tok=${good}; ss-tok=${other}` } }), ['link', 'query']],
  ['two cookies beside a header', () => ({ headers: { ...bearer(good), cookie: `ss-tok=${bad}; ss-tok=${other}` } }), ['access', 'header']],
  ['two cookies beside a token in the query', () => ({ path: `/files/42?ss-tok=${good}`, headers: { cookie: `ss-tok=${bad}; ss-tok=${other}` } }), ['access', 'query']],
  ['a cookie of JSON beside a link', () => ({ path: mint().url, headers: { cookie: 'ss-tok=j:{"a":1}' } }), ['link', 'query']],
  ['two cookies beside a bad header', () => ({ headers: { ...bearer(bad), cookie: `ss-tok=${good}; ss-tok=${other}` } }), 'TOKEN_INVALID'],
  ['two cookies alone', () => ({ headers: { cookie: `ss-tok=${good}; ss-tok=${other}` } }), 'TOKEN_AMBIGUOUS'],
  ['an empty cookie before a good one', () => ({ headers: { cookie: `ss-tok=; ss-tok=${good}` } }), ['access', 'cookie']],
  ['an empty cookie behind a good one', () => ({ headers: { cookie: `ss-tok=${good}; ss-tok=` } }), ['access', 'cookie']],
  ['an empty cookie in quotes before a good one', () => ({ headers: { cookie: `ss-tok=""; ss-tok="${good}"` } }), ['access', 'cookie']],
  ['an encoded cookie behind an empty one', () => ({ headers: { cookie: `ss-tok=; ss-tok=${good.replaceAll('.', '%2E')}` } }), ['access', 'cookie']],
  ['an empty cookie between two others', () => ({ headers: { cookie: `ss-tok=${good}; ss-tok=; ss-tok=${other}` } }), 'TOKEN_AMBIGUOUS'],
  ['two empty cookies', () => ({ headers: { cookie: 'ss-tok=; ss-tok=' } }), 'TOKEN_MISSING'],

  ...['null', 'undefined', 'NaN', 'None', '[object Object]', '[object Promise]', '{{token}}', '${token}', '<your token>'].flatMap((text) => [
    [`Bearer ${text} beside a link`, () => ({ path: mint().url, headers: bearer(text) }), ['link', 'query']],
    [`Bearer ${text} beside a good cookie`, () => ({ headers: { ...bearer(text), cookie: `ss-tok=${good}` } }), ['access', 'cookie']],
    [`Bearer ${text} alone`, () => ({ headers: bearer(text) }), 'TOKEN_MISSING'],
  ] as const),
  ...['abc', 'a.b', 'a.b.c.d.e', `${good}.`, 'a token', `${good}, Bearer ${other}`, 'x'.repeat(17_000).slice(0, 9000)].flatMap((text) => [
    [`Bearer ${text.slice(0, 20)} beside a link`, () => ({ path: mint().url, headers: bearer(text) }), ['link', 'query']],
    [`Bearer ${text.slice(0, 20)} beside a token in the query`, () => ({ path: `/files/42?ss-tok=${good}`, headers: bearer(text) }), ['access', 'query']],
    [`Bearer ${text.slice(0, 20)} beside a bad cookie`, () => ({ headers: { ...bearer(text), cookie: `ss-tok=${bad}` } }), 'TOKEN_INVALID'],
    [`Bearer ${text.slice(0, 20)} alone`, () => ({ headers: bearer(text) }), 'TOKEN_INVALID'],
  ] as const),
  ['Bearer null in two lines', () => ({ headers: ['authorization', 'Bearer null', 'authorization', 'Bearer null'] }), 'TOKEN_AMBIGUOUS'],
  ['two lines of another scheme beside a cookie', () => ({ headers: ['authorization', 'Basic YTpi', 'authorization', 'Basic Yjpi', 'cookie', `ss-tok=${good}`] }), ['access', 'cookie']],

  ['a good header beside a link', () => ({ path: mint().url, headers: bearer(good) }), ['link', 'query']],
  ['an expired header beside a link', () => ({ path: mint().url, headers: bearer(expired) }), ['link', 'query']],
  ['a foreign header beside a link', () => ({ path: mint().url, headers: bearer(bad) }), ['link', 'query']],
  ['two headers beside a link', () => ({ path: mint().url, headers: ['authorization', `Bearer ${good}`, 'authorization', `Bearer ${other}`] }), ['link', 'query']],
  ['another link in the header beside a link', () => ({ path: mint().url, headers: bearer(mint().token) }), ['link', 'query']],
  ['the very link in the header', () => { const { url, token } = mint(); return { path: url, headers: bearer(token) }; }, ['link', 'header']],
  ['a good header beside a link to something else', () => ({ path: mint().url.replace('42', '43'), headers: bearer(good) }), 'LINK_SCOPE'],
  ['a good header beside a link that is made up', () => ({ path: `/files/42?ss-tok=${madeUp}`, headers: bearer(good) }), 'TOKEN_AMBIGUOUS'],
  ['a good header beside a link that was cut short', () => ({ path: mint().url.slice(0, -5), headers: bearer(good) }), 'TOKEN_AMBIGUOUS'],
  ['a good header beside a link twice', () => { const { url, token } = mint(); return { path: `${url}&ss-tok=${token}`, headers: bearer(good) }; }, 'TOKEN_AMBIGUOUS'],
  ['a good header beside itself twice in the query', () => ({ path: `/files/42?ss-tok=${good}&ss-tok=${good}`, headers: bearer(good) }), 'TOKEN_AMBIGUOUS'],
  ['a header of another scheme beside a link that is made up', () => ({ path: `/files/42?ss-tok=${madeUp}`, headers: { authorization: 'Basic YTpi' } }), 'LINK_INVALID'],
  ['a link in the header beside an access token in the query', () => ({ path: `/files/42?ss-tok=${good}`, headers: bearer(mint().token) }), 'TOKEN_AMBIGUOUS'],
]; // prettier-ignore

const STATUS: Partial<Record<RefusalCode, number>> = {
  TOKEN_AMBIGUOUS: 400,
  LINK_SCOPE: 403,
  LINK_INVALID: 403,
};

it.each(ADAPTERS.flatMap((adapter) => CASES.map(([name, ...rest]) => [adapter, name, ...rest] as const)))(
  'on %s, %s',
  async (adapter, _name, ask, outcome) => {
    await start(adapter);
    const { path = '/files/42', headers } = ask();
    const answer = await app.request(path, { headers });
    if (typeof outcome === 'string') {
      expectRefusal(answer, STATUS[outcome] ?? 401, outcome, good);
    } else {
      expect({ status: answer.status, grant: answer.json.slice(0, 2) }).toEqual({
        status: 200,
        grant: outcome,
      });
    }
  },
);

it.each(ADAPTERS)('on %s, a genuine link in a form needs no header either', async (adapter) => {
  await start(adapter);
  const { token } = app.get(DownloadLinks).create(FilesController, 'post', { params: { id: '42' } });
  const post = (body: string) =>
    app.request('/files/42', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...bearer(good) },
      body,
    });
  expect((await post(`ss-tok=${token}`)).json).toEqual(['link', 'form']);
  expectRefusal(await post(`ss-tok=${madeUp}`), 400, 'TOKEN_AMBIGUOUS', madeUp);
});

it.each(ADAPTERS)('on %s, a person with two cookies reads how to get out of it', async (adapter) => {
  await start(adapter);
  const headers = {
    cookie: `ss-tok=${good}; ss-tok=${other}`,
    accept: 'text/html',
    'sec-fetch-mode': 'navigate',
  };
  const answer = await app.request('/files/42', { headers });
  expect(answer.status).toBe(400);
  expect(answer.text).toMatch(/several cookies of the same name.*Delete the cookies of this site/s);
});

it.each(ADAPTERS)("on %s, cookie: 'same-site' ignores the cookie where a page of another site asks", async (adapter) => {
  await start(adapter, { transports: { cookie: 'same-site' } });
  const ask = (site?: string, headers: object = { cookie: `ss-tok=${good}` }, path = '/files/42') =>
    app.request(path, { headers: { ...headers, ...(site && { 'sec-fetch-site': site }) } });
  for (const site of [undefined, 'same-origin', 'same-site', 'none']) {
    expect((await ask(site)).json.slice(0, 2)).toEqual(['access', 'cookie']);
  }
  expectRefusal(await ask('cross-site'), 401, 'TOKEN_MISSING', good);
  expectRefusal(await ask('cross-site', { cookie: `ss-tok=${good}; ss-tok=${other}` }), 401, 'TOKEN_MISSING', good);
  expect((await ask('cross-site', { cookie: `ss-tok=${good}` }, mint().url)).json.slice(0, 2)).toEqual(['link', 'query']);
  expect((await ask('cross-site', bearer(good))).json.slice(0, 2)).toEqual(['access', 'header']);
  const bound = app.get(DownloadLinks).create(FilesController, 'get', { params: { id: '42' }, subject: 'ada', bindTo: { signedIn: true } });
  expect((await ask('same-site', { cookie: `ss-tok=${good}` }, bound.url)).status).toBe(200);
  expectRefusal(await ask('cross-site', { cookie: `ss-tok=${good}` }, bound.url), 403, 'LINK_SUBJECT', good);
}); // prettier-ignore

it.each(ADAPTERS)('on %s, by default a page of another site may use the cookie', async (adapter) => {
  await start(adapter);
  const answer = await app.request('/files/42', { headers: { cookie: `ss-tok=${good}`, 'sec-fetch-site': 'cross-site' } });
  expect(answer.status).toBe(200);
}); // prettier-ignore

it.each(ADAPTERS)('on %s, blanks without end in a header cost no more than their number', async (adapter) => {
  await start(adapter);
  // more than any connection carries: with a cost that grows with the square this takes hours
  const blanks = ' '.repeat(2_000_000);
  for (const authorization of [`Bearer${blanks}\u2028`, `Bearer ${blanks}x${blanks}\u2028`, `Bearer ${'{{'.repeat(1e6)}`]) {
    const answer = await dispatch(adapter, authorization);
    expect(answer).toBe(401);
  }
}); // prettier-ignore

/** Hands the application a request that no socket has carried, as serverless adapters and `inject()` do. */
async function dispatch(adapter: AdapterName, authorization: string): Promise<number> {
  const instance = app.app.getHttpAdapter().getInstance();
  if (adapter === 'fastify') {
    return (await instance.inject({ url: '/files/42', headers: { authorization } })).statusCode;
  }
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method: 'GET', url: '/files/42', headers: { authorization } });
  const response = new ServerResponse(request);
  return new Promise((resolve) => {
    response.end = () => {
      resolve(response.statusCode);
      return response;
    };
    instance(request, response);
  });
}

it.each(ADAPTERS)('on %s, each transport may go by a name of its own', async (adapter) => {
  await start(adapter, { tokenName: { query: 'token', cookie: 'authToken' } });
  const { url, token } = mint();
  expect(url).toBe(`/files/42?token=${token}`);
  expect((await app.request(url)).json.slice(0, 2)).toEqual(['link', 'query']);
  const ask = (path: string, headers?: Record<string, string>) => app.request(path, { headers });
  expect((await ask('/files/42', { cookie: `authToken=${good}` })).json[1]).toBe('cookie');
  expect((await ask(`/files/42?token=${good}`, { cookie: `ss-tok=${bad}` })).json[1]).toBe('query');
  for (const [path, headers] of [
    [`/files/42?ss-tok=${good}`, {}],
    [`/files/42?authToken=${good}`, {}],
    ['/files/42', { cookie: `token=${good}` }],
    ['/files/42', { cookie: `ss-tok=${good}` }],
  ] as const) {
    expectRefusal(await ask(path, headers), 401, 'TOKEN_MISSING', good);
  }
  const body = `ss-tok=${good}`;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  expect((await app.request('/files/42', { method: 'POST', headers, body })).json).toEqual([
    'access',
    'form',
  ]);
});
