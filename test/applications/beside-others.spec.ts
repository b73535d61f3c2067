import { Controller, Get, Param, Query } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { RouteSchema } from '@nestjs/platform-fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download, DownloadEvents, DownloadLinks, StreamDownload } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { start } from '../support/http-client.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { until } from '../support/until.js';

const LENGTH = 8 * 1024 * 1024;
const users = new AsyncLocalStorage<string>();
const seen: string[] = [];
const note = (what: string) => void seen.push(`${what}: ${users.getStore()}`);

/** As nestjs-cls does it with `interceptor: { mount: true }`. */
class UserInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return new Observable((subscriber) =>
      users.run(headers['x-user'] as string, () => next.handle().subscribe(subscriber)),
    );
  }
}

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload()
  file() {
    async function* pieces() {
      for (let sent = 0; sent < LENGTH; sent += 65_536) {
        yield Buffer.alloc(65_536);
      }
      note('read');
    }
    const open = () => {
      note('open');
      return Readable.from(pieces());
    };
    return Download.source({ length: LENGTH, open }, { onEnd: () => note('onEnd') });
  }
}

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApp;
  const warnings: Error[] = [];
  const warn = (warning: Error) => void warnings.push(warning);
  beforeAll(async () => {
    process.on('warning', warn);
    app = await startApp({
      adapter,
      controllers: [FilesController],
      providers: [{ provide: APP_INTERCEPTOR, useClass: UserInterceptor }],
      configure: (nest: any) =>
        nest.use((_request: unknown, response: any, next: () => void) => {
          // As error trackers and tracers do
          for (let i = 0; i < 4; i++) {
            (response.raw ?? response).on('close', () => undefined);
          }
          next();
        }),
    });
    app.get(DownloadEvents).subscribe(({ type }) => note(type));
  });
  beforeEach(() => {
    seen.length = 0;
  });
  afterAll(async () => {
    process.off('warning', warn);
    await app.close();
  });

  const ask = (user: string) =>
    start(`${app.url}/files/1`, { headers: { ...bearer(accessToken()), 'x-user': user } });

  it('whatever is called for a download finds its AsyncLocalStorage', async () => {
    await (
      await ask('ada')
    ).ended;
    await until(() => seen.length === 5, 'the end of the download');
    expect(seen.sort()).toEqual(['completed: ada', 'onEnd: ada', 'open: ada', 'opened: ada', 'read: ada']);
  });

  it('so does what is called when a client has left', async () => {
    const answer = await ask('grace');
    await answer.until(1);
    answer.leave();
    await until(() => seen.length === 4, 'the end of the download');
    expect(seen.sort()).toEqual(['aborted: grace', 'onEnd: grace', 'open: grace', 'opened: grace']);
  });

  it('other listeners for the end of the response fit beside ours', () => {
    expect(warnings).toEqual([]);
  });
});

const INTEGER = { type: 'integer' } as const;
const PROPERTIES = {
  params: { type: 'object', properties: { id: INTEGER } },
  querystring: {
    type: 'object',
    properties: { page: INTEGER, size: { ...INTEGER, default: 20 }, tags: { type: 'array' } },
  },
};

@Controller('rows')
class RowsController {
  @Get(':id')
  @StreamDownload()
  @RouteSchema(PROPERTIES)
  rows(@Param('id') id: unknown, @Query() query: unknown) {
    return Download.buffer(Buffer.from(JSON.stringify([id, query])));
  }
}

describe('a route of Fastify with a schema', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter: 'fastify', controllers: [RowsController], options: { secret: SECRET } });
  });
  afterAll(() => app.close());

  const path = (query: object, more = {}) =>
    app
      .get(DownloadLinks)
      .create(RowsController, 'rows', { params: { id: '7' }, query: { ...query }, ...more }).url;

  it.each([
    [{}, { size: 20 }],
    [{ page: '2' }, { page: 2, size: 20 }],
    [
      { tags: 'a', size: '5' },
      { tags: ['a'], size: 5 },
    ],
  ])('is opened by a link whose texts it turns into other values: %j', async (query, received) => {
    expect((await app.request(path(query))).json).toEqual([7, received]);
    expect((await app.request(path(query), { method: 'HEAD' })).status).toBe(200);
    const folder = path(query, { free: ['id'] });
    expect((await app.request(folder.replace('/7?', '/8?'))).json).toEqual([8, received]);
  });

  it.each([
    ['page=2', 'page=3'],
    ['page=2', 'page=2&size=1000'],
    ['/7?', '/8?'],
  ])('is not opened where %s is %s', async (before, after) => {
    const { status, code } = await app.request(path({ page: '2' }).replace(before, after));
    expect([status, code]).toEqual([403, 'LINK_SCOPE']);
  });
});
