import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { isInstalled, run } from '../support/programs.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const bytes = pattern(3 * 1024 * 1024 + 21);
const flipped = Buffer.from(bytes);
flipped[1_500_000] = ~flipped[1_500_000]!;
const path = folder.file('good.bin', bytes);
const damaged = folder.file('damaged.bin', flipped);
afterAll(() => folder.remove());

const sha256 = createHash('sha256').update(bytes).digest();
const sha512 = createHash('sha512').update(bytes).digest();
const digest = { 'sha-256': sha256 };
const REPR_DIGEST = `sha-256=:${sha256.toString('base64')}:`;
const DIGEST = `SHA-256=${sha256.toString('base64')}`;

describe.each(ADAPTERS)('a download whose digest is known, on %s', (adapter) => {
  let app: LimitedApp;
  beforeAll(async () => {
    app = await startLimitedApp(adapter, {
      contents: {
        file: () => Download.file(path, { digest }),
        buffer: () => Download.buffer(bytes, { digest: { 'sha-256': sha256.toString('hex') } }),
        stream: () =>
          Download.stream(
            (async function* () {
              yield bytes;
            })(),
            { digest: { 'sha-256': sha256.toString('base64url') } },
          ),
        both: () =>
          Download.file(path, { digest: { 'sha-512': sha512, 'sha-256': sha256.toString('base64') } }),
        unknown: () => Download.file(path, { digest: { 'sha-256': undefined } }),
        own: (_request, response: any) => {
          response.header('Repr-Digest', 'sha-256=:b3du:');
          return Download.file(path, { digest });
        },
        damaged: () => Download.file(damaged, { digest }),
      },
    });
  });
  afterAll(() => app.close());

  /** The two fields of an answer. */
  async function digests(name: string, method = 'GET', headers: Record<string, string> = {}) {
    const answer = await app.fetch(app.link(name), { method, headers });
    return [answer.status, answer.headers['repr-digest'], answer.headers['digest']];
  }

  it.each(['file', 'buffer', 'stream'])('has it in the answer of a %s', async (name) => {
    expect(await digests(name)).toEqual([200, REPR_DIGEST, DIGEST]);
    expect(await digests(name, 'HEAD')).toEqual([200, REPR_DIGEST, DIGEST]);
  });

  it('names the digest of the whole with a part, and with several', async () => {
    expect(await digests('file', 'GET', { range: 'bytes=5-9' })).toEqual([206, REPR_DIGEST, DIGEST]);
    expect(await digests('file', 'GET', { range: 'bytes=0-1,5-9' })).toEqual([206, REPR_DIGEST, DIGEST]);
  });

  it('has no digest where the answer has no content', async () => {
    expect(await digests('file', 'GET', { 'if-none-match': '*' })).toEqual([304, undefined, undefined]);
    expect(await digests('file', 'GET', { range: 'bytes=99999999-' })).toEqual([416, undefined, undefined]);
    expect(await digests('file', 'GET', { 'if-match': '"x"' })).toEqual([412, undefined, undefined]);
  });

  it('sends several digests in the order in which they were given', async () => {
    const base64 = sha512.toString('base64');
    expect(await digests('both')).toEqual([
      200,
      `sha-512=:${base64}:, ${REPR_DIGEST}`,
      `SHA-512=${base64},${DIGEST}`,
    ]);
  });

  it('sends none where it is undefined', async () => {
    expect(await digests('unknown')).toEqual([200, undefined, undefined]);
  });

  it("leaves the handler's own", async () => {
    expect(await digests('own')).toEqual([200, 'sha-256=:b3du:', DIGEST]);
  });

  it.skipIf(!isInstalled('aria2c'))('aria2 rejects a file with one flipped byte', async () => {
    const fetchIt = async (name: string) => {
      const options = ['-q', '--no-conf', '-x3', '-s3', '-k1M', '--file-allocation=none', '-o', name];
      return (await run('aria2c', [...options, app.link(name).url], folder.path)).code;
    };
    expect(await fetchIt('file')).toBe(0);
    expect(readFileSync(join(folder.path, 'file')).equals(bytes)).toBe(true);
    // checksum validation failed
    expect(await fetchIt('damaged')).toBe(32);
  });
});
