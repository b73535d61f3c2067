import { StreamableFile } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { connect } from '../support/raw-connection.js';
import { wrapWrite } from './support/wrap-write.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const bytes = pattern(300_000);
const path = folder.file('report.pdf', bytes);
folder.file('empty.txt', '');
afterAll(() => folder.remove());

const BEFORE = 'Mon, 06 May 2024 07:08:08 GMT';
const AFTER = 'Mon, 06 May 2024 07:08:10 GMT';

/** The same bytes by every way a handler may return them. */
const CONTENTS: Record<string, () => unknown> = {
  'a StreamableFile over a file stream': () => new StreamableFile(createReadStream(path)),
  'a StreamableFile over bytes': () => new StreamableFile(bytes),
  'Download.file': () => Download.file(path),
  'Download.buffer': () => Download.buffer(bytes),
  'Download.source': () =>
    Download.source({
      length: bytes.length,
      etag: 'v1',
      lastModified: new Date('2024-05-06T07:08:09Z'),
      open: ({ start, end }) =>
        Readable.from([bytes.subarray(start, start + 10), bytes.subarray(start + 10, end)]),
    }),
};

describe.each(ADAPTERS)('a download on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());

  describe.each(Object.entries(CONTENTS))('of %s', (_name, content) => {
    it('is whole, with length, validator and safe defaults', async () => {
      app.serve(content);
      const { status, headers, body } = await app.request('/f');
      expect(status).toBe(200);
      expect(body.equals(bytes)).toBe(true);
      expect(headers).toMatchObject({
        'content-length': String(bytes.length),
        'accept-ranges': 'bytes',
        'cache-control': 'private, no-store, no-transform',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-site',
        'access-control-expose-headers':
          'Content-Disposition, Content-Range, Accept-Ranges, ETag, Repr-Digest',
      });
      expect(headers.etag).toMatch(/^"[^"]+"$/);
      expect(headers['content-disposition']).toMatch(/^attachment/);
    });

    it('answers HEAD with the headers of GET, and no body', async () => {
      app.serve(content);
      const get = await app.request('/f');
      const head = await app.request('/f', { method: 'HEAD', headers: { range: 'bytes=0-1' } });
      expect(head.status).toBe(200);
      expect(head.body).toHaveLength(0);
      const { date: _get, ...expected } = get.headers;
      const { date: _head, ...actual } = head.headers;
      expect(actual).toEqual(expected);
    });

    it.each([
      ['bytes=0-0', 0, 1],
      ['bytes=100-200199', 100, 200_200],
      ['bytes=299999-', 299_999, 300_000],
      ['bytes=-1', 299_999, 300_000],
      ['bytes=-99999999999999999999', 0, 300_000],
      ['bytes=5-99999999999999999999', 5, 300_000],
      ['BYTES=1-2', 1, 3],
      ['bytes=0-9,5-19', 0, 20],
    ])('sends the range %s', async (range, start, end) => {
      app.serve(content);
      const { status, headers, body } = await app.request('/f', { headers: { range } });
      expect(status).toBe(206);
      expect(headers['content-range']).toBe(`bytes ${start}-${end - 1}/300000`);
      expect(headers['content-length']).toBe(String(end - start));
      expect(body.equals(bytes.subarray(start, end))).toBe(true);
    });

    it.each(['bytes=300000-', 'bytes=-0', 'bytes=99999999999999999999-'])(
      'refuses the range %s',
      async (range) => {
        app.serve(content);
        const { status, headers, body } = await app.request('/f', { headers: { range } });
        expect(status).toBe(416);
        expect(headers['content-range']).toBe('bytes */300000');
        expect(headers['content-length']).toBe('0');
        expect(headers['content-disposition']).toBeUndefined();
        expect(body).toHaveLength(0);
      },
    );

    it('sends several ranges as multipart/byteranges, in the order of the request', async () => {
      app.serve(content);
      const { status, headers, body } = await app.request('/f', {
        headers: { range: 'bytes=100000-299998, 0-9, -1' },
      });
      expect(status).toBe(206);
      const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(headers['content-type'] ?? '')?.[1];
      expect(headers['content-length']).toBe(String(body.length));
      expect(headers['content-range']).toBeUndefined();
      const parts = body.toString('latin1').split(`--${boundary}`);
      expect(parts).toHaveLength(4);
      expect(parts.slice(1, 3).map((part) => /Content-Range: (.*)\r\n/.exec(part)?.[1])).toEqual([
        'bytes 100000-299999/300000',
        'bytes 0-9/300000',
      ]);
      expect(parts[1]?.split('\r\n\r\n').slice(1).join('\r\n\r\n').slice(0, -2)).toBe(
        bytes.subarray(100_000).toString('latin1'),
      );
    });

    it('honours its validators', async () => {
      app.serve(content);
      const { headers } = await app.request('/f');
      const etag = headers.etag ?? '';
      const notModified = await app.request('/f', { headers: { 'if-none-match': etag } });
      expect(notModified.status).toBe(304);
      expect(notModified.headers.etag).toBe(etag);
      expect(notModified.headers['cache-control']).toBe('private, no-store, no-transform');
      expect(notModified.headers['content-type']).toBeUndefined();
      expect(notModified.headers['content-length']).toBeUndefined();
      const head = await app.request('/f', { method: 'HEAD', headers: { 'if-none-match': etag } });
      expect([head.status, head.headers['content-length']]).toEqual([304, undefined]);
      expect((await app.request('/f', { headers: { 'if-match': '"other"' } })).status).toBe(412);
      const resumed = await app.request('/f', { headers: { range: 'bytes=9-', 'if-range': etag } });
      expect(resumed.status).toBe(206);
      const changed = await app.request('/f', { headers: { range: 'bytes=9-', 'if-range': '"other"' } });
      expect(changed.status).toBe(200);
    });
  });

  it('sends an opaque stream whole', async () => {
    app.serve(() => new StreamableFile(Readable.from([bytes.subarray(0, 5), bytes.subarray(5, 9)])));
    const { status, headers, body } = await app.request('/f', { headers: { range: 'bytes=0-1' } });
    expect(status).toBe(200);
    expect(headers['accept-ranges']).toBe('none');
    expect(headers['transfer-encoding']).toBe('chunked');
    expect(body.equals(bytes.subarray(0, 9))).toBe(true);
  });

  it.each([
    ['a StreamableFile', false, () => new StreamableFile(Readable.from([]))],
    ['a StreamableFile', true, () => new StreamableFile(Readable.from([]))],
    ['Download.stream', false, () => Download.stream(Readable.from([]))],
    ['Download.stream', true, () => Download.stream(Readable.from([]))],
  ])('sends an opaque stream that gives nothing, by %s, wrapped: %s', async (_name, isWrapped, handler) => {
    app.serve((_request, response) => {
      if (isWrapped) {
        wrapWrite(response.raw ?? response);
      }
      return handler();
    });
    const { status, headers, body } = await app.request('/f');
    expect([status, headers['content-length'], body.length]).toEqual([200, '0', 0]);
  });

  it.each([
    ['if-modified-since', [AFTER], 304],
    ['if-modified-since', [AFTER, AFTER], 200],
    ['if-modified-since', [AFTER, BEFORE], 200],
    ['if-unmodified-since', [BEFORE], 412],
    ['if-unmodified-since', [BEFORE, BEFORE], 200],
    ['if-unmodified-since', [BEFORE, AFTER], 200],
    ['if-none-match', ['"x"', '"v1"'], 304],
    ['if-match', ['"x"', '"v1"'], 200],
  ])('lets %s with the values %j come to %s', async (name, values, status) => {
    app.serve(() => Download.buffer(bytes, { etag: 'v1', lastModified: new Date('2024-05-06T07:08:09Z') }));
    expect((await app.request('/f', { headers: { [name]: values } })).status).toBe(status);
  });

  it.each([
    [204, undefined],
    [205, '0'],
  ])('sends no body under the status %s, and leaves the connection usable', async (code, length) => {
    app.serve((_request, response) => {
      response.status(code);
      return Download.buffer(bytes);
    });
    const { status, headers } = await app.request('/f');
    expect([status, headers['content-length']]).toEqual([code, length]);
    const request = 'GET /f HTTP/1.1\r\nHost: x\r\n';
    const socket = await connect(app.port, `${request}\r\n${request}Connection: close\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) {
      text += String(chunk);
    }
    expect(text.split('\r\n\r\n').map((head) => head.slice(0, 12))).toEqual([
      `HTTP/1.1 ${code}`,
      `HTTP/1.1 ${code}`,
      '',
    ]);
  });

  it('sends the slice of a file stream that has start and end', async () => {
    app.serve(() => new StreamableFile(createReadStream(path, { start: 1000, end: 1999 })));
    const whole = await app.request('/f');
    expect(whole.headers['content-length']).toBe('1000');
    expect(whole.body.equals(bytes.subarray(1000, 2000))).toBe(true);
    const part = await app.request('/f', { headers: { range: 'bytes=-10' } });
    expect(part.headers['content-range']).toBe('bytes 990-999/1000');
    expect(part.body.equals(bytes.subarray(1990, 2000))).toBe(true);
  });

  it('sends up to a hundred ranges, and the whole for more', async () => {
    app.serve(() => Download.file(path));
    const ranges = (count: number) => Array.from({ length: count }, (_, i) => `${10 * i}-${10 * i}`).join();
    const hundred = await app.request('/f', { headers: { range: `bytes=${ranges(100)}` } });
    expect(hundred.status).toBe(206);
    expect(hundred.body.toString('latin1').match(/Content-Range/g)).toHaveLength(100);
    const more = await app.request('/f', { headers: { range: `bytes=${ranges(101)}` } });
    expect([more.status, more.body.length]).toEqual([200, bytes.length]);
  });

  it('sends a byte once that was asked for a hundred times', async () => {
    app.serve(() => Download.file(path));
    const overlapping = Array.from({ length: 100 }, (_, i) => `${i}-`).join();
    const { status, headers, body } = await app.request('/f', { headers: { range: `bytes=${overlapping}` } });
    expect([status, headers['content-range'], body.length]).toEqual([
      206,
      'bytes 0-299999/300000',
      bytes.length,
    ]);
  });

  it('sends an empty file', async () => {
    app.serve(() => Download.file('empty.txt', { root: folder.path }));
    const { status, headers, body } = await app.request('/f');
    expect([status, headers['content-length'], body.length]).toEqual([200, '0', 0]);
    expect((await app.request('/f', { headers: { range: 'bytes=0-' } })).status).toBe(416);
    expect((await app.request('/f', { headers: { range: 'bytes=-5' } })).status).toBe(200);
  });
});
