import { StreamableFile } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { until } from '../support/until.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { wrapWrite } from './support/wrap-write.js';
import { ADAPTERS } from '../support/test-app.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
const bytes = pattern(4 * MIB);
const path = folder.file('file.bin', bytes);
afterAll(() => folder.remove());

/** All at once: nothing in it waits. */
async function* pieces(start = 0, end = bytes.length) {
  for (let at = start; at < end; at += 65_536) {
    yield bytes.subarray(at, Math.min(end, at + 65_536));
  }
}

/** A client in this process that takes every write at once. */
class InstantClient extends Socket {
  override _writev = undefined;
  readonly received: Buffer[] = [];
  /** The turn of the event loop in which each large write came: times it polled and ran immediates. */
  readonly turns: string[] = [];
  /** Whether a timer that was set at the first large write had fired at the last one. */
  timerFired = false;
  #turn = 0;
  #isOver = false;
  #fired = false;

  constructor(head: string) {
    super();
    this.push(head);
    const count = () => {
      this.#turn++;
      if (!this.#isOver) {
        setImmediate(count);
      }
    };
    count();
  }

  override _read(): void {}

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.received.push(Buffer.from(chunk as string, 'latin1'));
    if (chunk.length > 4096) {
      if (this.turns.length === 0) {
        setTimeout(() => (this.#fired = true), 1);
      }
      const end = performance.now() + 1;
      while (performance.now() < end) {
        // a client that keeps the thread busy
      }
      this.turns.push(`${performance.nodeTiming.uvMetricsInfo.loopCount} ${this.#turn}`);
      this.timerFired = this.#fired;
    }
    done();
  }

  override _final(done: () => void): void {
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#isOver = true;
    done();
  }
}

const CONTENTS: [string, () => unknown, string?][] = [
  ['a file', () => Download.file(path)],
  ['a file stream', () => new StreamableFile(createReadStream(path))],
  ['several ranges of a file', () => Download.file(path), 'bytes=0-1999999,2000100-4000000'],
  ['bytes', () => Download.buffer(bytes)],
  ['several ranges of bytes', () => Download.buffer(bytes), 'bytes=0-1999999,2000100-4000000'],
  ['a source', () => Download.source({ length: bytes.length, open: ({ start, end }) => pieces(start, end) })],
  [
    'a source of one large chunk',
    () => Download.source({ length: bytes.length, open: () => Readable.from([bytes]) }),
  ],
  ['a stream', () => Download.stream(pieces())],
  ['a stream of known length', () => Download.stream(pieces(), { length: bytes.length })],
];

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  let client: InstantClient;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterEach(() => void client.destroy());
  afterAll(() => app.close());

  it.each(CONTENTS.flatMap((row) => [false, true].map((isWrapped) => [...row, isWrapped] as const)))(
    'the event loop turns between any two chunks of %s that are taken at once',
    async (...row) => {
      const [content, isWrapped] = [row[1], row.at(-1) as boolean];
      const range = typeof row[2] === 'string' ? `Range: ${row[2]}\r\n` : '';
      app.serve((_request, response) => {
        if (isWrapped) {
          wrapWrite(response.raw ?? response);
        }
        return content();
      });
      client = new InstantClient(`GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${range}\r\n`);
      app.app.getHttpServer().emit('connection', client);
      await until(() => client.writableFinished, 'the end of the answer');
      const received = Buffer.concat(client.received);
      expect(received.length).toBeGreaterThan(range ? 3_900_000 : bytes.length);
      expect(client.turns.length).toBeGreaterThan(5);
      expect(new Set(client.turns).size).toBe(client.turns.length);
      expect(client.timerFired).toBe(true);
    },
  );

  it('the event loop turns where a stream gives nothing but empty chunks', async () => {
    let turns = 0;
    let given = 0;
    app.serve(() =>
      Download.stream(
        (async function* () {
          setImmediate(() => turns++);
          for (; given < 100_000 && turns === 0; given++) {
            yield Buffer.alloc(0);
          }
          yield bytes;
        })(),
      ),
    );
    client = new InstantClient('GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    app.app.getHttpServer().emit('connection', client);
    await until(() => client.writableFinished, 'the end of the answer');
    expect(given).toBeLessThan(100_000);
  });
});
