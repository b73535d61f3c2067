import { ConflictException, Logger, StreamableFile } from '@nestjs/common';
import {
  appendFileSync,
  chmodSync,
  createReadStream,
  mkdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeliveryOutcome } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { receive } from '../support/http-client.js';
import { connect } from '../support/raw-connection.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, pattern, temporaryFolder } from '../support/files.js';
import { wrapWrite } from './support/wrap-write.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const big = pattern(24 * 1024 * 1024);
const bigPath = folder.file('big.bin', big);
const smallPath = folder.file('small.bin', big.subarray(0, 1000));
mkdirSync(join(folder.path, 'root/inner'), { recursive: true });
writeFileSync(join(folder.path, 'root/inside.txt'), 'inside');
symlinkSync(smallPath, join(folder.path, 'root/link-out'));
symlinkSync('inside.txt', join(folder.path, 'root/link-in'));
symlinkSync('..', join(folder.path, 'root/inner/up'));
symlinkSync(folder.path, join(folder.path, 'root/inner/out'));
symlinkSync('loop', join(folder.path, 'root/loop'));
const root = join(folder.path, 'root');
const isRoot = process.getuid?.() === 0;

const rejections: unknown[] = [];
const note = (reason: unknown) => rejections.push(reason);
beforeAll(() => {
  process.on('unhandledRejection', note);
});
afterAll(() => {
  process.off('unhandledRejection', note);
  folder.remove();
});

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());
  afterEach(async () => {
    app.serve(() => Download.file(smallPath));
    const next = await app.request('/f');
    expect([next.status, next.body.length]).toEqual([200, 1000]);
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
    }
    expect(rejections).toEqual([]);
  });

  it.each([
    ['a missing file', () => Download.file(join(folder.path, 'none')), 404],
    ['a missing file stream', () => new StreamableFile(createReadStream(join(folder.path, 'none'))), 404],
    ['a path below a file', () => Download.file(join(smallPath, 'x')), 404],
    ['a directory', () => Download.file(folder.path), 404],
    ['a directory stream', () => new StreamableFile(createReadStream(folder.path)), 404],
    ['a path with a NUL byte', () => Download.file('a\0b', { root }), 404],
    ['a name of 5000 characters', () => Download.file('x'.repeat(5000), { root }), 404],
    ['a FIFO or device', () => Download.file('/dev/null'), 404],
    ['..', () => Download.file('../small.bin', { root }), 404],
    ['.. in the middle', () => Download.file('inner/../../small.bin', { root }), 404],
    ['.. that stays inside', () => Download.file('inner/../inside.txt', { root }), 404],
    ['.. in an absolute path', () => Download.file(`${root}/inner/../inside.txt`, { root }), 404],
    ['an absolute path outside', () => Download.file(smallPath, { root }), 404],
    ['the root itself', () => Download.file('', { root }), 404],
    ['a link that leads out', () => Download.file('link-out', { root }), 404],
    ['a linked folder that leads out', () => Download.file('inner/out/small.bin', { root }), 404],
    ['a link to itself', () => Download.file('loop', { root }), 404],
    ['a root that is missing', () => Download.file('x', { root: join(folder.path, 'none') }), 404],
    ['a file inside', () => Download.file('inside.txt', { root }), 200],
    ['an absolute path inside', () => Download.file(join(root, 'inside.txt'), { root }), 200],
    ['a link that stays inside', () => Download.file('link-in', { root }), 200],
    ['a linked folder that stays inside', () => Download.file('inner/up/inside.txt', { root }), 200],
    [
      'a source that throws at once',
      () =>
        Download.source({
          length: 5,
          open: () => {
            throw new Error('no');
          },
        }),
      500,
    ],
    [
      'a source that rejects',
      () => Download.source({ length: 5, open: () => Promise.reject(new Error('no')) }),
      500,
    ],
    [
      'a source that says what is wrong',
      () => Download.source({ length: 5, open: () => Promise.reject(new ConflictException()) }),
      409,
    ],
    [
      'a source that fails before its first byte',
      () =>
        Download.source({
          length: 5,
          open: () =>
            new Readable({
              read: function (this: Readable) {
                this.destroy(new Error('no'));
              },
            }),
        }),
      500,
    ],
    ['a source that is empty', () => Download.source({ length: 5, open: () => Readable.from([]) }), 500],
    ['a source of objects', () => Download.source({ length: 5, open: () => Readable.from([{ a: 1 }]) }), 500],
    ['a stream that fails at once', () => new StreamableFile(Readable.from(fail())), 500],
    [
      'content shorter than announced',
      () => new StreamableFile(createReadStream(smallPath), { length: 1001 }),
      500,
    ],
    ['bytes shorter than announced', () => new StreamableFile(Buffer.from('abc'), { length: 4 }), 500],
  ])('%s is answered before any header of a file', async (_name, content, status) => {
    app.serve(content);
    const answer = await app.request('/f');
    expect(answer.status).toBe(status);
    if (status !== 200) {
      expect(answer.headers['content-disposition']).toBeUndefined();
      expect(answer.headers['accept-ranges']).toBeUndefined();
      expect(answer.body.toString()).not.toContain(folder.path);
    }
  });

  it.skipIf(isRoot)('a file that may not be read is 500', async () => {
    const path = folder.file('secret', 'x');
    chmodSync(path, 0);
    app.serve(() => Download.file(path));
    expect((await app.request('/f')).status).toBe(500);
  });

  it('a file stream that failed before it was returned is 404', async () => {
    app.serve(async () => {
      const stream = createReadStream(join(folder.path, 'none'));
      const file = new StreamableFile(stream);
      await new Promise<void>((resolve) => stream.once('close', () => resolve()));
      return file;
    });
    expect((await app.request('/f')).status).toBe(404);
  });

  it('a file whose name is removed or replaced once it is open is sent as it was', async () => {
    app.serve(async () => {
      const path = folder.file('passing', 'as it was');
      const stream = createReadStream(path);
      await new Promise((resolve) => stream.once('open', resolve));
      unlinkSync(path);
      return new StreamableFile(stream);
    });
    expect((await app.request('/f')).body.toString()).toBe('as it was');
  });

  it('the stream of the handler is destroyed and emits close, before it was open and after', async () => {
    for (const wait of [false, true]) {
      let closed = false;
      app.serve(async () => {
        const stream = createReadStream(smallPath);
        stream.once('close', () => (closed = true));
        if (wait) {
          await new Promise((resolve) => stream.once('open', resolve));
        }
        return new StreamableFile(stream);
      });
      expect((await app.request('/f')).body).toHaveLength(1000);
      await until(() => closed, 'the close');
    }
  });

  it.each([
    ['HEAD', { method: 'HEAD' }, 200],
    ['304', { headers: { 'if-none-match': '*' } }, 304],
    ['412', { headers: { 'if-match': '"x"' } }, 412],
    ['416', { headers: { range: 'bytes=99999999999-' } }, 416],
  ])('%s opens no source, reads no stream, and leaves nothing open', async (_name, asking, status) => {
    let opened = 0;
    app.serve(() => Download.source({ length: 5, open: () => (opened++, Readable.from(['12345'])) }));
    expect((await app.request('/f', asking)).status).toBe(status);
    expect(opened).toBe(0);
    let stream: Readable | undefined;
    app.serve(() => new StreamableFile((stream = createReadStream(bigPath))));
    expect((await app.request('/f', asking)).status).toBe(status);
    await until(() => stream?.destroyed === true, 'the close');
    expect((stream as any).bytesRead).toBe(0);
  });

  it('a thousand requests without a body leave nothing open', async () => {
    app.serve(() => new StreamableFile(createReadStream(bigPath)));
    const askings = [
      { method: 'HEAD' },
      { headers: { 'if-none-match': '*' } },
      { headers: { 'if-match': '"x"' } },
      { headers: { range: 'bytes=99999999999-' } },
    ];
    for (let round = 0; round < 25; round++) {
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) => app.request('/f', askings[i % askings.length])),
      );
      expect(answers.slice(0, 4).map(({ status }) => status)).toEqual([200, 304, 412, 416]);
    }
  });

  it('a file that shrinks while it is read breaks the connection', async () => {
    const path = folder.file('shrinking', big);
    app.serve({
      handler: () => Download.file(path),
      watch: { sent: () => truncateSync(path, 100_000) },
    });
    const answer = await receive(`${app.url}/f`);
    expect(answer.broken).toBe(true);
    expect(answer.headers['content-length']).toBe(String(big.length));
  });

  it('a file that grows while it is read is sent as long as it was', async () => {
    const path = folder.file('growing', big.subarray(0, 2_000_000));
    let grown = false;
    app.serve({
      handler: () => Download.file(path),
      watch: {
        sent: () => {
          if (!grown) {
            grown = true;
            appendFileSync(path, big.subarray(0, 2_000_000));
          }
        },
      },
    });
    const answer = await receive(`${app.url}/f`);
    expect([answer.broken, answer.body.length]).toEqual([false, 2_000_000]);
  });

  it('a file that is replaced while it is read is sent as it was', async () => {
    const path = folder.file('replaced', big);
    const other = folder.file('replacement', Buffer.alloc(big.length));
    app.serve({ handler: () => Download.file(path), watch: { planned: () => renameSync(other, path) } });
    expect((await app.request('/f')).body.equals(big)).toBe(true);
  });

  it.each([
    [
      'throws after its first byte',
      () =>
        Download.source({
          length: 10,
          open: async function* () {
            yield Buffer.from('abc');
            throw new Error('no');
          } as any,
        }),
    ],
    ['ends early', () => Download.source({ length: 10, open: () => Readable.from(['abc']) })],
    ['is a stream shorter than announced', () => new StreamableFile(Readable.from(['abc']), { length: 10 })],
    [
      'is a Download.stream shorter than announced',
      () => Download.stream(Readable.from(['abc']), { length: 10 }),
    ],
    ['is a stream of unknown length that fails', () => new StreamableFile(Readable.from(fail('abc')))],
    ['turns into objects', () => Download.stream(Readable.from([Buffer.from('abc'), { a: 1 }]))],
  ])('content that %s breaks the connection', async (_name, content) => {
    const outcomes: DeliveryOutcome[] = [];
    app.serve({ handler: content, watch: { ended: (outcome) => outcomes.push(outcome) } });
    const answer = await receive(`${app.url}/f`);
    expect(answer.broken).toBe(true);
    await until(() => outcomes.length > 0);
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]).toMatchObject({ completed: false, bytes: 3 });
    expect(outcomes[0]?.error).toBeInstanceOf(Error);
  });

  it.each([
    ['a small file', false, () => Download.file(smallPath)],
    ['a large file', false, () => Download.file(bigPath)],
    ['a file as an ordinary stream', true, () => Download.file(smallPath)],
  ])(
    'a middleware that fails at the headers breaks the connection of %s and nothing else',
    async (_n, isWrapped, content) => {
      const outcomes: DeliveryOutcome[] = [];
      app.serve({
        handler: (_request, response) => {
          // As on-headers does it; Node itself throws here for headers that contradict each other
          const raw = response.raw ?? response;
          raw.writeHead = () => {
            throw new Error('no session');
          };
          if (isWrapped) {
            wrapWrite(raw);
          }
          return content();
        },
        watch: { ended: (outcome) => outcomes.push(outcome) },
      });
      expect((await receive(`${app.url}/f`)).broken).toBe(true);
      await until(() => outcomes.length > 0);
      expect(outcomes[0]).toMatchObject({ completed: false, error: { message: 'no session' } });
    },
  );

  it.each([
    ['a source', () => Download.source({ length: 4, open: () => Readable.from(['abc', 'def', 'ghi']) })],
    [
      'a source with more ready',
      () => Download.source({ length: 3, open: () => Readable.from(['abc', 'def']) }),
    ],
    ['a stream', () => new StreamableFile(Readable.from(['abc', 'def']), { length: 4 })],
    ['a file', () => new StreamableFile(createReadStream(smallPath), { length: 4 })],
    ['bytes', () => new StreamableFile(Buffer.from('abcdef'), { length: 4 })],
    [
      'a source that never ends',
      () =>
        Download.source({
          length: 4,
          open: async function* () {
            for (;;) {
              yield Buffer.from('abc');
            }
          } as any,
        }),
    ],
  ])('%s longer than announced is cut, and the log says so', async (_name, content) => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    app.serve(content);
    const answer = await receive(`${app.url}/f`);
    expect([answer.status, answer.broken]).toEqual([200, false]);
    expect(answer.body.length).toBe(Number(answer.headers['content-length']));
    expect(answer.body.length).toBeLessThanOrEqual(4);
    await until(
      () => warn.mock.calls.some(([text]) => /cut at the announced/.test(String(text))),
      'a warning',
    );
    warn.mockRestore();
  });

  describe('a client that leaves', () => {
    const request = 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n';
    const CONTENTS: [string, () => unknown][] = [
      ['a file', () => Download.file(bigPath)],
      ['a file stream', () => new StreamableFile(createReadStream(bigPath))],
      ['an opaque stream of a file', () => Download.stream(createReadStream(bigPath))],
      [
        'a source',
        () =>
          Download.source({
            length: big.length,
            open: ({ start, end }) => createReadStream(bigPath, { start, end: end - 1 }),
          }),
      ],
    ];

    it.each(CONTENTS)('at once, of %s, frees everything', async (_name, content) => {
      const outcomes: DeliveryOutcome[] = [];
      let planned = 0;
      app.serve({
        handler: content,
        watch: { planned: () => void planned++, ended: (outcome) => outcomes.push(outcome) },
      });
      for (let i = 0; i < 10; i++) {
        (await connect(app.port, request)).destroy();
      }
      await until(() => outcomes.length === planned);
    });

    it.each(CONTENTS)('half way, of %s, frees everything', async (_name, content) => {
      const outcomes: DeliveryOutcome[] = [];
      app.serve({ handler: content, watch: { ended: (outcome) => outcomes.push(outcome) } });
      const sockets = await Promise.all(Array.from({ length: 10 }, () => connect(app.port, request)));
      await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('data', resolve))));
      sockets.forEach((socket, i) => (i % 2 ? socket.destroy() : socket.resetAndDestroy()));
      await until(() => outcomes.length === 10);
      expect(outcomes.every(({ completed, error }) => !completed && error === undefined)).toBe(true);
    });

    it.each(CONTENTS)('after it read nothing, of %s, frees everything', async (_name, content) => {
      let sent = 0;
      const outcomes: DeliveryOutcome[] = [];
      app.serve({
        handler: content,
        watch: { sent: (start, end) => (sent += end - start), ended: (outcome) => outcomes.push(outcome) },
      });
      const socket = await connect(app.port, request);
      socket.pause();
      await until(() => sent > 0);
      socket.destroy();
      await until(() => outcomes.length === 1);
      expect(outcomes[0]?.completed).toBe(false);
    });

    it('while a source stalls, before its first byte or after, closes the source', async () => {
      for (const first of [[], ['abc']]) {
        const source = new Readable({ read() {} });
        first.forEach((chunk) => source.push(chunk));
        let aborted = false;
        const outcomes: DeliveryOutcome[] = [];
        let opened = false;
        app.serve({
          handler: () =>
            Download.source({
              length: 10,
              open: ({ signal }) => {
                opened = true;
                signal.addEventListener('abort', () => (aborted = true));
                return source;
              },
            }),
          watch: { ended: (outcome) => outcomes.push(outcome) },
        });
        const socket = await connect(app.port, request);
        await until(() => opened);
        socket.destroy();
        await until(() => source.destroyed && aborted && outcomes.length === 1);
      }
    });

    it('while a source is still opening, or a generator stalls, ends the delivery', async () => {
      for (const open of [
        () => new Promise<never>(() => {}),
        async function* () {
          await new Promise(() => {});
          yield Buffer.alloc(1);
        },
      ]) {
        const outcomes: DeliveryOutcome[] = [];
        let aborted = false;
        let opened = false;
        app.serve({
          handler: () =>
            Download.source({
              length: 10,
              open: ({ signal }) => {
                opened = true;
                signal.addEventListener('abort', () => (aborted = true));
                return open() as never;
              },
            }),
          watch: { ended: (outcome) => outcomes.push(outcome) },
        });
        const socket = await connect(app.port, request);
        await until(() => opened);
        socket.destroy();
        await until(() => outcomes.length === 1 && aborted);
      }
    });

    it('with requests still waiting in the pipeline frees them all', async () => {
      const outcomes: DeliveryOutcome[] = [];
      let planned = 0;
      app.serve({
        handler: () => Download.file(bigPath),
        watch: { planned: () => void planned++, ended: (outcome) => outcomes.push(outcome) },
      });
      const socket = await connect(app.port, request.repeat(5));
      await new Promise((resolve) => socket.once('data', resolve));
      await until(() => planned >= 2);
      socket.destroy();
      await until(() => outcomes.length === planned);
    });
  });
});

async function* fail(...before: string[]) {
  yield* before.map((text) => Buffer.from(text));
  throw new Error('the content fails');
}
