import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { CreateLinkOptions, LeaseOptions } from '../../lib/index.js';
import type { Answer } from '../support/http-client.js';
import { until } from '../support/until.js';
import { pattern } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = pattern(200_000);
const LARGE = pattern(4 * 1024 * 1024);
/** Two and a half of them are a whole. */
const PART = Math.floor(LARGE.length * 0.4);
const SMALL = pattern(1024);

describe.each(ADAPTERS)('people who share an address and a browser, on %s', (adapter) => {
  let app: LimitedApp;
  let held: HeldContent;
  const start = async (leases?: LeaseOptions) => {
    held = new HeldContent(BYTES, '"v1"');
    app = await startLimitedApp(adapter, {
      options: { leases },
      contents: {
        held: () => held.download(),
        large: () => Download.buffer(LARGE, { etag: '"v1"' }),
        small: () => Download.buffer(SMALL, { etag: '"v1"' }),
      },
    });
  };
  beforeEach(() => start());
  afterEach(() => app.close());

  const isWhole = async (transfer: Answer) => {
    const { broken, body } = await transfer.ended;
    return broken === false && body.equals(BYTES);
  };

  /** A download that stands still half way. */
  async function half(link: ReturnType<LimitedApp['link']>, cookie?: string): Promise<Answer> {
    const transfer = await app.start(link, { headers: cookie ? { cookie } : {} });
    return transfer.until(held.half);
  }

  it.each<[string, CreateLinkOptions]>([
    ['a link of 10', { maxDownloads: 10 }],
    ['a link without a limit that may be resumed', { resumeWithin: '1h' }],
  ])('all complete what they download at the same time: %s', async (_name, options) => {
    const link = app.link('held', options);
    const people = [await half(link), await half(link), await half(link)];
    held.release();
    expect(await Promise.all(people.map(isWhole))).toEqual([true, true, true]);
    expect(await app.used(link)).toBe(2);
  });

  it.each<[string, CreateLinkOptions]>([
    ['a link of 10', { maxDownloads: 10 }],
    ['a link without a limit that may be resumed', { resumeWithin: '1h' }],
  ])('may give up again and again before they complete: %s', async (_name, options) => {
    const link = app.link('held', options);
    for (let i = 0; i < 3; i++) {
      (await half(link)).leave();
      await app.used(link);
    }
    held.release();
    expect(await isWhole(await app.start(link))).toBe(true);
    expect(await app.used(link)).toBe(2);
  });

  it.each([1, 3])('do not cut what runs by what they take without its cookie: a link of %i', async (max) => {
    const link = app.link('held', { maxDownloads: max });
    const victim = await half(link);
    app.contents.held = () => Download.buffer(BYTES, { etag: '"v1"' });
    const codes = new Set<string | undefined>();
    for (let i = 0; i < 10; i++) {
      codes.add((await app.fetch(link)).code);
    }
    expect([...codes]).toEqual([undefined, 'LINK_USED_UP']);
    held.release();
    expect(await isWhole(victim)).toBe(true);
    expect(await app.used(link)).toBe(max);
  });

  it('are one download with its cookie, though its connections plan more than the budget', async () => {
    app.contents.stalled = () =>
      Download.source({
        length: LARGE.length,
        etag: '"v1"',
        open: async function* () {
          yield LARGE.subarray(0, 10);
          await new Promise(() => {});
        },
      });
    const link = app.link('stalled', { maxDownloads: 10 });
    const { cookie } = await app.start(link);
    for (let i = 0; i < 5; i++) {
      expect((await app.start(link, { headers: { cookie } })).status).toBe(200);
    }
    expect((await app.usage(link)).used).toBe(1);
  });

  it.each([
    [3, 'complete', false, 3],
    [2, 'are cut where none is left', true, 2],
  ])('go on under a further download of a link of %i, and %s', async (max, _name, broken, used) => {
    const link = app.link('large', { maxDownloads: max, byteBudget: PART });
    const answer = await app.fetch(link);
    expect([answer.status, answer.broken]).toEqual([200, broken]);
    expect(answer.received).toBe(broken ? 2 * PART : LARGE.length);
    expect(await app.used(link)).toBe(used);
  });

  it('go on with a link without a limit, and keep their cookie', async () => {
    const link = app.link('large', { resumeWithin: '1h', byteBudget: PART });
    const answer = await app.fetch(link);
    expect([answer.status, answer.broken, answer.body.equals(LARGE)]).toEqual([200, false, true]);
    expect(await app.used(link)).toBe(3);
    const headers = { range: 'bytes=0-99', cookie: answer.cookie, 'user-agent': 'elsewhere' };
    const rest = await app.fetch(link, { headers });
    expect([rest.status, rest.cookie]).toEqual([206, undefined]);
    expect(await app.used(link)).toBe(3);
  });

  it('get no byte beyond the budget', async () => {
    const link = app.link('small', { maxDownloads: 1 });
    let bytes = 0;
    for (let i = 0; i < 6; i++) {
      const answer = await app
        .fetch(link, { headers: { range: `bytes=0-${SMALL.length - 2}` } })
        .catch(() => null);
      bytes += answer?.status === 206 ? answer.received : 0;
      await app.used(link);
    }
    expect(bytes).toBe(2 * SMALL.length);
  });

  describe('and open many connections', () => {
    it('have to wait when one download more than allowed runs', async () => {
      await app.close();
      await start({ connections: 3 });
      const link = app.link('held', { maxDownloads: 1, byteBudget: 1e9 });
      const first = await half(link);
      const asking = { headers: { range: 'bytes=0-9', cookie: first.cookie } };
      const running = [await half(link, first.cookie), await half(link, first.cookie)];
      for (const headers of [asking.headers, { range: 'bytes=0-9' }]) {
        const busy = await app.fetch(link, { headers });
        expect([busy.status, busy.code, busy.headers['retry-after']]).toEqual([503, 'LINK_BUSY', '5']);
      }
      running[0]!.leave();
      while ((await app.usage(link)).leases[0]?.running === 3) {
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect((await app.fetch(link, asking)).status).toBe(206);
      expect(await app.usage(link)).toMatchObject({ used: 1 });
    });

    it('open no more content by pipelining than may run at once', async () => {
      await app.close();
      await start({ connections: 4 });
      let opened = 0;
      app.contents.counted = () =>
        Download.source({
          length: BYTES.length,
          etag: '"v1"',
          open: async function* () {
            opened += 1;
            yield BYTES.subarray(0, 10);
            await new Promise(() => {});
          },
        });
      const { url } = app.link('counted', { maxDownloads: 1, byteBudget: 1e9 });
      const { port, pathname, search } = new URL(url);
      const socket = connect({ port: Number(port), host: '127.0.0.1' });
      socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(100));
      await until(() => app.events.filter(({ type }) => type === 'refused').length === 96, 'the refusals');
      expect(opened).toBe(4);
      socket.destroy();
    });
  });

  it('are cut when the life of their download is over, though nothing moves', async () => {
    await app.close();
    await start({ life: '1s' });
    const link = app.link('held', { maxDownloads: 1 });
    const stalled = await half(link);
    expect((await stalled.ended).broken).toBe(true);
    await until(() => app.events.some(({ type }) => type === 'aborted'), 'the end');
    expect(app.events.at(-1)).toMatchObject({ type: 'aborted', code: 'LINK_USED_UP' });
    expect(await app.used(link)).toBe(1);
  });

  describe('have a cookie', () => {
    const maxAge = async (options: CreateLinkOptions) => {
      const { headers } = await app.fetch(app.link('small', options));
      return /; Max-Age=(\d+)/.exec(headers['set-cookie']?.[0] ?? '')?.[1];
    };

    it.each<[string, CreateLinkOptions, [number, number] | undefined]>([
      ['a link of 5 minutes', { maxDownloads: 1, expiresIn: '5m' }, [295, 300]],
      ['one that may be resumed', { maxDownloads: 1, expiresIn: '5m', resumeWithin: '10m' }, [895, 900]],
      ['an unlimited one that may be resumed', { expiresIn: '5m', resumeWithin: '10m' }, [895, 900]],
      ['one that outlives its downloads', { maxDownloads: 1, expiresIn: '5d' }, [86_400, 86_400]],
    ])('that lives no longer than it can be used: %s', async (_name, options, [least, most] = [0, 0]) => {
      const seconds = Number(await maxAge(options));
      expect(seconds).toBeGreaterThanOrEqual(least);
      expect(seconds).toBeLessThanOrEqual(most);
    });

    it('only where it is needed', async () => {
      expect(await maxAge({})).toBeUndefined();
    });
  });

  it('are listed a page at a time', async () => {
    const link = app.link('small', { maxDownloads: 100, strict: true });
    for (let i = 0; i < 7; i++) {
      await app.fetch(link);
    }
    const first = await app.links.usage(link.id, { limit: 5 });
    expect([first.used, first.leases.length]).toEqual([7, 5]);
    const second = await app.links.usage(link.id, { limit: 5, after: first.next });
    expect([second.leases.length, second.next]).toEqual([2, undefined]);
    for (const page of [{ limit: 0 }, { limit: 5000 }, { limit: '5' }, { after: 5 }, { size: 5 }]) {
      await expect(app.links.usage(link.id, page as never)).rejects.toThrow(TypeError);
    }
  });
});
