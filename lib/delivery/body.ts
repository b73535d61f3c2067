import { StreamableFile } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { BodyReader } from './body-reader.js';
import type { ByteSource, Chunk, Grant } from './body-reader.js';
import { wrappedFile } from './download.js';
import { logFailure } from './failure.js';
import type { BodyLayout } from './multipart.js';
import { firstChunk, isPlainResponse, pump } from './pump.js';

/** Bytes per read where the body is an ordinary stream, as Node's own file stream has it. */
const ORDINARY_CHUNK = 64 * 1024;

/** Counts the bytes of a body. */
export interface BodyObserver {
  /** As {@link DeliveryWatch.grant}; absent where every byte may be sent. */
  readonly grant?: Grant;
  /** The chunk is being written; not called for an ordinary stream. */
  writing(chunk: Chunk): void;
  /** The kernel took the chunk; of an ordinary stream, its reader did. */
  wrote(chunk: Chunk): void;
  /** Called once, with what made the body fail after its headers may have been sent. */
  fail(error: unknown): void;
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
  readonly reader: BodyReader;
  #isRead = false;

  constructor(
    layout: BodyLayout,
    source: ByteSource,
    readonly observer: BodyObserver,
  ) {
    super({ highWaterMark: ORDINARY_CHUNK });
    this.reader = new BodyReader(layout, source, observer.grant);
  }

  /**
   * Reads the first chunk.
   *
   * @param length of the body, bytes
   * @param response where it will go as far as can be seen
   */
  prime(length: number, response: ServerResponse): Promise<void> {
    return this.reader.prime(firstChunk(length), isPlainResponse(response));
  }

  /**
   * The client has left. A body that is not being read yet ends like an empty one: an interceptor may still
   * hold it back, and Fastify takes a destroyed body for an error that has to be answered and logged.
   */
  abandon(): void {
    if (this.#isRead) {
      this.destroy();
      return;
    }
    void this.reader.close().catch(logFailure);
    this.push(null);
    this.resume();
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    // What was read before may still be held by its reader: its memory must not be reused
    const mayReuse = !this.#isRead;
    this.#isRead = true;
    if (mayReuse && options?.end !== false && isPlainResponse(destination)) {
      void pump(this, destination);
      return destination;
    }
    try {
      // Of an empty body, Node says the length when it ends
      if (!this.reader.isEmpty) {
        sendHeaders(destination);
      }
    } catch (error) {
      this.fail(error);
      return destination;
    }
    return super.pipe(destination, options);
  }

  override _read(): void {
    this.#isRead = true;
    const { reader, observer } = this;
    void reader
      .next(ORDINARY_CHUNK, false)
      .then((chunk) => {
        if (!this.destroyed) {
          this.push(chunk?.bytes ?? null);
          if (chunk) {
            observer.wrote(chunk);
          }
        }
      })
      .catch((error: unknown) => this.fail(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // An error of closing would have no listener once the client has left, and end the process
    void this.reader
      .close()
      .catch(logFailure)
      .then(() => callback(error));
  }

  /** The body cannot go on; a client must not take what it has for the whole. */
  fail(error: unknown): void {
    if (!this.destroyed) {
      this.observer.fail(error);
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/**
 * Sends the headers now, where the caller can catch what Node or a listener thinks of them: thrown at the
 * first write of a stream, it would be uncaught and end the process.
 */
function sendHeaders(destination: NodeJS.WritableStream): void {
  const { headersSent, flushHeaders } = destination as Partial<ServerResponse>;
  if (headersSent === false) {
    flushHeaders?.call(destination);
  }
}

/**
 * What Nest sends: the body, and the headers, which are set when Nest asks for them. The type is left to
 * Nest: set on Express' own response, it would get a charset.
 */
export class DeliveredFile extends StreamableFile {
  readonly #type: string | undefined;
  #writeHeaders: (() => void) | undefined;

  /**
   * @param body undefined: none, as for HEAD and 304
   * @param type undefined: no `Content-Type`
   * @param writeHeaders sets status and headers; called once, and not where something else is sent
   */
  constructor(body: Readable | undefined, type: string | undefined, writeHeaders: () => void) {
    super(body ?? empty());
    this.#type = type;
    this.#writeHeaders = writeHeaders;
    // A body that fails destroys the response itself and logs why
    this.setErrorHandler((_error, response) => response.destroy?.());
    this.setErrorLogger(() => {});
  }

  override getHeaders(): ReturnType<StreamableFile['getHeaders']> {
    const writeHeaders = this.#writeHeaders;
    this.#writeHeaders = undefined;
    writeHeaders?.();
    return { type: this.#type as string, disposition: undefined, length: undefined };
  }

  /** @throws DownloadAuthConfigurationError a file that became part of something else cannot be sent */
  toJSON(): never {
    throw wrappedFile();
  }
}

function empty(): Readable {
  return new Readable({
    read() {
      this.push(null);
    },
  });
}
