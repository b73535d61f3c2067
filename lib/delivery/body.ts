import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { BodyReader, ChunkSize } from './body-reader.js';
import type { ByteSource, Chunk } from './body-reader.js';
import { logFailure } from './failure.js';
import type { BodyLayout } from './multipart.js';
import { isPlainResponse } from './plain-response.js';
import type { DeliveryRun } from './run.js';

/** Bytes per read where the body is an ordinary stream, as Node's own file stream has it. */
const ORDINARY_CHUNK = 64 * 1024;

/**
 * The body of an answer as Nest's adapters and Fastify expect it: a Readable.
 *
 * Piped into a plain `ServerResponse` it takes over: it reads into one buffer, writes it, waits until the
 * kernel took it, reads again. In an ordinary file stream every chunk is a fresh allocation, which drives the
 * garbage collector into full collections. Read in any other way, it is an ordinary stream.
 */
export class DeliveryBody extends Readable {
  readonly reader: BodyReader;
  #isRead = false;

  constructor(
    layout: BodyLayout,
    source: ByteSource,
    private readonly run: Pick<DeliveryRun, 'inContext' | 'grant' | 'writing' | 'wrote' | 'read' | 'fail'>,
  ) {
    super({ highWaterMark: ORDINARY_CHUNK });
    this.reader = new BodyReader(layout, source, run.grant);
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
    this.#endAsStream();
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    // What was read before may still be held by its reader: its memory must not be reused
    const mayReuse = !this.#isRead;
    if (mayReuse && options?.end !== false && isPlainResponse(destination)) {
      this.#isRead = true;
      if (this.reader.isEmpty) {
        this.#finish(destination, undefined);
      } else {
        void this.run.inContext(() => this.#pump(destination));
      }
      return destination;
    }
    this.#isRead = true;
    const { headersSent, flushHeaders } = destination as NodeJS.WritableStream as Partial<ServerResponse>;
    // Of an empty body, Node says the length when it ends
    if (headersSent === false && !this.reader.isEmpty) {
      try {
        flushHeaders?.call(destination);
      } catch (error) {
        // What Node or a listener thinks of the headers; thrown at the first write, it would end the process
        this.#fail(error);
        return destination;
      }
    }
    return super.pipe(destination, options);
  }

  override _read(): void {
    this.#isRead = true;
    const pushing = this.run.inContext(() => this.#pushNext());
    void pushing.catch((error: unknown) => this.#fail(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // An error of closing would have no listener once the client has left, and end the process
    void this.reader
      .close()
      .catch(logFailure)
      .then(() => callback(error));
  }

  async #pushNext(): Promise<void> {
    const chunk = await this.reader.next(ORDINARY_CHUNK, false);
    if (this.destroyed) {
      return;
    }
    this.push(chunk?.bytes ?? null);
    if (chunk) {
      this.run.wrote(chunk);
    } else {
      this.run.read();
    }
  }

  /**
   * Moves the body into a plain response; the next chunk is read only when the kernel took the last. A
   * write's callback can be lost when the client leaves; the body is destroyed then, which ends the loop.
   */
  async #pump(response: ServerResponse): Promise<void> {
    const { reader } = this;
    const size = new ChunkSize();
    try {
      while (!this.destroyed) {
        const chunk = await reader.next(size.current, true);
        if (this.destroyed) {
          return;
        }
        if (reader.isComplete || !chunk) {
          this.#finish(response, chunk);
          return;
        }
        const start = performance.now();
        await this.#write(response, chunk);
        size.took(chunk.bytes.length, performance.now() - start);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves when the kernel took the chunk. If the callback is lost, the memory must not be reused. */
  #write(response: ServerResponse, chunk: Chunk): Promise<void> {
    return new Promise((resolve) => {
      this.run.writing(chunk);
      response.write(chunk.bytes, (error) => {
        if (error) {
          // The client left: the content did not fail
          this.destroy();
        } else {
          this.run.wrote(chunk);
          resolve();
        }
      });
    });
  }

  /**
   * Ends the body as a stream before the response: Fastify takes a body that has not ended when its response
   * has for one that broke off, and destroys the connection.
   */
  #finish(response: ServerResponse, last: Chunk | undefined): void {
    this.run.read();
    this.once('end', () => {
      try {
        if (!last) {
          response.end();
          return;
        }
        this.run.writing(last);
        response.end(last.bytes, () => this.run.wrote(last));
      } catch (error) {
        // Node judges the headers here, or a listener that waited for them fails
        this.#fail(error);
      }
    });
    this.#endAsStream();
  }

  #endAsStream(): void {
    this.push(null);
    this.resume();
  }

  /** Destroyed only once the connection is: until then, Fastify answers for a body that failed. */
  #fail(error: unknown): void {
    if (!this.destroyed) {
      this.run.fail(error);
    }
  }
}
