import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS } from '../support/test-app.js';
import { expectNoTrace } from '../support/refusal.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = pattern(10_000);
const ELSEWHERE = 'https://bucket.example/file?signature=s3cret';
const folder = temporaryFolder();
const root = join(folder.path, 'files');
mkdirSync(root);
writeFileSync(join(root, 'file.bin'), BYTES);
afterAll(() => folder.remove());

describe.each(ADAPTERS)('a download that cannot be counted, on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  const logger = new MemoryLogger();
  beforeAll(async () => {
    clock = testClock();
    app = await startLimitedApp(adapter, {
      logger,
      options: {
        clock,
        delivery: { offload: { type: 'x-accel-redirect', root, prefix: '/protected/' } },
      },
      contents: {
        file: () => Download.file('file.bin', { root }),
        redirect: () => Download.redirect(ELSEWHERE),
        text: () => 'not a download at all',
      },
    });
  });
  afterAll(() => app.close());
  beforeEach(() => void logger.lines.splice(0));

  describe('offload to a proxy', () => {
    it('takes place for an unlimited link', async () => {
      const { headers, body } = await app.fetch(app.link('file'));
      expect([headers['x-accel-redirect'], body.length]).toEqual(['/protected/file.bin', 0]);
    });

    it.each([
      ['limited', { maxDownloads: 1 }],
      ['one that may be resumed after its end', { resumeWithin: '1h' } as const],
    ])('does not for %s: the bytes are sent here', async (_which, options) => {
      const link = app.link('file', options);
      const { headers, body } = await app.fetch(link);
      expect(headers).not.toHaveProperty('x-accel-redirect');
      expect(body.equals(BYTES)).toBe(true);
      expect(await app.used(link)).toBe(1);
    });
  });

  describe('Download.redirect', () => {
    it('takes place for an unlimited link', async () => {
      const { status, headers } = await app.fetch(app.link('redirect'));
      expect([status, headers.location]).toEqual([302, ELSEWHERE]);
    });

    it('is refused to a link that has expired, whatever may be resumed', async () => {
      const link = app.link('turn', { resumeWithin: '1h', expiresIn: '1m' });
      app.contents.turn = () => Download.buffer(BYTES);
      await app.fetch(link, { headers: { range: 'bytes=0-9' } });
      clock.advance(61_000);
      app.contents.turn = () => Download.redirect(ELSEWHERE);
      const answer = await app.fetch(link);
      expect([answer.status, answer.code, answer.headers.location]).toEqual([410, 'LINK_EXPIRED', undefined]);
    });

    it.each(['GET', 'HEAD'])(
      'is a configuration error for a limited link, and the error says what to do: %s',
      async (method) => {
        const link = app.link('redirect', { maxDownloads: 1 });
        const { status, headers, body } = await app.fetch(link, { method });
        expect([status, headers.location]).toEqual([500, undefined]);
        expect(body.toString()).not.toContain('bucket');
        expect(logger.text).toContain('Download.redirect() under a link with maxDownloads');
        expect(logger.text).toContain('Download.source()');
        expectNoTrace(logger.text, link.token);
        expect(await app.used(link)).toBe(0);
      },
    );
  });

  describe('an answer that is not a download', () => {
    it('takes place for an unlimited link', async () => {
      const { status, body } = await app.fetch(app.link('text'));
      expect([status, body.toString()]).toEqual([200, 'not a download at all']);
    });

    it('is a configuration error for a limited link, and the error says what to do', async () => {
      const link = app.link('text', { maxDownloads: 1 });
      const { status, body } = await app.fetch(link);
      expect(status).toBe(500);
      expect(body.toString()).not.toContain('not a download');
      expect(logger.text).toContain('return a StreamableFile or a Download');
      expect(await app.used(link)).toBe(0);
    });
  });
});
