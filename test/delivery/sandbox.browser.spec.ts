import { Controller, Get, Param, StreamableFile } from '@nestjs/common';
import helmet from 'helmet';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, StreamDownload } from '../../lib/index.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const RUN = '<script>document.documentElement.setAttribute("data-ran", "yes")</script>';
const XHTML = 'http://www.w3.org/1999/xhtml';
const UPLOADS: Record<string, readonly [string, string]> = {
  html: ['text/html', `<!doctype html><title>x</title>${RUN}`],
  xhtml: [
    'application/xhtml+xml',
    `<html xmlns="${XHTML}"><head><title>x</title></head><body>${RUN}</body></html>`,
  ],
  svg: ['image/svg+xml', `<svg xmlns="http://www.w3.org/2000/svg">${RUN}</svg>`],
  xml: ['text/xml', `<html xmlns="${XHTML}"><body>${RUN}</body></html>`],
  text: ['text/plain', RUN],
};
const SPELLINGS = ['inline', 'INLINE', ' inline', 'filename="a.html"', '; filename=a.html', '"inline"'];

@Controller()
class UploadsController {
  @Get('uploads/:name/:disposition')
  @StreamDownload()
  upload(@Param('name') name: string, @Param('disposition') disposition: string) {
    const [type, text] = UPLOADS[name] as readonly [string, string];
    return new StreamableFile(Buffer.from(text), { type, disposition });
  }

  @Get('unguarded/:name')
  @StreamDownload({ delivery: { contentSecurityPolicy: false } })
  unguarded(@Param('name') name: string) {
    return this.upload(name, 'inline');
  }
}

describe.skipIf(!hasChromium)('Chromium', () => {
  let browser: TestBrowser;
  let app: TestApp;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  afterEach(() => app.close());

  async function ran(url: string): Promise<boolean> {
    const page = await browser.context.newPage();
    try {
      await page.goto(app.url + url, { waitUntil: 'load' });
      return (await page.locator('[data-ran]').count()) > 0;
    } finally {
      await page.close();
    }
  }

  // Only the sandbox keeps scripts away here, since this policy lets them run
  const policy = {
    directives: { 'script-src': ["'self'", "'unsafe-inline'"], 'upgrade-insecure-requests': null },
  };

  it.each(ADAPTERS.flatMap((adapter) => Object.keys(UPLOADS).map((name) => [adapter, name] as const)))(
    'on %s with helmet, runs no script of an uploaded file: %s',
    async (adapter, name) => {
      app = await startApp({
        adapter,
        controllers: [UploadsController],
        configure: async (nest) => {
          if (adapter === 'fastify') {
            await nest.register((await import('@fastify/helmet')).default, {
              contentSecurityPolicy: policy,
            });
          } else {
            nest.use(helmet({ contentSecurityPolicy: policy }));
          }
        },
      });
      const links = app.get(DownloadLinks);
      for (const disposition of SPELLINGS) {
        const { url } = links.create(UploadsController, 'upload', { params: { name, disposition } });
        expect([disposition, await ran(url)]).toEqual([disposition, false]);
      }
      const { url } = links.create(UploadsController, 'unguarded', { params: { name } });
      expect(await ran(url)).toBe(name !== 'text');
    },
  );
});
