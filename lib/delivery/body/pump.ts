import { type ServerResponse } from 'node:http';
import { ChunkSize } from './chunk-size.js';
import { type DeliveryBody } from './delivery-body.js';

/**
 * Moves a body into a plain response: one chunk at a time, the next one read only when the kernel took the
 * last. Never rejects; a body that fails destroys the response.
 *
 * A write's callback can be lost when the client leaves. Whoever makes the body therefore destroys it when the
 * response closes: that ends the loop, and frees the descriptor.
 */
export async function pump(body: DeliveryBody, response: ServerResponse): Promise<void> {
  const size = new ChunkSize();
  try {
    while (!body.destroyed) {
      const chunk = await body.next(size.current, true);
      if (body.destroyed) {
        return;
      }
      if (body.isComplete) {
        finish(body, response, chunk);
        return;
      }
      if (chunk) {
        const start = performance.now();
        await write(body, response, chunk);
        size.took(chunk.length, performance.now() - start);
      }
    }
  } catch (error) {
    body.fail(error);
  }
}

/** Resolves when the kernel took the chunk; if the callback is lost, never, and the chunk's memory is not reused. */
function write(body: DeliveryBody, response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    body.source.lend?.();
    body.ledger.begin(chunk.length);
    response.write(chunk, (error) => {
      if (error) {
        // The client left: no failure of the content
        body.destroy();
        return;
      }
      body.source.written?.();
      try {
        body.ledger.advance(chunk.length);
        resolve();
      } catch (failure) {
        reject(failure instanceof Error ? failure : new Error(String(failure)));
      }
    });
  });
}

/**
 * Ends the body as a stream before the response: Fastify takes a body that has not ended when its response has
 * for one that broke off, and destroys the connection.
 */
function finish(body: DeliveryBody, response: ServerResponse, last: Uint8Array | undefined): void {
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
