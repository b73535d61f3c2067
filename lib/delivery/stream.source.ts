import { Logger } from '@nestjs/common';
import { Readable } from 'node:stream';
import type { ByteSource } from './body-reader.js';
import type { ByteStream } from './download-options.js';
import { nextTurn } from './turns.js';

/** `end` is exclusive. */
type OpenStream = (start: number, end: number, signal: AbortSignal) => ByteStream | Promise<ByteStream>;

/** Milliseconds in which a stream that gave all bytes may end by itself: its connection can be kept. */
const GRACE = 1000;
/** Bytes up to which a chunk of the stream is passed on whole: writing more would hold the event loop. */
const LARGE = 256 * 1024;
/** One text for all, so that a log can group it. */
export const LONGER_THAN_ANNOUNCED =
  'The content of a download is longer than announced; it was cut at the announced length.';
const EMPTY = new Uint8Array(0);

interface Part {
  readonly end: number;
  readonly abort: AbortController;
  readonly stream: ByteStream;
  readonly iterator: AsyncIterator<unknown>;
  /** Position of the next byte. */
  position: number;
  /** What the stream gave beyond what was asked for at once. */
  rest: Uint8Array;
}

/**
 * Bytes that come one after the other: of one stream, or of one stream per interval. Cuts what is longer than
 * announced, and says so in the log.
 */
export class StreamSource implements ByteSource {
  #part: Part | undefined;
  /** Reaches an `open()` that is still under way. */
  #opening = new AbortController();
  #isClosed = false;

  /** @param unopened released where nothing is read */
  constructor(
    private readonly open: OpenStream,
    private unopened?: ByteStream,
  ) {}

  async read(position: number, end: number, size: number): Promise<Uint8Array> {
    if (this.#part?.end !== end || this.#part.position !== position) {
      this.#finish();
      this.#part = await this.#start(position, end);
    }
    const part = this.#part;
    const bytes = part.rest.length > 0 ? part.rest : await nextBytes(part.iterator);
    const length = Math.min(bytes.length, Math.max(size, LARGE), end - position);
    part.rest = bytes.subarray(length);
    part.position += length;
    if (part.position === end) {
      this.#finish();
    }
    return bytes.subarray(0, length);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#opening.abort();
    if (this.#part) {
      stop(this.#part);
      this.#part = undefined;
    }
    if (this.unopened) {
      release(this.unopened);
      this.unopened = undefined;
    }
    return Promise.resolve();
  }

  async #start(position: number, end: number): Promise<Part> {
    const abort = (this.#opening = new AbortController());
    const stream = await this.open(position, end, abort.signal);
    this.unopened = undefined;
    if (this.#isClosed) {
      release(stream);
      throw new Error('The download ended before its content was open.');
    }
    if (stream instanceof Readable) {
      // Its errors reach the iterator; one that comes after the iterator has let go must not end the process
      stream.on('error', () => {});
    }
    return { end, abort, stream, iterator: stream[Symbol.asyncIterator](), position, rest: EMPTY };
  }

  /** Lets a stream that gave all its bytes end by itself; what it gives beyond them is noted and dropped. */
  #finish(): void {
    const part = this.#part;
    this.#part = undefined;
    if (!part) {
      return;
    }
    // Closing no longer concerns this stream
    this.#opening = new AbortController();
    const isLonger = part.rest.length > 0;
    if (isLonger) {
      warnOfLength();
    }
    const timer = setTimeout(() => stop(part), GRACE).unref();
    void part.iterator
      .next()
      .then(({ done, value }) => {
        if (!done && !isLonger && toBytes(value).length > 0) {
          warnOfLength();
        }
        return done;
      })
      .catch(() => false)
      .then((done) => {
        clearTimeout(timer);
        if (!done) {
          stop(part);
        }
      });
  }
}

function warnOfLength(): void {
  new Logger('DownloadDelivery').warn(LONGER_THAN_ANNOUNCED);
}

/** The next bytes, none at the end. A stream may give any number of empty chunks, all at once. */
async function nextBytes(iterator: AsyncIterator<unknown>): Promise<Uint8Array> {
  for (;;) {
    const { done, value } = (await iterator.next()) as IteratorResult<unknown, unknown>;
    const bytes = done ? EMPTY : toBytes(value);
    if (done || bytes.length > 0) {
      return bytes;
    }
    await nextTurn();
  }
}

function stop({ abort, stream, iterator }: Part): void {
  abort.abort();
  release(stream, iterator);
}

/** Not awaited: a generator that stalls would never answer. */
function release(
  stream: ByteStream,
  iterator: AsyncIterator<unknown> = stream[Symbol.asyncIterator](),
): void {
  if (stream instanceof Readable) {
    stream.on('error', () => {});
    stream.destroy();
  }
  Promise.resolve(iterator.return?.()).catch(() => {});
}

function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === 'string') {
    return Buffer.from(chunk);
  }
  if (chunk instanceof Uint8Array) {
    return chunk;
  }
  throw new TypeError(
    `A download is made of Buffers, Uint8Arrays or strings; its content gave ${typeof chunk}.`,
  );
}
