import {
  All,
  Controller,
  Get,
  Head,
  Param,
  Post,
  Query,
  Req,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import type { ControllerOptions, Type } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions, DownloadAuthOptions, DownloadGrant } from '../../lib/index.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { rawRequest } from '../support/raw-connection.js';

@Controller('files')
class FilesController {
  @Get('search')
  @StreamDownload()
  search(@Query() query: unknown): unknown {
    return { query };
  }

  @Get(':id')
  @StreamDownload()
  get(@Param() params: unknown, @Query() query: unknown): unknown {
    return { params, query };
  }

  @Get(':id/preview')
  @StreamDownload()
  preview(@Param() params: unknown): unknown {
    return { params };
  }

  @Get('tree/*')
  @StreamDownload()
  tree(@Param() params: unknown): unknown {
    return { params };
  }

  @All('all/:id')
  @StreamDownload()
  all(@Req() request: { method: string }): unknown {
    return request.method;
  }

  @Post('posted/:id')
  @StreamDownload({ transports: { form: true } })
  posted(): string {
    return 'posted';
  }

  @Head('headed/:id')
  @StreamDownload()
  headed(): string {
    return '';
  }

  @Get(['one/:id', 'two/:id'])
  @StreamDownload()
  paths(@Param('id') id: string): string {
    return id;
  }

  @Get('open/:id')
  open(): string {
    return 'open';
  }
}

@Controller('reports')
class ReportsController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'a report';
  }
}

class BaseController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return this.constructor.name;
  }
}

@Controller('first')
class FirstController extends BaseController {}

@Controller('second')
class SecondController extends BaseController {}

/** Two classes of one name, as when every tenant or version has a file of its own. */
function namesake(options: {
  host?: string;
  version?: ControllerOptions['version'];
}): Type<{ get(): string }> {
  @Controller({ path: 'same', ...options })
  class SameController {
    @Get(':id')
    @StreamDownload()
    get(): string {
      return JSON.stringify(options);
    }
  }
  return SameController;
}

@Controller({ host: ':tenant.example.com', path: 'tenants' })
class TenantController {
  @Get(':id')
  @StreamDownload()
  get(@Req() request: { hosts: unknown }): unknown {
    return request.hosts;
  }
}

const CONTROLLERS = [TenantController, FilesController, ReportsController, FirstController, SecondController];

interface Setup {
  adapter: (typeof ADAPTERS)[number];
  options?: Partial<DownloadAuthOptions>;
  controllers?: Type[];
  configure?: (app: any) => void;
  fastify?: Record<string, unknown>;
}

async function start({ controllers = CONTROLLERS, options, ...setup }: Setup) {
  const app = await startApp({ ...setup, controllers, options: { secret: SECRET, ...options } });
  return { app, links: app.get(DownloadLinks) };
}

describe.each(ADAPTERS)('a link on %s', (adapter) => {
  let app: TestApp;
  let links: DownloadLinks;
  const tokenFor = (options: CreateLinkOptions) => links.create(FilesController, 'get', options).token;

  beforeAll(async () => {
    ({ app, links } = await start({ adapter, options: { links: { ignoreQuery: ['utm_source'] } } }));
  });
  afterAll(() => app.close());

  it.each<[string, string, unknown]>([
    ['as it is minted', '/files/42', { id: '42' }],
    ['letters percent-encoded', '/files/%34%32', { id: '42' }],
    ['the route percent-encoded', '/%66iles/42', { id: '42' }],
    ['an absolute target', 'http://evil.example/files/42', { id: '42' }],
  ])('is good for what the handler receives: %s', async (_name, path, params) => {
    const answer = await app.request(`${path}?ss-tok=${tokenFor({ params: { id: '42' } })}`);
    if (answer.status !== 404) {expect(answer.json).toEqual({ params, query: {} });}
  });

  it.each<[string, string]>([
    ['another file', '/files/43'],
    ['another file behind dots', '/files/42/../43'],
    ['another file behind encoded dots', '/files/42/%2e%2e/43'],
    ['another file behind one encoded dot', '/files/42/.%2e/43'],
    ['another file behind an encoded slash', '/files/42%2f..%2f43'],
    ['another file behind a backslash', '/files/42%5c..%5c43'],
    ['an encoded slash at the end', '/files/42%2f'],
    ['a slash before it', '/files/%2f42'],
    ['a double slash', '/files//42'],
    ['a double slash before', '//files/42'],
    ['a dot', '/files/./42'],
    ['a NUL behind it', '/files/42%00'],
    ['a blank behind it', '/files/42%20'],
    ['a newline behind it', '/files/42%0a'],
    ['encoded twice', '/files/%2534%2532'],
    ['letters in full width', '/files/%EF%BC%94%EF%BC%92'],
    ['overlong UTF-8', '/files/%C0%B4%C0%B2'],
    ['a path parameter', '/files/42;v=1'],
    ['an encoded question mark', '/files/42%3fa=1'],
    ['a number written otherwise', '/files/042'],
    ['another handler with the same parameters', '/files/42/preview'],
    ['a controller with the same handler name', '/reports/42'],
    ['a path in capitals', '/FILES/42'],
    ['the list', '/files'],
  ])('is not good for %s', async (_name, path) => {
    const token = tokenFor({ params: { id: '42' } });
    const answer = await rawRequest(app.port, `GET ${path}?ss-tok=${token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    if (/"params":\{"id":"42"\}/.test(answer)) {return expect(path).toMatch(/FILES|\/\/files/);} // the same resource
    expect(answer).toMatch(/^HTTP\/1\.1 (403 |40[04] )/);
    // where no route matched, the framework's own 404 or 400 repeats the URL that was asked for
    if (answer.startsWith('HTTP/1.1 403')) {expect(answer).not.toContain(token.slice(-20));}
  });

  it.each<[string, string]>([
    ['/files/42/', '42'],
  ])('a slash at its end is the same resource or none: %s', async (path, id) => {
    const answer = await app.request(`${path}?ss-tok=${tokenFor({ params: { id } })}`);
    if (answer.status !== 404) {expect(answer.json.params).toEqual({ id });}
  });

  it.each<[string, string]>([
    ['a parameter more', '&a=1'],
    ['a parameter more, empty', '&a='],
    ['a parameter more, without a value', '&a'],
    ['a parameter of the prototype', '&__proto__=1'],
    ['a parameter called toString', '&toString=1'],
    ['the parameter of the path in the query', '&id=43'],
    ['a list', '&a[]=1'],
  ])('is not good with %s', async (_name, extra) => {
    const token = tokenFor({ params: { id: '42' } });
    const answer = await app.request(`/files/42?ss-tok=${token}${extra}`);
    expectRefusal(answer, 403, 'LINK_SCOPE', token);
  });

  it('a HEAD is a GET, nothing else is', async () => {
    const { url, token } = links.create(FilesController, 'all', { params: { id: '1' } });
    expect((await app.request(url)).text).toBe('GET');
    expect((await app.request(url, { method: 'HEAD' })).status).toBe(200);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const answer = await app.request('/files/all/1', { method, headers: bearer(token) });
      expectRefusal(answer, 403, 'LINK_SCOPE', token);
    }
  });

  it('a link to a POST carries its token in the form, and opens no GET', async () => {
    const { url, token } = links.create(FilesController, 'posted', { params: { id: '1' } });
    expect(url).toBe('/files/posted/1');
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await app.request(url, { method: 'POST', headers, body: `ss-tok=${token}` })).text).toBe('posted');
    expectRefusal(await app.request(`/files/42?ss-tok=${token}`), 403, 'LINK_SCOPE', token);
  });

  it('one path of a handler is another resource than the next', async () => {
    const params = { id: '1' };
    const { url, token } = links.create(FilesController, 'paths', { params });
    expect(url).toMatch(/^\/files\/one\/1\?/);
    expect((await app.request(url)).text).toBe('1');
    expectRefusal(await app.request(`/files/two/1?ss-tok=${token}`), 403, 'LINK_SCOPE', token);
    for (const path of ['two/:id', '/files/two/:id']) {
      const second = links.create(FilesController, 'paths', { params, path });
      expect(second.url).toMatch(/^\/files\/two\/1\?/);
      expect((await app.request(second.url)).text).toBe('1');
    }
  });

  it('a handler that two controllers inherit is a resource of each', async () => {
    const { url, token } = links.create(FirstController, 'get', { params: { id: '1' } });
    expect((await app.request(url)).text).toBe('FirstController');
    expectRefusal(await app.request(`/second/1?ss-tok=${token}`), 403, 'LINK_SCOPE', token);
  });

  it.each(['header', 'cookie'])('is good in the %s too', async (way) => {
    const token = tokenFor({ params: { id: '42' } });
    const headers = way === 'header' ? bearer(token) : { cookie: `ss-tok=${token}` };
    expect((await app.request('/files/42', { headers })).json.params).toEqual({ id: '42' });
    expectRefusal(await app.request('/files/43', { headers }), 403, 'LINK_SCOPE', token);
  });

  it('a wildcard receives its path, however it is spelled, and no other', async () => {
    const { url, token } = links.create(FilesController, 'tree', { params: { path: 'a/b c/ключ.bin' } });
    const received = (await app.request(url)).json.params;
    expect(JSON.stringify(received)).toContain('ключ.bin');
    expect((await app.request(`/files/tree/%61/b%20c/${encodeURIComponent('ключ')}.bin?ss-tok=${token}`)).status).toBe(200);
    for (const path of ['a/b%20c', 'a/b%20c/x', 'b%20c/a', 'a/b%20c/ключ.bin/x', 'a/x/../b%20c/ключ.bin', 'a//b%20c/ключ.bin']) {
      const answer = await app.request(`/files/tree/${encodeURI(decodeURI(path))}?ss-tok=${token}`);
      expect([403, 404]).toContain(answer.status);
      expect(answer.text).not.toContain('"params"');
    }
  });

  it('a host parameter binds', async () => {
    const { url, token } = links.create(TenantController, 'get', { params: { id: '1' }, hosts: { tenant: 'acme' } });
    const ask = (host: string) => app.request(url, { headers: { host } });
    expect((await ask('acme.example.com')).json).toEqual({ tenant: 'acme' });
    expectRefusal(await ask('evil.example.com'), 403, 'LINK_SCOPE', token);
    expect((await ask('example.org')).status).toBe(404);
  });

  const mint = (query: Record<string, unknown>) => links.create(FilesController, 'search', { query });

  it.each<[string, Record<string, unknown>, unknown]>([
    ['texts', { a: '1', b: '2' }, { a: '1', b: '2' }],
    ['numbers and booleans', { a: 1, b: true, c: 0 }, { a: '1', b: 'true', c: '0' }],
    ['a list', { a: ['1', '2'] }, { a: ['1', '2'] }],
    ['a list of one', { a: ['1'] }, { a: '1' }],
    ['an empty list', { a: [], b: '1' }, { b: '1' }],
    ['undefined', { a: undefined, b: '1' }, { b: '1' }],
    ['an empty text', { a: '' }, { a: '' }],
    ['what needs encoding', { 'a b&c=d': 'é+ &=#%?/\\;"<>\u{1f98a}' }, { 'a b&c=d': 'é+ &=#%?/\\;"<>\u{1f98a}' }],
    ['names of every object', { constructor: '1', toString: '2' }, { constructor: '1', toString: '2' }],
    ['an ignored name', { utm_source: 'mail', a: '1' }, { utm_source: 'mail', a: '1' }],
  ])('opens what it was minted for: %s', async (_name, query, received) => {
    expect((await app.request(mint(query).url)).json.query).toEqual(received);
  });

  it('does not care for the order of parameters, but for that of a list', async () => {
    const { token } = mint({ a: '1', b: ['2', '3'] });
    const ask = (query: string) => app.request(`/files/search?${query}&ss-tok=${token}`);
    expect((await ask('b=2&b=3&a=1')).status).toBe(200);
    expect((await app.request(`/files/search?ss-tok=${token}&b=2&a=1&b=3`)).status).toBe(200);
    expectRefusal(await ask('a=1&b=3&b=2'), 403, 'LINK_SCOPE', token);
  });

  it.each([
    ['a parameter missing', 'a=1'],
    ['a parameter changed', 'a=1&b=3'],
    ['a parameter repeated', 'a=1&b=2&b=2'],
    ['a parameter more', 'a=1&b=2&c=3'],
    ['a name in capitals', 'A=1&b=2'],
    ['a value in capitals', 'a=1&b=2&utm_source=x&UTM_source=y'],
    ['values swapped', 'a=2&b=1'],
    ['a name that is a list', 'a[]=1&b=2'],
    ['all of it missing', ''],
    ['semicolons', 'a=1;b=2'],
  ])('refuses %s', async (_name, query) => {
    const { token } = mint({ a: '1', b: '2' });
    expectRefusal(await app.request(`/files/search?${query}&ss-tok=${token}`), 403, 'LINK_SCOPE', token);
  });

  it('does not care for the names on the ignore list', async () => {
    const { token } = mint({ a: '1', utm_source: 'mail' });
    for (const query of ['a=1', 'a=1&utm_source=x', 'utm_source=x&utm_source=y&a=1', 'a=1&ngsw-bypass']) {
      expect((await app.request(`/files/search?${query}&ss-tok=${token}`)).status).toBe(200);
    }
    expectRefusal(await app.request(`/files/search?a=1&utm_medium=x&ss-tok=${token}`), 403, 'LINK_SCOPE', token);
  });

  const hosts = [namesake({ host: 'a.example' }), namesake({ host: 'b.example' })] as const;
  const versions = [namesake({ version: [VERSION_NEUTRAL, '1'] }), namesake({ version: '2' })] as const;

  // Fastify takes one route of a method and path, whatever its host
  it.runIf(adapter === 'express')('to one of two classes of one name, on two hosts, opens its own', async () => {
    const { app, links } = await start({ adapter, controllers: [...hosts] });
    const { url, token } = links.create(hosts[0], 'get', { params: { id: '1' } });
    expect((await app.request(url, { headers: { host: 'a.example' } })).text).toContain('a.example');
    expectRefusal(await app.request(url, { headers: { host: 'b.example' } }), 403, 'LINK_SCOPE', token);
    await app.close();
  });

  it('to one of two classes of one name, of two versions in a header, opens its own', async () => {
    const { app, links } = await start({
      adapter,
      controllers: [...versions],
      configure: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }),
    });
    const { url, token } = links.create(versions[0], 'get', { params: { id: '1' } });
    expect((await app.request(url)).json).toEqual({ version: [null, '1'] });
    expect((await app.request(url, { headers: { 'x-version': '1' } })).json).toEqual({ version: [null, '1'] });
    expectRefusal(await app.request(url, { headers: { 'x-version': '2' } }), 403, 'LINK_SCOPE', token);
    await app.close();
  });

  it('to one of two versions of a method opens its own', async () => {
    @Controller('v')
    class VersionedController {
      @Version(['1', VERSION_NEUTRAL])
      @Get(':id')
      @StreamDownload()
      one(): string {
        return 'one';
      }

      @Version('2')
      @Get(':id')
      @StreamDownload()
      two(): string {
        return 'two';
      }
    }
    const { app, links } = await start({
      adapter,
      controllers: [VersionedController],
      configure: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }),
    });
    const { url, token } = links.create(VersionedController, 'one', { params: { id: '1' } });
    expect((await app.request(url)).text).toBe('one');
    expect((await app.request(url, { headers: { 'x-version': '1' } })).text).toBe('one');
    expect(() => links.create(VersionedController, 'two', { params: { id: '1' } })).toThrow(/two serves version 2 only.*VERSION_NEUTRAL/);
    expectRefusal(await app.request(url, { headers: { 'x-version': '2' } }), 403, 'LINK_SCOPE', token);
    await app.close();
  });

  if (adapter === 'express') {
    it('under strict and case-sensitive routing: opens its own spelling', async () => {
      const { app, links } = await start({ adapter, configure: (app) => app.set('strict routing', true).set('case sensitive routing', true) });
      const { url, token } = links.create(FilesController, 'get', { params: { id: '42' } });
      expect((await app.request(url)).status).toBe(200);
      expect((await app.request(`/files/42/?ss-tok=${token}`)).text).not.toContain('"id":"43"');
      await app.close();
    });
  } else {
    it('under routing that overlooks case, slashes at the end and double slashes: the same resource and no other', async () => {
      const { app, links } = await start({
      adapter,
        fastify: { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, useSemicolonDelimiter: true } },
      });
      const { token } = links.create(FilesController, 'get', { params: { id: 'Ada' } });
      for (const path of ['/files/Ada', '/FILES/Ada', '/files/Ada/', '//files///Ada']) {
        const answer = await app.request(`${path}?ss-tok=${token}`);
        expect(answer.json.params).toEqual({ id: 'Ada' });
      }
      for (const path of ['/files/ada', '/files/ADA', '/files/ada/']) {
        expectRefusal(await app.request(`${path}?ss-tok=${token}`), 403, 'LINK_SCOPE', token);
      }
      const answer = await app.request(`/files/Ada;a=1?ss-tok=${token}`);
      expectRefusal(answer, 403, 'LINK_SCOPE', token);
      await app.close();
    });
  }

  it('tells the handler and request.user what it says', async () => {
    @Controller('who')
    class WhoController {
      @Get(':id')
      @StreamDownload()
      get(@Grant() grant: DownloadGrant, @Req() request: { user: unknown }): unknown {
        return { grant, user: request.user };
      }
    }
    const { app, links } = await start({ adapter, controllers: [WhoController], options: { links: { validate: ({ sub }) => (sub === 'eve' ? undefined : { name: sub }) } } });
    const mint = (subject: string) =>
      links.create(WhoController, 'get', { params: { id: '1' }, subject, filename: 'r\u00e9sum\u00e9 "1".pdf', disposition: 'inline', claims: { order: 7 } });
    const link = mint('ada');
    const { grant, user } = (await app.request(link.url)).json;
    expect(user).toEqual({ name: 'ada' });
    expect(grant).toMatchObject({ kind: 'link', subject: 'ada', transport: 'query', claims: { order: 7 } });
    expect(grant.link).toMatchObject({ id: link.id, filename: 'résumé "1".pdf', disposition: 'inline', expiresAt: link.expiresAt.toISOString() });
    expect(grant.link.resource).toBe(links.resource(WhoController, 'get', { params: { id: '1' } }));
    const denied = mint('eve');
    expectRefusal(await app.request(denied.url), 403, 'ACCESS_DENIED', denied.token);
    await app.close();
  });
}); // prettier-ignore

describe('a link under the extended query parser of Express', () => {
  let app: TestApp;
  let links: DownloadLinks;
  beforeAll(async () => {
    ({ app, links } = await start({ adapter: 'express', configure: (app) => app.set('query parser', 'extended') }));
  });
  afterAll(() => app.close());

  it.each<[string, Record<string, unknown>]>([
    ['an object', { filter: { from: '2026', to: '2027' } }],
    ['objects in objects', { a: { b: { c: '1' } } }],
    ['a list in an object', { a: { b: ['1', '2'] } }],
    ['a list', { a: ['1', '2', '3'] }],
  ])('opens what it was minted for: %s', async (_name, query) => {
    const { url, token } = links.create(FilesController, 'search', { query });
    expect((await app.request(url)).json.query).toEqual(query);
    expectRefusal(await app.request(`${url}&filter[x]=1`), 403, 'LINK_SCOPE', token);
  });

  it.each(['a[]=1', 'a[0]=1', 'a[b]=1', 'a=1&a[__proto__][x]=1&a[b]=1', 'a=1&b[constructor]=1'])('refuses %s in place of a=1', async (query) => {
    const { token } = links.create(FilesController, 'search', { query: { a: '1' } });
    expectRefusal(await app.request(`/files/search?${query}&ss-tok=${token}`), 403, 'LINK_SCOPE', token);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
}); // prettier-ignore
