import { Controller, Get, Module, Param, Post } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from '../../lib/index.js';
import type { LinkOptions } from '../../lib/index.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

declare module '../../lib/index.js' {
  interface DownloadRoutes {
    file: { id: string };
    report: { year: number; month: number };
    form: { id: string };
    tree: Record<string, string | string[]>;
    latest: object;
  }
}

/**
 * The controller under another class name, with other method names and in another order: as of another build.
 */
function build(className: string): Type {
  const named = {
    [className]: class {
      file(id: string): string {
        return `file ${id}`;
      }

      report(params: unknown): unknown {
        return params;
      }

      form(): string {
        return 'form';
      }

      latest(): string {
        return 'latest';
      }
    },
  };
  const built = named[className] as Type;
  const method = (name: string, path: string, verb: typeof Get, params?: ParameterDecorator) => {
    const { prototype } = built;
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
    verb(path)(prototype as object, name, descriptor);
    StreamDownload({ name, transports: { form: true } })(prototype as object, name, descriptor);
    params?.(prototype as object, name, 0);
  };
  method('file', ':id', Get, Param('id'));
  method('report', ':year/:month', Get, Param());
  method('form', ':id', Post);
  method('latest', '', Get);
  Controller('files')(built);
  return built;
}

let app: TestApp;
let links: DownloadLinks;
afterEach(() => app?.close());

async function start(
  adapter: (typeof ADAPTERS)[number],
  controllers: Type[],
  linkOptions: LinkOptions = {},
): Promise<MemoryLogger> {
  const logger = new MemoryLogger();
  app = await startApp({
    adapter,
    controllers,
    logger,
    options: { secret: SECRET, links: linkOptions },
    configure: (app) => void app.setGlobalPrefix('api'),
  });
  links = app.get(DownloadLinks);
  return logger;
}

/** A process without HTTP and without the controller. */
async function worker(routes: LinkOptions['routes'], controllers: Type[] = []) {
  @Module({ imports: [DownloadAuthModule.forRoot({ secret: SECRET, links: { routes } })], controllers })
  class WorkerModule {}
  return NestFactory.createApplicationContext(WorkerModule, { logger: false, abortOnError: false });
}

it.each(ADAPTERS)('a link by name opens on %s, and in the next build of the application', async (adapter) => {
  await start(adapter, [build('FilesController')]);
  const link = links.create('file', { params: { id: 'a b' } });
  expect(link.url).toMatch(/^\/api\/files\/a%20b\?/);
  expect((await app.request(link.url)).text).toBe('file a b');
  expect((await app.request(links.create('report', { params: { year: 2026, month: 11 } }).url)).json).toEqual(
    { year: '2026', month: '11' },
  );
  expect((await app.request(links.create('latest').url)).text).toBe('latest');
  expectRefusal(await app.request(`/api/files?ss-tok=${link.token}`), 403, 'LINK_SCOPE', link.token);
  const resource = links.resource('file', { params: { id: 'a b' } });
  await app.close();
  await start(adapter, [build('xQ')]);
  expect((await app.request(link.url)).text).toBe('file a b');
  expect(links.resource('file', { params: { id: 'a b' } })).toBe(resource);
});

it('the compiler knows the names and their parameters', async () => {
  await start('express', [build('FilesController')]);
  // @ts-expect-error a name that is not declared
  expect(() => links.create('files')).toThrow(
    /No route is named "files"\. There are: file, report, form, latest\./,
  );
  // @ts-expect-error no parameters
  expect(() => links.create('file')).toThrow(/Give every parameter/);
  // @ts-expect-error a parameter of another route
  expect(() => links.create('file', { params: { year: 1 } })).toThrow(/has no parameter/);
});

it.each(ADAPTERS)('a worker that is told the paths makes links that open on %s', async (adapter) => {
  await start(adapter, [build('FilesController')]);
  const context = await worker({
    file: '/api/files/:id',
    report: { path: '/api/files/:year/:month', adapter },
    form: { path: '/api/files/:id', method: 'POST' },
    latest: '/api/files',
  });
  const far = context.get(DownloadLinks);
  const { url, token } = far.create('file', {
    params: { id: 'ü/1' },
    query: { a: ['1', '2'] },
    expiresIn: '1m',
  });
  expect((await app.request(url)).text).toBe('file ü/1');
  expectRefusal(await app.request(`/api/files/2?a=1&a=2&ss-tok=${token}`), 403, 'LINK_SCOPE', token);
  expect((await app.request(far.create('report', { params: { year: 1, month: 2 } }).url)).json).toEqual({
    year: '1',
    month: '2',
  });
  expect((await app.request(far.create('latest').url)).text).toBe('latest');
  const form = far.create('form', { params: { id: '1' } });
  expect(form.url).toBe('/api/files/1');
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  expect((await app.request(form.url, { method: 'POST', headers, body: `ss-tok=${form.token}` })).text).toBe(
    'form',
  );
  await context.close();
});

it.each<[string, object, RegExp]>([
  ['a parameter too long for Fastify', { params: { id: 'x'.repeat(101) } }, /too long/],
  ['a parameter missing', {}, /Give every parameter/],
  ['dots', { params: { id: '..' } }, /cannot stand in the path/],
  [
    'an object in the query',
    { params: { id: 'a' }, query: { a: { b: '1' } } },
    /query: .*may read a\[b\] differently/,
  ],
  [
    'a long list in the query',
    { params: { id: 'a' }, query: { a: Array(21).fill('1') } },
    /query: .*may read a differently/,
  ],
  [
    'brackets in the query',
    { params: { id: 'a' }, query: { 'a[]': '1' } },
    /query: .*may read a\[\] differently/,
  ],
])('a worker throws for %s', async (_name, options, says) => {
  const context = await worker({ file: '/files/:id' });
  const mint = () => context.get(DownloadLinks).create('file', options as never);
  expect(mint).toThrow(DownloadAuthConfigurationError);
  expect(mint).toThrow(says);
  await context.close();
});

it('a worker that lacks the path of a route says what to configure', async () => {
  const controller = build('FilesController');
  const context = await worker({}, [controller]);
  const far = context.get(DownloadLinks);
  expect(() => far.create('file', { params: { id: '1' } })).toThrow(
    /has no HTTP.*links: \{ routes: \{ file:/,
  );
  expect(() => far.create('tree', { params: {} })).toThrow(/No route is named "tree".*There are: file/);
  expect(() => far.create(controller, 'file' as never)).toThrow(/has no HTTP/);
  await context.close();
});

@Controller('other')
class OtherController {
  @Get()
  @StreamDownload({ name: 'file' })
  get(): string {
    return '';
  }
}

@Controller('whole')
@StreamDownload({ name: 'whole' })
class WholeController {
  @Get()
  get(): string {
    return '';
  }
}

it.each<[string, Type[], LinkOptions, RegExp]>([
  ['two routes of one name', [build('FilesController'), OtherController], {}, /name: 'file'.*FilesController\.file and on OtherController\.get/],
  ['a name for a whole controller', [WholeController], {}, /WholeController: @StreamDownload\(\{ name \}\) names one route/],
  ['a told path that is not the route\'s', [OtherController], { routes: { file: '/other' } }, /links\.routes\.file: OtherController\.get is served at GET \/api\/other, not at GET \/other/],
  ['a told method that is not the route\'s', [OtherController], { routes: { file: { path: '/api/other', method: 'POST' } } }, /served at GET \/api\/other, not at POST/],
  ['a told path that is none', [], { routes: { file: 'files/:id' } }, /links\.routes\.file\.path: give the whole path/],
  ['a told adapter that is none', [], { routes: { file: { path: '/f', adapter: 'koa' as 'express' } } }, /links\.routes\.file\.adapter/],
  ['told routes that are a list', [], { routes: ['/files'] as never }, /links\.routes: give an object/],
])('the application does not start with %s', async (_name, controllers, linkOptions, says) => {
  await expect(start('express', controllers, linkOptions)).rejects.toThrow(says);
}); // prettier-ignore

it('the decorator refuses a name that is none', () => {
  for (const name of ['', 42, null]) {
    expect(() => StreamDownload({ name: name as string })).toThrow(/name: give a text/);
  }
});

@Controller('a')
class mc {
  @Get()
  @StreamDownload()
  get(): string {
    return '';
  }
}

@Controller('b')
class Lr {
  @Get()
  @StreamDownload()
  get(): string {
    return '';
  }
}

it.each(ADAPTERS)(
  'class names that look minified are warned of once on %s, named routes not',
  async (adapter) => {
    const logger = await start(adapter, [build('xQ')]);
    expect(logger.lines.join()).not.toContain('minified');
    await app.close();
    const warned = await start(adapter, [mc, Lr]);
    expect(warned.lines.filter((line) => line.includes('looks minified'))).toEqual([
      expect.stringMatching(/'mc' looks minified.*@StreamDownload\(\{ name: 'file' \}\)/),
    ]);
  },
);
