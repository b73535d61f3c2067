import {
  Controller,
  createParamDecorator,
  Get,
  Inject,
  Next,
  Param,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { afterEach, expect, it } from 'vitest';
import {
  Download,
  DownloadAuthConfigurationError,
  DownloadAuthGuard,
  DownloadLinks,
  Grant,
  StreamDownload,
} from '../lib/index.js';
import type { DownloadGrant } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { receive } from './support/http-client.js';
import { MemoryLogger } from './support/memory-logger.js';
import { ADAPTERS, bearer, startApp } from './support/test-app.js';
import type { AdapterName, TestApp } from './support/test-app.js';

/** In an object, since Nest would wait for a reply of Fastify, which is thenable. */
const TheResponse = createParamDecorator((_data: unknown, context: ExecutionContext) => ({
  response: context.switchToHttp().getResponse<unknown>(),
}));

let served = 0;

@Controller()
class HandlersController {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  @Get('by-hand')
  @StreamDownload()
  byHand(@Res() response: any) {
    served++;
    response.send('by hand');
  }

  @Get('next')
  @StreamDownload()
  next(@Next() _next: unknown, @TheResponse() { response }: any) {
    served++;
    response.send('by hand');
  }

  @Get('passthrough')
  @StreamDownload()
  passthrough(@Res({ passthrough: true }) _response: unknown) {
    return Download.buffer(Buffer.from('counted'));
  }

  @Get('hidden')
  @StreamDownload()
  hidden(@TheResponse() { response }: any) {
    served++;
    void response.send('by hand');
    return Download.buffer(Buffer.from('too late'));
  }

  @Get('forward/:id')
  @StreamDownload()
  forward(@Param('id') id: string, @Req() request: any, @Res() response: any) {
    const raw = request.raw ?? request;
    raw.url = `/secret/${id}`;
    this.host.httpAdapter.getInstance<any>().handle?.(request, response);
  }

  @Get('secret/:id')
  @StreamDownload()
  secret(@Param('id') id: string, @Grant() grant: DownloadGrant) {
    return Download.buffer(Buffer.from(`secret ${id} of ${grant.kind}`));
  }
}

/** A guard of the application that asks ours, and lets everybody in all the same. */
class CarelessGuard implements CanActivate {
  constructor(@Inject(DownloadAuthGuard) private readonly ours: DownloadAuthGuard) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await this.ours.canActivate(context).catch(() => false);
    return true;
  }
}

@Controller('careless')
@UseGuards(CarelessGuard)
class CarelessController {
  @Get()
  @StreamDownload()
  download() {
    return Download.buffer(Buffer.from('x'));
  }
}

let app: TestApp;
const logger = new MemoryLogger();
afterEach(() => app.close());
async function start(adapter: AdapterName) {
  served = 0;
  logger.lines.length = 0;
  app = await startApp({
    adapter,
    controllers: [HandlersController, CarelessController],
    providers: [DownloadAuthGuard],
    logger,
  });
  return app.get(DownloadLinks);
}

it.each(
  ADAPTERS.flatMap((adapter) => (['byHand', 'next'] as const).map((handler) => [adapter, handler] as const)),
)('on %s, no limited link is minted to a handler that answers by hand: %s', async (adapter, handler) => {
  const links = await start(adapter);
  const mint = () => links.create(HandlersController, handler, { maxDownloads: 1 });
  expect(mint).toThrow(DownloadAuthConfigurationError);
  expect(mint).toThrow(/passthrough: true/);
  const { url } = links.create(HandlersController, handler);
  expect((await app.request(url)).text).toBe('by hand');
});

it.each(ADAPTERS)('on %s, a handler with passthrough is counted', async (adapter) => {
  const links = await start(adapter);
  const { url, id } = links.create(HandlersController, 'passthrough', { maxDownloads: 1 });
  expect((await app.request(url)).text).toBe('counted');
  expect((await links.usage(id)).used).toBe(1);
});

it.each(ADAPTERS)('on %s, an answer by hand that no metadata shows is broken off', async (adapter) => {
  const links = await start(adapter);
  const { url } = links.create(HandlersController, 'hidden', { maxDownloads: 1 });
  const { status, broken } = await receive(app.url + url);
  expect([status, broken]).toEqual([0, true]);
  expect(served).toBe(1);
  expect(logger.text).toMatch(/HandlersController\.hidden.*cannot be counted/);
  expect((await app.request('/hidden', { headers: bearer(accessToken()) })).text).toBe('by hand');
});

it('a link opens no other handler when its request is forwarded', async () => {
  const links = await start('express');
  const { url } = links.create(HandlersController, 'forward', { params: { id: '7' } });
  const { status, text } = await app.request(url);
  expect(text).not.toContain('secret 7');
  expect(status).toBe(401);
  const signedIn = await app.request('/forward/7', { headers: bearer(accessToken()) });
  expect([signedIn.status, signedIn.text]).toEqual([200, 'secret 7 of access']);
});

it.each(ADAPTERS)('on %s, a guard that threw once does not let the second request in', async (adapter) => {
  await start(adapter);
  expect((await app.request('/careless')).status).toBe(401);
  expect((await app.request('/careless', { headers: bearer(accessToken()) })).status).toBe(200);
});
