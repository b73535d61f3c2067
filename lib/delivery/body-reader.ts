import type { BodyLayout } from './multipart.js';
import type { ByteInterval } from './byte-range.js';

/**
 * Where the bytes of a body come from. Reads do not overlap: the next one starts after the last has settled.
 */
export interface ByteSource {
  /** Every read goes through the thread pool, so that the event loop polls in between. */
  readonly inPool?: boolean;
  /**
   * The next bytes at `position`: at least one, never past `end`, at most `size`; none where the content ends
   * early.
   *
   * @param end of the interval being sent, exclusive; Infinity where only the end of the stream tells
   * @param reuse the caller is done with the bytes before it reads again: the source may reuse their memory
   */
  read(position: number, end: number, size: number, reuse: boolean): Promise<Uint8Array>;
  /**
   * Frees whatever is held; resolves when it is free. Safe to call more than once, and while a read is under
   * way.
   */
  close(): Promise<void>;
}

/** Bytes of a body in the order in which they are sent. */
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

/** Reads a body segment by segment, and lets the event loop poll between any two chunks. */
export class BodyReader {
  #segment = 0;
  #offset = 0;
  #left: number;
  #hasRead = false;
  /** Bytes that were read and may not be sent yet. */
  #held: Uint8Array | undefined;
  #primed: Chunk | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    private readonly layout: BodyLayout,
    readonly source: ByteSource,
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
  async prime(size: number, reuse: boolean): Promise<void> {
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
    return primed ?? (await this.#take(size, reuse));
  }

  close(): Promise<void> {
    this.#primed = undefined;
    this.#closed ??= this.source.close();
    return this.#closed;
  }

  async #take(size: number, reuse: boolean): Promise<Chunk | undefined> {
    const segment = this.layout.segments[this.#segment];
    if (this.#hasRead && !(this.source.inPool && !Buffer.isBuffer(segment))) {
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
    if (this.source.inPool && isTurnFull()) {
      // Reads of many downloads complete together, and each is followed by a write.
      await nextTurn();
    }
    const bytes = this.grant ? await this.#granted(read, this.grant) : read;
    if (bytes.length === 0) {
      if (this.#left !== Infinity) {
        throw new TruncatedContentError(this.#left);
      }
      this.#left = 0;
      return undefined;
    }
    this.#advance(bytes.length, segment.end - segment.start);
    return { bytes, interval: { start, end: start + bytes.length } };
  }

  /** What of the bytes may be sent; does not settle where nothing may, as the connection is broken then. */
  async #granted(bytes: Uint8Array, grant: Grant): Promise<Uint8Array> {
    this.#held = undefined;
    if (bytes.length === 0) {
      return bytes;
    }
    const answer = grant(bytes.length);
    const granted = typeof answer === 'number' ? answer : await answer;
    if (granted === 0) {
      return new Promise<never>(() => {});
    }
    if (granted < bytes.length) {
      this.#held = bytes.subarray(granted);
    }
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

/** Milliseconds of one turn of the event loop that all bodies together may take. */
const SHARE = 2;

const waiting: (() => void)[] = [];
/** When the bodies' share of this turn is used up; 0 before the first of them ran. */
let shareEnds = 0;

/**
 * Resolves after the event loop has polled. A body that never waits for I/O (its bytes are in memory, its
 * client takes them at once) would otherwise run in microtasks only and keep every other request waiting.
 * Bodies that wait here take turns, and share {@link SHARE} of each turn.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    setImmediate(admit);
  });
}

/** Whether the bodies have used up their share of this turn, or others wait already. */
function isTurnFull(): boolean {
  return waiting.length > 0 || isShareUsed();
}

function isShareUsed(): boolean {
  const now = performance.now();
  if (shareEnds === 0) {
    shareEnds = now + SHARE;
    setImmediate(() => (shareEnds = 0));
  }
  return now > shareEnds;
}

/** Runs once for each of {@link waiting}, and what it resolves runs before the next call. */
function admit(): void {
  if (isShareUsed()) {
    setImmediate(admit);
  } else {
    waiting.shift()?.();
  }
}
