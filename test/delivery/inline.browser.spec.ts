import { Controller, Get, Header, Param, Query, StreamableFile } from '@nestjs/common';
import helmet from 'helmet';
import { createReadStream } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../../lib/index.js';
import { BROWSERS, shareOf } from '../support/browser.js';
import type { Colour, Tab, TabbedBrowser } from '../support/browser.js';
import { temporaryFolder } from '../support/files.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const RUN = '<script>document.documentElement.setAttribute("data-ran", "yes")</script>';
const XHTML = 'http://www.w3.org/1999/xhtml';
const HTML = `<!doctype html><title>x</title>${RUN}`;
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#f08"/>${RUN}</svg>`;
const PINK: Colour = [255, 0, 136];
/** One pink page. */
const PDF = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]/Contents 4 0 R/Resources<<>>>>endobj
4 0 obj<</Length 30>>stream
1 0 0.533 rg 0 0 300 400 re f
endstream endobj
trailer<</Root 1 0 R>>
`;

const UPLOADS: Record<string, readonly [type: string, text: string]> = {
  html: ['text/html', HTML],
  xhtml: [
    'application/xhtml+xml',
    `<html xmlns="${XHTML}"><head><title>x</title></head><body>${RUN}</body></html>`,
  ],
  svg: ['image/svg+xml', SVG],
  xml: ['text/xml', `<html xmlns="${XHTML}"><body>${RUN}</body></html>`],
  text: ['text/plain', RUN],
  pdf: ['application/pdf', PDF],
};

/** What docs/collections.md says to write for pages that show files of their own folder. */
const OF_FOLDERS =
  "sandbox allow-same-origin allow-downloads; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self' 'unsafe-inline'";
const FOLDER: Record<string, readonly [type: string, text: string]> = {
  'index.html': ['text/html', `${HTML}<link rel="stylesheet" href="style.css"><img src="picture.svg">`],
  'style.css': ['text/css', 'img { width: 700px }'],
  'picture.svg': UPLOADS.svg!,
};
const SPELLINGS = ['inline', 'INLINE', ' inline', 'filename="a.html"', '; filename=a.html', '"inline"'];

const folder = temporaryFolder();
for (const name of ['page.pdf', 'page.png', 'page.txt']) {
  folder.file(name, HTML);
}

@Controller()
class UploadsController {
  @Get('uploads/:name/:disposition')
  @StreamDownload()
  upload(@Param('name') name: string, @Param('disposition') disposition: string) {
    const [type, text] = UPLOADS[name]!;
    return new StreamableFile(Buffer.from(text), { type, disposition });
  }

  @Get('unguarded/:name')
  @StreamDownload({ delivery: { contentSecurityPolicy: false } })
  unguarded(@Param('name') name: string) {
    return this.upload(name, 'inline');
  }

  @Get('files/:name')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  file(@Param('name') name: string) {
    return Download.file(name, { root: folder.path });
  }

  @Get('streams/:name')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  stream(@Param('name') name: string) {
    return new StreamableFile(createReadStream(`${folder.path}/${name}`));
  }

  /** Pages that belong together, with their pictures. */
  @Get('folders/:folder/:name')
  @StreamDownload({ delivery: { disposition: 'inline', contentSecurityPolicy: OF_FOLDERS } })
  folder(@Param('name') name: string) {
    const [type, text] = FOLDER[name]!;
    return new StreamableFile(Buffer.from(text), { type });
  }

  /** A page of the application that shows an upload. */
  @Get('pages')
  @Header('Content-Type', 'text/html')
  page(@Query('element') element: string, @Query('url') url: string) {
    return `<!doctype html><title>page</title><${element} src="${url}" width="700" height="500"></${element}>`;
  }
}

/** What a person who uses helmet writes so that another site of theirs may frame downloads. */
const FRAME_ANCESTORS = ["'self'", 'http://localhost:*'];
const POLICY = {
  directives: {
    'frame-ancestors': FRAME_ANCESTORS,
    'frame-src': ["'self'", 'http://127.0.0.1:*'],
    // Only the sandbox keeps scripts away here, since this policy lets them run
    'script-src': ["'self'", "'unsafe-inline'"],
    'upgrade-insecure-requests': null,
  },
};

describe.each(BROWSERS)('%s', (browserName, open) => {
  let browser: TabbedBrowser;
  beforeAll(async () => {
    browser = await open();
  });
  afterAll(() => browser.close());

  describe.each(ADAPTERS)('with helmet, on %s', (adapter) => {
    let app: TestApp;
    let links: DownloadLinks;
    let tab: Tab;
    beforeAll(async () => {
      tab = await browser.newTab();
      app = await startApp({
        adapter,
        controllers: [UploadsController],
        configure: async (nest) => {
          if (adapter === 'fastify') {
            await nest.register((await import('@fastify/helmet')).default, { contentSecurityPolicy: POLICY });
          } else {
            nest.use(helmet({ contentSecurityPolicy: POLICY }));
          }
        },
      });
      links = app.get(DownloadLinks);
    });
    afterAll(() => app.close());

    const goTo = (url: string) => tab.goto(new URL(url, app.url).href, { waitUntil: 'load' });
    const ran = async (url: string) => {
      await goTo(url);
      return tab.evaluate('document.querySelectorAll("[data-ran]").length > 0');
    };
    /** Waits until the colour of the upload is seen: viewers of PDF draw after the page has loaded. */
    const showsPink = async (url: string) => {
      await goTo(url);
      const pink = async () => shareOf(PINK, await tab.screenshot());
      await expect.poll(pink, { timeout: 10_000 }).toBeGreaterThan(0.1);
    };
    const upload = (name: string, disposition = 'inline') =>
      links.create(UploadsController, 'upload', { params: { name, disposition } }).url;
    const pageWith = (element: string, url: string) =>
      `/pages?element=${element}&url=${encodeURIComponent(app.url + url)}`;

    it.each(['html', 'xhtml', 'svg', 'xml', 'text'])(
      'runs no script of an uploaded file: %s',
      async (name) => {
        for (const disposition of browserName === 'Firefox' ? ['inline'] : SPELLINGS) {
          expect([disposition, await ran(upload(name, disposition))]).toEqual([disposition, false]);
        }
        const { url } = links.create(UploadsController, 'unguarded', { params: { name } });
        expect(await ran(url)).toBe(name !== 'text');
      },
    );

    it.each(['page.pdf', 'page.png', 'page.txt'])('runs no HTML that is named %s', async (name) => {
      for (const handler of ['file', 'stream'] as const) {
        expect(await ran(links.create(UploadsController, handler, { params: { name } }).url)).toBe(false);
      }
    });

    it.each(['pdf', 'svg'])('shows it: %s', (name) => showsPink(upload(name)));

    it.each([
      ['iframe', 'pdf'],
      ['iframe', 'svg'],
      ['img', 'svg'],
    ])('shows it in an <%s> of a page: %s', (element, name) => showsPink(pageWith(element, upload(name))));

    it('shows the pictures of a page in a folder, and runs no script of it', async () => {
      const { url } = links.create(UploadsController, 'folder', {
        params: { folder: 'holidays', name: 'index.html' },
        free: ['name'],
        exchange: 'redirect',
      });
      expect(await ran(url)).toBe(false);
      await showsPink(url);
    });

    it('shows a PDF in an <iframe> of another site', async () => {
      const otherSite = app.url.replace('127.0.0.1', 'localhost');
      await showsPink(otherSite + pageWith('iframe', upload('pdf')));
    });
  });
});
