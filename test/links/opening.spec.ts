import {
  Controller,
  Get,
  Injectable,
  Module,
  Param,
  Query,
  RequestMethod,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from '../../lib/index.js';
import type { LinkOptions } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp, TestAppOptions } from '../support/test-app.js';

/** What a handler receives, as it answers it. */
class Echo {
  echo(params: unknown, query: unknown): unknown {
    return { params, query };
  }
}

@Controller('files')
class FilesController extends Echo {
  @Get('latest')
  @StreamDownload()
  latest(): string {
    return 'latest';
  }

  @Get('parts/:name.:ext')
  @StreamDownload()
  parts(@Param() params: unknown, @Query() query: unknown): unknown {
    return this.echo(params, query);
  }

  @Get(':id')
  @StreamDownload()
  get(@Param() params: unknown, @Query() query: unknown): unknown {
    return this.echo(params, query);
  }

  @Get(':id/own')
  @StreamDownload()
  own(@Param() params: unknown, @Query() query: unknown): unknown {
    return this.echo(params, query);
  }
}

let app: TestApp;
let links: DownloadLinks;
afterEach(() => app.close());

async function start(
  setup: Omit<TestAppOptions, 'controllers'> & { controllers?: Type[]; links?: LinkOptions },
): Promise<void> {
  app = await startApp({
    controllers: [FilesController],
    options: { secret: SECRET, links: setup.links ?? {} },
    ...setup,
  });
  links = app.get(DownloadLinks);
}

const mintQuery = (query: object) => () =>
  links.create(FilesController, 'get', { params: { id: 'a' }, query: { ...query } });
const many = (count: number) => Array.from({ length: count }, (_, i) => String(i));

it.each<[string, object]>([
  ['a list of more values than it reads as a list', { ids: many(22) }],
  ['a name with brackets', { 'ids[]': ['1', '2'] }],
  ['a name with brackets and one value', { 'a[b]': '1' }],
  ['objects deeper than it reads', { a: { b: { c: { d: { e: { f: { g: { h: '1' } } } } } } } }],
  ['more parameters than it reads', Object.fromEntries(many(1001).map((i) => [`p${i}`, i]))],
  ['the name of the prototype', { ['__proto__']: '1' }],
])('the extended query parser of Express: %s throws', async (_name, query) => {
  await start({ adapter: 'express', configure: (app) => void app.set('query parser', 'extended') });
  expect(mintQuery(query)).toThrow(DownloadAuthConfigurationError);
  expect(mintQuery(query)).toThrow(/query: the application's query parser/);
});

it.each(ADAPTERS)('the simple query parser takes the same on %s, or throws', async (adapter) => {
  await start({ adapter });
  for (const query of [{ ids: many(22) }, { 'ids[]': ['1', '2'] }, { ['__proto__']: '1' }]) {
    const { url } = mintQuery(query)();
    expect((await app.request(url)).json.query).toEqual({ ...query });
  }
  expect(mintQuery({ a: { b: '1' } })).toThrow(/would read {"a\[b\]":"1"}, not {"a":{"b":"1"}}/);
});

it('a query parser of the application itself is asked on Express', async () => {
  const parser = (text: string) => ({ raw: new URLSearchParams(text).get('raw')?.toUpperCase() });
  await start({ adapter: 'express', configure: (app) => void app.set('query parser', parser) });
  expect(mintQuery({ raw: 'a' })).toThrow(/would read {"raw":"A"}, not {"raw":"a"}/);
  expect((await app.request(mintQuery({ raw: 'A' })().url)).json.query).toEqual({ raw: 'A' });
});

it.each([['in routerOptions'], ['at the top']])(
  'a query parser of the application itself is asked on Fastify, %s',
  async (where) => {
    const querystringParser = (text: string) => ({
      raw: new URLSearchParams(text).get('raw')?.toUpperCase(),
    });
    const fastify = where === 'at the top' ? { querystringParser } : { routerOptions: { querystringParser } };
    await start({ adapter: 'fastify', fastify });
    expect(mintQuery({ raw: 'a' })).toThrow(/would read {"raw":"A"}, not {"raw":"a"}/);
    expect((await app.request(mintQuery({ raw: 'A' })().url)).json.query).toEqual({ raw: 'A' });
  },
);

it('an application without query parser makes no link with a query', async () => {
  await start({ adapter: 'express', configure: (app) => void app.set('query parser', false) });
  expect(mintQuery({ a: '1' })).toThrow(/would read {}, not {"a":"1"}/);
  expect((await app.request(mintQuery({})().url)).status).toBe(200);
});

it.each(ADAPTERS)('two parameters of one segment open on %s as they were given, or throw', async (adapter) => {
  await start({ adapter });
  const mint = (name: string, ext: string) => () => links.create(FilesController, 'parts', { params: { name, ext } });
  let opened = 0;
  for (const [name, ext] of [['a', 'pdf'], ['a', 'tar.gz'], ['a.tar', 'gz'], ['a.', 'b'], ['a', '.b'], ['ü', 'ü']] as const) {
    const { url } = attempt(mint(name, ext)) ?? {};
    if (url === undefined) {continue;}
    opened++;
    expect((await app.request(url)).json.params).toEqual({ name, ext });
  }
  expect(opened).toBeGreaterThan(1);
  const refused = [mint('a', 'tar.gz'), mint('a.tar', 'gz')].filter((one) => attempt(one) === undefined);
  expect(refused).toHaveLength(1);
  expect(refused[0]).toThrow(/params: the router would read .*Give each parameter a segment/);
}); // prettier-ignore

it('a parameter that Fastify finds too long throws, up to its limit it opens', async () => {
  await start({ adapter: 'fastify' });
  const mint = (id: string) => () => links.create(FilesController, 'get', { params: { id } });
  expect((await app.request(mint('ü'.repeat(100))().url)).json.params).toEqual({ id: 'ü'.repeat(100) });
  expect(mint('x'.repeat(101))).toThrow(/too long.*maxParamLength/);
  await app.close();
  await start({ adapter: 'fastify', fastify: { routerOptions: { maxParamLength: 300 } } });
  expect((await app.request(mint('x'.repeat(300))().url)).status).toBe(200);
  expect(mint('x'.repeat(301))).toThrow(/too long/);
});

@Controller({ path: 'versions', version: '1' })
class OneController {
  @Get(':id')
  @StreamDownload()
  get(@Param('id') id: string): string {
    return id;
  }
}

@Controller({ path: 'neutral', version: VERSION_NEUTRAL })
class NeutralController extends OneController {}

@Controller({ path: 'mixed', version: [VERSION_NEUTRAL, '1'] })
class MixedController extends OneController {}

const ACCEPTED = [
  '*/*',
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
];

it.each(
  ADAPTERS.flatMap((adapter) => [
    [adapter, 'a header', { type: VersioningType.HEADER, header: 'x-version' } as const] as const,
    [adapter, 'a media type', { type: VersioningType.MEDIA_TYPE, key: 'v=' } as const] as const,
    [
      adapter,
      'a media type of another key',
      { type: VersioningType.MEDIA_TYPE, key: 'version=' } as const,
    ] as const,
  ]),
)(
  'on %s, a route whose version %s says opens where it needs none, or throws',
  async (adapter, _name, versioning) => {
    await start({
      adapter,
      controllers: [OneController, NeutralController, MixedController, FilesController],
      configure: (app) => void app.enableVersioning({ ...versioning, defaultVersion: '7' }),
    });
    const mint = (controller: Type<OneController>) => () =>
      links.create(controller, 'get', { params: { id: 'a' } });
    let opened = 0;
    for (const controller of [NeutralController, MixedController]) {
      const link = attempt(mint(controller));
      for (const accept of link ? ACCEPTED : []) {
        expect((await app.request(link!.url, { headers: { accept } })).text).toBe('a');
        opened++;
      }
    }
    expect(opened).toBeGreaterThanOrEqual(versioning.type === VersioningType.HEADER ? 4 : 2);
    expect(mint(OneController)).toThrow(/OneController\.get serves version 1 only.*VERSION_NEUTRAL/);
    expect(() => links.create(FilesController, 'latest')).toThrow(/serves version 7 only/);
  },
);

it.each(ADAPTERS)('an extractor of versions is asked on %s', async (adapter) => {
  const extractor = (request: unknown) =>
    new URL((request as { url: string }).url, 'http://x').searchParams.get('v') ?? '';
  await start({
    adapter,
    controllers: [OneController],
    configure: (app) => void app.enableVersioning({ type: VersioningType.CUSTOM, extractor }),
  });
  const mint = (query: object) => () =>
    links.create(OneController, 'get', { params: { id: 'a' }, query: { ...query } });
  expect((await app.request(mint({ v: '1' })().url)).text).toBe('a');
  expect(mint({ v: '2' })).toThrow(/the extractor does not find/);
  expect(mint({})).toThrow(/the extractor does not find/);
});

it.each(ADAPTERS)('a URL that leads to another route throws on %s', async (adapter) => {
  await start({ adapter });
  expect(() => links.create(FilesController, 'get', { params: { id: 'latest' } })).toThrow(
    '/files/latest does not lead to FilesController.get: FilesController.latest is asked first.',
  );
  expect(() => links.create(FilesController, 'get', { params: { id: 'latests' } })).not.toThrow();
  expect(() => links.create(FilesController, 'own', { params: { id: 'latest' } })).not.toThrow();
});

@Controller({ host: [':tenant.example.com', 'www.:tenant.example.org'], path: 'tenants' })
class TenantController {
  @Get()
  @StreamDownload()
  get(): string {
    return 'tenant';
  }
}

it.each(ADAPTERS)('host parameters that no host can have throw on %s', async (adapter) => {
  await start({ adapter, controllers: [TenantController] });
  const mint = (hosts: Record<string, string>) => () => links.create(TenantController, 'get', { hosts });
  for (const host of ['acme.example.com', 'www.acme.example.org']) {
    expect((await app.request(mint({ tenant: 'acme' })().url, { headers: { host } })).status).toBe(200);
  }
  for (const hosts of [
    { tenant: 'Acme' },
    { tenant: 'a b' },
    { tenant: '' },
    { shop: 'acme' },
    { tenant: 'acme', shop: 'a' },
  ]) {
    expect(mint(hosts as Record<string, string>)).toThrow(/does not fit :tenant\.example\.com.*lower case/);
  }
  await app.close();
  await start({ adapter, controllers: [TenantController], links: { publicUrl: 'https://acme.example.com' } });
  expect(mint({ tenant: 'acme' })().url).toContain('https://acme.example.com/tenants');
  expect(mint({ tenant: 'other' })).toThrow(
    /links\.publicUrl leads to acme\.example\.com.*Leave publicUrl out/,
  );
});

@Injectable()
class EarlyService {
  attempt: unknown;

  constructor(links: DownloadLinks) {
    try {
      this.attempt = links.create(FilesController, 'latest');
    } catch (error) {
      this.attempt = error;
    }
  }
}

it.each(ADAPTERS)(
  'a link that is made before the application is initialised throws on %s, and spoils no later one',
  async (adapter) => {
    let beforePrefix: unknown;
    await start({
      adapter,
      providers: [EarlyService],
      configure: (app) => {
        try {
          beforePrefix = app.get(DownloadLinks).create(FilesController, 'latest');
        } catch (error) {
          beforePrefix = error;
        }
        app.setGlobalPrefix('api', { exclude: [{ path: 'files/latest', method: RequestMethod.POST }] });
      },
    });
    for (const early of [app.app.get(EarlyService).attempt, beforePrefix]) {
      expect(early).toBeInstanceOf(DownloadAuthConfigurationError);
      expect((early as Error).message).toMatch(/the router has no \/files\/latest yet.*await app\.init\(\)/);
    }
    const { url } = links.create(FilesController, 'latest');
    expect(url).toMatch(/^\/api\/files\/latest\?/);
    expect((await app.request(url)).text).toBe('latest');
  },
);

it.each(ADAPTERS)(
  'an application that is initialised and does not listen makes links on %s',
  async (adapter) => {
    await start({ adapter });
    @Module({ imports: [DownloadAuthModule.forRoot({ secret: SECRET })], controllers: [FilesController] })
    class IdleModule {}
    const idle = await NestFactory.create(
      IdleModule,
      adapter === 'express' ? new ExpressAdapter() : (new FastifyAdapter() as never),
      { logger: false },
    );
    const mint = () => idle.get(DownloadLinks).create(FilesController, 'latest');
    expect(mint).toThrow(/await app\.init\(\)/);
    await idle.init();
    expect((await app.request(mint().url)).text).toBe('latest');
    await idle.close();
  },
);

function attempt<T>(mint: () => T): T | undefined {
  try {
    return mint();
  } catch (error) {
    expect(error).toBeInstanceOf(DownloadAuthConfigurationError);
    return undefined;
  }
}
