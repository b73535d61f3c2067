import { Controller, Get, Header, Headers, HttpCode, Param, Post, Res } from '@nestjs/common';
import { readFileSync } from 'node:fs';
import type { BrowserContext, Frame, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadCookie, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { certificate } from '../support/certificate.js';
import { temporaryFolder } from '../support/files.js';
import { isInstalled } from '../support/programs.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

/** The application is `files.test`; `customer.test` and `other.test` show it in a frame. */
@Controller()
class FilesController {
  constructor(
    private readonly cookie: DownloadCookie,
    private readonly links: DownloadLinks,
  ) {}

  @Get('customer')
  @Header('Content-Type', 'text/html')
  customer(@Headers('host') host: string) {
    const port = host.split(':')[1];
    return `<iframe name="application" src="https://files.test:${port}/application"></iframe>`;
  }

  @Get('application')
  @Header('Content-Type', 'text/html')
  application() {
    return `
      <button onclick="
        fetch('/sign-in', { method: 'POST', headers: { authorization: 'Bearer ${accessToken()}' } })
          .then(({ status }) => (document.body.dataset.signIn = status))
      ">Sign in</button>
      <a href="/report">Report</a>`;
  }

  /** A link to all parts of a film. */
  @Get('share')
  share() {
    return this.links.create(FilesController, 'film', { params: { part: 'index' }, free: ['part'] }).url;
  }

  @Get('film/:part')
  @StreamDownload({ auth: 'links' })
  film(@Param('part') part: string) {
    return Download.buffer(Buffer.from(part), { filename: 'part.txt' });
  }

  @Post('sign-in')
  @HttpCode(204)
  signIn(@Headers('authorization') header: string, @Res({ passthrough: true }) response: object) {
    this.cookie.set(response, header.slice('Bearer '.length));
  }

  @Get('report')
  @StreamDownload()
  report() {
    return Download.buffer(Buffer.from('the report'), { filename: 'report.txt' });
  }
}

const CASES = ADAPTERS.flatMap((adapter) =>
  [
    { tokenName: { cookie: '__Host-download' } },
    { tokenName: { cookie: '__Secure-download' }, cookie: { path: '/report' } },
  ].map(({ tokenName, cookie }) => [adapter, tokenName.cookie, tokenName, cookie] as const),
);

describe.skipIf(!hasChromium || !isInstalled('openssl', 'version'))(
  'Chromium blocks third-party cookies',
  () => {
    const folder = temporaryFolder();
    const https = certificate(folder);
    let browser: TestBrowser;
    let context: BrowserContext;
    let app: TestApp;
    beforeAll(async () => {
      browser = await openBrowser({
        args: ['--host-resolver-rules=MAP *.test 127.0.0.1', '--ignore-certificate-errors'],
        preferences: { profile: { cookie_controls_mode: 1 } },
      });
      context = browser.context;
    });
    afterEach(async () => {
      await context.clearCookies();
      await app.close();
    });
    afterAll(async () => {
      await browser?.close();
      folder.remove();
    });

    async function start(adapter: (typeof ADAPTERS)[number], options: DownloadAuthOptions): Promise<void> {
      app = await startApp({
        adapter,
        controllers: [FilesController],
        https,
        options: { secret: SECRET, ...options },
      });
    }
    async function openApplication(): Promise<Page> {
      const page = await context.newPage();
      await page.goto(`https://files.test:${app.port}/application`);
      return page;
    }
    async function openFrameOn(host: string): Promise<Frame> {
      const page = await context.newPage();
      await page.goto(`https://${host}:${app.port}/customer`);
      return page.frame('application')!;
    }

    it.each(CASES)(
      'on %s, a frame that signs in downloads with a partitioned %s cookie',
      async (adapter, _name, tokenName, cookie) => {
        await start(adapter, { tokenName, cookie: { ...cookie, partitioned: true } });
        const frame = await openFrameOn('customer.test');
        await signIn(frame);
        expect(await follow(frame)).toBe('the report');
        // it signs in neither a frame elsewhere nor the application in a tab, nor does that sign in a frame
        expect(await follow(await openFrameOn('other.test'))).toBe(401);
        const page = await openApplication();
        expect(await follow(page)).toBe(401);
        await page.goBack();
        await signIn(page);
        expect(await follow(page)).toBe('the report');
        expect(await follow(await openFrameOn('other.test'))).toBe(401);
      },
    );

    it.each(ADAPTERS)(
      'on %s, a frame that opens a collection goes on without a token, by a partitioned companion cookie',
      async (adapter) => {
        await start(adapter, { cookie: { partitioned: true } });
        const frame = await openFrameOn('customer.test');
        expect(await statuses(frame, '/film/part-1')).toEqual([403]);
        expect(await statuses(frame, await shared(frame), '/film/part-1')).toEqual([200, 200]);
        expect(await statuses(await openFrameOn('other.test'), '/film/part-1')).toEqual([403]);
        expect(await statuses(await openApplication(), '/film/part-1')).toEqual([403]);
      },
    );

    it.each(ADAPTERS)(
      'on %s, a frame that opens a collection keeps no companion cookie that is not partitioned',
      async (adapter) => {
        await start(adapter, { cookie: { sameSite: 'none' } });
        const frame = await openFrameOn('customer.test');
        expect(await statuses(frame, await shared(frame), '/film/part-1')).toEqual([200, 403]);
      },
    );

    it.each(ADAPTERS)(
      'on %s, a frame that signs in is refused with a cookie that is not partitioned',
      async (adapter) => {
        await start(adapter, { cookie: { sameSite: 'none' } });
        const frame = await openFrameOn('customer.test');
        await signIn(frame);
        expect(await follow(frame)).toBe(401);
      },
    );
  },
);

async function signIn(where: Page | Frame): Promise<void> {
  await where.getByText('Sign in').click();
  await where.waitForSelector('[data-sign-in="204"]');
}

/** Follows the link to the report; answers what was saved, or the status of the refusal. */
async function follow(where: Page | Frame): Promise<string | number> {
  const page = 'page' in where ? where.page() : where;
  const download = page.waitForEvent('download').catch(() => undefined);
  const [response] = await Promise.all([
    page.waitForResponse((one) => one.url().endsWith('/report')),
    where.getByText('Report').click(),
  ]);
  return response.ok() ? readFileSync(await (await download)!.path(), 'utf8') : response.status();
}

/** A new link to the film, as the page has it from its server. */
function shared(where: Page | Frame): Promise<string> {
  return where.evaluate(async () => (await fetch('/share')).text());
}

/** What a script of the page is answered, one request after the other. */
function statuses(where: Page | Frame, ...paths: string[]): Promise<number[]> {
  return where.evaluate(async (all) => {
    const found: number[] = [];
    for (const path of all) {
      found.push((await fetch(path)).status);
    }
    return found;
  }, paths);
}
