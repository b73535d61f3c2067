import { type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { logFailure } from '../delivery-failure.js';
import { type BodyLayout } from '../multipart-byteranges.js';
import { type ByteSource } from './byte-source.js';
import { firstChunk } from './chunk-size.js';
import { isPlainResponse } from './plain-response.js';
import { pump } from './pump.js';
import { type SentLedger } from './sent-ledger.js';

/** Bytes per read where the body is an ordinary stream, as Node's own file stream has it. */
const ORDINARY_CHUNK = 64 * 1024;

/** What a body that ends before its announced length fails with. */
export class TruncatedContentError extends Error {
  constructor(missing: number) {
    super(`The content of a download ended ${missing} bytes early.`);
    this.name = 'TruncatedContentError';
  }
}

/** What a body needs beside its bytes. */
export interface DeliveryBodyOptions {
  readonly layout: BodyLayout;
  readonly source: ByteSource;
  readonly ledger: SentLedger;
  /** Reuse one buffer where the response is a plain one. */
  readonly fastPath: boolean;
  /** Called once, with what made the body fail after its headers may have been sent. */
  readonly failed: (error: unknown) => void;
}

/**
 * The body of an answer as Nest's adapters and Fastify expect it: a Readable.
 *
 * Piped into a plain `ServerResponse` it takes over: it reads into one buffer, writes it, waits until the
 * kernel took it, reads again. What costs CPU in an ordinary file stream is that every chunk is a fresh
 * allocation, which drives the garbage collector into full collections. Piped anywhere else, or read in
 * any other way, it is an ordinary stream whose chunks belong to the reader.
 */
export class DeliveryBody extends Readable {
  readonly #options: DeliveryBodyOptions;
  #segment = 0;
  #offset = 0;
  #left: number;
  #primed: Uint8Array | undefined;

  constructor(options: DeliveryBodyOptions) {
    super({ highWaterMark: ORDINARY_CHUNK });
    this.#options = options;
    this.#left = options.layout.length;
  }

  /** Every byte was read; what was read last may still have to be written. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  get ledger(): SentLedger {
    return this.#options.ledger;
  }

  get source(): ByteSource {
    return this.#options.source;
  }

  /**
   * Reads the first chunk, so that content which cannot be read becomes an error answer instead of headers
   * and a broken connection.
   *
   * @param reuse the response is a plain one as far as can be seen
   */
  async prime(reuse: boolean): Promise<void> {
    this.#primed = await this.#take(firstChunk(this.#left), reuse && this.#options.fastPath);
  }

  /** The next chunk, undefined at the end of a body of unknown length. */
  async next(size: number, reuse: boolean): Promise<Uint8Array | undefined> {
    const primed = this.#primed;
    this.#primed = undefined;
    return primed ?? (await this.#take(size, reuse));
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    if (this.#options.fastPath && options?.end !== false && isPlainResponse(destination)) {
      void pump(this, destination);
      return destination;
    }
    const isEmpty = this.isComplete && !this.#primed;
    try {
      // Of an empty body, Node says the length when it ends
      if (!isEmpty) {
        sendHeaders(destination);
      }
    } catch (error) {
      this.fail(error);
      return destination;
    }
    return super.pipe(destination, options);
  }

  override _read(): void {
    this.#options.source.giveAway?.();
    void this.next(ORDINARY_CHUNK, false)
      .then((chunk) => {
        if (!this.destroyed) {
          this.push(chunk ?? null);
          this.#options.ledger.advance(chunk?.length ?? 0);
        }
      })
      .catch((error: unknown) => this.fail(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#primed = undefined;
    // What was sent is sent: an error here would reach nobody where the client has left, and end the process
    void this.#options.source
      .close()
      .catch(logFailure)
      .then(() => callback(error));
  }

  /** The body cannot go on; a client must not take what it has for the whole. */
  fail(error: unknown): void {
    if (!this.destroyed) {
      this.#options.failed(error);
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #take(size: number, reuse: boolean): Promise<Uint8Array | undefined> {
    const { layout, source } = this.#options;
    const segment = layout.segments[this.#segment];
    // Nothing is left, too, where the first chunk showed a body of unknown length to be empty
    if (!segment || this.destroyed || this.#left === 0) {
      return undefined;
    }
    if (Buffer.isBuffer(segment)) {
      this.#advance(segment.length, segment.length);
      return segment;
    }
    const length = segment.end - segment.start;
    const chunk = await source.read(segment.start + this.#offset, segment.end, size, reuse);
    if (chunk.length === 0) {
      if (this.#left !== Infinity) {
        throw new TruncatedContentError(this.#left);
      }
      this.#left = 0;
      return undefined;
    }
    this.#advance(chunk.length, length);
    return chunk;
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

/**
 * Sends the headers now, where who calls can catch what Node or a listener thinks of them: thrown at the first write
 * of a stream, it would reach nobody and end the process.
 */
function sendHeaders(destination: NodeJS.WritableStream): void {
  const { headersSent, flushHeaders } = destination as Partial<ServerResponse>;
  if (headersSent === false) {
    flushHeaders?.call(destination);
  }
}
