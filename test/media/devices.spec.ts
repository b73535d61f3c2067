import { Controller, Get, Param } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const FILM = pattern(300_000);
const PLAYLIST = '#EXTM3U\n#EXTINF:6,\nseg-1.ts\n#EXTINF:6,\nseg-2.ts\n#EXT-X-ENDLIST\n';

const inline = { delivery: { disposition: 'inline' } } as const;

@Controller()
class MediaController {
  constructor(private readonly links: DownloadLinks) {}

  @Get('films/:id')
  @StreamDownload(inline)
  film() {
    return Download.buffer(FILM, { type: 'video/mp4', filename: 'film.mp4' });
  }

  @Get('videos/:id/:file')
  @StreamDownload(inline)
  file(@Param('id') id: string, @Param('file') file: string) {
    return file.endsWith('.m3u8')
      ? Download.buffer(Buffer.from(PLAYLIST), { type: 'application/vnd.apple.mpegurl' })
      : Download.buffer(Buffer.from(`${file} of ${id}`), { type: 'video/mp2t' });
  }

  /** As docs/media.md has it, for devices without cookies. */
  @Get('cast/:id')
  @StreamDownload(inline)
  playlist(@Param('id') id: string) {
    const withLinks = PLAYLIST.replace(
      /^[^#\s].*$/gm,
      (file) => this.links.create(MediaController, 'file', { params: { id, file } }).url,
    );
    return Download.buffer(Buffer.from(withLinks), { type: 'application/vnd.apple.mpegurl' });
  }
}

/** What the players of Apple's systems send, of pages and applications alike. */
const APPLE = {
  'user-agent': 'AppleCoreMedia/1.0.0.22A3354 (iPhone; U; CPU OS 18_0 like Mac OS X; en_us)',
  accept: '*/*',
  'accept-encoding': 'identity',
  'x-playback-session-id': '4B5C5E7A-8B1E-4C43-9F0B-2D7B0B9C0D11',
};
/** A receiver fetches from an address of its own, by a page of another origin, and has no cookie. */
const RECEIVER = { localAddress: '127.0.0.2' };
const CAST = {
  'user-agent':
    'Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 Chrome/112.0 Safari/537.36 CrKey/1.56.500000',
  accept: '*/*',
  origin: 'https://www.gstatic.com',
  'sec-fetch-mode': 'cors',
  'sec-fetch-site': 'cross-site',
};

describe.each(ADAPTERS)('a device that plays, on %s', (adapter) => {
  let app: TestApp;
  let links: DownloadLinks;
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [MediaController],
      options: { secret: SECRET },
      configure: (nest) => nest.enableCors({ origin: CAST.origin }),
    });
    links = app.get(DownloadLinks);
  });
  afterAll(() => app.close());

  const film = (options: CreateLinkOptions = {}) =>
    links.create(MediaController, 'film', { params: { id: '7' }, ...options });
  const stream = () =>
    links.create(MediaController, 'file', { params: { id: '7', file: 'index.m3u8' }, free: ['file'] });

  it.each([{}, { maxDownloads: 1 }, { maxDownloads: 1, strict: true }])(
    'gets a film from an iPhone, which asks for two bytes first: %o',
    async (options) => {
      const { id, url } = film(options);
      let cookie = '';
      for (const [from, to] of [
        [0, 1],
        [0, 299_999],
        [290_000, 299_999],
        [1000, 65_535],
      ] as const) {
        const answer = await app.request(url, {
          headers: { ...APPLE, range: `bytes=${from}-${to}`, cookie },
        });
        cookie = answer.cookie ?? cookie;
        expect(answer.status).toBe(206);
        expect(answer.headers).toMatchObject({
          'accept-ranges': 'bytes',
          'content-type': 'video/mp4',
          'content-range': `bytes ${from}-${to}/300000`,
          'content-length': String(to - from + 1),
        });
        expect(answer.body.equals(FILM.subarray(from, to + 1))).toBe(true);
      }
      expect((await links.usage(id)).used).toBe(options.maxDownloads ?? 0);
    },
  );

  it.each<[string, (link: { url: string; token: string }) => [string, object]]>([
    ['in the URL', ({ url }) => [url, {}]],
    ['in a header, which only the playlist gets', ({ token }) => ['/videos/7/index.m3u8', bearer(token)]],
  ])('gets a stream on an iPhone with the token %s', async (_where, playlistOf) => {
    const [url, headers] = playlistOf(stream());
    const probe = await app.request(url, { headers: { ...APPLE, ...headers, range: 'bytes=0-1' } });
    expect([probe.status, probe.text]).toEqual([206, '#E']);
    const playlist = await app.request(url, { headers: { ...APPLE, ...headers } });
    expect(playlist.text).toBe(PLAYLIST);
    const cookie = playlist.headers['set-cookie']![0]!.split(';')[0];
    for (const segment of ['seg-1.ts', 'seg-2.ts']) {
      const answer = await app.request(`/videos/7/${segment}`, { headers: { ...APPLE, cookie } });
      expect([answer.status, answer.text]).toEqual([200, `${segment} of 7`]);
    }
  });

  it('gets a film by AirPlay: a receiver with no cookie, at another address', async () => {
    const { url } = film({ resumeWithin: '6h' });
    await app.request(url, { headers: { ...APPLE, range: 'bytes=0-1' } });
    const headers = { ...APPLE, 'user-agent': 'AppleCoreMedia/1.0.0 (Apple TV; U; CPU OS 18_0)' };
    for (const range of ['bytes=0-1', 'bytes=0-', 'bytes=150000-']) {
      const answer = await app.request(url, { ...RECEIVER, headers: { ...headers, range } });
      expect([answer.status, answer.headers['content-range']?.endsWith('/300000')]).toEqual([206, true]);
    }
  });

  /** What a page of another origin asks before it sends a range, and then the range. */
  async function cast(url: string, range: string) {
    const preflight = await app.request(url, {
      ...RECEIVER,
      method: 'OPTIONS',
      headers: { ...CAST, 'access-control-request-method': 'GET', 'access-control-request-headers': 'range' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': CAST.origin,
      'access-control-allow-methods': expect.stringContaining('GET'),
      'access-control-allow-headers': expect.stringMatching(/range/i),
    });
    return app.request(url, { ...RECEIVER, headers: { ...CAST, range } });
  }

  it('gets a film on a Chromecast', async () => {
    const { url } = film();
    for (const range of ['bytes=0-', 'bytes=100000-199999']) {
      const answer = await cast(url, range);
      expect(answer.status).toBe(206);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': CAST.origin,
        'access-control-expose-headers': expect.stringContaining('Content-Range'),
      });
    }
  });

  it('gets a stream on a Chromecast by a link in each line of its playlist, and not by a collection', async () => {
    const collection = stream();
    expect((await cast(collection.url, 'bytes=0-')).status).toBe(206);
    expectRefusal(await cast('/videos/7/seg-1.ts', 'bytes=0-'), 401, 'TOKEN_MISSING');

    const { url } = links.create(MediaController, 'playlist', { params: { id: '7' } });
    const playlist = await cast(url, 'bytes=0-');
    const segments = playlist.text.split('\n').filter((line) => line.startsWith('/'));
    const texts = await Promise.all(segments.map(async (segment) => (await cast(segment, 'bytes=0-')).text));
    expect(texts).toEqual(['seg-1.ts of 7', 'seg-2.ts of 7']);
  });
});
