import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Page } from 'playwright-core';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { temporaryFolder } from '../support/files.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { ADAPTERS } from '../support/test-app.js';
import { hasFfmpeg, makeFilm } from './support/videos.js';

const HOUR = 3_600_000;

describe.skipIf(!hasChromium || !hasFfmpeg)('a <video> in Chromium', () => {
  const folder = temporaryFolder();
  let film: string;
  let browser: TestBrowser;
  beforeAll(async () => {
    film = makeFilm(folder.path);
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    folder.remove();
  });

  describe.each(ADAPTERS)('on %s', (adapter) => {
    let clock: TestClock;
    let app: LimitedApp;
    let page: Page;
    let answers: number[];
    beforeAll(async () => {
      clock = testClock();
      app = await startLimitedApp(adapter, {
        options: { clock },
        contents: { film: () => Download.file(film, { disposition: 'inline' }) },
        configure: (nest) => {
          nest.use(servePage);
        },
      });
    });
    afterAll(() => app.close());
    beforeEach(async () => {
      page = await browser.context.newPage();
      answers = [];
      page.on('response', (response) => {
        if (response.url().includes('/files/')) {
          answers.push(response.status());
        }
      });
    });
    afterEach(() => page.close());

    /** Plays the film for a moment, stops, and breaks the connections, as every server does in the end. */
    async function playAndPause(link: DownloadLink): Promise<void> {
      await page.goto(`${app.url}/page?${encodeURIComponent(link.url)}`);
      await page.evaluate('document.querySelector("video").play()');
      await page.waitForFunction('document.querySelector("video").currentTime > 0.2');
      await page.evaluate('document.querySelector("video").pause()');
      app.app.getHttpServer().closeAllConnections();
      await app.used(link);
    }

    /** What a person does who drags the slider to the end: whether the film plays to its end. */
    const playTheEnd = () =>
      page.evaluate(`new Promise((resolve) => {
        const video = document.querySelector('video');
        video.onended = () => resolve('ended');
        video.onerror = () => resolve('failed');
        video.currentTime = video.duration - 0.3;
        video.play().catch(() => {});
      })`);

    it.each([
      ['unlimited', {}],
      ['good for one download', { maxDownloads: 1 }],
      ['joined by its cookie alone', { strict: true }],
    ])('plays on after three hours on a link of five minutes: %s', async (_which, options) => {
      const link = app.link('film', { expiresIn: '5m', resumeWithin: '6h', ...options });
      await playAndPause(link);
      clock.advance(3 * HOUR);
      const before = answers.length;
      expect(await playTheEnd()).toBe('ended');
      expect(new Set(answers.slice(before))).toEqual(new Set([206]));
      expect((await app.usage(link)).used).toBe(1);

      expect(await page.evaluate(`fetch('${link.url}').then(({ status }) => status)`)).toBe(410);
      expect((await app.fetch(link)).code).toBe('LINK_EXPIRED');
      expect((await app.fetch(link, { headers: { range: 'bytes=0-' } })).code).toBe('LINK_EXPIRED');
    });

    it('goes back to another part after every byte was sent and the link has expired', async () => {
      const options = { expiresIn: '5m', resumeWithin: '6h', maxDownloads: 1, byteBudget: 10 ** 9 } as const;
      const link = app.link('film', options);
      await playAndPause(link);
      expect(await playTheEnd()).toBe('ended');
      // What the player has skipped
      const cookies = await browser.context.cookies(link.url);
      const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
      await app.fetch(link, { headers: { cookie } });
      app.app.getHttpServer().closeAllConnections();
      await app.used(link);
      expect((await app.usage(link)).leases[0]?.completedAt).toBe(clock());

      clock.advance(3 * HOUR);
      const before = answers.length;
      await page.evaluate('Object.assign(document.querySelector("video"), { currentTime: 110 }).play()');
      await page.waitForFunction('Math.abs(document.querySelector("video").currentTime - 112) < 1.8');
      expect(new Set(answers.slice(before))).toEqual(new Set([206]));
      expect((await app.usage(link)).used).toBe(1);
    });

    it('stops when the link is revoked, before it expires and after', async () => {
      for (const hours of [0, 3]) {
        const link = app.link('film', { expiresIn: '5m', resumeWithin: '6h' });
        await playAndPause(link);
        clock.advance(hours * HOUR);
        await app.links.revoke({ link: link.id });
        expect(await playTheEnd()).toBe('failed');
        expect(answers.at(-1)).toBe(410);
      }
    });

    it('does not play on without resumeWithin', async () => {
      const link = app.link('film', { expiresIn: '5m' });
      await playAndPause(link);
      clock.advance(3 * HOUR);
      expect(await playTheEnd()).toBe('failed');
      expect(answers.at(-1)).toBe(410);
    });
  });
}); // prettier-ignore

/** A page of the application with a film and no code. */
function servePage(request: any, response: any, next: () => void): void {
  const [path, link = ''] = String(request.originalUrl ?? request.url).split('?');
  if (path !== '/page') {
    next();
    return;
  }
  response.setHeader('Content-Type', 'text/html');
  response.end(`<!doctype html><video src="${decodeURIComponent(link)}" controls muted width="640"></video>`);
}
