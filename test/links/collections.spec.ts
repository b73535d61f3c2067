import { Controller, Get, Param, Post, StreamableFile } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions, DownloadGrant } from '../../lib/index.js';
import { testClock } from '../support/clock.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const bytes = (text: string) => new StreamableFile(Buffer.from(text));

@Controller('videos')
class VideosController {
  @Get(':id')
  @StreamDownload()
  about(@Param('id') id: string) {
    return bytes(`about ${id}`);
  }

  @Get(':id/poster')
  @StreamDownload()
  poster(@Param('id') id: string) {
    return bytes(`poster of ${id}`);
  }

  @Get(':id/:file')
  @StreamDownload()
  file(@Param('id') id: string, @Param('file') file: string) {
    return bytes(`${file} of ${id}`);
  }

  @Get(':id/:rendition/:segment')
  @StreamDownload()
  segment(@Param() { id, rendition, segment }: Record<string, string>) {
    return bytes(`${segment} of ${rendition} of ${id}`);
  }

  @Post(':id/:file')
  @StreamDownload()
  upload() {
    return 'uploaded';
  }
}

@Controller('folders')
class FoldersController {
  @Get(':folder/info')
  @StreamDownload()
  info(@Param('folder') folder: string) {
    return bytes(`info of ${folder}`);
  }

  @Get(':folder/files/*')
  @StreamDownload()
  file(@Param() params: Record<string, unknown>, @Grant() grant: DownloadGrant) {
    const path = [params.path ?? params['*']].flat().join('/');
    return bytes(`${path} for ${grant.subject}`);
  }
}

const clock = testClock();

function start(adapter: AdapterName): Promise<TestApp> {
  return startApp({
    adapter,
    controllers: [VideosController, FoldersController],
    options: { secret: SECRET, clock },
  });
}

describe.each(ADAPTERS)('a link to a collection, on %s', (adapter) => {
  let app: TestApp;
  let links: DownloadLinks;
  beforeAll(async () => {
    app = await start(adapter);
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  const files = (options: CreateLinkOptions = {}) =>
    links.create(VideosController, 'file', {
      params: { id: '1', file: 'index.m3u8' },
      free: ['file'],
      ...options,
    });
  const several = () =>
    links.create(VideosController, ['poster', 'segment'], {
      params: { id: '1' },
      free: ['rendition', 'segment'],
    });
  const folder = () =>
    links.create(FoldersController, 'file', {
      params: { folder: 'a', '*': 'index.html' },
      free: ['*'],
      subject: 'ada',
    });
  const kinds = { files, several, folder };

  it.each<[string, keyof typeof kinds, string]>([
    ['starts where params say', 'files', '/videos/1/index.m3u8'],
    ['starts at its first handler', 'several', '/videos/1/poster'],
    ['starts at a file of a wildcard', 'folder', '/folders/a/files/index.html'],
  ])('%s', async (_name, kind, path) => {
    const { url } = kinds[kind]();
    expect(url.split('?')[0]).toBe(path);
    expect((await app.request(url)).status).toBe(200);
  });

  it.each<[keyof typeof kinds, string, string]>([
    ['files', '/videos/1/seg-1.ts', 'seg-1.ts of 1'],
    ['files', '/videos/1/%73eg%2D1.ts', 'seg-1.ts of 1'],
    ['files', '/videos/1/...', '... of 1'],
    ['files', '/videos/1/a%20b%3F%23%26.ts', 'a b?#&.ts of 1'],
    ['files', '/videos/1/%252e%252e', '%2e%2e of 1'],
    ['files', '/videos/1/..%252f2', '..%2f2 of 1'],
    ['files', '/videos/1/seg-1.ts;v=1', 'seg-1.ts;v=1 of 1'],
    ['files', '/videos/1/..;', '..; of 1'],
    ['several', '/videos/1/poster', 'poster of 1'],
    ['several', '/videos/1/720p/1.ts', '1.ts of 720p of 1'],
    ['folder', '/folders/a/files/b', 'b for ada'],
    ['folder', '/folders/a/files/b/c/d.txt', 'b/c/d.txt for ada'],
    ['folder', '/folders/a/files/b/%C3%BC', 'b/ü for ada'],
  ])('to %s opens %s', async (kind, path, text) => {
    const { token } = kinds[kind]();
    for (const method of ['GET', 'HEAD']) {
      const answer = await app.request(`${path}?ss-tok=${token}`, { method });
      expect([answer.status, answer.text]).toEqual([200, method === 'GET' ? text : '']);
    }
  });

  it.each<[keyof typeof kinds, string]>([
    ['files', '/videos/10/seg-1.ts'],
    ['files', '/videos/%31%30/seg-1.ts'],
    ['files', '/videos/1%30/seg-1.ts'],
    ['files', '/videos/2/seg-1.ts'],
    ['files', '/videos/1'],
    ['files', '/videos/1/poster'],
    ['files', '/videos/1/720p/1.ts'],
    ['files', '/videos/1/..'],
    ['files', '/videos/1/%2e%2e'],
    ['files', '/videos/1/.'],
    ['files', '/videos/1/%2E'],
    ['files', '/videos/1/..%2F2%2Fseg-1.ts'],
    ['files', '/videos/1/a%2Fb'],
    ['files', '/videos/1/a%5Cb'],
    ['files', '/videos/1/..%5c2'],
    ['files', '/videos/1/a%00.ts'],
    ['files', '/videos/1/%5c%5chost'],
    ['files', '/videos/1;a=b/seg-1.ts'],
    ['files', '/videos/1%00/seg-1.ts'],
    ['files', '/videos/01/seg-1.ts'],
    ['files', '/videos/1%20/seg-1.ts'],
    ['files', '/videos/1./seg-1.ts'],
    ['files', '/videos/%EF%BC%91/seg-1.ts'],
    ['files', '/videos/1/..;/seg-1.ts'],
    ['files', '/videos/1\\..\\2/seg-1.ts'],
    ['files', '/videos/1/..\\2'],
    ['files', '/videos/1%2Fseg-1.ts/x'],
    ['files', '/videos/1%2F..%2F2/x'],
    ['files', '/videos/1/seg-1.ts?quality=high'],
    ['files', '/videos/1/seg-1.ts?file=x'],
    ['several', '/videos/1'],
    ['several', '/videos/1/seg-1.ts'],
    ['several', '/videos/10/720p/1.ts'],
    ['several', '/videos/10/poster'],
    ['several', '/videos/1/720p/..'],
    ['several', '/videos/1/%2e%2e/1.ts'],
    ['folder', '/folders/a/info'],
    ['folder', '/folders/ab/files/b'],
    ['folder', '/folders/b/files/b'],
    ['folder', '/folders/a/files/../info'],
    ['folder', '/folders/a/files/%2e%2e/info'],
    ['folder', '/folders/a/files/b/%2e%2e/%2e%2e/info'],
    ['folder', '/folders/a/files/..%2Finfo'],
    ['folder', '/folders/a/files/b%2Fc'],
    ['folder', '/folders/a/files/b/c%2fd/e'],
    ['folder', '/folders/a/files/b%5Cc'],
    ['folder', '/folders/a/files//b'],
    ['folder', '/folders/a/files/b//c'],
    ['folder', '/folders/a/files/b/'],
    ['folder', '/folders/a/files/b/.'],
    ['folder', '/folders/a/files/b%00'],
  ])('to %s does not open %s', async (kind, path) => {
    const { token } = kinds[kind]();
    const answer = await app.request(`${path}${path.includes('?') ? '&' : '?'}ss-tok=${token}`);
    expectRefusal(answer, 403, 'LINK_SCOPE', token);
  });

  it.each([
    ['/videos/1/'],
    ['/videos/1//seg-1.ts'],
    ['//videos/1/seg-1.ts'],
    ['/videos//1/seg-1.ts'],
    ['/folders/a/files/'],
    ['/folders/a/files'],
    // not UTF-8
    ['/videos/1/%c0%ae%c0%ae'],
    ['/videos/%c0%b1/seg-1.ts'],
    ['/folders/a/files/%c0%ae%c0%ae/info'],
    ['/videos/1/%'],
    ['/videos/1/%2'],
    ['/videos/1/%u002e%u002e'],
  ])('opens nothing at %s', async (path) => {
    for (const mint of Object.values(kinds)) {
      const { status } = await app.request(`${path}?ss-tok=${mint().token}`);
      expect([400, 403, 404]).toContain(status);
    }
  });

  it.each([
    ['with a slash at its end', '/videos/1/seg-1.ts/'],
    ['in another case', '/VIDEOS/1/seg-1.ts'],
    ['longer than Fastify takes', `/videos/1/${'x'.repeat(120)}`],
  ])('opens a path %s only where the router takes it for the same', async (_how, path) => {
    const { token } = files();
    const { status, text } = await app.request(`${path}?ss-tok=${token}`);
    const file = path.replace(/\/$/, '').split('/').pop();
    const other = await app.request(`${path.replace('1', '2')}?ss-tok=${token}`);
    if (adapter === 'express') {
      expect([status, text, other.code]).toEqual([200, `${file} of 1`, 'LINK_SCOPE']);
    } else {
      expect([404, 414]).toContain(status);
    }
  });

  it('does not open another method', async () => {
    const { token } = files();
    const answer = await app.request(`/videos/1/seg-1.ts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    expectRefusal(answer, 403, 'LINK_SCOPE', token);
  });

  it('keeps its query parameters bound', async () => {
    const { token } = files({ query: { quality: 'high' } });
    expect((await app.request(`/videos/1/seg-1.ts?quality=high&ss-tok=${token}`)).status).toBe(200);
    for (const query of ['', 'quality=low&', 'quality=high&more=1&', 'quality=high&quality=high&']) {
      const answer = await app.request(`/videos/1/seg-1.ts?${query}ss-tok=${token}`);
      expectRefusal(answer, 403, 'LINK_SCOPE', token);
    }
  });

  it('is the same resource wherever it starts, and however its handlers and names are listed', () => {
    const resource = (handlers: ('poster' | 'segment')[], free: string[], params: object) =>
      links.resource(VideosController, handlers, { params: { id: '1', ...params }, free });
    const expected = resource(['poster', 'segment'], ['rendition', 'segment'], {});
    expect(resource(['segment', 'poster'], ['segment', 'rendition'], { segment: '1.ts' })).toBe(expected);
    expect(resource(['segment', 'poster'], ['segment'], { rendition: '720p' })).not.toBe(expected);
    expect(resource(['segment'], ['rendition', 'segment'], {})).not.toBe(expected);
    expect(resource(['poster', 'segment'], ['rendition', 'segment'], { id: '2' })).not.toBe(expected);
    const one = links.resource(VideosController, 'file', { params: { id: '1' }, free: ['file'] });
    expect(one).not.toBe(links.resource(VideosController, 'about', { params: { id: '1' } }));
  });

  it.each<[string, () => object]>([
    ['its id', () => ({ link: minted.id })],
    ['its subject', () => ({ subject: 'ada' })],
    ['its resource', () => ({ resource: links.resource(VideosController, 'file', { params: { id: '1' }, free: ['file'] }) })],
    ['what it opens', () => ({ resource: links.resource(VideosController, 'file', { params: { id: '1', file: 'seg-1.ts' } }) })],
    ['a moment', () => ({ issuedBefore: new Date(clock()) })],
  ])('is revoked by %s', async (_name, target) => {
    clock.advance(1000);
    minted = files({ subject: 'ada' });
    const url = `/videos/1/seg-1.ts?ss-tok=${minted.token}`;
    expect((await app.request(url)).status).toBe(200);
    clock.advance(1000);
    await links.revoke(target());
    expectRefusal(await app.request(url), 410, 'LINK_REVOKED', minted.token);
  }); // prettier-ignore
  let minted: { id: string; token: string };

  it('lets go of one file that is revoked, and of no other', async () => {
    clock.advance(1000);
    const { token } = files();
    const params = { id: '1', file: 'seg-2.ts' };
    clock.advance(1000);
    await links.revoke({ resource: links.resource(VideosController, 'file', { params }) });
    expectRefusal(await app.request(`/videos/1/seg-2.ts?ss-tok=${token}`), 410, 'LINK_REVOKED', token);
    expect((await app.request(`/videos/1/seg-3.ts?ss-tok=${token}`)).status).toBe(200);
  });

  it('says what it leaves open when it is inspected', async () => {
    expect((await links.inspect(several().token)).collection).toEqual({
      free: ['rendition', 'segment'],
      path: '/videos/1',
      exchange: 'cookie',
    });
    expect((await links.inspect(files({ exchange: 'redirect' }).token)).collection?.exchange).toBe(
      'redirect',
    );
  });

  it('is the same for a while with reuseWithin', () => {
    const options = { reuseWithin: '10m', subject: 'ada' } as const;
    expect(files(options).url).toBe(files(options).url);
    expect(files({ ...options, free: ['id', 'file'] }).url).not.toBe(files(options).url);
  });

  it.each<[CreateLinkOptions, RegExp]>([
    [{ maxDownloads: 3 }, /maxDownloads: a collection is many downloads/],
    [{ strict: true }, /strict: a collection/],
    [{ byteBudget: 10 }, /byteBudget: a collection/],
    [{ resumeWithin: '1h' }, /resumeWithin: a collection/],
    [{ filename: 'a.ts' }, /filename: the files of a collection/],
    [{ free: [] }, /free: give the names/],
    [{ free: ['segment'] }, /free: \/videos\/:id\/:file has no parameter segment/],
    [{ params: { id: '1', file: 'a', rendition: 'b' } }, /params: \/videos\/:id\/:file has no parameter rendition/],
    [{ params: { id: '1' } }, /say where the URL starts\. Give a value for file/],
    [{ params: { file: 'a' } }, /No link can be made to \/videos\/:id\/:file/],
    [{ free: undefined, exchange: 'redirect' }, /exchange: only a collection/],
    [{ claims: { text: 'x'.repeat(3000) } }, /The collection's cookie would have \d+ bytes/],
    [{ claims: { col: {} } }, /claims\.col: this name is reserved/],
  ])('is not made of %o', (options, says) => {
    expect(() => files(options)).toThrow(DownloadAuthConfigurationError);
    expect(() => files(options)).toThrow(says);
  }); // prettier-ignore

  it('is not made of no handler, or of one that is posted to', () => {
    expect(() => links.create(VideosController, [], {})).toThrow(/Name at least one handler/);
    expect(() =>
      links.create(VideosController, 'upload', { params: { id: '1', file: 'a' }, free: ['file'] }),
    ).toThrow(/VideosController\.upload is not a @Get\(\) route/);
  });
});
