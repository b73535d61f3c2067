import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { until } from '../support/until.js';
import { pattern } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = pattern(200_000);
const LARGE = pattern(4 * 1024 * 1024);
const SECOND = 1000;
const MINUTE = 60 * SECOND;

describe.each(ADAPTERS)('a link and its end, on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  let held: HeldContent;
  let etag: string;
  beforeEach(async () => {
    clock = testClock();
    held = new HeldContent(BYTES, '"v1"');
    etag = '"v1"';
    app = await startLimitedApp(adapter, {
      options: { clock },
      contents: {
        held: () => held.download(),
        file: () => Download.buffer(BYTES, { etag }),
        large: () => Download.buffer(LARGE),
      },
    });
  });
  afterEach(() => app.close());

  /** The first half of a download of a link that lives for a minute. */
  async function halfOf(options = {}) {
    const link = app.link('file', { maxDownloads: 1, expiresIn: '1m', resumeWithin: '10m', ...options });
    const first = await app.fetch(link, { headers: { range: 'bytes=0-99999' } });
    expect(first.status).toBe(206);
    await app.used(link);
    const resume = (headers = {}) => app.fetch(link, { headers: { range: 'bytes=100000-', ...headers } });
    return { link, resume, cookie: first.cookie };
  }

  it.each([
    ['limited', { maxDownloads: 1 }],
    ['unlimited', {}],
  ])('lets a running download complete: %s', async (_which, options) => {
    const link = app.link('held', { expiresIn: '1m', ...options });
    const running = await app.start(link);
    await running.until(held.half);
    clock.advance(2 * MINUTE);
    const late = await app.fetch(link, { headers: { range: 'bytes=100-' } });
    expect([late.status, late.code]).toEqual([410, 'LINK_EXPIRED']);
    held.release();
    await running.ended;
    expect([running.broken, running.body.equals(BYTES)]).toEqual([false, true]);
  });

  describe('a resume after it', () => {
    it.each([
      ['If-Range', { 'if-range': '"v1"' }],
      ['the same entity tag', {}],
    ])('works within resumeWithin: %s', async (_what, headers) => {
      const { resume, link } = await halfOf();
      clock.advance(10 * MINUTE);
      const rest = await resume(headers);
      expect([rest.status, rest.body.equals(BYTES.subarray(100_000))]).toEqual([206, true]);
      expect(await app.used(link)).toBe(1);
    });

    it('works however long the download stood still', async () => {
      const { resume } = await halfOf({ resumeWithin: '10h' });
      clock.advance(9 * 60 * MINUTE);
      expect((await resume({ 'if-range': '"v1"' })).status).toBe(206);
    });

    it('works for an unlimited link as well', async () => {
      const { resume } = await halfOf({ maxDownloads: undefined });
      clock.advance(10 * MINUTE);
      expect((await resume()).status).toBe(206);
    });

    it('does not after resumeWithin', async () => {
      const { resume } = await halfOf();
      clock.advance(11 * MINUTE);
      const late = await resume({ 'if-range': '"v1"' });
      expect([late.status, late.code]).toEqual([410, 'LINK_EXPIRED']);
    });

    it('does not where resumeWithin was not asked for', async () => {
      const { resume } = await halfOf({ resumeWithin: undefined });
      clock.advance(MINUTE);
      expect((await resume()).code).toBe('LINK_EXPIRED');
    });

    it('does not for a client that had not begun', async () => {
      const { link, resume } = await halfOf({ maxDownloads: 5 });
      clock.advance(2 * MINUTE);
      expect((await resume({ 'user-agent': 'other' })).code).toBe('LINK_EXPIRED');
      expect(await app.used(link)).toBe(1);
    });

    it.each([
      ['If-Range', { 'if-range': '"v1"' }],
      ['plainly', {}],
    ])('does not where the file has been replaced: %s', async (_what, headers) => {
      const { resume } = await halfOf();
      clock.advance(2 * MINUTE);
      etag = '"v2"';
      const answer = await resume(headers);
      expect([answer.status, answer.code]).toEqual([410, 'LINK_EXPIRED']);
    });

    it('does not allow a fresh download', async () => {
      const { link } = await halfOf();
      clock.advance(2 * MINUTE);
      for (const headers of [{}, { range: 'bytes=x' }, { range: 'bytes=0-', 'if-range': '"v2"' }]) {
        const answer = await app.fetch(link, { headers });
        expect([answer.status, answer.code]).toEqual([410, 'LINK_EXPIRED']);
      }
    });

    it.each<[string, number, object]>([
      ['before the link expires', 0, {}],
      ['after', 2, {}],
      ['and by its cookie alone', 2, { strict: true }],
      ['and without a limit', 2, { maxDownloads: undefined }],
    ])(
      'goes back to a part of what was sent, %s, until the budget is spent',
      async (_when, minutes, options) => {
        const { link, cookie } = await halfOf({ expiresIn: '2m', ...options });
        const part = (range: string, headers = {}) =>
          app.fetch(link, { headers: { range, cookie, ...headers } });
        await part('bytes=100000-');
        await app.used(link);
        clock.advance(minutes * MINUTE + 11 * SECOND);
        for (let time = 0; time < 2; time++) {
          expect((await part('bytes=0-99999')).status).toBe(206);
          await app.used(link);
        }
        const again = await part('bytes=0-99999');
        if (minutes > 0) {
          expect(again.code).toBe('LINK_EXPIRED');
        } else {
          expect(again.code).toBe('LINK_USED_UP');
        }
        expect(await app.used(link)).toBe(1);
      },
    );

    it.each<[string, Record<string, string>]>([
      ['all of it', {}],
      ['a part of another version', { range: 'bytes=0-9' }],
      ['a part, from another client', { range: 'bytes=0-9', 'user-agent': 'other' }],
    ])('does not give what was sent a second time: %s', async (what, headers) => {
      for (const minutes of [0, 2]) {
        etag = '"v1"';
        const { link, resume } = await halfOf({ expiresIn: '2m' });
        await resume();
        await app.used(link);
        clock.advance(minutes * MINUTE + 11 * SECOND);
        etag = what.includes('version') ? '"v2"' : '"v1"';
        expect((await app.fetch(link, { headers })).code).toBe(
          minutes === 0 ? 'LINK_USED_UP' : 'LINK_EXPIRED',
        );
        expect(await app.used(link)).toBe(1);
      }
    });
  });

  describe('the byte budget', () => {
    it('stops a client that reads for ever, within grace', async () => {
      const link = app.link('file', { maxDownloads: 1 });
      let bytes = 0;
      let answer = await app.fetch(link);
      for (let i = 0; i < 10 && answer.status === 200; i++) {
        bytes += answer.received;
        await app.used(link);
        answer = await app.fetch(link);
      }
      expect([answer.status, answer.code]).toEqual([410, 'LINK_USED_UP']);
      expect(bytes).toBe(2 * BYTES.length);
    });

    it('stops one that never asks for the last byte', async () => {
      const link = app.link('large', { maxDownloads: 1 });
      let bytes = 0;
      const read = () => app.fetch(link, { headers: { range: `bytes=0-${LARGE.length - 2}` } });
      let answer = await read();
      for (let i = 0; i < 10 && answer.status === 206; i++) {
        bytes += answer.received;
        await app.used(link);
        clock.advance(MINUTE);
        answer = await read();
      }
      expect(answer.code).toBe('LINK_USED_UP');
      expect(bytes).toBe(2 * LARGE.length);
    });

    it('is what the link says, and breaks the connection under way', async () => {
      const link = app.link('large', { maxDownloads: 1, byteBudget: LARGE.length / 2 });
      const answer = await app.fetch(link);
      expect([answer.status, answer.broken]).toEqual([200, true]);
      expect(answer.received).toBe(LARGE.length / 2);
      await app.used(link);
      await until(() => app.events.at(-1)?.type !== 'opened', 'the end of the download');
      expect(app.events.at(-1)).toMatchObject({ type: 'aborted', code: 'LINK_USED_UP' });
      expect((await app.fetch(link)).code).toBe('LINK_USED_UP');
    });

    it('is one for all connections of a download', async () => {
      const link = app.link('large', { maxDownloads: 1 });
      const answers = await Promise.all(Array.from({ length: 5 }, () => app.fetch(link)));
      const bytes = answers.reduce((sum, { status, received }) => sum + (status === 200 ? received : 0), 0);
      expect(bytes).toBeLessThanOrEqual(2 * LARGE.length);
      expect(answers.some(({ broken, status }) => broken || status === 410)).toBe(true);
      expect(await app.used(link)).toBe(1);
    });
  });
});
