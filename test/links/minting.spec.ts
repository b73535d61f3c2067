import {
  All,
  Controller,
  Get,
  Module,
  Param,
  RequestMethod,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import { NestFactory, RouterModule } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from '../../lib/index.js';
import type { DownloadAuthOptions } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

@Controller('files')
class FilesController {
  readonly notAMethod = 'text';

  @Get('all/*')
  @StreamDownload()
  tree(@Param() params: unknown): unknown {
    return params;
  }

  @Get(':id')
  @StreamDownload()
  get(@Param() params: unknown): unknown {
    return params;
  }

  @Get(':a/:b')
  @StreamDownload()
  two(@Param() params: unknown): unknown {
    return params;
  }

  @Get('x/y/unmarked')
  unmarked(): string {
    return '';
  }

  helper(): string {
    return '';
  }
}

@Controller()
class RootController {
  @Get()
  @StreamDownload()
  root(): string {
    return 'root';
  }

  @All('health')
  @StreamDownload()
  health(): string {
    return 'health';
  }
}

@Controller({ path: 'v', version: ['1', '2'] })
class SeveralController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'several';
  }
}

@Controller({ path: 'n', version: VERSION_NEUTRAL })
class NeutralController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'neutral';
  }
}

@Controller({ path: 'm', version: [VERSION_NEUTRAL, '3'] })
class MixedController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'mixed';
  }
}

@Controller(['p', 'q'])
class PathsController {
  @Get(['r/:id', 's/:id'])
  @StreamDownload()
  get(@Param('id') id: string): string {
    return id;
  }
}

@Controller({ host: ':tenant.example.com', path: 'tenants' })
class TenantController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'tenant';
  }
}

@Controller('nested')
class NestedController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'nested';
  }
}

@Module({ controllers: [NestedController] })
class NestedModule {}

class ForeignController {
  @Get()
  @StreamDownload()
  get(): string {
    return '';
  }
}

describe.each(ADAPTERS)('minting on %s', (adapter) => {
  let app: TestApp;
  let links: DownloadLinks;
  const start = (options: Partial<DownloadAuthOptions> = {}, configure: (app: any) => void = () => undefined) =>
    startApp({
      adapter,
      controllers: [TenantController, RootController, FilesController, SeveralController, NeutralController, MixedController, PathsController],
      imports: [NestedModule, RouterModule.register([{ path: 'outer', module: NestedModule }])],
      options: { secret: SECRET, ...options },
      configure,
    });
  const pathOf = (url: string) => url.split('?')[0];

  beforeAll(async () => {
    app = await start();
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  it.each<[string, (app: any) => void, Record<string, string>]>([
    ['as it is', () => undefined, { root: '/', file: '/files/a', several: '/v/a', neutral: '/n/a', nested: '/outer/nested/a', paths: '/p/r/a' }],
    ['with a global prefix', (app) => app.setGlobalPrefix('api'), { root: '/api', file: '/api/files/a', nested: '/api/outer/nested/a', paths: '/api/p/r/a' }],
    ['with slashes around the prefix', (app) => app.setGlobalPrefix('/api/v0/'), { file: '/api/v0/files/a' }],
    ['with a prefix that excludes', (app) => app.setGlobalPrefix('api', { exclude: ['files/:id', { path: 'health', method: RequestMethod.ALL }] }), { file: '/files/a', nested: '/api/outer/nested/a', health: '/health' }],
    ['with versions in the URL', (app) => app.enableVersioning({ type: VersioningType.URI }), { file: '/files/a', several: '/v1/v/a', neutral: '/n/a', mixed: '/v3/m/a' }],
    ['with versions and a default', (app) => app.enableVersioning({ type: VersioningType.URI, defaultVersion: '9', prefix: 'version-' }), { file: '/version-9/files/a', several: '/version-1/v/a', neutral: '/n/a' }],
    ['with versions, several by default', (app) => app.enableVersioning({ type: VersioningType.URI, defaultVersion: [VERSION_NEUTRAL, '8'] }), { file: '/v8/files/a' }],
    ['with versions and a prefix', (app) => app.setGlobalPrefix('api').enableVersioning({ type: VersioningType.URI }), { several: '/api/v1/v/a', nested: '/api/outer/nested/a' }],
  ])('a URL works %s', async (_name, configure, expected) => {
    const app = await start({}, configure);
    const links = app.get(DownloadLinks);
    const params = { id: 'a' };
    const mint: Record<string, () => { url: string }> = {
      root: () => links.create(RootController, 'root'),
      health: () => links.create(RootController, 'health'),
      file: () => links.create(FilesController, 'get', { params }),
      several: () => links.create(SeveralController, 'get', { params }),
      neutral: () => links.create(NeutralController, 'get', { params }),
      mixed: () => links.create(MixedController, 'get', { params }),
      nested: () => links.create(NestedController, 'get', { params }),
      paths: () => links.create(PathsController, 'get', { params }),
    };
    for (const [name, path] of Object.entries(expected)) {
      const { url } = (mint[name] as () => { url: string })();
      expect([name, pathOf(url)]).toEqual([name, path]);
      expect([name, (await app.request(url)).status]).toEqual([name, 200]);
    }
    await app.close();
  });

  it.each([
    ['an origin', 'https://dl.example.com', 'https://dl.example.com/files/a'],
    ['an origin and a slash', 'https://dl.example.com/', 'https://dl.example.com/files/a'],
    ['a prefix that the proxy strips', 'https://example.com/cdn', 'https://example.com/cdn/files/a'],
    ['a port', 'http://localhost:8080', 'http://localhost:8080/files/a'],
    ['a prefix on whatever host', '/cdn', '/cdn/files/a'],
  ])('a URL works behind %s', async (_name, publicUrl, expected) => {
    const app = await start({ links: { publicUrl } });
    const { url } = app.get(DownloadLinks).create(FilesController, 'get', { params: { id: 'a' } });
    expect(pathOf(url)).toBe(expected);
    const stripped = `/files/a${url.slice(url.indexOf('?'))}`;
    expect((await app.request(stripped, { headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' } })).status).toBe(200);
    await app.close();
  });

  it("a URL gets past Angular's service worker, and opens as one that does not", async () => {
    const app = await start({ links: { ngswBypass: true } });
    const links = app.get(DownloadLinks);
    const { url } = links.create(FilesController, 'get', { params: { id: 'a' } });
    expect(url).toMatch(/^\/files\/a\?ngsw-bypass=true&ss-tok=/);
    for (const asked of [url, url.replace('ngsw-bypass=true&', '')]) {
      expect((await app.request(asked)).status).toBe(200);
    }
    await app.close();
  });

  it.each<[string, string | number]>([
    ['letters', 'report.bin'],
    ['a number', 42],
    ['zero', 0],
    ['a number with a fraction', 1.5],
    ['blanks', 'a b'],
    ['a slash', 'a/b'],
    ['a path', '../../etc/passwd'],
    ['an absolute path', '/etc/passwd'],
    ['a backslash', 'a\\..\\b'],
    ['what ends a path', 'a?b#c'],
    ['what a query has', 'a&b=c;d'],
    ['a semicolon and a token of its own', 'a;ss-tok=x'],
    ['a percent sign', '100%'],
    ['an escape', '%2e%2e'],
    ['a plus', 'a+b'],
    ['three dots', '...'],
    ['dots and letters', '..a'],
    ['quotes and brackets', `"'<>[]{}()*:`],
    ['letters of other scripts', 'Отчёт 🦊'],
    ['a combining letter', 'e\u0301'],
    ['a NUL', 'a\0b'],
    ['a newline', 'a\r\nSet-Cookie: b'],
    ['letters at their longest', 'x'.repeat(100)],
  ])('a parameter carries %s', async (_name, id) => {
    const { url } = links.create(FilesController, 'get', { params: { id } });
    expect(url).toMatch(/^\/files\/[^/?#\s]+\?ss-tok=[\w.-]+$/);
    const answer = await app.request(url);
    expect(answer.json).toEqual({ id: String(id) });
  });

  it('two parameters are kept apart', async () => {
    const mint = (a: string, b: string) => links.create(FilesController, 'two', { params: { a, b } });
    expect((await app.request(mint('a/b', 'c').url)).json).toEqual({ a: 'a/b', b: 'c' });
    const resources = [['a/b', 'c'], ['a', 'b/c'], ['a', 'b'], ['b', 'a']].map(([a, b]) =>
      links.resource(FilesController, 'two', { params: { a: a as string, b: b as string } }),
    );
    expect(new Set(resources).size).toBe(4);
  });

  it.each<[string, string | string[]]>([
    ['one segment', 'a'],
    ['several, as one text', 'a/b c/d%'],
    ['several, as a list', ['a', 'b c', 'd%']],
  ])('a wildcard carries %s', async (_name, path) => {
    const { url } = links.create(FilesController, 'tree', { params: { path } });
    const answer = await app.request(url);
    expect(answer.status).toBe(200);
    expect([Object.values(answer.json)[0]].flat().join('/')).toBe([path].flat().join('/'));
  });

  it('a wildcard may be called by its star', async () => {
    const { url } = links.create(FilesController, 'tree', { params: { '*': 'a/b' } });
    expect((await app.request(url)).status).toBe(200);
  });

  const get = (options: object) => () => links.create(FilesController, 'get', { params: { id: 'a' }, ...options });
  const id = (value: unknown) => get({ params: { id: value } });

  it.each<[string, () => unknown, RegExp]>([
    ['no parameters', () => links.create(FilesController, 'get'), /Give every parameter/],
    ['a parameter missing', () => links.create(FilesController, 'two', { params: { a: '1' } }), /Give every parameter/],
    ['a parameter too many', get({ params: { id: 'a', name: 'b' } }), /params: .* has no parameter name\. It has id/],
    ['a parameter of every object', get({ params: { id: 'a', constructor: 'b' } }), /params: .* has no parameter constructor/],
    ['a parameter for a route without', () => links.create(RootController, 'root', { params: { id: 'a' } }), /It has none/],
    ['an empty parameter', id(''), /params\.id/],
    ['a dot', id('.'), /params\.id/],
    ['two dots', id('..'), /params\.id/],
    ['a lone surrogate', id('\ud800'), /params\.id/],
    ['undefined', id(undefined), /params\.id/],
    ['null', id(null), /params\.id/],
    ['an object', id({ toString: () => 'a' }), /params\.id/],
    ['a list for one segment', id(['a', 'b']), /params\.id/],
    ['not a number', id(NaN), /params\.id/],
    ['infinity', id(Infinity), /params\.id/],
    ['a wildcard with dots', () => links.create(FilesController, 'tree', { params: { path: 'a/../b' } }), /params\.path/],
    ['a wildcard with an empty segment', () => links.create(FilesController, 'tree', { params: { path: 'a//b' } }), /params\.path/],
    ['an absolute wildcard', () => links.create(FilesController, 'tree', { params: { path: '/etc/passwd' } }), /params\.path/],
    ['a wildcard that ends in a slash', () => links.create(FilesController, 'tree', { params: { path: 'a/' } }), /params\.path/],
    ['no host parameters', () => links.create(TenantController, 'get', { params: { id: 'a' } }), /hosts: \{ tenant/],
    ['a handler that is no route', () => links.create(FilesController, 'helper'), /FilesController\.helper is not a route/],
    ['a handler that is not there', () => links.create(FilesController, 'nothing' as 'get'), /is not a route/],
    ['a handler of every object', () => links.create(FilesController, 'constructor' as 'get'), /is not a route|StreamDownload/],
    ['a handler that is not marked', () => links.create(FilesController, 'unmarked'), /@StreamDownload\(\)/],
    ['a controller of another application', () => links.create(ForeignController, 'get'), /not a controller of this application/],
    ['expiresIn over 7 days', get({ expiresIn: '8d' }), /7 days at most/],
    ['expiresIn a millisecond over 7 days', get({ expiresIn: `${7 * 24 * 3600_000 + 1}ms` }), /7 days at most/],
    ['expiresIn in milliseconds', get({ expiresIn: 300_000 }), /300000 of them are 3\.5 days.*Write 300 or '300000ms'/],
    ['expiresIn a number over a day', get({ expiresIn: 24 * 3600 + 1 }), /expiresIn: a number is seconds/],
    ['expiresIn zero', get({ expiresIn: 0 }), /in the future/],
    ['expiresIn negative', get({ expiresIn: -1 }), /expiresIn.*not a duration/],
    ['expiresIn not a number', get({ expiresIn: NaN }), /expiresIn.*not a duration/],
    ['expiresIn without a unit', get({ expiresIn: '300' }), /expiresIn.*not a duration/],
    ['expiresIn null', get({ expiresIn: null }), /expiresIn/],
    ['expiresAt in the past', get({ expiresAt: new Date(0) }), /in the future/],
    ['expiresAt no date', get({ expiresAt: new Date(NaN) }), /expiresAt: give a valid Date/],
    ['expiresAt a text', get({ expiresAt: '2099-01-01' }), /expiresAt/],
    ['expiresAt over 7 days', get({ expiresAt: new Date(Date.now() + 8 * 24 * 3600_000) }), /7 days at most/],
    ['expiresIn and expiresAt', get({ expiresIn: '5m', expiresAt: new Date(Date.now() + 1000) }), /not both/],
    ['notBefore behind the end', get({ notBefore: new Date(Date.now() + 3600_000) }), /end before it begins/],
    ['notBefore no date', get({ notBefore: new Date(NaN) }), /notBefore/],
    ['notBefore a text', get({ notBefore: '2099-01-01' }), /notBefore/],
    ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'res', 'fn', 'dsp', 'lim', 'bnd'].map((claim): [string, () => unknown, RegExp] => [`the claim ${claim}`, get({ claims: { [claim]: 'x' } }), new RegExp(`claims\\.${claim}.*reserved`)]),
    ['a disposition that is none', get({ disposition: 'attachment; filename=x' }), /disposition/],
    ['a file name that is no text', get({ filename: 42 }), /filename/],
    ['a subject that is no text', get({ subject: 42 }), /subject/],
    ['a subject that is empty', get({ subject: '' }), /subject: give a text, such as String\(user\.id\)/],
    ['a claim that JSON cannot hold', get({ claims: { size: 1n } }), /claims: give an object of what JSON can hold/],
    ['a subject that is undefined', get({ subject: undefined }), /subject: undefined would make a link for anybody.*user\.sub/],
    ['the token in its own query', get({ query: { 'ss-tok': 'x' } }), /token's own parameter/],
    ['the token in capitals', get({ query: { 'SS-TOK[a]': 'x' } }), /token's own parameter/],
    ['a query of a date', get({ query: { at: new Date() } }), /query\.at.*toISOString/],
    ['a query of null', get({ query: { a: null } }), /query\.a/],
    ['a query of a function', get({ query: { a: () => 1 } }), /query\.a/],
    ['a query with a lone surrogate', get({ query: { a: '\udfff' } }), /query\.a/],
    ['a query of not a number', get({ query: { a: NaN } }), /query\.a/],
    ['an option that does not exist', get({ maxDownload: 1 }), /links\.create: there is no option "maxDownload".*"maxDownloads"/],
    ['a binding that does not exist', get({ subject: 'ada', bindTo: { signedin: true } }), /bindTo: there is no option "signedin".*"signedIn"/],
    ['a binding that is no object', get({ subject: 'ada', bindTo: 'signedIn' }), /bindTo: give an object/],
    ['bindTo.signedIn a text', get({ subject: 'ada', bindTo: { signedIn: 'false' } }), /bindTo\.signedIn: write true or false/],
    ['strict a text', get({ maxDownloads: 1, strict: 'false' }), /strict: write true or false/],
    ['revocable a text', get({ revocable: 'false' }), /revocable: write true or false/],
    ['more claims than a token may hold', get({ claims: { x: 'x'.repeat(16 * 1024) } }), /too long/],
  ])('it throws, and says what to write, for %s', (_name, mint, says) => {
    expect(mint).toThrow(DownloadAuthConfigurationError);
    expect(mint).toThrow(says);
  });

  it('an application without HTTP says that it serves no links', async () => {
    @Module({
      imports: [DownloadAuthModule.forRoot({ secret: SECRET })],
      controllers: [RootController],
    })
    class WorkerModule {}
    const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
    const mint = () => worker.get(DownloadLinks).create(RootController, 'root');
    expect(mint).toThrow(DownloadAuthConfigurationError);
    expect(mint).toThrow(/has no HTTP.*NestFactory\.create\(\)/);
    await worker.close();
  });

  it('the compiler knows the handlers', () => {
    // @ts-expect-error a member that is no method
    expect(() => links.create(FilesController, 'notAMethod')).toThrow();
    // @ts-expect-error a method of another controller
    expect(() => links.create(RootController, 'get')).toThrow();
  });
}); // prettier-ignore
