import { All, Controller, Get, Head, Module, Post, Res } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { LinkOptions } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp, TestAppOptions } from '../support/test-app.js';

@Controller('files')
class FilesController {
  @Head('both/:id')
  @StreamDownload()
  head(): string {
    return '';
  }

  @Get('both/:id')
  @StreamDownload()
  get(): string {
    return 'a file';
  }

  @Get(['one/:id', 'two/:id'])
  @StreamDownload()
  paths(): string {
    return 'paths';
  }
}

@Controller('files')
class AnyController {
  @All('any/:id')
  @StreamDownload()
  any(): string {
    return 'any';
  }

  @Post('any/:id')
  @StreamDownload({ transports: { form: true } })
  posted(): string {
    return 'posted';
  }
}

/** Bound to a host, as Nest knows them: a name, an expression, or several. */
function hosted(host: string | RegExp | (string | RegExp)[]): Type<{ get(): string }> {
  @Controller({ path: 'hosted', host })
  class HostedController {
    @Get()
    @StreamDownload()
    get(): string {
      return 'hosted';
    }
  }
  return HostedController;
}

let started: TestApp | undefined;
let links: DownloadLinks;
afterEach(async () => {
  await started?.close();
  started = undefined;
});

async function start(setup: Partial<TestAppOptions> & Pick<TestAppOptions, 'adapter'>): Promise<TestApp> {
  started = await startApp({ controllers: [FilesController], ...setup });
  links = started.get(DownloadLinks);
  return started;
}

const params = { id: 'a' };

it.each(ADAPTERS)(
  'a HEAD handler before the GET handler of the same path is not in its way on %s',
  async (adapter) => {
    const app = await start({ adapter });
    expect((await app.request(links.create(FilesController, 'get', { params }).url)).text).toBe('a file');
    expect(links.create(FilesController, 'head', { params }).url).toMatch(/^\/files\/both\/a\?/);
  },
);

it('a handler of all methods before a POST handler of the same path is in its way on Express', async () => {
  await start({ adapter: 'express', controllers: [AnyController] });
  expect(() => links.create(AnyController, 'posted', { params })).toThrow(
    '/files/any/a does not lead to AnyController.posted: AnyController.any is asked first.',
  );
});

it('a handler that sends its answer itself has no limited links', async () => {
  @Controller('own')
  class OwnController {
    @Get()
    @StreamDownload()
    get(@Res() response: { end(): void }): void {
      response.end();
    }
  }
  await start({ adapter: 'express', controllers: [OwnController] });
  expect(() => links.create(OwnController, 'get')).not.toThrow();
  expect(() => links.create(OwnController, 'get', { maxDownloads: 1 })).toThrow(/passthrough: true/);
  expect(() => links.create('latest')).toThrow(/No route is named "latest"/);
});

it.each(ADAPTERS)('a path that the handler does not have throws on %s', async (adapter) => {
  await start({ adapter });
  expect(() => links.create(FilesController, 'paths', { params, path: 'three/:id' })).toThrow(
    'path: FilesController.paths has no path three/:id. It has /files/one/:id, /files/two/:id.',
  );
});

it.each(ADAPTERS)('a route whose path a browser would rewrite throws on %s', async (adapter) => {
  @Controller('a b')
  class BlankController {
    @Get()
    @StreamDownload()
    get(): string {
      return '';
    }
  }
  await start({ adapter, controllers: [BlankController] });
  expect(() => links.create(BlankController, 'get')).toThrow(
    /a browser would ask for another path than \/a b/,
  );
});

it('a route beside Nest is not in the way on Express, which may pass the request on', async () => {
  const configure: TestAppOptions['configure'] = (app) =>
    void app.getHttpAdapter().get('/files/both/:x', (_request, _response, next) => next?.());
  const app = await start({ adapter: 'express', configure });
  expect((await app.request(links.create(FilesController, 'get', { params }).url)).text).toBe('a file');
});

it('a route beside Nest is in the way on Fastify, which asks one route only', async () => {
  const configure: TestAppOptions['configure'] = (app) =>
    void app.getHttpAdapter().get('/files/both/special', () => undefined);
  await start({ adapter: 'fastify', configure });
  expect(() => links.create(FilesController, 'get', { params: { id: 'special' } })).toThrow(
    '/files/both/special does not lead to FilesController.get: /files/both/special is asked first.',
  );
});

it('a controller of two modules is one controller', async () => {
  @Module({ controllers: [FilesController] })
  class OtherModule {}
  const app = await start({ adapter: 'express', imports: [OtherModule], options: { secret: SECRET } });
  expect((await app.request(links.create(FilesController, 'get', { params }).url)).text).toBe('a file');
});

it.each(ADAPTERS)('a controller bound to an expression for its host makes links on %s', async (adapter) => {
  const groups = hosted(/^(?<tenant>\w+)\.example\.com$/);
  const app = await start({ adapter, controllers: [groups] });
  expect(() => links.create(groups, 'get')).toThrow(/hosts: {} does not fit .*hosts: { tenant/);
  const { url } = links.create(groups, 'get', { hosts: { tenant: 'acme' } });
  expect((await app.request(url, { headers: { host: 'acme.example.com' } })).text).toBe('hosted');
});

it.each(ADAPTERS)('an expression for a host is held against links.publicUrl on %s', async (adapter) => {
  const groups = hosted(/^(?<tenant>\w+)\.example\.com$/);
  const options = { secret: SECRET, links: { publicUrl: 'https://acme.example.com' } };
  await start({ adapter, controllers: [groups], options });
  expect(links.create(groups, 'get', { hosts: { tenant: 'acme' } }).url).toMatch(/^https:\/\/acme\./);
  expect(() => links.create(groups, 'get', { hosts: { tenant: 'other' } })).toThrow(/Leave publicUrl out/);
});

it.each(ADAPTERS)('a controller bound to a plain name for its host makes links on %s', async (adapter) => {
  const plain = hosted(['files.example.com', /^other\.example$/]);
  const app = await start({ adapter, controllers: [plain] });
  const { url } = links.create(plain, 'get');
  expect((await app.request(url, { headers: { host: 'files.example.com' } })).text).toBe('hosted');
  const options = { secret: SECRET, links: { publicUrl: 'https://other.example' } };
  await app.close();
  await start({ adapter, controllers: [plain], options });
  expect(links.create(plain, 'get').url).toMatch(/^https:\/\/other\.example\/hosted/);
  await app.close();
  const elsewhere = { secret: SECRET, links: { publicUrl: 'https://third.example' } };
  await start({ adapter, controllers: [plain], options: elsewhere });
  expect(() => links.create(plain, 'get')).toThrow(/leads to third\.example.*Leave publicUrl out/);
});

it.each(ADAPTERS)('host parameters of a controller that is bound to no host throw on %s', async (adapter) => {
  await start({ adapter });
  expect(() => links.create(FilesController, 'get', { params, hosts: { tenant: 'acme' } })).toThrow(
    /hosts: {"tenant":"acme"} does not fit FilesController\.get, which is bound to no host/,
  );
});

/** Makes links in a process without HTTP. */
async function inWorker<T>(routes: LinkOptions['routes'], make: (far: DownloadLinks) => T): Promise<T> {
  @Module({ imports: [DownloadAuthModule.forRoot({ secret: SECRET, links: { routes } })] })
  class WorkerModule {}
  const context = await NestFactory.createApplicationContext(WorkerModule, {
    logger: false,
    abortOnError: false,
  });
  try {
    return make(context.get(DownloadLinks));
  } finally {
    await context.close();
  }
}

it.each<[string, LinkOptions['routes'], string, object, string | RegExp]>([
  ['a wildcard of Express', { tree: '/tree/*path' }, 'tree', { params: { path: 'a/b' } }, /^\/tree\/a\/b\?/],
  ['an optional part of Express', { tree: '/tree{/:id}' }, 'tree', {}, /^\/tree\?/],
  ['a wildcard of Fastify', { tree: '/tree/*' }, 'tree', { params: { '*': 'a/b' } }, /^\/tree\/a\/b\?/],
  ['an optional part of Fastify', { tree: '/tree/:id?' }, 'tree', {}, /^\/tree\?/],
  ['an expression of Fastify', { tree: '/tree/:id(^\\d+)' }, 'tree', { params: { id: 1 } }, /^\/tree\/1\?/],
])('a worker fills in %s', async (_name, routes, route, options, url) => {
  const link = await inWorker(routes, (far) => far.create(route as 'latest', options as never));
  expect(link.url).toMatch(url);
}); // prettier-ignore

it.each<[string, LinkOptions['routes'], object, RegExp]>([
  ['a value that the expression does not take', { latest: '/tree/:id(^\\d+)' }, { params: { id: 'a' } }, /would not find \/tree/],
  ['a path that Express cannot read', { latest: { path: '/:a:b', adapter: 'express' } }, { params: { a: '1', b: '2' } }, /links\.routes\.latest\.path: the router of express cannot read \/:a:b/],
  ['a path that cannot be filled in', { latest: '/tree/x*' }, {}, /No link can be made to \/tree\/x\*/],
  ['more parameters than every parser reads', { latest: '/' }, { query: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`p${i}`, '1'])) }, /no more than 500 parameters/],
  ['a name that is not told, where none is', {}, {}, /No route is named "latest"\. Write @StreamDownload/],
])('a worker throws for %s', async (_name, routes, options, says) => {
  await expect(inWorker(routes, (far) => far.create('latest', options as never))).rejects.toThrow(says);
}); // prettier-ignore

it.each([null, {}, { path: 42 }, { path: undefined }])(
  'a worker told %o for a route does not start',
  async (told) => {
    await expect(inWorker({ latest: told as never }, () => undefined)).rejects.toThrow(
      /links\.routes\.latest\.path: give the whole path/,
    );
  },
);
