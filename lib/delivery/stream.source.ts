import { Logger } from '@nestjs/common';
import { Readable } from 'node:stream';
import { nextTurn } from './body-reader.js';
import type { ByteSource } from './body-reader.js';
import type { ByteStream } from './download.js';

/** Starts reading at `start`; `end` is exclusive. */
export type OpenStream = (
  start: number,
  end: number,
  signal: AbortSignal,
) => ByteStream | Promise<ByteStream>;

/**
 * Milliseconds that a stream gets to end by itself after its last wanted byte, so that its connection can be
 * kept.
 */
const GRACE = 1000;
/**
 * Bytes up to which a chunk of the stream is passed on as it is: more would hold the event loop while it is
 * written.
 */
const LARGE = 256 * 1024;
/** One text for all, so that a log can group it. */
export const LONGER_THAN_ANNOUNCED =
  'The content of a download is longer than announced; it was cut at the announced length.';
const EMPTY = new Uint8Array(0);

/**
 * Bytes that come one after the other: of one stream, or of one stream per interval. Cuts what is longer than
 * announced, and says so in the log.
 */
export class StreamSource implements ByteSource {
  #logger = new Logger('DownloadDelivery');
  #abort = new AbortController();
  #current: { end: number; stream: ByteStream; iterator: AsyncIterator<unknown>; read: number } | undefined;
  #closed = false;
  /** What the stream gave beyond what was asked for at once. */
  #rest: Uint8Array = EMPTY;

  constructor(private readonly open: OpenStream) {}

  async read(position: number, end: number, size: number): Promise<Uint8Array> {
    if (this.#current?.end !== end || this.#current.read !== position) {
      await this.#start(position, end);
    }
    const current = this.#current;
    if (!current) {
      return EMPTY;
    }
    const bytes = this.#rest.length > 0 ? this.#rest : await nextBytes(current.iterator);
    const length = Math.min(bytes.length, Math.max(size, LARGE), end - position);
    this.#rest = bytes.subarray(length);
    current.read = position + length;
    if (current.read === end) {
      this.#finish();
    }
    return bytes.subarray(0, length);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#rest = EMPTY;
    if (this.#current) {
      this.#abort.abort();
      release(this.#current);
      this.#current = undefined;
    }
    return Promise.resolve();
  }

  async #start(start: number, end: number): Promise<void> {
    this.#finish();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    // Closing must reach an open() that is still under way
    const closing = (this.#current = {
      end,
      stream: NOTHING,
      iterator: NOTHING[Symbol.asyncIterator](),
      read: start,
    });
    const stream = await this.open(start, end, signal);
    if (this.#closed || this.#current !== closing) {
      release({ stream, iterator: stream[Symbol.asyncIterator]() });
      throw new Error('The download ended before its content was open.');
    }
    if (stream instanceof Readable) {
      // Its errors reach the iterator; one that comes after the iterator has let go must not end the process
      stream.on('error', () => {});
    }
    this.#current = { end, stream, iterator: stream[Symbol.asyncIterator](), read: start };
  }

  /**
   * Lets a stream that has given all its bytes end by itself; what it gives beyond them is noted and dropped.
   */
  #finish(): void {
    const current = this.#current;
    this.#current = undefined;
    if (!current) {
      return;
    }
    const isLonger = this.#rest.length > 0;
    this.#rest = EMPTY;
    if (isLonger) {
      this.#warn();
    }
    const abort = this.#abort;
    const stop = () => {
      clearTimeout(timer);
      abort.abort();
      release(current);
    };
    const timer = setTimeout(stop, GRACE).unref();
    current.iterator.next().then(({ done, value }) => {
      if (!done && !isLonger && toBytes(value).length > 0) {
        this.#warn();
      }
      if (done) {
        clearTimeout(timer);
      } else {
        stop();
      }
    }, stop);
  }

  #warn(): void {
    this.#logger.warn(LONGER_THAN_ANNOUNCED);
  }
}

const NOTHING: ByteStream = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
};

/**
 * The next bytes of the stream, none at its end. A stream may give any number of empty chunks, all at once.
 */
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

/** Not awaited: a generator that stalls would never answer. */
function release({ stream, iterator }: { stream: ByteStream; iterator: AsyncIterator<unknown> }): void {
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
