import compression from 'compression';
import { truncateSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DeliveryOutcome } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { startLimitedApp } from '../support/limited-app.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { connect } from '../support/raw-connection.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';
import { wrapWrite } from './support/wrap-write.js';
import { ADAPTERS } from '../support/test-app.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
/** More than the kernel takes for a client that does not read. */
const path = folder.file('big.bin', '');
truncateSync(path, 64 * MIB);
afterAll(() => folder.remove());
afterEach(async () => {
  if (COUNTS_DESCRIPTORS) {
    await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
  }
});

const REQUEST = 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n';

/** Connects, asks, and reads nothing. */
async function stall(port: number, text = REQUEST): Promise<Socket> {
  const socket = await connect(port, text);
  socket.on('error', () => {});
  return socket.pause();
}

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  const outcomes: DeliveryOutcome[] = [];
  const watch = { ended: (outcome: DeliveryOutcome) => void outcomes.push(outcome) };
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterEach(() => outcomes.splice(0));
  afterAll(() => app.close());

  const endless = async function* () {
    for (;;) {
      yield Buffer.alloc(MIB);
    }
  };
  it.each([
    ['a file', false, () => Download.file(path)],
    ['a file behind a middleware that wraps the response', true, () => Download.file(path)],
    ['bytes', false, () => Download.buffer(Buffer.alloc(64 * MIB), { etag: false })],
    ['a stream', false, () => Download.stream(endless())],
  ])('clients that stop reading %s lose their connection', async (_name, isWrapped, content) => {
    app.serve({
      handler: (_request, response) => {
        if (isWrapped) {
          wrapWrite(response.raw ?? response);
        }
        return content();
      },
      options: { stallTimeout: '200ms' },
      watch,
    });
    const sockets = await Promise.all(Array.from({ length: 20 }, () => stall(app.port)));
    await until(() => outcomes.length === 20, 'the end of every delivery');
    expect(outcomes.every(({ completed, reason }) => !completed && reason === 'stalled')).toBe(true);
    sockets.forEach((socket) => socket.destroy());
  });

  it('requests in the pipeline of a client that stops reading end with its connection', async () => {
    let planned = 0;
    app.serve({
      handler: () => Download.file(path),
      options: { stallTimeout: '200ms' },
      watch: { ...watch, planned: () => void planned++ },
    });
    const socket = await stall(app.port, REQUEST.repeat(10));
    await until(() => planned > 1 && outcomes.length === planned, 'the end of every delivery');
    socket.destroy();
  });

  it('a client that waits for a slow source keeps its connection', async () => {
    app.serve({
      handler: () =>
        Download.stream(
          (async function* () {
            for (let i = 0; i < 3; i++) {
              yield Buffer.alloc(100);
              await setTimeout(250);
            }
          })(),
          { length: 300 },
        ),
      options: { stallTimeout: 0.1 },
      watch,
    });
    const { body } = await app.request('/f');
    expect(body).toHaveLength(300);
    await until(() => outcomes.length === 1);
    expect(outcomes[0]).toMatchObject({ completed: true, reason: undefined });
  });

  it('a client that comes back in time gets everything', async () => {
    app.serve({ handler: () => Download.file(path), options: { stallTimeout: 5 }, watch });
    const socket = await stall(app.port);
    await setTimeout(300);
    socket.resume();
    await until(() => outcomes.length === 1, 'the end of the delivery');
    expect(outcomes[0]).toMatchObject({ completed: true, bytes: 64 * MIB });
    socket.destroy();
  });

  it.each([[false as const], [0]])(
    'with %s, a client may stop reading for as long as it likes',
    async (off) => {
      app.serve({ handler: () => Download.file(path), options: { stallTimeout: off }, watch });
      const socket = await stall(app.port);
      await setTimeout(400);
      expect(outcomes).toEqual([]);
      socket.destroy();
      await until(() => outcomes.length === 1);
      expect(outcomes[0]?.reason).toBeUndefined();
    },
  );

  it('the event about it says so', async () => {
    const limited = await startLimitedApp(adapter, {
      contents: { big: () => Download.file(path) },
      options: { delivery: { stallTimeout: '200ms' } },
    });
    try {
      const { pathname, search } = new URL(limited.link('big').url, limited.url);
      const socket = await stall(limited.port, `GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const aborted = () => limited.events.find(({ type }) => type === 'aborted');
      await until(() => aborted() !== undefined, 'the event');
      expect(aborted()).toMatchObject({ reason: 'stalled', status: 200 });
      socket.destroy();
    } finally {
      await limited.close();
    }
  });

  it('a connection that is kept after a download is left to the server', async () => {
    app.serve({ handler: () => Download.buffer(Buffer.from('abc')), options: { stallTimeout: '100ms' } });
    const server = app.app.getHttpServer() as http.Server;
    const before = server.keepAliveTimeout;
    server.keepAliveTimeout = 0;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let i = 0; i < 2; i++) {
      await new Promise<void>((resolve, reject) => {
        const request = http.get({ port: app.port, host: '127.0.0.1', path: '/f', agent }, (response) => {
          ports.add(request.socket?.localPort);
          response.resume().on('end', resolve);
        });
        request.on('error', reject);
      });
      await setTimeout(300);
    }
    agent.destroy();
    server.keepAliveTimeout = before;
    expect(ports.size).toBe(1);
  });

  it('a shorter timeout of the server counts', async () => {
    app.serve({ handler: () => Download.file(path), options: { stallTimeout: '1h' }, watch });
    const server = app.app.getHttpServer() as http.Server;
    server.setTimeout(150);
    const socket = await stall(app.port);
    await until(() => outcomes.length === 1, 'the end of the delivery');
    server.setTimeout(0);
    socket.destroy();
  });
});

it('a client that stops reading what is compressed loses its connection', async () => {
  const app = await startApplication('express', (nest) => void nest.use(compression({ threshold: 0 })));
  try {
    const outcomes: DeliveryOutcome[] = [];
    app.serve({
      handler: (_request, response) => {
        response.setHeader('Content-Type', 'text/plain');
        return Download.stream(noise());
      },
      options: { stallTimeout: '200ms', cacheControl: 'private' },
      watch: { ended: (outcome) => void outcomes.push(outcome) },
    });
    const socket = await stall(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n');
    await until(() => outcomes.length === 1, 'the end of the delivery');
    expect(outcomes[0]).toMatchObject({ completed: false, reason: 'stalled' });
    socket.destroy();
  } finally {
    await app.close();
  }
});

it('over HTTP/2 a stream that is not read ends, and another one of its connection goes on', async () => {
  const app = await startApplication('fastify', undefined, { fastify: { http2: true } });
  const session = http2.connect(app.url);
  try {
    const outcomes: DeliveryOutcome[] = [];
    app.serve({
      handler: () => Download.file(path),
      options: { stallTimeout: '300ms' },
      watch: { ended: (outcome) => void outcomes.push(outcome) },
    });
    const stalled = session.request({ ':path': '/f' });
    stalled.on('error', () => {});
    await new Promise((resolve) => stalled.once('response', resolve));
    stalled.pause();
    const other = session.request({ ':path': '/f' });
    let received = 0;
    other.on('data', (chunk: Buffer) => (received += chunk.length));
    await new Promise((resolve) => other.once('end', resolve));
    await until(() => outcomes.length === 2, 'the end of both');
    expect(outcomes.filter(({ reason }) => reason === 'stalled')).toHaveLength(1);
    expect(received).toBe(64 * MIB);
  } finally {
    session.destroy();
    await app.close();
  }
});

/** Bytes that do not compress. */
async function* noise() {
  const { randomBytes } = await import('node:crypto');
  for (let i = 0; i < 64; i++) {
    yield randomBytes(MIB);
  }
}
