import { ConflictException, HttpStatus, StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { ADAPTERS } from '../support/test-app.js';
import { pattern } from '../support/files.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { HeldContent, unreadable } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import type { RequestOptions } from '../support/http-client.js';

const BYTES = pattern(300_000);
const ETAG = '"v1"';
const SECOND = 1000;
/** A client of another network would be one as well; this is what can be told apart on one machine. */
const as = (userAgent: string, headers: RequestOptions['headers'] = {}): RequestOptions => ({
  headers: { 'user-agent': userAgent, ...headers },
});

describe.each(ADAPTERS)('a limited link on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  let held: HeldContent;
  beforeAll(async () => {
    clock = testClock();
    held = new HeldContent(BYTES, ETAG);
    app = await startLimitedApp(adapter, {
      options: { clock },
      contents: {
        file: () => Download.buffer(BYTES, { etag: ETAG }),
        empty: () => Download.buffer(Buffer.alloc(0)),
        held: () => held.download(),
        stream: () => Download.stream(Readable.from([BYTES])),
        fails: () => {
          throw new ConflictException();
        },
        crashes: () => {
          throw new Error('the database is away');
        },
        unreadable,
        breaks: () => new StreamableFile(new Readable({ read() { this.destroy(new Error('gone')); } })), // prettier-ignore
      },
    });
  });
  afterAll(() => app.close());

  const one = (name: string, options = {}) => app.link(name, { maxDownloads: 1, ...options });

  it('serves one client, and refuses the next with 410', async () => {
    const link = one('file');
    const first = await app.fetch(link, as('Ada'));
    expect([first.status, first.body.equals(BYTES)]).toEqual([200, true]);
    const second = await app.fetch(link, as('Grace'));
    expect([second.status, second.code, second.cookie]).toEqual([410, 'LINK_USED_UP', undefined]);
    expect(await app.used(link)).toBe(1);
  });

  it.each([404, 409, 500])(
    'is not used by content that a handler sends under the status %i',
    async (status) => {
      app.contents.failing = (_request, response) => {
        response.status(status);
        return Download.buffer(Buffer.from('There is no such file, and this is why.'));
      };
      const link = one('failing');
      const answer = await app.fetch(link, as('Ada'));
      expect([answer.status, answer.cookie]).toEqual([status, undefined]);
      expect(await app.used(link)).toBe(0);
    },
  );

  it('is over for its own client too, once the download is', async () => {
    const link = one('file');
    await app.fetch(link, as('Ada'));
    await app.used(link);
    clock.advance(9 * SECOND);
    expect((await app.fetch(link, as('Ada'))).status).toBe(200);
    clock.advance(SECOND);
    expect((await app.fetch(link, as('Ada'))).code).toBe('LINK_USED_UP');
  });

  it('is over for who has its cookie as well, once the download is', async () => {
    const link = one('file');
    const { cookie } = await app.fetch(link, as('Ada'));
    await app.used(link);
    clock.advance(10 * SECOND);
    expect((await app.fetch(link, as('Ada', { cookie }))).code).toBe('LINK_USED_UP');
  });

  it('counts one download for a plain GET and two ranges beside it', async () => {
    held.hold();
    const link = one('held');
    const whole = await app.start(link, as('IDM'));
    await whole.until(held.half);
    held.hold();
    held.release();
    const ranges = await Promise.all([
      app.start(link, as('IDM', { range: 'bytes=100000-199999' })),
      app.start(link, as('IDM', { range: 'bytes=200000-' })),
    ]);
    expect(ranges.map(({ status }) => status)).toEqual([206, 206]);
    // as download managers do: the first connection is left where the next part begins
    whole.leave();
    const parts = await Promise.all(ranges.map(({ ended }) => ended));
    expect(Buffer.concat([whole.body.subarray(0, 100_000), ...parts.map(({ body }) => body)])).toEqual(BYTES);
    expect(await app.used(link)).toBe(1);
    expect((await app.fetch(link, as('other'))).status).toBe(410);
  });

  it.each(['bytes=0-', 'bytes=0-0', 'bytes=1-', 'bytes=-1', 'bytes=0-0,5-9'])(
    'has no way around its count in Range: %s',
    async (range) => {
      const link = one('file');
      expect((await app.fetch(link, as('Ada', { range }))).status).toBe(206);
      expect(await app.used(link)).toBe(1);
      const other = await app.fetch(link, as('Grace', { range }));
      expect([other.status, other.code]).toEqual([410, 'LINK_USED_UP']);
    },
  );

  it('ends when all its bytes were sent, in whatever parts', async () => {
    const link = one('file');
    for (const range of ['bytes=200000-299999', 'bytes=0-99999', 'bytes=100000-199999']) {
      expect((await app.fetch(link, as('Ada', { range }))).status).toBe(206);
      await app.used(link);
      clock.advance(11 * SECOND);
    }
    expect((await app.fetch(link, as('Ada', { range: 'bytes=0-' }))).code).toBe('LINK_USED_UP');
  });

  describe('counts nothing for', () => {
    it.each<[string, string, RequestOptions, number]>([
      ['HEAD', 'file', { method: 'HEAD' }, 200],
      ['HEAD with Range', 'file', { method: 'HEAD', headers: { range: 'bytes=0-' } }, 200],
      ['304 to If-None-Match', 'file', { headers: { 'if-none-match': ETAG } }, 304],
      ['412 to If-Match', 'file', { headers: { 'if-match': '"other"' } }, 412],
      ['416', 'file', { headers: { range: 'bytes=300000-' } }, 416],
      ['Sec-Purpose: prefetch', 'file', { headers: { 'sec-purpose': 'prefetch' } }, 503],
      ['Sec-Purpose: prefetch;prerender', 'file', { headers: { 'sec-purpose': 'prefetch;prerender' } }, 503],
      ['Purpose: prefetch', 'file', { headers: { purpose: 'prefetch' } }, 503],
      ['X-Moz: prefetch', 'file', { headers: { 'x-moz': 'prefetch' } }, 503],
      ['X-Purpose: preview', 'file', { headers: { 'x-purpose': 'preview' } }, 503],
      ['Sec-Purpose: Prefetch; a=b', 'file', { headers: { 'sec-purpose': 'Prefetch; a=b' } }, 503],
      ['X-Purpose: preview', 'file', { headers: { 'x-purpose': 'preview' } }, 503],
      ['a handler that refuses', 'fails', {}, 409],
      ['a handler that crashes', 'crashes', {}, 500],
      ['a file that is missing', 'nowhere', {}, 404],
      ['content that cannot be opened', 'unreadable', {}, 500],
      ['content that fails before its first byte', 'breaks', {}, 500],
      ['an empty file', 'empty', {}, 200],
    ])('%s', async (_what, name, asking, status) => {
      const link = one(name);
      // each time another client, so that nothing is a download that goes on
      for (const userAgent of ['a', 'b', 'c']) {
        const answer = await app.fetch(link, {
          ...asking,
          headers: { 'user-agent': userAgent, ...asking.headers },
        });
        expect(answer.status).toBe(status);
      }
      expect(await app.used(link)).toBe(0);
      if (name === 'file') {
        expect((await app.fetch(link, as('d'))).status).toBe(200);
        expect(await app.used(link)).toBe(1);
      }
    });

    it('a prefetch, which gets Retry-After and a code of its own', async () => {
      const answer = await app.fetch(one('file'), { headers: { 'sec-purpose': 'prefetch' } });
      expect([answer.code, answer.headers['retry-after']]).toEqual(['PREFETCH_REFUSED', '1']);
      const unlimited = await app.fetch(app.link('file'), { headers: { 'sec-purpose': 'prefetch' } });
      expect(unlimited.status).toBe(200);
    });
  });

  it.each([HttpStatus.CREATED, HttpStatus.ACCEPTED, HttpStatus.NON_AUTHORITATIVE_INFORMATION])(
    'counts what is sent under status %s',
    async (status) => {
      app.contents.chosen = (_request, response) => {
        response.status(status);
        return Download.buffer(BYTES);
      };
      const link = one('chosen');
      expect((await app.fetch(link, as('Ada'))).status).toBe(status);
      expect(await app.used(link)).toBe(1);
      expect((await app.fetch(link, as('Grace'))).code).toBe('LINK_USED_UP');
    },
  );

  it('counts a stream of unknown length, which is over when one answer was sent whole', async () => {
    const link = one('stream');
    const first = await app.fetch(link, as('Ada'));
    expect([first.status, first.body.equals(BYTES)]).toEqual([200, true]);
    expect(await app.used(link)).toBe(1);
    expect((await app.fetch(link, as('Grace'))).code).toBe('LINK_USED_UP');
    clock.advance(10 * SECOND);
    expect((await app.fetch(link, as('Ada'))).code).toBe('LINK_USED_UP');
  });

  it('serves a stream of unknown length three times at most, when none of them came through', async () => {
    app.contents.endless = () =>
      Download.stream(
        (async function* () {
          yield BYTES;
          await new Promise(() => {});
        })(),
      );
    const link = one('endless');
    for (let attempt = 1; attempt <= 3; attempt++) {
      const answer = await app.start(link, as('Ada'));
      await answer.until(BYTES.length);
      answer.leave();
      expect(await app.used(link)).toBe(1);
    }
    expect((await app.fetch(link, as('Ada'))).code).toBe('LINK_USED_UP');
  });

  it('counts a download that is asked for by a form', async () => {
    const link = app.form('file', { maxDownloads: 1 });
    const post = (userAgent: string) =>
      app.fetch(link, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': userAgent },
        body: `ss-tok=${link.token}`,
      });
    const first = await post('Ada');
    expect([first.status, first.body.equals(BYTES)]).toEqual([201, true]);
    expect(await app.used(link)).toBe(1);
    const second = await post('Grace');
    expect([second.status, second.code]).toEqual([410, 'LINK_USED_UP']);
  });

  describe('strict', () => {
    const strict = (maxDownloads: number) => one('held', { strict: true, maxDownloads });

    it('takes a second connection without the cookie for another download', async () => {
      held.release();
      const link = strict(2);
      const first = await app.fetch(link, as('Ada', { range: 'bytes=0-9' }));
      const joined = await app.fetch(link, as('Ada', { range: 'bytes=10-19', cookie: first.cookie }));
      expect([first.status, joined.status, await app.used(link)]).toEqual([206, 206, 1]);
      expect((await app.fetch(link, as('Ada', { range: 'bytes=10-19' }))).status).toBe(206);
      expect(await app.used(link)).toBe(2);
    });

    it('refuses it where none is left, and goes on with the cookie from anywhere', async () => {
      held.release();
      const link = strict(1);
      const { cookie } = await app.fetch(link, as('Ada', { range: 'bytes=0-9' }));
      expect((await app.fetch(link, as('Ada', { range: 'bytes=10-19' }))).code).toBe('LINK_USED_UP');
      expect((await app.fetch(link, as('Ada on the train', { range: 'bytes=10-19', cookie }))).status).toBe(
        206,
      );
    });

    it("takes no cookie of another link's, and none that was made up", async () => {
      const other = await app.fetch(one('file'), as('Ada'));
      const link = strict(1);
      const { cookie } = await app.fetch(link, as('Ada', { range: 'bytes=0-9' }));
      const [name] = cookie!.split('=');
      for (const value of [other.cookie!.split('=')[1], 'A'.repeat(24), '', '%00']) {
        expect((await app.fetch(link, as('Ada', { cookie: `${name}=${value}` }))).code).toBe('LINK_USED_UP');
      }
    });
  });

  it('takes two people behind one address with the same browser for one, unless it is strict', async () => {
    held.hold();
    const link = one('held');
    const ada = await app.start(link, as('Firefox'));
    const grace = await app.start(link, as('Firefox'));
    expect([ada.status, grace.status]).toEqual([200, 200]);
    // the cookie is the opener's alone
    expect([ada.cookie, grace.cookie]).toEqual([expect.any(String), undefined]);
    held.release();
    await Promise.all([ada.ended, grace.ended]);
    expect(await app.used(link)).toBe(1);
  });
});

describe.each(
  ADAPTERS.flatMap((adapter) =>
    (['a proxy', 'the application'] as const).map((who) => [adapter, who] as const),
  ),
)('a limited link on %s, where %s strips a prefix,', (adapter, who) => {
  it('confines its cookie to the path that the client knows', async () => {
    const strip = (request: { url?: string }) => (request.url = request.url!.replace(/^\/api/, ''));
    const app = await startLimitedApp(adapter, {
      options: { links: { publicUrl: 'https://files.example/api/' } },
      contents: { file: () => Download.buffer(BYTES) },
      ...(who === 'the application' && {
        fastify: { rewriteUrl: strip },
        configure: (nest) => {
          if (adapter === 'express') {
            nest.use((request: { url: string }, _response: unknown, next: () => void) => {
              strip(request);
              next();
            });
          }
        },
      }),
    });
    const { url } = app.link('file', { maxDownloads: 1 });
    const sent = who === 'a proxy' ? /^https:\/\/files\.example\/api/ : /^https:\/\/files\.example/;
    const { headers } = await app.fetch(url.replace(sent, ''));
    expect(headers['set-cookie']).toEqual([expect.stringContaining('; Path=/api/files/file;')]);
    expect(app.events.find(({ type }) => type === 'opened')).toMatchObject({ path: '/api/files/file' });
    await app.close();
  });
});
