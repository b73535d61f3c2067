import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { testClock } from '../support/clock.js';
import { cuttingProxy } from '../support/cutting-proxy.js';
import type { CuttingProxy } from '../support/cutting-proxy.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { sha256 } from '../support/programs.js';
import { ADAPTERS } from '../support/test-app.js';
import { SCANNER } from './support/browser-requests.js';

const folder = temporaryFolder();
// More than the socket buffers on both sides of the proxy can hold behind a cut
const bytes = pattern(32 * 1024 * 1024 + 321);
const path = folder.file('video.bin', bytes);
let ada: TestBrowser;
let grace: TestBrowser;
beforeAll(async () => {
  if (hasChromium) {
    [ada, grace] = await Promise.all([openBrowser({ javaScriptEnabled: false }), openBrowser()]);
  }
}, 60_000);
afterAll(async () => {
  await Promise.all([ada?.close(), grace?.close()]);
  folder.remove();
});

describe.skipIf(!hasChromium).each(ADAPTERS)('Chromium without JavaScript, on %s,', (adapter) => {
  let app: LimitedApp;
  let proxy: CuttingProxy | undefined;
  const clock = testClock();
  beforeAll(async () => {
    app = await startLimitedApp(adapter, {
      options: { clock, challenge: (answer) => answer === '4711' },
      contents: { video: () => Download.file(path) },
    });
  });
  afterEach(() => proxy?.close());
  afterAll(() => app.close());

  /** Does something that downloads; answers the digest of the file. */
  async function saved(page: Page, act: () => Promise<unknown>): Promise<string> {
    const [download] = await Promise.all([page.waitForEvent('download'), act()]);
    return sha256(readFileSync(await download.path()));
  }

  it('confirms a link of one download that scanners opened, is cut, resumes, and nobody comes second', async () => {
    const link = app.link('video', { confirm: true, maxDownloads: 1, strict: true });
    for (const localAddress of ['127.0.0.2', '127.0.0.3']) {
      for (const method of ['HEAD', 'GET']) {
        expect((await app.fetch(link, { method, headers: SCANNER, localAddress })).status).toBe(200);
      }
    }
    expect(await app.used(link)).toBe(0);

    proxy = await cuttingProxy(app.port, [bytes.length / 2]);
    const url = link.url.replace(app.url, proxy.url);
    const page = await ada.context.newPage();
    await page.goto(url);
    expect(await saved(page, () => page.click('button'))).toBe(sha256(bytes));
    expect(proxy.cuts).toBe(1);
    expect(await app.used(link)).toBe(1);

    const second = await grace.context.newPage();
    const response = await second.goto(url);
    expect([response?.status(), await second.innerText('h1')]).toEqual([
      410,
      'This download link has been used up.',
    ]);
  }, 60_000);

  it('enters a wrong password, then the right one, by keyboard alone', async () => {
    const link = app.link('video', { challenge: true, filename: 'Holiday.mp4' });
    const page = await ada.context.newPage();
    await page.goto(link.url);
    expect(await page.innerText('main')).toContain('Holiday.mp4');
    await page.keyboard.type('1234');
    await page.keyboard.press('Enter');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await page.getByLabel('Password or code').getAttribute('aria-describedby')).toBe(
      await alert.getAttribute('id'),
    );
    await page.keyboard.type('4711');
    expect(await saved(page, () => page.keyboard.press('Enter'))).toBe(sha256(bytes));
    expect(page.url()).toBe(link.url);
  }, 60_000);

  it('sends a form without a person: the link stays unconfirmed', async () => {
    const link = app.link('video', { confirm: true });
    const page = await grace.context.newPage();
    await page.goto(link.url);
    const devtools = await grace.context.newCDPSession(page);
    await devtools.send('Runtime.evaluate', { expression: 'document.forms[0].submit()', userGesture: false });
    expect(await page.getByRole('alert').innerText()).toMatch(/did not work/);
    expect(await saved(page, () => page.click('button'))).toBe(sha256(bytes));
  }, 60_000);

  it('does not save the page in place of the file; after the button, <a download> saves the file', async () => {
    const link = app.link('video', { confirm: true });
    const page = await grace.context.newPage();
    await page.route('**/page.html', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<a download="video.bin" href="${link.url}">save</a>`,
      }),
    );
    await page.goto(`${app.url}/page.html`);
    const [refused] = await Promise.all([page.waitForEvent('download'), page.click('a')]);
    expect(await refused.failure()).not.toBeNull();

    await page.goto(link.url);
    await saved(page, () => page.click('button'));
    await page.goto(`${app.url}/page.html`);
    expect(await saved(page, () => page.click('a'))).toBe(sha256(bytes));
  }, 60_000);

  it('cannot be framed', async () => {
    const link = app.link('video', { confirm: true });
    const page = await grace.context.newPage();
    await page.route('**/page.html', (route) =>
      route.fulfill({ contentType: 'text/html', body: `<iframe src="${link.url}"></iframe>` }),
    );
    await page.goto(`${app.url}/page.html`);
    expect(page.frames()[1]!.url()).toMatch(/^chrome-error:/);
  });
});
