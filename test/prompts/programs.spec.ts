import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import { cuttingProxy } from '../support/cutting-proxy.js';
import type { CuttingProxy } from '../support/cutting-proxy.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { isInstalled, run, sha256 } from '../support/programs.js';
import { ADAPTERS } from '../support/test-app.js';
import { SCANNER } from './support/browser-requests.js';

const folder = temporaryFolder();
const bytes = pattern(12 * 1024 * 1024 + 321);
const path = folder.file('video.bin', bytes);
afterAll(() => folder.remove());

const DOWNLOADERS = [
  ['wget', ['-q', '--waitretry=0', '-O', 'out']],
  ['aria2c', ['-q', '--no-conf', '--retry-wait=0', '--file-allocation=none', '-o', 'out']],
] as const;

const ANSWERING = [
  ['curl', ['-s', '-L', '-b', '', '-d', 'answer=4711', '-o', 'out']],
  ['wget', ['-q', '--post-data', 'answer=4711', '-O', 'out']],
] as const;

describe.each(ADAPTERS)('on %s,', (adapter) => {
  let app: LimitedApp;
  let proxy: CuttingProxy | undefined;
  beforeAll(async () => {
    app = await startLimitedApp(adapter, {
      options: { challenge: (answer) => answer === '4711' },
      contents: { video: () => Download.file(path) },
    });
  });
  afterEach(() => proxy?.close());
  afterAll(() => app.close());

  async function download(link: DownloadLink, program: string, options: readonly string[]): Promise<void> {
    const directory = folder.inner();
    await run(program, [...options, link.url], directory);
    expect(sha256(readFileSync(join(directory, 'out')))).toBe(sha256(bytes));
    expect(await app.used(link)).toBe(1);
  }

  it.each(DOWNLOADERS.filter(([program]) => isInstalled(program)))(
    "%s passes a link with confirm: 'browsers' that scanners have left unused, and resumes",
    async (program, options) => {
      const link = app.link('video', { confirm: 'browsers', maxDownloads: 1 });
      for (const localAddress of ['127.0.0.2', '127.0.0.3']) {
        await app.fetch(link, { headers: SCANNER, localAddress });
      }
      proxy = await cuttingProxy(app.port, [bytes.length / 2]);
      await download({ ...link, url: link.url.replace(app.url, proxy.url) }, program, options);
      expect(proxy.cuts).toBe(1);
      expect((await app.fetch(link, { headers: { 'user-agent': 'somebody else' } })).code).toBe(
        'LINK_USED_UP',
      );
    },
  );

  it.each(ANSWERING.filter(([program]) => isInstalled(program)))(
    '%s answers a challenge and is sent on to the file',
    async (program, options) => {
      await download(app.link('video', { challenge: true, maxDownloads: 1 }), program, options);
    },
  );
});
