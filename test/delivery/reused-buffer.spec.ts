import compression from 'compression';
import http, { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { Duplex, Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeliveryOutcome } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { connect } from '../support/raw-connection.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, pattern, temporaryFolder } from '../support/files.js';
import { wrapWrite } from './support/wrap-write.js';
import { certificate } from '../support/certificate.js';
import { isInstalled } from '../support/programs.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const big = pattern(20 * 1024 * 1024 + 12_345);
const path = folder.file('big.txt', big);
afterAll(() => folder.remove());
afterEach(async () => {
  vi.restoreAllMocks();
  if (COUNTS_DESCRIPTORS) {
    await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
  }
});

/** A connection that is no socket: HTTP over a WebSocket, SSH, or into a cloud function. */
class Tunnel extends Duplex {
  readonly taken: Buffer[] = [];

  constructor(request: string) {
    super();
    this.push(request);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(chunk);
    done();
  }
}

const ordinaryReads = () => vi.spyOn(Readable.prototype, 'pipe');

describe.each(ADAPTERS)('a file body on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());

  it('goes into a plain response from fewer than ten buffers', async () => {
    const pipe = ordinaryReads();
    const allocated = vi.spyOn(Buffer, 'allocUnsafeSlow');
    app.serve(() => Download.file(path));
    expect((await app.request('/f')).body.equals(big)).toBe(true);
    expect(pipe.mock.contexts.some((body: any) => body.constructor.name === 'DeliveryBody')).toBe(false);
    expect(allocated.mock.calls.length).toBeLessThan(10);
    expect(allocated.mock.calls.every(([size]) => size <= 512 * 1024)).toBe(true);
  });

  it('is an ordinary stream where a middleware wrapped the response', async () => {
    const pipe = ordinaryReads();
    app.serve((_request, response) => {
      wrapWrite(response.raw ?? response);
      return Download.file(path);
    });
    expect((await app.request('/f')).body.equals(big)).toBe(true);
    expect(pipe.mock.contexts.some((body: any) => body.constructor.name === 'DeliveryBody')).toBe(true);
  });

  it('is an ordinary stream in a tunnel that takes bytes before they have left', async () => {
    app.serve(() => Download.file(path));
    const tunnel = new Tunnel('GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    app.app.getHttpServer().emit('connection', tunnel);
    await until(() => tunnel.writableFinished, 'the end of the answer');
    expect(Buffer.concat(tunnel.taken).subarray(-big.length).equals(big)).toBe(true);
  });

  it('leaves the connection good for the next request', async () => {
    app.serve(() => Download.file(path));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let i = 0; i < 5; i++) {
      const range = i % 2 ? 'bytes=0-99' : 'bytes=0-9,100000-2000000';
      await new Promise<void>((resolve, reject) => {
        const request = http.get(
          { port: app.port, host: '127.0.0.1', path: '/f', agent, headers: { range } },
          (response) => {
            ports.add(request.socket?.localPort);
            response.resume().on('end', resolve).on('error', reject);
          },
        );
        request.on('error', reject);
      });
    }
    agent.destroy();
    expect(ports.size).toBe(1);
  });

  it('never sends one download the bytes of another', async () => {
    const files = Array.from({ length: 8 }, (_, i) =>
      folder.file(`file-${i}`, Buffer.alloc(3_000_000, i + 1)),
    );
    app.serve((request) =>
      Download.file(files[Number(new URL(request.url, 'http://x').searchParams.get('n'))]!),
    );
    const fetchOne = async (n: number) => {
      if (n % 3 === 2) {
        const socket = await connect(app.port, `GET /f?n=${n % 8} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await new Promise((resolve) => socket.once('data', resolve));
        socket.destroy();
        return true;
      }
      const { body } = await app.request(`/f?n=${n % 8}`);
      return body.length === 3_000_000 && body.every((byte) => byte === (n % 8) + 1);
    };
    const results = await Promise.all(Array.from({ length: 48 }, (_, n) => fetchOne(n)));
    expect(results.every(Boolean)).toBe(true);
  });

  it('frees its descriptor where the callback of a write is lost', async () => {
    const outcomes: DeliveryOutcome[] = [];
    let lost = 0;
    app.serve({
      handler: () => Download.file(path),
      watch: { ended: (outcome) => outcomes.push(outcome) },
    });
    // Below the methods that the body looks at, as it happens when the connection goes
    const send = vi.spyOn(ServerResponse.prototype as any, '_writeRaw').mockImplementation(function (
      this: any,
      ...[data, encoding]: any[]
    ) {
      lost++;
      this.socket?.write(data, encoding ?? undefined);
      return true;
    });
    const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => lost > 0);
    socket.destroy();
    await until(() => outcomes.length === 1);
    send.mockRestore();
    expect(outcomes[0]).toMatchObject({ completed: false });
  });

  it('survives 300 clients that leave at any moment', async () => {
    app.serve(() => Download.file(path));
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 30 }, async (_, i) => {
          const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n');
          socket.on('error', () => {});
          let seen = 0;
          await new Promise<void>((resolve, reject) => {
            socket.on('data', (chunk: Buffer) => {
              seen += chunk.length;
              if (seen >= i * 40_000) {
                resolve();
              }
            });
            socket.on('close', () => reject(new Error(`the server left after ${seen} bytes`)));
          });
          if (i % 2) {
            socket.resetAndDestroy();
          } else {
            socket.destroy();
          }
        }),
      );
    }
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
    }
    expect((await app.request('/f')).body.equals(big)).toBe(true);
  }, 60_000);
});

/** Lets a compression middleware see what the client accepts, whatever is changed later. */
function insistOnEncoding({ headers }: IncomingMessage, _response: unknown, next: () => void): void {
  Object.defineProperty(headers, 'accept-encoding', { value: headers['accept-encoding'], writable: false });
  next();
}

describe('a file body behind compression', () => {
  it.each([
    ['that compresses', 'gzip'],
    ['that lets it pass', 'identity'],
  ])('%s is an ordinary stream, and right', async (_name, encoding) => {
    const app = await startApplication('express', (nest) => {
      nest.use(compression({ threshold: 0 }));
      nest.use(insistOnEncoding);
    });
    try {
      const pipe = ordinaryReads();
      const outcomes: DeliveryOutcome[] = [];
      app.serve({
        handler: () => Download.file(path, { type: 'text/plain' }),
        options: { cacheControl: 'private' },
        watch: { ended: (outcome) => outcomes.push(outcome) },
      });
      const { headers, body } = await app.request('/f', { headers: { 'accept-encoding': encoding } });
      expect(headers['content-encoding']).toBe(encoding === 'gzip' ? 'gzip' : undefined);
      expect((encoding === 'gzip' ? gunzipSync(body) : body).equals(big)).toBe(true);
      expect(pipe.mock.contexts.some((stream: any) => stream.constructor.name === 'DeliveryBody')).toBe(true);
      await until(() => outcomes.length === 1);
      expect(outcomes[0]).toMatchObject({ completed: true, bytes: big.length });
      // no-transform keeps the middleware away
      app.serve(() => Download.file(path));
      expect(
        (await app.request('/f', { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'],
      ).toBeUndefined();
      const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n');
      await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
    } finally {
      await app.close();
    }
  });

  it('of Fastify is an ordinary stream, and right', async () => {
    const app = await startApplication('fastify', async (nest: any) => {
      nest.use(insistOnEncoding);
      await nest.register((await import('@fastify/compress')).default, { threshold: 0 });
    });
    try {
      app.serve({
        handler: () => Download.file(path, { type: 'text/plain' }),
        options: { cacheControl: 'private' },
      });
      const { headers, body } = await app.request('/f', { headers: { 'accept-encoding': 'gzip' } });
      expect(headers['content-encoding']).toBe('gzip');
      expect(gunzipSync(body).equals(big)).toBe(true);
    } finally {
      await app.close();
    }
  });
});

describe.each(ADAPTERS)('a middleware on %s', (adapter) => {
  it('that keeps what is written finds it unchanged at the end', async () => {
    const kept: Buffer[] = [];
    const app = await startApplication(adapter, (nest) => {
      nest.use((_request: unknown, response: ServerResponse, next: () => void) => {
        const write = response.write.bind(response);
        response.write = ((chunk: Buffer, ...rest: []) => (kept.push(chunk), write(chunk, ...rest))) as never;
        next();
      });
    });
    try {
      app.serve(() => Download.file(path));
      expect((await app.request('/f')).body.equals(big)).toBe(true);
      expect(Buffer.concat(kept).equals(big)).toBe(true);
    } finally {
      await app.close();
    }
  });
});

describe.skipIf(!isInstalled('openssl', 'version'))('a file body over', () => {
  it.each(ADAPTERS)('TLS on %s is right, and so is a client that leaves', async (adapter) => {
    const app = await startApplication(adapter, undefined, { https: certificate(folder) });
    try {
      app.serve(() => Download.file(path));
      const get = (leave: boolean) =>
        new Promise<Buffer>((resolve, reject) => {
          const request = https.get(
            { port: app.port, host: '127.0.0.1', path: '/f', rejectUnauthorized: false, agent: false },
            (response) => {
              const chunks: Buffer[] = [];
              response.on('data', (chunk: Buffer) => {
                chunks.push(chunk);
                if (leave) {
                  request.destroy();
                  resolve(chunk);
                }
              });
              response.on('end', () => resolve(Buffer.concat(chunks)));
              response.on('error', () => resolve(Buffer.alloc(0)));
            },
          );
          request.on('error', reject);
        });
      expect((await get(false)).equals(big)).toBe(true);
      await get(true);
      expect((await get(false)).equals(big)).toBe(true);
    } finally {
      await app.close();
    }
  });

  it('HTTP/2 is an ordinary stream, and right', async () => {
    const app = await startApplication('fastify', undefined, {
      https: certificate(folder),
      fastify: { http2: true },
    });
    const session = http2.connect(app.url, { rejectUnauthorized: false });
    try {
      const outcomes: DeliveryOutcome[] = [];
      const cut = new AbortController();
      app.serve({
        handler: () => Download.file(path),
        watch: { ended: (outcome) => outcomes.push(outcome) },
      });
      const get = (headers: object, destroy = false) =>
        new Promise<[http2.IncomingHttpHeaders, Buffer]>((resolve) => {
          const stream = session.request({ ':path': '/f', ...headers });
          const chunks: Buffer[] = [];
          let head: http2.IncomingHttpHeaders = {};
          stream.on('response', (received) => (head = received));
          stream.on('data', (chunk: Buffer) => {
            chunks.push(chunk);
            if (destroy) {
              stream.close(http2.constants.NGHTTP2_CANCEL);
            }
          });
          stream.on('error', () => {});
          stream.on('close', () => resolve([head, Buffer.concat(chunks)]));
        });
      const [whole, bytes] = await get({});
      expect(whole[':status']).toBe(200);
      expect(bytes.equals(big)).toBe(true);
      const [part, slice] = await get({ range: 'bytes=5-9,11-20' });
      expect(part[':status']).toBe(206);
      expect(slice.length).toBe(Number(part['content-length']));
      expect((await get({ ':method': 'HEAD' }))[0]['content-length']).toBe(String(big.length));
      await get({}, true);
      await until(() => outcomes.length === 4);
      expect(outcomes.map(({ completed }) => completed)).toEqual([true, true, true, false]);
      app.serve({
        handler: () => Download.file(path),
        watch: { signal: cut.signal, sent: () => cut.abort() },
      });
      expect((await get({}))[1].length).toBeLessThan(big.length);
    } finally {
      session.close();
      await app.close();
    }
  });
});
