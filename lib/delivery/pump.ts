import { OutgoingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { BodyReader, Chunk } from './body-reader.js';

const KIB = 1024;

/** Bytes of the first chunks: 500 clients that read slowly cost 16 MiB. */
const SMALLEST_CHUNK = 32 * KIB;
/**
 * A whole body of up to this many bytes is one chunk: a second one would cost more than the memory is worth.
 */
const ONE_CHUNK = 64 * KIB;
/** Bytes beyond which larger chunks save no more CPU. */
const LARGEST_CHUNK = 512 * KIB;
/**
 * A client that has taken this many bytes is worth a larger buffer. More than socket buffers hold as a rule.
 */
const SLOW_START = 8 * KIB * KIB;
/** Milliseconds for one chunk: up to the first it may grow, over the second it shrinks. */
const QUICK = 50;
const SLOW = 200;

/** As they were when this module was loaded: whoever replaces them later is noticed. */
const originalWrite: unknown = Reflect.get(OutgoingMessage.prototype, 'write');
const originalEnd: unknown = Reflect.get(OutgoingMessage.prototype, 'end');

/** What the pump needs of a body: the stream that the adapters see, its bytes, and who keeps account. */
interface PumpedBody extends Readable {
  readonly reader: BodyReader;
  readonly observer: { writing(chunk: Chunk): void; wrote(chunk: Chunk): void };
  fail(error: unknown): void;
}

/**
 * Whether the callback of `write` means that the kernel took the bytes: Node's own HTTP/1 response with its
 * own methods, over TCP or TLS. A compression middleware replaces `write` and may keep the chunk or never
 * call back; HTTP/2 has another class.
 */
export function isPlainResponse(destination: unknown): destination is ServerResponse {
  return (
    destination instanceof ServerResponse &&
    Reflect.get(destination, 'write') === originalWrite &&
    Reflect.get(destination, 'end') === originalEnd
  );
}

/** Bytes of the first chunk of a body. */
export function firstChunk(bodyLength: number): number {
  return bodyLength <= ONE_CHUNK ? ONE_CHUNK : SMALLEST_CHUNK;
}

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

/**
 * Moves a body into a plain response: one chunk at a time, the next one read only when the kernel took the
 * last. Never rejects; a body that fails destroys the response.
 *
 * A write's callback can be lost when the client leaves. Whoever makes the body therefore destroys it when
 * the response closes: that ends the loop, and frees the descriptor.
 */
export async function pump(body: PumpedBody, response: ServerResponse): Promise<void> {
  const { reader } = body;
  const size = new ChunkSize();
  try {
    while (!body.destroyed) {
      const chunk = await reader.next(size.current, true);
      if (body.destroyed) {
        return;
      }
      if (reader.isComplete || !chunk) {
        finish(body, response, chunk);
        return;
      }
      const start = performance.now();
      await write(body, response, chunk);
      size.took(chunk.bytes.length, performance.now() - start);
    }
  } catch (error) {
    body.fail(error);
  }
}

/**
 * Resolves when the kernel took the chunk; if the callback is lost, never, and the chunk's memory is not
 * reused.
 */
function write(body: PumpedBody, response: ServerResponse, chunk: Chunk): Promise<void> {
  return new Promise((resolve, reject) => {
    body.observer.writing(chunk);
    response.write(chunk.bytes, (error) => {
      if (error) {
        // The client left: the content did not fail
        body.destroy();
        return;
      }
      try {
        body.observer.wrote(chunk);
        resolve();
      } catch (failure) {
        reject(failure instanceof Error ? failure : new Error(String(failure)));
      }
    });
  });
}

/**
 * Ends the body as a stream before the response: Fastify takes a body that has not ended when its response
 * has for one that broke off, and destroys the connection.
 */
function finish(body: PumpedBody, response: ServerResponse, last: Chunk | undefined): void {
  body.once('end', () => {
    if (last) {
      write(body, response, last).catch((error: unknown) => body.fail(error));
    }
    try {
      // In one go with the chunk: a small file is one system call
      response.end();
    } catch (error) {
      // Node judges the headers here, or a listener that waited for them fails: nobody above would catch it
      body.fail(error);
    }
  });
  body.push(null);
  body.resume();
}
