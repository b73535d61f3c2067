import { Controller, Get, Header, Param, StreamableFile } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, StreamDownload } from '../../lib/index.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { testClock } from '../support/clock.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';

const MINUTE = 60_000;

@Controller('gallery')
class GalleryController {
  /** Requests for pictures. */
  requests = 0;

  constructor(private readonly links: DownloadLinks) {}

  @Get()
  @Header('Content-Type', 'text/html')
  page(): string {
    const images = Array.from({ length: 30 }, (_, index) => {
      const params = { id: String(index) };
      const { url } = this.links.create(GalleryController, 'picture', { params, reuseWithin: '10m' });
      return `<img src="${url}">`;
    });
    return `<!doctype html><title>gallery</title>${images.join('')}`;
  }

  @Get(':id')
  @StreamDownload()
  picture(@Param('id') id: string) {
    this.requests++;
    const image = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>${id}</text></svg>`;
    return new StreamableFile(Buffer.from(image), { type: 'image/svg+xml' });
  }
}

describe.skipIf(!hasChromium)('Chromium', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it.each(ADAPTERS)(
    'asks for no picture again when a gallery is opened twice while its links stay the same, on %s',
    async (adapter) => {
      // the beginning of a window of 10 minutes
      const clock = testClock(1_800_000_000_000);
      const app = await startApp({
        adapter,
        controllers: [GalleryController],
        options: { secret: SECRET, clock },
      });
      /** Opens the gallery, and answers how many pictures it shows. */
      const open = async () => {
        const page = await browser.context.newPage();
        await page.goto(`${app.url}/gallery`, { waitUntil: 'load' });
        const shown = await page.evaluate('[...document.images].filter((one) => one.naturalWidth > 0).length');
        await page.close();
        return shown;
      };
      try {
        for (const [minutes, requests] of [[1, 30], [8, 30], [2, 60]] as const) {
          clock.advance(minutes * MINUTE);
          expect(await open()).toBe(30);
          expect(app.get(GalleryController).requests).toBe(requests);
        }
      } finally {
        await app.close();
      }
    },
    30_000,
  );
}); // prettier-ignore
