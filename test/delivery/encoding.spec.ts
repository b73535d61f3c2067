import compression from 'compression';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { createGzip, gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { receive } from '../support/http-client.js';
import { connect } from '../support/raw-connection.js';
import { temporaryFolder } from '../support/files.js';
import type { AdapterName } from '../support/test-app.js';
import { ADAPTERS } from '../support/test-app.js';

const TEXT = Buffer.from('the same line over and over\n'.repeat(200_000));
const folder = temporaryFolder();
const path = folder.file('lines.txt', TEXT);
afterAll(() => folder.remove());

const ACCEPTS = { 'accept-encoding': 'gzip, br' };
const OPTIONS = { cacheControl: 'private, max-age=60' };

type Configure = (app: any) => void | Promise<void>;

const compressors: readonly (readonly [AdapterName, string, Configure])[] = [
  ['express', 'compression()', (app) => void app.use(compression({ threshold: 0 }))],
  [
    'express',
    'compression() that enforces gzip',
    (app) => void app.use(compression({ enforceEncoding: 'gzip' })),
  ],
  [
    'fastify',
    '@fastify/compress',
    async (app) => {
      await app.register((await import('@fastify/compress')).default);
    },
  ],
];

/** Encoders that do not ask anybody. */
const insisting: readonly (readonly [AdapterName, string, Configure])[] = [
  [
    'express',
    'a middleware that replaces writeHead, write and end',
    (app) =>
      void app.use((_request: IncomingMessage, response: ServerResponse, next: () => void) => {
        const gzip = createGzip();
        const [writeHead, write, end] = ['writeHead', 'write', 'end'].map((name): any =>
          Reflect.get(response, name),
        );
        gzip.on('data', (chunk: Buffer) => void write.call(response, chunk, 'latin1'));
        gzip.on('end', () => void end.call(response, undefined, 'latin1'));
        response.writeHead = ((status: number) => {
          if (response.getHeader('Content-Length') !== '0' && status !== 304) {
            response.setHeader('Content-Encoding', 'gzip');
            response.removeHeader('Content-Length');
          }
          return writeHead.call(response, status);
        }) as never;
        response.write = ((chunk: Buffer) => {
          gzip.write(chunk);
          return true;
        }) as never;
        response.end = ((chunk?: Buffer) => gzip.end(chunk)) as never;
        next();
      }),
  ],
  [
    'fastify',
    'an onSend hook',
    (app) =>
      void app
        .getHttpAdapter()
        .getInstance()
        .addHook('onSend', (_request: any, reply: any, payload: any, done: any) => {
          if (typeof payload?.pipe !== 'function') {
            done(null, payload);
            return;
          }
          reply.header('Content-Encoding', 'gzip').removeHeader('Content-Length');
          done(null, payload.pipe(createGzip()).pipe(new PassThrough()));
        }),
  ],
];

async function within(
  adapter: AdapterName,
  configure: Configure,
  test: (app: TestApplication) => Promise<void>,
) {
  const app = await startApplication(adapter, configure);
  try {
    app.serve({ handler: () => Download.file(path), options: OPTIONS });
    await test(app);
  } finally {
    await app.close();
  }
}

/** What a client has after its connection broke half way. */
async function half(port: number, headers: Record<string, string>): Promise<{ head: string; bytes: Buffer }> {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = await connect(port, `GET /f HTTP/1.1\r\nHost: x\r\n${fields.join('')}\r\n`);
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    if (received.length > TEXT.length / 2) {
      break;
    }
  }
  socket.destroy();
  const end = received.indexOf('\r\n\r\n');
  return { head: received.subarray(0, end).toString('latin1'), bytes: received.subarray(end + 4) };
}

describe.each(compressors)('on %s with %s', (adapter, _name, configure) => {
  it('a download that was cut and resumed is the file', () =>
    within(adapter, configure, async (app) => {
      const { head, bytes } = await half(app.port, ACCEPTS);
      expect(head).not.toMatch(/content-encoding/i);
      const etag = /^etag: (.*)$/im.exec(head)?.[1] ?? '';
      expect(etag).toMatch(/^"/);
      const rest = await app.request('/f', {
        headers: { ...ACCEPTS, range: `bytes=${bytes.length}-`, 'if-range': etag },
      });
      expect(rest.status).toBe(206);
      expect(Buffer.concat([bytes, rest.body]).equals(TEXT)).toBe(true);
    }));

  it('content that the handler encoded itself stays as it is', () =>
    within(adapter, configure, async (app) => {
      app.serve((_request, response) => {
        (response.header ?? response.set).call(response, 'Content-Encoding', 'gzip');
        return Download.buffer(Buffer.from('gzipped elsewhere'), { etag: '"v1"', type: 'text/plain' });
      });
      const { headers, body } = await app.request('/f', { headers: ACCEPTS });
      expect([headers['content-encoding'], headers.etag, body.toString()]).toEqual([
        'gzip',
        '"v1"',
        'gzipped elsewhere',
      ]);
    }));
});

describe.each(insisting)('on %s with %s', (adapter, _name, configure) => {
  it('encoded bytes come with a weak tag and cannot be resumed', () =>
    within(adapter, configure, async (app) => {
      const { status, headers, body } = await app.request('/f', { headers: ACCEPTS });
      expect([status, headers['content-encoding'], headers['accept-ranges']]).toEqual([200, 'gzip', 'none']);
      expect(gunzipSync(body).equals(TEXT)).toBe(true);
      expect(headers.etag).toMatch(/^W\/"/);
      const resumed = await app.request('/f', {
        headers: { range: 'bytes=9-', 'if-range': headers.etag },
      });
      expect(resumed.status).toBe(200);
      const unchanged = await app.request('/f', { headers: { 'if-none-match': headers.etag } });
      expect(unchanged.status).toBe(304);
    }));

  it('an encoded part of the file breaks the connection', () =>
    within(adapter, configure, async (app) => {
      const { broken, body } = await receive(`${app.url}/f`, { headers: { range: 'bytes=0-999' } });
      expect([broken, body.length]).toEqual([true, 0]);
    }));
});

it.each(ADAPTERS)('no layer sees another Accept-Encoding while the handler runs, on %s', (adapter) =>
  within(
    adapter,
    () => {},
    async (app) => {
      const seen: unknown[] = [];
      app.serve((request) => {
        seen.push(request.headers['accept-encoding']);
        return Download.file(path);
      });
      await app.request('/f', { headers: ACCEPTS });
      expect(seen).toEqual(['gzip, br']);
    },
  ),
);
