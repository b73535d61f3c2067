import type { ByteInterval } from './byte-range.js';
import type { BodyLayout } from './multipart.js';
import { isTurnFull, nextTurn } from './turns.js';

/** Where the bytes of a body come from. Reads do not overlap. */
export interface ByteSource {
  /** The next read goes through the thread pool, so that the event loop polls in between. */
  readonly inPool?: boolean;
  /**
   * The next bytes at `position`: at least one, never past `end`; none where the content ends early.
   *
   * @param end of the interval being sent, exclusive; Infinity where only the end of the stream tells
   * @param reuse the caller is done with the bytes before it reads again or calls {@link free}: the source
   *   may reuse their memory
   */
  read(position: number, end: number, size: number, reuse: boolean): Promise<Uint8Array>;
  /** The answer has ended: the memory of what was read may be reused. */
  free?(): void;
  /** Reads no more. Safe to call more than once, and while a read is under way. */
  close(): Promise<void>;
}

export interface Chunk {
  readonly bytes: Uint8Array;
  /** Which bytes of the representation they are; undefined for multipart framing. */
  readonly interval?: ByteInterval;
}

/** How many of the next bytes may be sent; 0 where the connection is about to be broken. */
export type Grant = (bytes: number) => number | Promise<number>;

/** What a body that ends before its announced length fails with. */
export class TruncatedContentError extends Error {
  /** @param missing bytes that were announced and not there */
  constructor(readonly missing: number) {
    super('The content of a download ended before its announced length.');
    this.name = 'TruncatedContentError';
  }
}

const KIB = 1024;
/** Bytes of the first chunks: 500 clients that read slowly cost 16 MiB. */
const SMALLEST_CHUNK = 32 * KIB;
/** A body of up to this many bytes is one chunk: a second one would cost more than the memory is worth. */
const ONE_CHUNK = 64 * KIB;

/** Reads a body segment by segment, and lets the event loop poll between any two chunks. */
export class BodyReader {
  #segment = 0;
  #offset = 0;
  #left: number;
  #hasRead = false;
  /** Bytes that were read and may not be sent yet. */
  #held: Uint8Array | undefined;
  #primed: Chunk | undefined;
  /** The memory of {@link #primed} is used again. */
  #isLent = false;
  #closed: Promise<void> | undefined;

  constructor(
    private readonly layout: BodyLayout,
    private readonly source: ByteSource,
    private readonly grant?: Grant,
  ) {
    this.#left = layout.length;
  }

  /** Every byte was read; what was read last may still have to be written. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  get isEmpty(): boolean {
    return this.isComplete && !this.#primed;
  }

  /** Reads the first chunk, so that content which cannot be read becomes an error answer. */
  async prime(reuse: boolean): Promise<void> {
    const size = this.layout.length <= ONE_CHUNK ? ONE_CHUNK : SMALLEST_CHUNK;
    this.#isLent = reuse;
    this.#primed = await this.#take(size, reuse);
  }

  /**
   * The next chunk; undefined at the end of a body of unknown length, and after {@link close}.
   *
   * @throws TruncatedContentError where the content ends early; what the source throws
   */
  async next(size: number, reuse: boolean): Promise<Chunk | undefined> {
    const primed = this.#primed;
    this.#primed = undefined;
    if (!primed) {
      return this.#take(size, reuse);
    }
    return this.#isLent && !reuse ? { ...primed, bytes: Buffer.from(primed.bytes) } : primed;
  }

  close(): Promise<void> {
    this.#primed = undefined;
    this.#closed ??= this.source.close();
    return this.#closed;
  }

  async #take(size: number, reuse: boolean): Promise<Chunk | undefined> {
    const segment = this.layout.segments[this.#segment];
    const { inPool } = this.source;
    if (this.#hasRead && (!inPool || Buffer.isBuffer(segment))) {
      await nextTurn();
    }
    this.#hasRead = true;
    if (!segment || this.#closed || this.#left === 0) {
      return undefined;
    }
    if (Buffer.isBuffer(segment)) {
      this.#advance(segment.length, segment.length);
      return { bytes: segment };
    }
    const start = segment.start + this.#offset;
    const read = this.#held ?? (await this.source.read(start, segment.end, size, reuse));
    if (inPool && isTurnFull()) {
      // Reads of many downloads complete together, and each is followed by a write
      await nextTurn();
    }
    if (read.length === 0) {
      if (this.#left !== Infinity) {
        throw new TruncatedContentError(this.#left);
      }
      this.#left = 0;
      return undefined;
    }
    const bytes = this.grant ? await this.#granted(read, this.grant) : read;
    this.#advance(bytes.length, segment.end - segment.start);
    return { bytes, interval: { start, end: start + bytes.length } };
  }

  /** What of the bytes may be sent; does not settle where nothing may, as the connection is broken then. */
  async #granted(bytes: Uint8Array, grant: Grant): Promise<Uint8Array> {
    const granted = await grant(bytes.length);
    if (granted === 0) {
      return new Promise<never>(() => {});
    }
    this.#held = granted < bytes.length ? bytes.subarray(granted) : undefined;
    return bytes.subarray(0, granted);
  }

  #advance(count: number, length: number): void {
    this.#left -= count;
    this.#offset += count;
    if (this.#offset === length) {
      this.#segment++;
      this.#offset = 0;
    }
  }
}

/** Bytes beyond which larger chunks save no more CPU. */
const LARGEST_CHUNK = 512 * KIB;
/** A client that has taken this many bytes, more than socket buffers hold, is worth a larger buffer. */
const SLOW_START = 8 * KIB * KIB;
/** Milliseconds for one chunk: up to the first it may grow, over the second it shrinks. */
const QUICK = 50;
const SLOW = 200;

/**
 * How much to read and write at once: 32 KiB until 8 MiB are sent, then doubling up to 512 KiB, halved
 * whenever a chunk took long. Memory per download stays small for slow clients, CPU per byte for fast ones.
 */
export class ChunkSize {
  #sent = 0;
  #current = SMALLEST_CHUNK;

  get current(): number {
    return this.#current;
  }

  /** @param milliseconds from the write to its callback */
  took(bytes: number, milliseconds: number): void {
    this.#sent += bytes;
    if (milliseconds > SLOW) {
      this.#current = Math.max(SMALLEST_CHUNK, this.#current / 2);
    } else if (milliseconds <= QUICK && this.#sent >= SLOW_START) {
      this.#current = Math.min(LARGEST_CHUNK, this.#current * 2);
    }
  }
}
