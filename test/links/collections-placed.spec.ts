import {
  Controller,
  Get,
  Module,
  Param,
  StreamableFile,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { Answer } from '../support/http-client.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

declare module '../../lib/index.js' {
  interface DownloadRoutes {
    'album cover': { album: string };
    'album photo': { album: string; photo: string };
  }
}

class Albums {
  @Get(':album')
  @StreamDownload()
  cover(@Param('album') album: string) {
    return new StreamableFile(Buffer.from(`cover of ${album}`));
  }

  @Get(':album/photos/:photo')
  @StreamDownload()
  photo(@Param() { album, photo }: Record<string, string>) {
    return new StreamableFile(Buffer.from(`${photo} of ${album}`));
  }
}

@Controller({ path: 'albums', version: ['1', '2'] })
class AlbumsController extends Albums {}

@Controller({ path: 'tenants', version: '1', host: ':tenant.example.com' })
class TenantsController extends Albums {}

@Controller({ path: 'named', version: '1' })
class NamedController {
  @Get(':album')
  @StreamDownload({ name: 'album cover' })
  cover() {
    return new StreamableFile(Buffer.from('cover'));
  }

  @Get(':album/photos/:photo')
  @StreamDownload({ name: 'album photo', transports: { header: true } })
  photo() {
    return new StreamableFile(Buffer.from('photo'));
  }
}

const ORIGIN = 'https://files.example.com';
const TARGET = { params: { album: '7' }, free: ['photo'] };

describe.each(ADAPTERS)('a collection under a global prefix, a version and a proxy that strips a path, on %s', (adapter) => {
  const options = { secret: SECRET, links: { publicUrl: `${ORIGIN}/files` } };
  let app: TestApp;
  let links: DownloadLinks;
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [AlbumsController, NamedController],
      options,
      configure: (host) => {
        host.setGlobalPrefix('api');
        host.enableVersioning({ type: VersioningType.URI });
      },
    });
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  /** As the proxy passes it on. */
  const behind = (url: string) => url.slice(`${ORIGIN}/files`.length);
  const cookieOf = ({ headers }: Answer) => headers['set-cookie']?.[0]?.split('; ') ?? [];

  it('opens by the version that it was made for, and sets its cookie where browsers see it', async () => {
    const { url, token } = links.create(AlbumsController, ['cover', 'photo'], TARGET);
    expect(url).toContain(`${ORIGIN}/files/api/v1/albums/7?`);
    const [pair = '', ...attributes] = cookieOf(await app.request(behind(url)));
    expect(attributes).toContain('Path=/files/api/v1/albums/7');
    const headers = { cookie: pair };
    expect((await app.request('/api/v1/albums/7/photos/a', { headers })).text).toBe('a of 7');
    for (const elsewhere of ['/api/v2/albums/7/photos/a', '/api/v1/albums/71/photos/a', '/api/v1/named/7/photos/a']) {
      expect((await app.request(`${elsewhere}?ss-tok=${token}`)).code).toBe('LINK_SCOPE');
      expect((await app.request(elsewhere, { headers })).code).toBe('TOKEN_MISSING');
    }
  });

  it('has the path of what its handlers share', async () => {
    const path = async (given: object) =>
      (await links.inspect(links.create(AlbumsController, ['photo', 'cover'], given).token)).collection?.path;
    const params = { album: '7', photo: 'a' };
    expect(await path({ params, free: ['photo'] })).toBe('/files/api/v1/albums/7');
    expect(await path({ params, free: ['photo', 'album'] })).toBe('/files/api/v1/albums');
    expect(await path({ params: { ...params, album: 'ü/é' }, free: ['photo'] })).toBe('/files/api/v1/albums/%C3%BC%2F%C3%A9');
  });

  it('of named routes opens what a process without HTTP has made it for', async () => {
    const routes = { 'album cover': '/api/v1/named/:album', 'album photo': '/api/v1/named/:album/photos/:photo' };
    @Module({ imports: [DownloadAuthModule.forRoot({ ...options, links: { ...options.links, routes } })] })
    class WorkerModule {}
    const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
    const minting = worker.get(DownloadLinks);
    const { url, token } = minting.create(['album cover', 'album photo'], TARGET);
    expect(minting.resource(['album photo', 'album cover'], TARGET)).toBe(
      links.resource(['album cover', 'album photo'], TARGET),
    );
    await worker.close();
    expect(cookieOf(await app.request(behind(url)))).toContain('Path=/files/api/v1/named/7');
    expect((await app.request(`/api/v1/named/7/photos/a?ss-tok=${token}`)).text).toBe('photo');
    expect((await app.request(`/api/v1/named/8/photos/a?ss-tok=${token}`)).code).toBe('LINK_SCOPE');
  });

  it('has free names that the compiler checks, where routes are declared', () => {
    const params = { album: '7', photo: 'a' };
    expect(() => links.create('album photo', { params, free: ['photo'] })).not.toThrow();
    // @ts-expect-error -- there is no such parameter
    expect(() => links.create('album photo', { params, free: ['foto'] })).toThrow(/has no parameter foto/);
    // @ts-expect-error -- there is no such handler
    expect(() => links.create(AlbumsController, ['cover', 'foto'], TARGET)).toThrow(/AlbumsController\.foto is not a route/);
  });
}); // prettier-ignore

it.each(ADAPTERS)('a collection of one host is closed on another, on %s', async (adapter) => {
  const app = await startApp({ adapter, controllers: [TenantsController] });
  const { token } = app
    .get(DownloadLinks)
    .create(TenantsController, ['cover', 'photo'], { ...TARGET, hosts: { tenant: 'acme' } });
  const ask = (tenant: string) =>
    app.request(`/tenants/7/photos/a?ss-tok=${token}`, { headers: { host: `${tenant}.example.com` } });
  expect((await ask('acme')).text).toBe('a of 7');
  expect((await ask('evil')).code).toBe('LINK_SCOPE');
  await app.close();
});

it.each(ADAPTERS)('a collection of a version in a header is not made, but one without a version is, on %s', async (adapter) => {
  @Controller({ path: 'neutral', version: VERSION_NEUTRAL })
  class NeutralController extends Albums {}
  const app = await startApp({
    adapter,
    controllers: [AlbumsController, NeutralController],
    configure: (host) => void host.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }),
  });
  const links = app.get(DownloadLinks);
  expect(() => links.create(AlbumsController, ['cover', 'photo'], TARGET)).toThrow(/Make it VERSION_NEUTRAL/);
  const { token } = links.create(NeutralController, ['cover', 'photo'], TARGET);
  for (const headers of [{}, { 'x-version': '1' }]) {
    expect((await app.request(`/neutral/7/photos/a?ss-tok=${token}`, { headers })).text).toBe('a of 7');
    expect((await app.request(`/neutral/8/photos/a?ss-tok=${token}`, { headers })).code).toBe('LINK_SCOPE');
  }
  const versioned = await app.request(`/albums/7/photos/a?ss-tok=${token}`, { headers: { 'x-version': '1' } });
  expect(versioned.code).toBe('LINK_SCOPE');
  await app.close();
}); // prettier-ignore
