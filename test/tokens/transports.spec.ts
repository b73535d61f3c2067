import fastifyCookie from '@fastify/cookie';
import { All, Controller, Get, Post, Put, Query, Req } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions, DownloadGrant, RefusalCode, TransportOptions } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { forge, inAnHour } from '../support/forge.js';
import { MemoryLogger } from '../support/memory-logger.js';
import type { Answer, RequestOptions } from '../support/http-client.js';
import { rawRequest } from '../support/raw-connection.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const good = accessToken({ jti: 'good' });
const other = accessToken({ jti: 'other' });
const bad = forge({ alg: 'HS256' }, { sub: 'eve', exp: inAnHour() }, `not ${SECRET}`);
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

@Controller('files')
class FilesController {
  @Get('42')
  @StreamDownload()
  get(@Grant() grant: DownloadGrant, @Query() query: unknown): unknown {
    return [grant.transport, grant.claims?.jti, query];
  }

  @Post('42')
  @StreamDownload()
  post(@Grant() grant: DownloadGrant, @Req() request: { body: unknown }): unknown {
    return [grant.transport, grant.claims?.jti, request.body];
  }

  @Put('42')
  @StreamDownload()
  put(@Grant() grant: DownloadGrant): unknown {
    return [grant.transport];
  }

  @All('any')
  @StreamDownload()
  any(@Grant() grant: DownloadGrant): unknown {
    return [grant.transport];
  }
}

@Controller('routes')
class RoutesController {
  @Get('no-header')
  @StreamDownload({ transports: { header: false } })
  noHeader(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('no-query')
  @StreamDownload({ transports: { query: false } })
  noQuery(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('no-cookie')
  @StreamDownload({ transports: { cookie: false } })
  noCookie(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('links-only')
  @StreamDownload({ transports: { query: 'links' } })
  linksOnly(@Grant() grant: DownloadGrant) {
    return [grant.kind, grant.transport];
  }
}

@Controller('strict')
@StreamDownload({ transports: { query: false, header: false } })
class StrictController {
  @Get('inherits')
  inherits(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('marked')
  @StreamDownload()
  marked(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('wider')
  @StreamDownload({ transports: { header: true } })
  wider(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }

  @Get('undefined')
  @StreamDownload({ transports: { query: undefined }, requireSecureConnection: undefined })
  undefinedMembers(@Grant() grant: DownloadGrant) {
    return [grant.transport];
  }
}

describe.each(ADAPTERS)('transports on %s', (adapter) => {
  let app: TestApp;
  const logger = new MemoryLogger();
  const start = async (options: Partial<DownloadAuthOptions> = {}, extra: object = {}) => {
    app = await startApp({
      adapter,
      controllers: [FilesController, RoutesController, StrictController],
      options: { secret: SECRET, ...options },
      logger,
      ...extra,
    });
  };
  const get = (query: string, headers: RequestOptions['headers'] = {}, path = '/files/42') =>
    app.request(path + query, { headers });
  const cookie = (token: string) => ({ cookie: `ss-tok=${token}` });

  describe('by default', () => {
    beforeAll(() => start());
    afterAll(() => app.close());

    it.each<[string, string, RequestOptions['headers'], unknown]>([
      [
        'the header goes before the cookie',
        '',
        { ...bearer(good), ...cookie(other) },
        ['header', 'good', {}],
      ],
      [
        'the header goes before a bad cookie',
        '',
        { ...bearer(good), ...cookie(bad) },
        ['header', 'good', {}],
      ],
      ['the query goes before the cookie', `?ss-tok=${good}`, cookie(other), ['query', 'good', {}]],
      ['the query goes before a bad cookie', `?ss-tok=${good}`, cookie(bad), ['query', 'good', {}]],
      ['header and query that agree', `?ss-tok=${good}`, bearer(good), ['header', 'good', {}]],
      ['the cookie alone', '', cookie(good), ['cookie', 'good', {}]],
      ['the scheme in lower case', '', { authorization: `bearer ${good}` }, ['header', 'good', {}]],
      ['the scheme in capitals', '', { authorization: `BEARER ${good}` }, ['header', 'good', {}]],
      ['blanks behind the scheme', '', { authorization: `Bearer \t  ${good}` }, ['header', 'good', {}]],
      [
        'another scheme is no token',
        `?ss-tok=${good}`,
        { authorization: 'Basic YTpi' },
        ['query', 'good', {}],
      ],
      [
        'another scheme with a token behind it',
        '',
        { authorization: `Token ${bad}`, ...cookie(good) },
        ['cookie', 'good', {}],
      ],
      [
        'a scheme that begins alike',
        '',
        { authorization: `BearerX ${bad}`, ...cookie(good) },
        ['cookie', 'good', {}],
      ],
      [
        'a token without a scheme is no token',
        '',
        { authorization: bad, ...cookie(good) },
        ['cookie', 'good', {}],
      ],
      [
        'a scheme without a token is no token',
        '',
        { authorization: 'Bearer', ...cookie(good) },
        ['cookie', 'good', {}],
      ],
      [
        'a scheme with nothing but blanks',
        '',
        { authorization: 'Bearer   ', ...cookie(good) },
        ['cookie', 'good', {}],
      ],
      ['an empty Authorization header', '', { authorization: '', ...cookie(good) }, ['cookie', 'good', {}]],
      ['an empty parameter is no token', '?ss-tok=', cookie(good), ['cookie', 'good', {}]],
      ['a parameter without a value is no token', '?ss-tok', cookie(good), ['cookie', 'good', 'any']],
      ['an empty cookie is no token', `?ss-tok=${good}`, { cookie: 'ss-tok=' }, ['query', 'good', {}]],
      ['the name percent-encoded', `?ss%2Dtok=${good}`, {}, ['query', 'good', {}]],
      ['the whole name percent-encoded', `?%73%73%2D%74%6F%6B=${good}`, {}, ['query', 'good', {}]],
      ['the value percent-encoded', `?ss-tok=${good.replaceAll('.', '%2E')}`, {}, ['query', 'good', {}]],
      ['other parameters around it', `?a=1&ss-tok=${good}&b=2`, {}, ['query', 'good', { a: '1', b: '2' }]],
      ['empty parameters around it', `?&&ss-tok=${good}&&`, {}, ['query', 'good', {}]],
      [
        'the name in capitals beside the good one is dropped',
        `?ss-tok=${good}&SS-TOK=${bad}`,
        {},
        ['query', 'good', {}],
      ],
      [
        'a longer name is another parameter',
        `?ss-token=x&ss-tok=${good}&xss-tok=y`,
        {},
        ['query', 'good', { 'ss-token': 'x', 'xss-tok': 'y' }],
      ],
      [
        'the same cookie twice with one value',
        '',
        { cookie: `ss-tok=${good}; ss-tok=${good}` },
        ['cookie', 'good', {}],
      ],
      ['a cookie in quotes', '', { cookie: `ss-tok="${good}"` }, ['cookie', 'good', {}]],
      [
        'a cookie among others',
        '',
        { cookie: `a=b; ss-token=x; ss-tok=${good}; xss-tok=y; ss-tok2=z` },
        ['cookie', 'good', {}],
      ],
      ['a word among the cookies', '', { cookie: `a; ss-toks; ss-tok=${good}` }, ['cookie', 'good', {}]],
      ['a cookie bomb', '', { cookie: `${'a=b; '.repeat(2000)}ss-tok=${good}` }, ['cookie', 'good', {}]],
      [
        'prototypes among the parameters',
        `?__proto__=x&constructor=y&ss-tok=${good}`,
        {},
        ['query', 'good', 'any'],
      ],
      [
        'prototypes among the cookies',
        '',
        { cookie: `__proto__=x; constructor=y; ss-tok=${good}` },
        ['cookie', 'good', {}],
      ],
    ])('accepted: %s', async (_name, query, headers, expected) => {
      const answer = await get(query, headers);
      expect(answer.status).toBe(200);
      const [transport, jti, seen] = answer.json as unknown[];
      const [, , wanted] = expected as unknown[];
      expect([transport, jti, wanted === 'any' ? wanted : seen]).toEqual(expected);
      expect(({} as { x?: unknown }).x).toBeUndefined();
    });

    it.each<[string, string, RequestOptions['headers'], RefusalCode]>([
      ['a bad header is not rescued by the query', `?ss-tok=${bad}`, bearer(bad), 'TOKEN_INVALID'],
      ['a bad header is not rescued by the cookie', '', { ...bearer(bad), ...cookie(good) }, 'TOKEN_INVALID'],
      ['a bad query is not rescued by the cookie', `?ss-tok=${bad}`, cookie(good), 'TOKEN_INVALID'],
      ['a malformed query is not rescued by the cookie', '?ss-tok=x', cookie(good), 'TOKEN_INVALID'],
      ['a blank is a bad token, not none', '?ss-tok=%20', cookie(good), 'TOKEN_INVALID'],
      ['a NUL is a bad token, not none', '?ss-tok=%00', cookie(good), 'TOKEN_INVALID'],
      ['header and query that differ', `?ss-tok=${other}`, bearer(good), 'TOKEN_AMBIGUOUS'],
      ['a good header and a bad query', `?ss-tok=${bad}`, bearer(good), 'TOKEN_AMBIGUOUS'],
      ['a bad header and a good query', `?ss-tok=${good}`, bearer(bad), 'TOKEN_AMBIGUOUS'],
      ['the parameter twice', `?ss-tok=${good}&ss-tok=${other}`, {}, 'TOKEN_AMBIGUOUS'],
      ['the parameter twice with one value', `?ss-tok=${good}&ss-tok=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['the parameter twice, once empty', `?ss-tok=&ss-tok=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['the parameter twice, empty last', `?ss-tok=${good}&ss-tok=`, {}, 'TOKEN_AMBIGUOUS'],
      ['the parameter twice, once encoded', `?ss-tok=${good}&ss%2Dtok=${other}`, {}, 'TOKEN_AMBIGUOUS'],
      ['a list of one', `?ss-tok[]=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['a list of one, encoded', `?ss-tok%5B%5D=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['a list with an index', `?ss-tok[0]=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['an object', `?ss-tok[a]=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['an object beside the good one', `?ss-tok=${good}&ss-tok[a]=${other}`, {}, 'TOKEN_AMBIGUOUS'],
      ['a prototype for a member', `?ss-tok[__proto__]=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['a list in capitals', `?SS-TOK[]=${good}`, {}, 'TOKEN_AMBIGUOUS'],
      ['the name in capitals is no token', `?SS-TOK=${good}`, {}, 'TOKEN_MISSING'],
      ['a semicolon before it', `?a=1;ss-tok=${good}`, {}, 'TOKEN_MISSING'],
      ['a semicolon behind it', `?ss-tok=${good};a=1`, {}, 'TOKEN_INVALID'],
      ['a semicolon between two', `?ss-tok=${good};ss-tok=${other}`, {}, 'TOKEN_INVALID'],
      ['the name encoded twice', `?ss%252Dtok=${good}`, {}, 'TOKEN_MISSING'],
      ['the value encoded twice', `?ss-tok=${good.replaceAll('.', '%252E')}`, {}, 'TOKEN_INVALID'],
      ['a plus in the name', `?+ss-tok=${good}`, {}, 'TOKEN_MISSING'],
      ['a broken escape in the value', `?ss-tok=${good}%`, {}, 'TOKEN_INVALID'],
      ['a broken escape in the name', `?ss-tok%=${good}`, {}, 'TOKEN_MISSING'],
      ['two cookies that differ', '', { cookie: `ss-tok=${good}; ss-tok=${other}` }, 'TOKEN_AMBIGUOUS'],
      [
        'two cookies that differ, the good one last',
        '',
        { cookie: `ss-tok=${bad}; ss-tok=${good}` },
        'TOKEN_AMBIGUOUS',
      ],
      ['a JSON cookie', '', { cookie: 'ss-tok=j:{"a":1}' }, 'TOKEN_AMBIGUOUS'],
      ['a JSON list for a cookie', '', { cookie: `ss-tok=j:["${good}"]` }, 'TOKEN_AMBIGUOUS'],
      ['a signed cookie is not ours', '', { cookie: `ss-tok=s:${good}.abc` }, 'TOKEN_INVALID'],
      ['the cookie in capitals', '', { cookie: `SS-TOK=${good}` }, 'TOKEN_MISSING'],
      ['the cookie name encoded', '', { cookie: `ss%2Dtok=${good}` }, 'TOKEN_MISSING'],
      ['two tokens in the header', '', { authorization: `Bearer ${good}, Bearer ${other}` }, 'TOKEN_INVALID'],
      ['a token with parameters', '', { authorization: `Bearer token="${good}"` }, 'TOKEN_INVALID'],
      ['a scheme glued to the token', '', { authorization: `Bearer${good}` }, 'TOKEN_MISSING'],
      [
        'the header of another name',
        '',
        { 'x-authorization': `Bearer ${good}`, 'proxy-authorization': `Bearer ${good}` },
        'TOKEN_MISSING',
      ],
      [
        'two lines of Authorization',
        '',
        ['authorization', `Bearer ${good}`, 'authorization', `Bearer ${other}`],
        'TOKEN_AMBIGUOUS',
      ],
      [
        'two lines of Authorization that agree',
        '',
        ['authorization', `Bearer ${good}`, 'Authorization', `Bearer ${good}`],
        'TOKEN_AMBIGUOUS',
      ],
      [
        'two lines of Authorization, one of another scheme',
        '',
        ['authorization', 'Basic YTpi', 'AUTHORIZATION', `Bearer ${good}`],
        'TOKEN_AMBIGUOUS',
      ],
      [
        'two lines of Cookie',
        '',
        ['cookie', `ss-tok=${good}`, 'cookie', `ss-tok=${other}`],
        'TOKEN_AMBIGUOUS',
      ],
    ])('refused: %s', async (_name, query, headers, code) => {
      const answer = await get(query, headers);
      expectRefusal(answer, code === 'TOKEN_AMBIGUOUS' ? 400 : 401, code, good);
      expect(answer.headers).not.toHaveProperty('set-cookie');
    });

    it.each(['POST', 'PUT', 'DELETE', 'PATCH'])(
      'a %s counts neither query nor cookie, but the header',
      async (method) => {
        const path = method === 'POST' || method === 'PUT' ? '/files/42' : '/files/any';
        const ask = (query: string, headers: RequestOptions['headers']) =>
          app.request(path + query, { method, headers });
        expectRefusal(await ask(`?ss-tok=${good}`, {}), 401, 'TOKEN_MISSING', good);
        expectRefusal(await ask('', cookie(good)), 401, 'TOKEN_MISSING', good);
        expect((await ask(`?ss-tok=${bad}`, { ...bearer(good), ...cookie(bad) })).json[0]).toBe('header');
      },
    );

    it('a HEAD counts everything', async () => {
      for (const [query, headers] of [
        ['', bearer(good)],
        [`?ss-tok=${good}`, {}],
        ['', cookie(good)],
      ] as const) {
        const answer = await app.request(`/files/42${query}`, { method: 'HEAD', headers });
        expect([answer.status, answer.text]).toEqual([200, '']);
      }
      expect((await app.request(`/files/42?ss-tok=${bad}`, { method: 'HEAD' })).status).toBe(401);
    });

    it('an OPTIONS request is not a download', async () => {
      const answer = await app.request(`/files/any?ss-tok=${good}`, {
        method: 'OPTIONS',
        headers: cookie(good),
      });
      expect([200, 204, 401, 404]).toContain(answer.status);
      expect(answer.text).not.toContain('cookie');
    });

    it('the form is off', async () => {
      const answer = await app.request('/files/42', {
        method: 'POST',
        headers: FORM,
        body: `ss-tok=${good}`,
      });
      expectRefusal(answer, 401, 'TOKEN_MISSING', good);
    });

    it.each<[string, TransportOptions]>([
      ['header', { header: false }],
      ['query', { query: false }],
      ['cookie', { cookie: false }],
    ])('a route can do without the %s', async (name) => {
      const ways: Record<string, [string, RequestOptions['headers']]> = {
        header: ['', bearer(good)],
        query: [`?ss-tok=${good}`, {}],
        cookie: ['', cookie(good)],
      };
      for (const [way, [query, headers]] of Object.entries(ways)) {
        const answer = await get(query, headers, `/routes/no-${name}`);
        if (way === name) {
          expectRefusal(answer, 401, 'TOKEN_MISSING', good);
        } else {
          expect(answer.json).toEqual([way]);
        }
      }
    });

    it('what a controller switched off stays off for its handlers, until one switches it on', async () => {
      for (const path of ['inherits', 'marked', 'undefined']) {
        expectRefusal(
          await get(`?ss-tok=${good}`, bearer(good), `/strict/${path}`),
          401,
          'TOKEN_MISSING',
          good,
        );
        expect((await get('', cookie(good), `/strict/${path}`)).json).toEqual(['cookie']);
      }
      expect((await get('', bearer(good), '/strict/wider')).json).toEqual(['header']);
      expectRefusal(await get(`?ss-tok=${good}`, {}, '/strict/wider'), 401, 'TOKEN_MISSING', good);
    });

    it('the log warns once about an access token in the query, and does not show it', async () => {
      await get(`?ss-tok=${good}`);
      await get(`?ss-tok=${good}`);
      expect(logger.lines.filter((line) => line.includes('query string'))).toHaveLength(1);
      expectNoTrace(logger.text, good);
    });
  });

  describe("with query: 'links'", () => {
    beforeAll(() => start({ transports: { query: 'links' } }));
    afterAll(() => app.close());

    it('an access token in the query is refused, good or bad, and no cookie rescues it', async () => {
      expectRefusal(await get(`?ss-tok=${good}`), 401, 'TOKEN_INVALID', good);
      expectRefusal(await get(`?ss-tok=${good}`, cookie(good)), 401, 'TOKEN_INVALID', good);
      expectRefusal(await get(`?ss-tok=${bad}`), 401, 'TOKEN_INVALID', bad);
    });

    it('links and the other ways stay', async () => {
      const { url } = app.get(DownloadLinks).create(FilesController, 'get');
      expect((await app.request(url)).json[0]).toBe('query');
      expect((await get('', bearer(good))).json[0]).toBe('header');
      expect((await get('', cookie(good))).json[0]).toBe('cookie');
    });
  });

  it("with query: 'links' on one route, that route has it", async () => {
    await start();
    const { url } = app.get(DownloadLinks).create(RoutesController, 'linksOnly');
    expect((await app.request(url)).json).toEqual(['link', 'query']);
    expectRefusal(await get(`?ss-tok=${good}`, {}, '/routes/links-only'), 401, 'TOKEN_INVALID', good);
    expect((await get(`?ss-tok=${good}`)).status).toBe(200);
    await app.close();
  });

  describe('each of them off for the module', () => {
    afterEach(() => app.close());
    it.each<[string, string, RequestOptions['headers'], TransportOptions]>([
      ['header', '', bearer(good), { header: false }],
      ['query', `?ss-tok=${good}`, {}, { query: false }],
      // StrictController has nothing but the cookie left, and the application would not start
      ['cookie', '', cookie(good), { cookie: false, form: true }],
    ])('%s', async (_name, query, headers, transports) => {
      await start({ transports });
      expectRefusal(await get(query, headers), 401, 'TOKEN_MISSING', good);
    });
  });

  describe('with a name of its own', () => {
    beforeAll(() => start({ tokenName: 'X-Amz.Token~1', transports: { form: true } }));
    afterAll(() => app.close());
    it('query, cookie and form go by it, and by no other', async () => {
      expect((await get(`?X-Amz.Token~1=${good}`)).json).toEqual(['query', 'good', {}]);
      expect((await get('', { cookie: `X-Amz.Token~1=${good}` })).json[0]).toBe('cookie');
      const answer = await app.request('/files/42', {
        method: 'POST',
        headers: FORM,
        body: `X-Amz.Token~1=${good}`,
      });
      expect(answer.json[0]).toBe('form');
      expectRefusal(await get(`?ss-tok=${good}`, cookie(good)), 401, 'TOKEN_MISSING', good);
      expectRefusal(await get(`?X-AmzXToken~1=${good}`), 401, 'TOKEN_MISSING', good);
    });
  });

  describe('with the form on', () => {
    beforeAll(() => start({ transports: { form: true } }));
    afterAll(() => app.close());
    const post = (body: string, headers: Record<string, string> = {}, query = '') =>
      app.request(`/files/42${query}`, { method: 'POST', headers: { ...FORM, ...headers }, body });

    it('the field is read, and the handler does not see it', async () => {
      const answer = await post(`a=1&ss-tok=${good}&b=2`);
      expect(answer.json).toEqual(['form', 'good', { a: '1', b: '2' }]);
    });

    it.each<[string, () => Promise<Answer>, number, RefusalCode]>([
      ['twice', () => post(`ss-tok=${good}&ss-tok=${good}`), 400, 'TOKEN_AMBIGUOUS'],
      ['a list of one', () => post(`ss-tok[]=${good}`), 400, 'TOKEN_AMBIGUOUS'],
      ['an object', () => post(`ss-tok[a]=${good}`), 400, 'TOKEN_AMBIGUOUS'],
      ['an object beside it', () => post(`ss-tok=${good}&ss-tok[a]=${good}`), 400, 'TOKEN_AMBIGUOUS'],
      ['other than the header', () => post(`ss-tok=${good}`, bearer(other)), 400, 'TOKEN_AMBIGUOUS'],
      ['empty', () => post('ss-tok='), 401, 'TOKEN_MISSING'],
      ['bad', () => post(`ss-tok=${bad}`, cookie(good)), 401, 'TOKEN_INVALID'],
      ['a blank', () => post('ss-tok=+'), 401, 'TOKEN_INVALID'],
      [
        'in a JSON body',
        () => post(JSON.stringify({ 'ss-tok': good }), { 'content-type': 'application/json' }),
        401,
        'TOKEN_MISSING',
      ],
      ['in the query of a POST', () => post('a=1', {}, `?ss-tok=${good}`), 401, 'TOKEN_MISSING'],
      ['in the cookie of a POST', () => post('a=1', cookie(good)), 401, 'TOKEN_MISSING'],
      [
        'in the form of a PUT',
        () => app.request('/files/42', { method: 'PUT', headers: FORM, body: `ss-tok=${good}` }),
        401,
        'TOKEN_MISSING',
      ],
      [
        'in the form of a GET',
        () =>
          app.request('/files/42', {
            method: 'GET',
            headers: { ...FORM, 'content-length': String(good.length + 7) },
            body: `ss-tok=${good}`,
          }),
        401,
        'TOKEN_MISSING',
      ],
    ])('refused: %s', async (_name, ask, status, code) => expectRefusal(await ask(), status, code, good));

    it('a form that agrees with the header is one token', async () => {
      expect((await post(`ss-tok=${good}`, bearer(good))).json).toEqual(['header', 'good', {}]);
    });
  });

  describe.each<[string, (adapter: AdapterName, app: any) => void]>([
    [
      'without a secret',
      (adapter, app) => (adapter === 'express' ? app.use(cookieParser()) : app.register(fastifyCookie)),
    ],
    [
      'with a secret',
      (adapter, app) =>
        adapter === 'express'
          ? app.use(cookieParser('pepper'))
          : app.register(fastifyCookie, { secret: 'pepper' }),
    ],
  ])('where the host parses cookies already, %s', (_name, configure) => {
    beforeAll(() => start({}, { configure: (app: unknown) => configure(adapter, app) }));
    afterAll(() => app.close());
    it('its cookies are taken', async () => {
      expect((await get('', { cookie: `a=b; ss-tok=${good}` })).json).toEqual(['cookie', 'good', {}]);
      expectRefusal(await get('', cookie(bad)), 401, 'TOKEN_INVALID', bad);
      expectRefusal(
        await get('', { cookie: `ss-tok=${good}; ss-tok=${other}` }),
        400,
        'TOKEN_AMBIGUOUS',
        good,
      );
      expectRefusal(await get('', { cookie: 'ss-tok=' }), 401, 'TOKEN_MISSING');
    });
  });

  if (adapter === 'express') {
    describe.each(['extended', 'simple', false])('with the query parser %s of Express', (parser) => {
      beforeAll(() => start({}, { configure: (app: any) => app.set('query parser', parser) }));
      afterAll(() => app.close());

      it.each(['[]', '[a]', '[0]', '%5B%5D', '[__proto__]', '[a][b]'])(
        'ss-tok%s is refused',
        async (suffix) => {
          expectRefusal(await get(`?ss-tok${suffix}=${good}`), 400, 'TOKEN_AMBIGUOUS', good);
        },
      );

      it('the token is read and taken out', async () => {
        const [transport, jti, query] = (await get(`?a[b]=1&ss-tok=${good}`)).json;
        expect([transport, jti]).toEqual(['query', 'good']);
        expect(JSON.stringify(query)).not.toContain('tok');
        expectRefusal(await get(`?ss-tok=${good}&ss-tok=${good}`), 400, 'TOKEN_AMBIGUOUS', good);
      });
    });
  } else {
    describe('with useSemicolonDelimiter of Fastify', () => {
      beforeAll(() => start({}, { fastify: { routerOptions: { useSemicolonDelimiter: true } } }));
      afterAll(() => app.close());

      it('a token behind a semicolon is ignored, and removed', async () => {
        const answer = await get(`;ss-tok=${good}`);
        expectRefusal(answer, 401, 'TOKEN_MISSING', good);
        expect((await get(`;ss-tok=${bad}&a=1`, cookie(good))).json).toEqual(['cookie', 'good', { a: '1' }]);
      });
    });

    it('a request that Fastify injects is no different', async () => {
      await start();
      const fastify = app.app.getHttpAdapter().getInstance();
      const ask = async (headers: object) => (await fastify.inject({ url: '/files/42', headers })).json();
      expect(await ask(bearer(good))).toEqual(['header', 'good', {}]);
      expect(await ask(cookie(good))).toEqual(['cookie', 'good', {}]);
      await app.close();
    });
  }

  describe('requests that play with HTTP itself', () => {
    beforeAll(() => start());
    afterAll(() => app.close());
    const raw = (...lines: string[]) => rawRequest(app.port, [...lines, '', ''].join('\r\n'));
    const END = 'Connection: close';

    it.each<[string, string[], RegExp]>([
      [
        'an absolute target',
        [`GET http://evil.example/files/42?ss-tok=${good} HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 200[^]*\["query","good",\{\}\]/,
      ],
      [
        'an absolute target with a bad token',
        [`GET http://evil.example/files/42?ss-tok=${bad} HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 401[^]*TOKEN_INVALID/,
      ],
      [
        'an absolute target with a user',
        [`GET http://a:b@evil.example/files/42 HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 40[14]/,
      ],
      [
        'a fragment with a token',
        [`GET /files/42#?ss-tok=${bad} HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 4\d\d/,
      ],
      ['HTTP/1.0', [`GET /files/42?ss-tok=${good} HTTP/1.0`], /^HTTP\/1\.1 200/],
      [
        'a blank before the colon',
        ['GET /files/42 HTTP/1.1', 'Host: x', `Authorization : Bearer ${good}`, END],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a header folded over two lines',
        ['GET /files/42 HTTP/1.1', 'Host: x', 'Authorization: Bearer', ` ${good}`, END],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a NUL in the header',
        ['GET /files/42 HTTP/1.1', 'Host: x', `Authorization: Bearer ${good}\0`, END],
        /^HTTP\/1\.1 400/,
      ],
      ['a NUL in the target', [`GET /files/42?ss-tok=${good}\0 HTTP/1.1`, 'Host: x', END], /^HTTP\/1\.1 400/],
      [
        'a newline alone in the target',
        [`GET /files/42?ss-tok=${good}\n HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 400/,
      ],
      [
        'two lengths',
        [
          'GET /files/42 HTTP/1.1',
          'Host: x',
          `Authorization: Bearer ${good}`,
          'Content-Length: 0',
          'Content-Length: 5',
          END,
        ],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a length and chunks',
        [
          'POST /files/42 HTTP/1.1',
          'Host: x',
          `Authorization: Bearer ${good}`,
          'Content-Length: 6',
          'Transfer-Encoding: chunked',
          END,
        ],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a method in lower case',
        ['get /files/42 HTTP/1.1', 'Host: x', `Authorization: Bearer ${good}`, END],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a method nobody knows',
        ['BREW /files/42 HTTP/1.1', 'Host: x', `Authorization: Bearer ${good}`, END],
        /^HTTP\/1\.1 400/,
      ],
      [
        'a method of another protocol',
        [`PROPFIND /files/42?ss-tok=${good} HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 404/,
      ],
      [
        'a method overridden by a header',
        [
          `POST /files/42?ss-tok=${good} HTTP/1.1`,
          'Host: x',
          'X-HTTP-Method-Override: GET',
          'Content-Length: 0',
          END,
        ],
        /^HTTP\/1\.1 401[^]*TOKEN_MISSING/,
      ],
      [
        'a target overridden by a header',
        [
          `GET /nothing?ss-tok=${good} HTTP/1.1`,
          'Host: x',
          'X-Original-URL: /files/42',
          'X-Rewrite-URL: /files/42',
          END,
        ],
        /^HTTP\/1\.1 404/,
      ],
      [
        'a broken escape in the path',
        [`GET /files/%zz?ss-tok=${good} HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 40[04]/,
      ],
      [
        'bytes beyond ASCII in the target',
        [`GET /files/42?ss-tok=\xe9\xff HTTP/1.1`, 'Host: x', END],
        /^HTTP\/1\.1 40[01]/,
      ],
    ])('%s', async (_name, lines, expected) => {
      const answer = await raw(...lines);
      expect(answer).toMatch(expected);
      expect(answer).not.toMatch(/^HTTP\/1\.1 5/);
    });

    it('a URL as long as headers may be', async () => {
      const answer = await get(`?ss-tok=${good}&a=${'x'.repeat(15_000)}`);
      expect(answer.json[2].a).toHaveLength(15_000);
      expect((await get(`?ss-tok=${good}&a=${'x'.repeat(17_000)}`)).status).toBe(431);
    });

    it('thousands of parameters', async () => {
      expect((await get(`?${'a&'.repeat(5000)}ss-tok=${good}`)).json[1]).toBe('good');
      expectRefusal(await get(`?${'ss-tok&'.repeat(2000)}`), 400, 'TOKEN_AMBIGUOUS');
    });
  });
});
