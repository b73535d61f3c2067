import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { isInstalled, run, sha256 } from '../support/programs.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { ADAPTERS } from '../support/test-app.js';
import { cuttingProxy } from '../support/cutting-proxy.js';
import type { CuttingProxy } from '../support/cutting-proxy.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
const bytes = pattern(24 * MIB + 321);
const path = folder.file('video.bin', bytes);
const sum = sha256(bytes);
afterAll(() => folder.remove());

const out = (directory: string) => join(directory, 'out');
const got = (directory: string) => sha256(readFileSync(out(directory)));

describe.each(ADAPTERS)('a link of one download, on %s, for', (adapter) => {
  let app: LimitedApp;
  let proxy: CuttingProxy | undefined;
  beforeAll(async () => {
    app = await startLimitedApp(adapter, { contents: { video: () => Download.file(path) } });
  });
  afterEach(() => proxy?.close());
  afterAll(() => app.close());

  const one = () => app.link('video', { maxDownloads: 1 });
  /** The link through a proxy that cuts its first connection half way. */
  async function cut(link: DownloadLink): Promise<string> {
    proxy = await cuttingProxy(app.port, [bytes.length / 2]);
    return link.url.replace(app.url, proxy.url);
  }
  async function expectOneDownload(link: DownloadLink, directory: string): Promise<void> {
    expect(got(directory)).toBe(sum);
    expect(await app.used(link)).toBe(1);
    const other = await app.fetch(link, { headers: { 'user-agent': 'somebody else' } });
    expect([other.status, other.code]).toEqual([410, 'LINK_USED_UP']);
    const { leases } = await app.usage(link);
    expect(leases).toMatchObject([{ length: bytes.length, covered: bytes.length }]);
  }

  it.skipIf(!isInstalled('aria2c'))('aria2c -x4, which opens four connections', async () => {
    const link = one();
    const directory = folder.inner();
    // Unlimited, the first connections may be done before aria2 has opened the last
    const limit = `--max-overall-download-limit=${bytes.length}`;
    const options = ['-q', '--no-conf', '-x4', '-s4', '-k1M', limit, '--file-allocation=none', '-o', 'out'];
    expect((await run('aria2c', [...options, link.url], directory)).code).toBe(0);
    await expectOneDownload(link, directory);
    const answers = app.events.filter(({ linkId, type }) => linkId === link.id && type === 'resumed');
    expect(answers.length).toBeGreaterThanOrEqual(3);
  });

  it.skipIf(!isInstalled('wget'))('wget -c, run again after a cut', async () => {
    const link = one();
    const url = await cut(link);
    const directory = folder.inner();
    const first = await run('wget', ['-q', '--tries=1', '-O', 'out', url], directory);
    expect([first.code === 0, proxy!.cuts]).toEqual([false, 1]);
    expect(statSync(out(directory)).size).toBeLessThan(bytes.length);
    expect((await run('wget', ['-q', '-c', '-O', 'out', url], directory)).code).toBe(0);
    await expectOneDownload(link, directory);
  });

  it.skipIf(!isInstalled('wget'))('wget, which tries again by itself', async () => {
    const link = one();
    const directory = folder.inner();
    const { code } = await run('wget', ['-q', '-O', 'out', await cut(link)], directory);
    expect([code, proxy!.cuts]).toEqual([0, 1]);
    await expectOneDownload(link, directory);
  });

  it.skipIf(!isInstalled('curl'))('curl -C -, by another process after a cut', async () => {
    const link = one();
    const url = await cut(link);
    const directory = folder.inner();
    const first = await run('curl', ['-sS', '-o', 'out', url], directory);
    // CURLE_PARTIAL_FILE or CURLE_RECV_ERROR
    expect([18, 56]).toContain(first.code);
    expect((await run('curl', ['-sSf', '-C', '-', '-o', 'out', url], directory)).code).toBe(0);
    await expectOneDownload(link, directory);
  });

  it.skipIf(!isInstalled('curl'))(
    'curl, whose HEAD and broken off GET beforehand cost nothing more',
    async () => {
      const link = one();
      const directory = folder.inner();
      expect((await run('curl', ['-sSfI', link.url], directory)).code).toBe(0);
      expect(await app.used(link)).toBe(0);
      await run('curl', ['-sS', '-r', '0-0', '-o', '/dev/null', link.url], directory);
      expect((await run('curl', ['-sSf', '-o', 'out', link.url], directory)).code).toBe(0);
      await expectOneDownload(link, directory);
    },
  );

  it.skipIf(!isInstalled('aria2c'))(
    'aria2c -x4 of a strict link: one connection for each download',
    async () => {
      const link = app.link('video', { maxDownloads: 1, strict: true });
      const directory = folder.inner();
      // its first connection downloads all of it, as those without the cookie are refused
      const options = ['-q', '--no-conf', '-x4', '-s4', '-k1M', '--file-allocation=none', '-o', 'out'];
      await run('aria2c', [...options, link.url], directory);
      expect(await app.used(link)).toBe(1);
    },
  );
});
