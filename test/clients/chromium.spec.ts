import { readFileSync } from 'node:fs';
import type { BrowserContext, Download as BrowserDownload } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { until } from '../support/until.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { sha256 } from '../support/programs.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { ADAPTERS } from '../support/test-app.js';
import { cuttingProxy } from '../support/cutting-proxy.js';
import type { CuttingProxy } from '../support/cutting-proxy.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
// More than the socket buffers on both sides of the proxy can hold behind a cut.
const bytes = pattern(48 * MIB + 321);
const path = folder.file('video.bin', bytes);
const sum = sha256(bytes);
afterAll(() => folder.remove());

/** Opens a URL that downloads. */
async function downloadIn(context: BrowserContext, url: string): Promise<BrowserDownload> {
  const page = await context.newPage();
  const download = page.waitForEvent('download');
  await page.goto(url).catch(() => {});
  return download;
}

/** Opens a URL that is refused; answers the status, and what a person reads. */
async function refusedIn(context: BrowserContext, url: string): Promise<{ status?: number; text: string }> {
  const page = await context.newPage();
  const response = await page.goto(url);
  const text = await page.innerText('body');
  await page.close();
  return { status: response?.status(), text };
}

describe.skipIf(!hasChromium).each(ADAPTERS)('Chromium, on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  let proxy: CuttingProxy | undefined;
  let ada: TestBrowser;
  let grace: TestBrowser;
  const purposes: unknown[] = [];
  beforeAll(async () => {
    clock = testClock();
    app = await startLimitedApp(adapter, {
      options: { clock },
      contents: { video: () => Download.file(path) },
      configure: (nest) => {
        nest.use((request: any, _response: any, next: () => void) => {
          if (String(request.url).startsWith('/files/')) {
            purposes.push(request.headers['sec-purpose']);
          }
          next();
        });
      },
    });
    [ada, grace] = await Promise.all([openBrowser(), openBrowser()]);
  }, 60_000);
  afterEach(() => proxy?.close());
  afterAll(async () => {
    await Promise.all([ada?.close(), grace?.close()]);
    await app?.close();
  });

  it.each([
    ['by address', { strict: false }],
    ['by its cookie alone', { strict: true }],
  ])(
    'cut half way twice, finishes a one-download link by its own resume, %s',
    async (_how, { strict }) => {
      const link = app.link('video', { maxDownloads: 1, strict });
      // The second cut falls into the answer to the first resume, so early that not all of it can have left
      // the server
      proxy = await cuttingProxy(app.port, [bytes.length / 2, MIB]);
      const url = link.url.replace(app.url, proxy.url);
      const saved = await (await downloadIn(ada.context, url)).path();
      expect(proxy.cuts).toBe(2);
      expect(sha256(readFileSync(saved))).toBe(sum);
      expect(await app.used(link)).toBe(1);
      const told = () => app.events.filter(({ linkId }) => linkId === link.id).map(({ type }) => type);
      await until(() => told().includes('completed'), 'the end of the download');
      expect(told().filter((type) => type !== 'aborted')).toEqual([
        'minted',
        'opened',
        'resumed',
        'resumed',
        'completed',
      ]);

      if (strict) {
        expect((await refusedIn(grace.context, url)).status).toBe(410);
      }
      clock.advance(10_000);
      for (const { context } of [grace, ada]) {
        const { status, text } = await refusedIn(context, url);
        expect(status).toBe(410);
        expect(text).toContain('used up');
      }
      expect(await app.used(link)).toBe(1);
    },
    60_000,
  );

  it('keeps the session cookie of the site, however many links were used', async () => {
    const links = Array.from({ length: 200 }, (_, i) => {
      app.contents[`file-${i}`] = () => Download.buffer(Buffer.from('content'));
      return app.link(`file-${i}`, { maxDownloads: 1 }).url;
    });
    const page = await ada.context.newPage();
    await page.route('**/page.html', (route) =>
      route.fulfill({ contentType: 'text/html', headers: { 'set-cookie': 'session=ada; Path=/' }, body: '' }),
    );
    await page.goto(`${app.url}/page.html`);
    const statuses = await page.evaluate(async (urls) => {
      const found = [];
      for (const url of urls) {
        found.push((await fetch(url)).status);
      }
      return found;
    }, links);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const names = (await ada.context.cookies()).map(({ name }) => name);
    expect(names).toContain('session');
    expect(names.filter((name) => name.startsWith('ss-lease-')).length).toBeLessThan(200);
  }, 60_000);

  it('prefetches by speculation rules without counting, and downloads when the link is followed', async () => {
    const link = app.link('video', { maxDownloads: 1 });
    purposes.length = 0;
    const page = await ada.context.newPage();
    await page.route('**/page.html', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<script type="speculationrules">
            { "prefetch": [{ "source": "list", "eagerness": "immediate", "urls": ["${link.url}"] }] }
          </script><a href="${link.url}">download</a>`,
      }),
    );
    await page.goto(`${app.url}/page.html`);
    await until(() => purposes.length > 0, 'the prefetch');
    expect(purposes).toEqual(['prefetch']);
    expect(await app.used(link)).toBe(0);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('download').click()]);
    expect(sha256(readFileSync(await download.path()))).toBe(sum);
    expect(purposes.at(-1)).toBeUndefined();
    expect(await app.used(link)).toBe(1);
  });
});
