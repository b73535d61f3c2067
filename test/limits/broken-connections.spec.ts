import { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import type { Answer } from '../support/http-client.js';
import { until } from '../support/until.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const folder = temporaryFolder();
const BYTES = pattern(200_000);
const path = folder.file('file.bin', BYTES);
afterAll(() => folder.remove());
afterEach(() => vi.restoreAllMocks());

/**
 * From now on writes reach the client, and the server is never told: as where the connection breaks in a
 * write.
 */
function loseCallbacks(): void {
  const prototype = ServerResponse.prototype as any;
  const write = prototype._writeRaw;
  vi.spyOn(prototype, '_writeRaw').mockImplementation(function (this: any, ...args: any[]) {
    const [data, encoding, , size] = args;
    return write.call(this, data, encoding, undefined, size);
  });
}

describe.each(ADAPTERS)('a connection that breaks in a write, on %s', (adapter) => {
  let app: LimitedApp;
  beforeAll(async () => {
    app = await startLimitedApp(adapter, { contents: { file: () => Download.file(path) } });
  });
  afterAll(() => app.close());

  /** A first request whose client has all of the first write, of which the server knows nothing. */
  async function broken(link: DownloadLink): Promise<Answer> {
    loseCallbacks();
    const first = await app.start(link);
    await first.until(1);
    vi.restoreAllMocks();
    first.leave();
    await until(
      () => app.events.some(({ linkId, type }) => linkId === link.id && type === 'aborted'),
      'its end',
    );
    return first;
  }

  it('has opened a download, though the server knows of no byte that arrived', async () => {
    const link = app.link('file', { maxDownloads: 1 });
    await broken(link);
    expect(await app.used(link)).toBe(1);
    const other = await app.fetch(link, { headers: { 'user-agent': 'another' } });
    expect([other.status, other.code]).toEqual([410, 'LINK_USED_UP']);
  });

  it('charges the byte budget for what was being written', async () => {
    const link = app.link('file', { maxDownloads: 1, byteBudget: 1000 });
    const { received } = await broken(link);
    expect(received).toBeLessThanOrEqual(1000);
    const again = await app.fetch(link);
    expect([again.status, again.code]).toEqual([410, 'LINK_USED_UP']);
  });

  it('is completed by the resume behind what arrived', async () => {
    const link = app.link('file', { maxDownloads: 1 });
    const { body, received } = await broken(link);
    const rest = await app.fetch(link, { headers: { range: `bytes=${received}-` } });
    expect(Buffer.concat([body, rest.body]).equals(BYTES)).toBe(true);
    expect(await app.used(link)).toBe(1);
    await until(() => app.events.at(-1)?.type === 'completed', 'the end of the download');
    expect((await app.usage(link)).leases).toMatchObject([{ covered: BYTES.length }]);
  });
});
