import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PlannedDelivery } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { until } from '../support/until.js';
import { isInstalled, run, sha256 } from '../support/programs.js';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { cuttingProxy } from '../support/cutting-proxy.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const bytes = pattern(12 * 1024 * 1024 + 321);
const path = folder.file('video.bin', bytes);
const sum = sha256(bytes);
afterAll(() => folder.remove());

let sent = 0;
let ended = 0;
let plans: PlannedDelivery[] = [];
const watch = {
  planned: (plan: PlannedDelivery) => void plans.push(plan),
  sent: (start: number, end: number) => void (sent += end - start),
  ended: () => void ended++,
};
/** Body bytes sent so far. A client may have all of an answer before the server is told that it was taken. */
async function sentInAll(): Promise<number> {
  await until(() => ended === plans.length, 'the end of every answer');
  return sent;
}
/** A fresh folder to download into, with the first part of the file where a resume is wanted. */
function target(part = 0): string {
  const directory = folder.inner();
  if (part > 0) {
    writeFileSync(join(directory, 'out'), bytes.subarray(0, part));
  }
  return directory;
}
const got = (directory: string) => sha256(readFileSync(join(directory, 'out')));

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  let url: string;
  beforeAll(async () => {
    app = await startApplication(adapter);
    url = `${app.url}/video.bin`;
  });
  afterAll(() => app.close());
  beforeEach(() => {
    sent = ended = 0;
    plans = [];
    app.serve({ handler: () => Download.file(path), watch });
  });

  describe.skipIf(!isInstalled('curl'))('curl', () => {
    it('resumes with -C -', async () => {
      const directory = target(5_000_000);
      expect((await run('curl', ['-sS', '-C', '-', '-o', 'out', url], directory)).code).toBe(0);
      expect(got(directory)).toBe(sum);
      expect(await sentInAll()).toBe(bytes.length - 5_000_000);
    });

    it('takes the ranges of -r', async () => {
      const directory = target();
      await run('curl', ['-sS', '-r', '100-199', '-o', 'out', url], directory);
      expect(got(directory)).toBe(sha256(bytes.subarray(100, 200)));
    });

    it('saves nothing that it has: -z and --etag-compare', async () => {
      const directory = target();
      await run('curl', ['-sS', '-R', '--etag-save', 'etag', '-o', 'out', url], directory);
      const first = await sentInAll();
      const z = await run('curl', ['-sS', '-z', 'out', '-o', 'again', '-w', '%{http_code}', url], directory);
      const etag = await run(
        'curl',
        ['-sS', '--etag-compare', 'etag', '-o', 'again', '-w', '%{http_code}', url],
        directory,
      );
      expect([z.output, etag.output, (await sentInAll()) - first]).toEqual(['304', '304', 0]);
      expect(existsSync(join(directory, 'again'))).toBe(false);
    });
  });

  it.skipIf(!isInstalled('wget'))('wget -c resumes', async () => {
    const directory = target(7_000_000);
    expect((await run('wget', ['-q', '-c', '-O', 'out', url], directory)).code).toBe(0);
    expect(got(directory)).toBe(sum);
    expect(await sentInAll()).toBe(bytes.length - 7_000_000);
  });

  it.skipIf(!isInstalled('aria2c'))('aria2 takes eight parts at once', async () => {
    const directory = target();
    // Unlimited, the first connections are done before aria2 has opened the last
    const options = ['-q', '--no-conf', '-x8', '-s8', '-k1M', '--max-overall-download-limit=12M'];
    const { code } = await run('aria2c', [...options, '--file-allocation=none', '-o', 'out', url], directory);
    expect(code).toBe(0);
    expect(got(directory)).toBe(sum);
    expect(plans.filter(({ status }) => status === 206).length).toBeGreaterThanOrEqual(7);
  });
});

describe.skipIf(!hasChromium)('Chromium', () => {
  let app: TestApplication;
  let browser: TestBrowser;
  beforeAll(async () => {
    app = await startApplication('express');
    browser = await openBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await app.close();
  });

  it.each([
    ['report.pdf', 'report.pdf'],
    ['annual report.pdf', 'annual report.pdf'],
    ['日本語 ☃ 😀.txt', '日本語 ☃ 😀.txt'],
    ['naïve.txt', 'naïve.txt'],
    ['100%25 sure.txt', '100%25 sure.txt'],
    ['a/b\\c.txt', 'a_b_c.txt'],
    ['a\r\nSet-Cookie x=1.txt', 'a__Set-Cookie x=1.txt'],
    ['\u202Etxt.exe', 'txt.exe'],
    ['CON.txt', '_CON.txt'],
    ['x'.repeat(10_000) + '.pdf', 'x'.repeat(236) + '.pdf'],
  ])('saves %j under the expected name (%#)', async (filename, expected) => {
    app.serve(() => Download.buffer(Buffer.from('x'), { filename, type: 'application/x-unknown' }));
    const page = await browser.context.newPage();
    const download = page.waitForEvent('download');
    await page.goto(`${app.url}/f`).catch(() => {});
    expect((await download).suggestedFilename()).toBe(expected);
    await page.close();
  });

  it('resumes by itself after the connection was cut half way', async () => {
    plans = [];
    app.serve({ handler: () => Download.file(path), watch });
    const proxy = await cuttingProxy(app.port, [6_000_000]);
    try {
      const page = await browser.context.newPage();
      const download = page.waitForEvent('download');
      await page.goto(`${proxy.url}/video.bin`).catch(() => {});
      const saved = await (await download).path();
      expect(proxy.cuts).toBe(1);
      expect(sha256(readFileSync(saved))).toBe(sum);
      expect(plans.some(({ status, ifRangeMatched }) => status === 206 && ifRangeMatched)).toBe(true);
      await page.close();
    } finally {
      proxy.close();
    }
  });

  it('seeks in a <video> by asking for ranges', async () => {
    plans = [];
    app.serve({
      handler: (request) =>
        request.url.endsWith('.wav')
          ? Download.buffer(wave(60), { type: 'audio/wav', disposition: 'inline' })
          : Download.buffer(Buffer.from('<video src="/tone.wav" preload="metadata"></video>'), {
              type: 'text/html',
              disposition: 'inline',
            }),
      options: { contentSecurityPolicy: false },
      watch,
    });
    const page = await browser.context.newPage();
    await page.goto(`${app.url}/page`);
    const time = await page.evaluate(
      `new Promise((resolve, reject) => {
        const video = document.querySelector('video');
        video.onerror = () => reject(new Error(video.error.message));
        const seek = () => { video.onseeked = () => resolve(video.currentTime); video.currentTime = 50; };
        if (video.readyState >= 1) seek(); else video.onloadedmetadata = seek;
      })`,
    );
    expect(time).toBe(50);
    expect(plans.some(({ status, intervals }) => status === 206 && (intervals[0]?.start ?? 0) > 0)).toBe(
      true,
    );
    await page.close();
  });
});

/** A tone, long enough that a browser does not fetch all of it before it is asked to seek. */
function wave(seconds: number): Buffer {
  const rate = 44_100;
  const data = Buffer.alloc(seconds * rate * 4);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(2, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 4, 28);
  head.writeUInt16LE(4, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}
