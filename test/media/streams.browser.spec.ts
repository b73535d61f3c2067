import { Controller, Get, Param, Res } from '@nestjs/common';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadGrant, DownloadLink } from '../../lib/index.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { temporaryFolder } from '../support/files.js';
import { run } from '../support/programs.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';
import { hasFfmpeg, makeStreams, SEGMENTS } from './support/videos.js';

const folder = temporaryFolder();

/** Players of pages, and what starts them there; `credentials` is whether they send cookies elsewhere. */
const PLAYERS: [name: string, file: string, script: string, start: (url: string, credentials: boolean) => string][] = [
  ['hls.js', 'index.m3u8', 'hls.js/dist/hls.min.js', (url, credentials) => `
    const xhrSetup = (xhr) => { xhr.withCredentials = ${credentials}; };
    const hls = new Hls({ maxBufferLength: 100, maxMaxBufferLength: 100, xhrSetup });
    hls.on(Hls.Events.ERROR, (_event, { fatal, details }) => fatal && resolve(details));
    hls.loadSource('${url}');
    hls.attachMedia(video);`],
  ['dash.js', 'stream.mpd', 'dashjs', (url, credentials) => `
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ streaming: { buffer: { bufferTimeDefault: 100, bufferTimeAtTopQuality: 100 } } });
    player.setXHRWithCredentialsForType('', ${credentials});
    player.on('error', ({ error }) => resolve(error.message));
    player.initialize(video, '${url}', false);`],
]; // prettier-ignore
const scriptPath = (name: string) => createRequire(import.meta.url).resolve(name);

/** Every video is the same, but each is a collection of its own. */
@Controller('videos')
class VideosController {
  @Get(':id/:file')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  file(
    @Param('file') file: string,
    @Grant() grant: DownloadGrant,
    @Res({ passthrough: true }) response: { header(name: string, value: string): void },
  ) {
    response.header('x-subject', String(grant.subject));
    return Download.file(file, { root: folder.path });
  }
}

interface Node extends TestApp {
  /** The paths of answers with content, in their order. */
  readonly served: string[];
  link(id: string, file: string, subject: string): DownloadLink;
}

/** @param pages the origin of pages that may load videos from here */
async function startNode(adapter: AdapterName, url: string, pages: string | undefined): Promise<Node> {
  const served: string[] = [];
  const app = await startApp({
    adapter,
    controllers: [VideosController],
    options: { secret: SECRET, leases: { store: new RedisLeaseStore({ url }) } },
    configure(nest) {
      nest.use((request: any, response: any, next: () => void) => {
        const [path] = String(request.originalUrl ?? request.url).split('?');
        response.on('finish', () => response.statusCode < 300 && served.push(path!));
        if (path === '/player') {
          response.setHeader('content-type', 'text/html');
          response.end('<!doctype html><title>player</title><video muted></video>');
        } else {
          next();
        }
      });
      nest.enableCors({ origin: pages ?? false, credentials: true });
    },
  });
  const link: Node['link'] = (id, file, subject) => {
    const options = { params: { id, file }, free: ['file'] as const, subject, expiresIn: '1h' as const };
    const made = app.get(DownloadLinks).create(VideosController, 'file', options);
    return { ...made, url: app.url + made.url };
  };
  return { ...app, served, link };
}

const hasAll = hasChromium && hasFfmpeg && hasRedis;
let redis: RedisServer;
let browser: TestBrowser;
beforeAll(async () => {
  if (hasAll) {
    makeStreams(folder.path);
    [redis, browser] = await Promise.all([RedisServer.start({ persistent: false }), openBrowser()]);
  }
});
afterAll(async () => {
  await browser?.close();
  await redis?.remove();
  folder.remove();
});

describe.skipIf(!hasAll).each(ADAPTERS)('a stream, on %s', (adapter) => {
  /** The second node is on the other adapter, and serves pages of the first one too. */
  let nodes: readonly [Node, Node];
  let page: Page;
  beforeAll(async () => {
    const first = await startNode(adapter, redis.url, undefined);
    const other = ADAPTERS.find((name) => name !== adapter)!;
    nodes = [first, await startNode(other, redis.url, first.url)];
  });
  afterAll(() => Promise.all(nodes.map((node) => node.close())));
  beforeEach(async () => {
    await browser.context.clearCookies();
    nodes.forEach(({ served }) => served.splice(0));
    page = await browser.context.newPage();
    await page.goto(`${nodes[0].url}/player`);
  });
  afterEach(() => page.close());

  const segmentsOf = ({ served }: Node) =>
    new Set(served.filter((path) => /\/(?:index\d+\.ts|chunk-.*\.m4s)$/.test(path))).size;

  /** Loads the whole stream, then plays its end; answers what came of it. */
  const play = (start: string) =>
    page.evaluate(`new Promise((resolve) => {
      const video = document.querySelector('video');
      ${start}
      const looking = setInterval(() => {
        if (video.buffered.length > 0 && video.buffered.end(0) > video.duration - 0.2) {
          clearInterval(looking);
          video.currentTime = video.duration - 0.3;
          video.play();
        }
      }, 50);
      video.onended = () => resolve('ended at ' + Math.round(video.duration));
    })`);

  /** What the browser gets there: the status, and whose link opened it. */
  const load = (url: string, tab = page) =>
    tab.evaluate(`fetch('${url}', { credentials: 'include' }).then(
      ({ status, headers }) => status + ' ' + (headers.get('x-subject') ?? ''),
    )`);

  it.each(PLAYERS)('plays in %s from one link to %s', async (_name, file, script, start) => {
    const { url } = nodes[0].link('1', file, 'ada');
    await page.addScriptTag({ path: scriptPath(script) });
    expect(await play(start(url, false))).toBe(`ended at ${SEGMENTS}`);
    expect(segmentsOf(nodes[0])).toBe(SEGMENTS);
  });

  it.each(PLAYERS)('plays in %s in a page of another origin', async (_name, file, script, start) => {
    const { url } = nodes[1].link('1', file, 'ada');
    await page.addScriptTag({ path: scriptPath(script) });
    expect(await play(start(url, true))).toBe(`ended at ${SEGMENTS}`);
    expect([segmentsOf(nodes[0]), segmentsOf(nodes[1])]).toEqual([0, SEGMENTS]);
  });

  it('plays in a <video> of a browser that knows HLS', async () => {
    const { url } = nodes[0].link('1', 'index.m3u8', 'ada');
    await page.evaluate(`Object.assign(document.querySelector('video'), { src: '${url}' }).play()`);
    await page.waitForFunction('document.querySelector("video").currentTime > 1.1');
    expect(segmentsOf(nodes[0])).toBeGreaterThan(1);
  });

  it.each([
    ['HLS', 'index.m3u8'],
    ['DASH', 'stream.mpd'],
  ])('plays in ffmpeg: %s', async (_format, file) => {
    const { url } = nodes[0].link('1', file, 'ada');
    const { output } = await run('ffmpeg', ['-v', 'error', '-i', url, '-c', 'copy', '-f', 'null', '-']);
    expect(output).toBe('');
    expect(segmentsOf(nodes[0])).toBe(SEGMENTS);
  });

  it('leaves another one closed whose name begins in the same way', async () => {
    const link = nodes[0].link('1', 'index.m3u8', 'ada');
    expect(await load(link.url)).toBe('200 ada');
    expect(await load('/videos/1/index0.ts')).toBe('200 ada');
    expect(await load('/videos/10/index.m3u8')).toBe('401 ');
    expect(await load(`/videos/10/index.m3u8?ss-tok=${link.token}`)).toBe('403 ');
  });

  it('stops at the next segment on both nodes when its link is revoked', async () => {
    const link = nodes[0].link('1', 'index.m3u8', 'ada');
    await load(link.url);
    const next = (segment: number) =>
      Promise.all(nodes.map(({ url }) => load(`${url}/videos/1/index${segment}.ts`)));
    expect(await next(0)).toEqual(['200 ada', '200 ']);
    await nodes[1].get(DownloadLinks).revoke({ link: link.id });
    expect(await next(1)).toEqual(['410 ', '410 ']);
  });

  it('does not mix with another one in a second tab', async () => {
    const tab = await browser.context.newPage();
    await tab.goto(`${nodes[0].url}/player`);
    const [one, two] = [nodes[0].link('1', 'index.m3u8', 'ada'), nodes[0].link('2', 'index.m3u8', 'grace')];
    await Promise.all([load(one.url), load(two.url, tab)]);
    for (const segment of [0, 1]) {
      expect(await load(`/videos/1/index${segment}.ts`)).toBe('200 ada');
      expect(await load(`/videos/2/index${segment}.ts`, tab)).toBe('200 grace');
    }
    await nodes[0].get(DownloadLinks).revoke({ link: one.id });
    expect([await load('/videos/1/index2.ts'), await load('/videos/2/index2.ts', tab)]).toEqual([
      '410 ',
      '200 grace',
    ]);
    await tab.close();
  });
});
