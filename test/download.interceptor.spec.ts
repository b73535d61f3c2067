import { Controller, Get, Header, StreamableFile } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../lib/index.js';
import type { DeliveryOptions } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { TestApp } from './support/test-app.js';

const BYTES = Buffer.from('0123456789');

@Controller('plain')
class PlainController {
  @Get('download')
  @StreamDownload()
  download() {
    return Download.buffer(BYTES, { filename: 'own.txt' });
  }

  @Get('streamable')
  @StreamDownload()
  streamable() {
    return new StreamableFile(BYTES, { disposition: 'inline; filename="own.txt"' });
  }

  @Get('header')
  @Header('Content-Disposition', 'attachment; filename="own.txt"')
  @StreamDownload()
  header() {
    return Download.buffer(BYTES);
  }
}

@Controller('marked')
@StreamDownload({ delivery: { cacheControl: 'of the class', referrerPolicy: 'origin' } })
class MarkedController {
  @Get('class')
  ofClass() {
    return Download.buffer(BYTES);
  }

  @Get('handler')
  @StreamDownload({ delivery: { cacheControl: 'of the handler' } })
  ofHandler() {
    return Download.buffer(BYTES);
  }
}

@Controller('inherited')
class InheritedController extends MarkedController {}

describe.each(ADAPTERS)('a handler that is marked, on %s', (adapter) => {
  let app: TestApp;
  afterEach(() => app.close());
  async function start(delivery: DeliveryOptions = {}): Promise<void> {
    const controllers = [PlainController, MarkedController, InheritedController];
    app = await startApp({ adapter, controllers, options: { secret: SECRET, delivery } });
  }

  it.each([
    ['nothing fixed', {}, 'attachment; filename=own.txt'],
    ['a name', { filename: 'of the link.pdf' }, 'attachment; filename="of the link.pdf"'],
    ['shown', { disposition: 'inline' }, 'inline; filename=own.txt'],
    ['both', { filename: 'l.pdf', disposition: 'inline' }, 'inline; filename=l.pdf'],
  ] as const)(
    'saves under the name that its link fixes, as its link says: %s',
    async (_name, fixed, expected) => {
      await start();
      const plain = (field: unknown) => String(field).replace(/"([\w.]+)"/, '$1');
      for (const handler of ['download', 'header'] as const) {
        const link = app.get(DownloadLinks).create(PlainController, handler, fixed);
        expect(plain((await app.request(link.url)).headers['content-disposition'])).toBe(expected);
      }
      const saved = app.get(DownloadLinks).create(PlainController, 'streamable', {
        disposition: 'attachment',
        ...fixed,
      });
      const { headers } = await app.request(saved.url);
      expect(headers['content-security-policy'] !== undefined).toBe('disposition' in fixed);
    },
  );

  it.each([
    ['plain/download', 'of the module', 'same-origin'],
    ['marked/class', 'of the class', 'origin'],
    ['marked/handler', 'of the handler', 'origin'],
    ['inherited/class', 'of the class', 'origin'],
    ['inherited/handler', 'of the handler', 'origin'],
  ])('delivers as handler, class and module say, in this order: %s', async (path, cacheControl, referrer) => {
    await start({ cacheControl: 'of the module', referrerPolicy: 'same-origin' });
    expect((await app.request(`/${path}`)).status).toBe(401);
    const { status, headers, body } = await app.request(`/${path}`, { headers: bearer(accessToken()) });
    expect([status, body.equals(BYTES)]).toEqual([200, true]);
    expect(headers).toMatchObject({ 'cache-control': cacheControl, 'referrer-policy': referrer });
  });
});
