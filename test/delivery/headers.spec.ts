import { NotFoundException, StreamableFile } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeliveryOutcome, PlannedDelivery } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { receive } from '../support/http-client.js';
import { until } from '../support/until.js';
import { temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const path = folder.file('page.html', '<p>hello</p>');
afterAll(() => folder.remove());

const set = (response: any, name: string, value: string) =>
  (response.header ?? response.set).call(response, name, value);

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());

  it.each([
    ['Cache-Control', 'public, max-age=60'],
    ['Referrer-Policy', 'origin'],
    ['X-Content-Type-Options', 'x'],
    ['Cross-Origin-Resource-Policy', 'cross-origin'],
    ['Access-Control-Expose-Headers', 'X-Mine'],
    ['Content-Disposition', 'inline; filename="mine.html"'],
    ['Content-Type', 'text/x-mine; charset=utf-8'],
    ['ETag', '"mine"'],
    ['Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT'],
    ['Accept-Ranges', 'none'],
    ['Content-Security-Policy', "default-src 'self'"],
  ])('%s of the handler wins', async (name, value) => {
    app.serve((_request, response) => {
      set(response, name, value);
      return Download.file(path, { disposition: 'inline' });
    });
    const { headers, status } = await app.request('/f');
    expect(status).toBe(200);
    expect(headers[name.toLowerCase()]).toBe(value);
  });

  it('conditions are compared with the validators of the handler', async () => {
    app.serve((_request, response) => {
      set(response, 'ETag', '"mine"');
      return Download.file(path);
    });
    expect((await app.request('/f', { headers: { 'if-none-match': '"mine"' } })).status).toBe(304);
    expect((await app.request('/f', { headers: { range: 'bytes=0-0', 'if-range': '"mine"' } })).status).toBe(
      206,
    );
    app.serve((_request, response) => {
      set(response, 'Accept-Ranges', 'none');
      return Download.file(path);
    });
    expect((await app.request('/f', { headers: { range: 'bytes=0-0' } })).status).toBe(200);
  });

  it('a handler that serves ranges itself is left alone', async () => {
    app.serve((_request, response) => {
      response.status(206);
      set(response, 'Content-Range', 'bytes 0-2/12');
      set(response, 'Content-Length', '3');
      return new StreamableFile(createReadStream(path, { start: 0, end: 2 }));
    });
    const answer = await app.request('/f', { headers: { range: 'bytes=0-2' } });
    expect([answer.status, answer.headers['content-range'], answer.body.toString()]).toEqual([
      206,
      'bytes 0-2/12',
      '<p>',
    ]);
  });

  it('a handler that announces the length of a file gets ranges all the same', async () => {
    app.serve((_request, response) => {
      set(response, 'Content-Length', '12');
      return new StreamableFile(createReadStream(path));
    });
    const answer = await app.request('/f', { headers: { range: 'bytes=0-2' } });
    expect([answer.status, answer.headers['content-length'], answer.body.toString()]).toEqual([
      206,
      '3',
      '<p>',
    ]);
  });

  it.each([
    ['Transfer-Encoding', 'chunked', 200, { 'if-none-match': '*' }, 304, undefined],
    ['Transfer-Encoding', 'chunked', 200, { 'if-match': '"x"' }, 412, '0'],
    ['Transfer-Encoding', 'chunked', 200, { range: 'bytes=99-' }, 416, '0'],
    ['Transfer-Encoding', 'chunked', 204, {}, 204, undefined],
    ['Transfer-Encoding', 'chunked', 304, {}, 304, undefined],
    ['Content-Length', '12', 200, { 'if-none-match': '*' }, 304, undefined],
    ['Content-Length', '12', 204, {}, 204, undefined],
  ])('%s: %s of the handler under %s, asked with %j, frames no %s', async (...row) => {
    const [name, value, chosen, headers, status, length] = row;
    app.serve((_request, response) => {
      response.status(chosen);
      set(response, name, value);
      return Download.file(path);
    });
    const answer = await app.request('/f', { headers });
    expect([answer.status, answer.headers['content-length']]).toEqual([status, length]);
    expect(answer.headers['transfer-encoding']).toBeUndefined();
  });

  it.each([
    ['GET', {}, 200],
    ['HEAD', { method: 'HEAD' }, 200],
    ['304', { headers: { 'if-none-match': '*' } }, 304],
    ['412', { headers: { 'if-match': '"x"' } }, 412],
    ['416', { headers: { range: 'bytes=99-' } }, 416],
  ])(
    'Trailer of the handler is no part of the answer to %s, which has none',
    async (_name, asking, status) => {
      app.serve((_request, response) => {
        set(response, 'Trailer', 'X-Checksum');
        return Download.file(path);
      });
      const answer = await app.request('/f', asking);
      expect([answer.status, answer.headers.trailer]).toEqual([status, undefined]);
    },
  );

  it('an error does not carry what the handler said of the file', async () => {
    app.serve((_request, response) => {
      set(response, 'Content-Disposition', 'attachment');
      set(response, 'Content-Length', '12');
      set(response, 'Cache-Control', 'public, max-age=60');
      return Download.file(`${path}x`);
    });
    const { status, headers, body } = await app.request('/f');
    expect(status).toBe(404);
    expect(JSON.parse(body.toString())).toEqual({
      statusCode: 404,
      message: 'There is no such file.',
      error: 'Not Found',
    });
    expect(headers['content-disposition']).toBeUndefined();
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['content-type']).toContain('application/json');
  });

  it.each([
    ['the handler', 412, 'private, no-store, no-transform', {}],
    ['the route', 416, 'no-store', { cacheControl: 'public, max-age=60' }],
    ['nobody', 416, 'private, no-store, no-transform', {}],
    ['a route that sends none', 412, undefined, { cacheControl: false as const }],
  ])('where %s lets the file be cached, a %i is not: %j', async (who, status, expected, options) => {
    app.serve({
      handler: (_request, response) => {
        if (who === 'the handler') {
          set(response, 'Cache-Control', 'public, max-age=60');
          set(response, 'Expires', new Date(Date.now() + 60_000).toUTCString());
        }
        return Download.file(path);
      },
      options,
    });
    const condition = status === 416 ? { range: 'bytes=99-' } : { 'if-match': '"x"' };
    const answer = await app.request('/f', { headers: condition });
    expect([answer.status, answer.headers['cache-control'], answer.headers.expires]).toEqual([
      status,
      expected,
      undefined,
    ]);
  });

  it('every default can be switched off', async () => {
    app.serve({
      handler: () => Download.file(path, { disposition: 'inline', etag: false, lastModified: false }),
      options: {
        cacheControl: false,
        referrerPolicy: false,
        nosniff: false,
        crossOriginResourcePolicy: false,
        exposeHeaders: false,
        contentSecurityPolicy: false,
        ranges: false,
      },
    });
    const { headers } = await app.request('/f', { headers: { range: 'bytes=0-0' } });
    const {
      date: _date,
      connection: _connection,
      'keep-alive': _keep,
      'x-powered-by': _by,
      ...rest
    } = headers;
    expect(rest).toEqual({
      'accept-ranges': 'none',
      'content-disposition': 'inline; filename=page.html',
      'content-length': '12',
      'content-type': 'text/html; charset=utf-8',
    });
  });

  it.each([
    ['as it is', ['application/pdf', 'text/plain; charset=utf-8', 'image/png', 'image/x-icon', 'video/mp4']],
    ['as it is', ['audio/mpeg', 'video/vnd.dlna.mpeg-tts', 'IMAGE/JPEG', 'application/pdf;version=1.7']],
    [
      'in a sandbox',
      ['text/html', 'application/xhtml+xml', 'image/svg+xml', 'image/svg+xml;a=b', 'IMAGE/SVG'],
    ],
    [
      'in a sandbox',
      ['text/xml', 'application/xml', 'application/rss+xml', 'text/xsl', 'application/pdf+xml'],
    ],
    [
      'in a sandbox',
      ['video/x+xml', 'audio/x+xml', 'image/x+xml', 'text/plain+xml', 'text/plain, text/html'],
    ],
    ['in a sandbox', ['application/octet-stream', 'text/css', 'multipart/related', 'x', 'application/pdfx']],
  ])('inline content is shown %s: %j', async (how, types) => {
    for (const type of types) {
      app.serve(() => new StreamableFile(Buffer.from('x'), { type, disposition: 'inline' }));
      const policy = String((await app.request('/f')).headers['content-security-policy']);
      expect([type, policy.startsWith('sandbox;')]).toEqual([type, how === 'in a sandbox']);
    }
  });

  it('inline content is put into a sandbox, attachments are not', async () => {
    app.serve(() => Download.file(path, { disposition: 'inline' }));
    expect((await app.request('/f')).headers['content-security-policy']).toMatch(/^sandbox;/);
    app.serve({ handler: () => Download.file(path), options: { disposition: 'inline' } });
    expect((await app.request('/f')).headers['content-security-policy']).toMatch(/^sandbox;/);
    app.serve(() => Download.file(path));
    expect((await app.request('/f')).headers['content-security-policy']).toBeUndefined();
  });

  it.each([
    [
      () => new StreamableFile(createReadStream(path)),
      {},
      'attachment; filename=page.html',
      'text/html; charset=utf-8',
    ],
    [
      () => new StreamableFile(createReadStream(path), { type: 'image/png' }),
      {},
      'attachment; filename=page.html',
      'image/png',
    ],
    [() => new StreamableFile(Buffer.from('x')), {}, 'attachment', 'application/octet-stream'],
    [
      () => new StreamableFile(Buffer.from('x'), { disposition: 'inline; filename="ü.txt"' }),
      {},
      "inline; filename=u.txt; filename*=UTF-8''%C3%BC.txt",
      'application/octet-stream',
    ],
    [
      () => new StreamableFile(Buffer.from('x'), { type: 'a\r\nb' }),
      {},
      'attachment',
      'application/octet-stream',
    ],
    [
      () => Download.buffer(Buffer.from('x'), { filename: 'a.json' }),
      {},
      'attachment; filename=a.json',
      'application/json; charset=utf-8',
    ],
    [() => Download.file(path, { filename: 'b.pdf' }), {}, 'attachment; filename=b.pdf', 'application/pdf'],
    [
      () => Download.file(path),
      { filename: 'c"\r\n.pdf' },
      "attachment; filename=c___.pdf; filename*=UTF-8''c%22__.pdf",
      'text/html; charset=utf-8',
    ],
    [
      () => Download.file(path, { filename: 'x' }),
      { disposition: 'inline' as const },
      'inline; filename=x',
      'text/html; charset=utf-8',
    ],
    [
      () => new StreamableFile(Buffer.from('x'), { disposition: 'inline; filename=a.txt' }),
      { filename: 'b.txt' },
      'inline; filename=b.txt',
      'application/octet-stream',
    ],
  ])('name and type (%#)', async (handler, overrides, disposition, type) => {
    app.serve({ handler, overrides });
    const { headers } = await app.request('/f');
    expect(headers['content-disposition']).toBe(disposition);
    expect(headers['content-type']).toBe(type);
  });

  it('a modification time in the future is sent as now', async () => {
    app.serve(() => Download.file(path, { lastModified: new Date(Date.now() + 9e7) }));
    const { headers } = await app.request('/f');
    expect(Date.parse(headers['last-modified'] ?? '')).toBeLessThanOrEqual(Date.parse(headers.date ?? ''));
  });

  it('a redirect carries nothing along', async () => {
    app.serve({
      handler: () => Download.redirect('https://bucket.example/x?signature=1'),
      options: { referrerPolicy: 'unsafe-url' },
    });
    const { status, headers, body } = await app.request('/f?ss-tok=secret');
    expect([status, headers.location, body.length]).toEqual([302, 'https://bucket.example/x?signature=1', 0]);
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['cache-control']).toContain('no-store');
    expect(JSON.stringify(headers)).not.toContain('secret');
    expect((await app.request('/f', { method: 'POST' })).status).toBe(303);
  });

  it('a POST gets the whole', async () => {
    app.serve(() => Download.file(path));
    const answer = await app.request('/f', { method: 'POST', headers: { range: 'bytes=0-0' } });
    expect([answer.status, answer.body.toString()]).toEqual([201, '<p>hello</p>']);
  });

  describe('an observer', () => {
    const observe = (handler: () => unknown) => {
      const plans: PlannedDelivery[] = [];
      const sent: [number, number][] = [];
      const outcomes: DeliveryOutcome[] = [];
      app.serve({
        handler,
        watch: {
          planned: (plan) => void plans.push(plan),
          sent: (start, end) => void sent.push([start, end]),
          ended: (outcome) => void outcomes.push(outcome),
        },
      });
      return { plans, sent, outcomes };
    };

    it.each([
      ['a file', () => Download.file(path)],
      ['bytes', () => new StreamableFile(Buffer.from('<p>hello</p>'))],
      [
        'a source',
        () =>
          Download.source({
            length: 12,
            open: ({ start, end }) => Readable.from(['<p>hello</p>'.slice(start, end)]),
          }),
      ],
    ])('learns plan, bytes and end of %s', async (_name, handler) => {
      const seen = observe(handler);
      await app.request('/f', { headers: { range: 'bytes=0-2,6-8' } });
      await until(() => seen.outcomes.length > 0);
      expect(seen.plans).toMatchObject([
        {
          method: 'GET',
          status: 206,
          length: 12,
          intervals: [
            { start: 0, end: 3 },
            { start: 6, end: 9 },
          ],
          ranged: true,
        },
      ]);
      expect(seen.sent).toEqual([
        [0, 3],
        [6, 9],
      ]);
      expect(seen.outcomes).toEqual([{ status: 206, completed: true, bytes: 6, error: undefined }]);
    });

    it.each([
      [{ method: 'HEAD' }, 200],
      [{ headers: { 'if-none-match': '*' } }, 304],
      [{ headers: { 'if-match': '"x"' } }, 412],
      [{ headers: { range: 'bytes=99-' } }, 416],
    ])('is told that %j sends nothing', async (asking, status) => {
      const seen = observe(() => Download.file(path));
      await app.request('/f', asking);
      await until(() => seen.outcomes.length > 0);
      expect(seen.plans).toMatchObject([{ status, intervals: [] }]);
      expect(seen.sent).toEqual([]);
      expect(seen.outcomes).toEqual([{ status, completed: true, bytes: 0, error: undefined }]);
    });

    it('refuses by throwing, before anything is opened or written', async () => {
      let ended = 0;
      let opened = 0;
      app.serve({
        handler: () => Download.source({ length: 3, open: () => (opened++, Readable.from(['abc'])) }),
        watch: {
          planned: async () => {
            throw new NotFoundException('gone');
          },
          ended: () => void ended++,
        },
      });
      const { status, headers } = await app.request('/f');
      expect([status, headers['content-disposition'], opened, ended]).toEqual([404, undefined, 0, 0]);
    });

    it('gets content that failed before its first byte', async () => {
      const seen = observe(() => Download.source({ length: 3, open: () => Promise.reject(new Error('no')) }));
      expect((await app.request('/f')).status).toBe(500);
      expect(seen.outcomes).toMatchObject([{ completed: false, bytes: 0 }]);
    });

    it('ends a running delivery, and one that has not begun', async () => {
      for (const early of [true, false]) {
        const cut = new AbortController();
        const outcomes: DeliveryOutcome[] = [];
        if (early) {
          cut.abort();
        }
        app.serve({
          handler: () =>
            Download.stream(
              new Readable({
                read() {
                  this.push(Buffer.alloc(1000));
                },
              }),
            ),
          watch: { signal: cut.signal, sent: () => cut.abort(), ended: (outcome) => outcomes.push(outcome) },
        });
        expect((await receive(`${app.url}/f`)).broken).toBe(true);
        await until(() => outcomes.length === 1);
        expect(outcomes[0]?.completed).toBe(false);
      }
    });

    it('that throws while bytes are sent breaks the connection and nothing else', async () => {
      app.serve({
        handler: () => Download.file(path),
        watch: {
          sent: () => {
            throw new Error('no');
          },
          ended: () => {
            throw new Error('no');
          },
        },
      });
      await app.request('/f');
      app.serve(() => Download.file(path));
      expect((await app.request('/f')).status).toBe(200);
    });
  });
});
