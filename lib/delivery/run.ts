import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ResponsePort } from '../http/response-port.js';
import { Bag } from '../shared/bag.js';
import type { ByteInterval } from './byte-range.js';
import type { Chunk } from './body-reader.js';
import { logFailure } from './failure.js';
import type { FailureHooks } from './failure.js';
import { watchStall } from './stall.js';
import type { DeliveryOutcome, DeliveryWatch } from './watch.js';

/** One delivery from its decision to its end: tells once how it ended, and lets it be stopped. */
export class DeliveryRun {
  readonly grant: DeliveryWatch['grant'];
  /** Settles when the client has left or has everything; never rejects. */
  readonly gone: Promise<void>;
  readonly #abort = () => this.port.destroy();
  /**
   * Private fields are set outside of the constructor: V8 keeps what closures made in there refer to, here
   * whole requests, in memory until a full collection.
   */
  readonly #context = new AsyncResource('Download');
  #error: unknown;
  #reason: 'stalled' | undefined;
  #hasEnded = false;
  /** The end of a content of unknown length was reached. */
  #isRead = false;
  /** Bytes of the representation that were sent; framing does not count. */
  #bytes = 0;
  /** Bytes whose writing has begun and not ended. */
  #writing: ByteInterval | undefined;

  /**
   * @param content bytes of the representation that are to be sent
   * @param ended called once, whatever became of the answer
   */
  constructor(
    private readonly port: ResponsePort,
    private readonly status: number,
    private readonly content: number,
    private readonly watch: DeliveryWatch,
    private readonly hooks: FailureHooks,
    private readonly ended?: (outcome: DeliveryOutcome) => void,
  ) {
    this.grant = watch.grant?.bind(watch);
    this.gone = new Promise((resolve) => {
      onResponseClose(port.raw, () => {
        this.inContext(() => this.#end());
        resolve();
      });
    });
    watch.signal?.addEventListener('abort', this.#abort, { once: true });
    if (watch.signal?.aborted) {
      this.#abort();
    }
  }

  /** Calls the application in its AsyncLocalStorage, which events of the connection do not have. */
  inContext<T>(call: () => T): T {
    return this.#context.runInAsyncScope(call);
  }

  /** Destroys the connection of a client that takes no byte for so many seconds. */
  watchStall(seconds: number): void {
    const stalled = () => {
      this.#reason = 'stalled';
      this.port.destroy();
    };
    watchStall(this.port.raw, seconds, () => this.#bytes, stalled);
  }

  /** The chunk is being written; not called for an ordinary stream. */
  writing({ interval }: Chunk): void {
    this.#writing = interval;
  }

  /** The kernel took the chunk; of an ordinary stream, its reader did. */
  wrote({ interval }: Chunk): void {
    this.#writing = undefined;
    if (interval) {
      this.#bytes += interval.end - interval.start;
      try {
        this.watch.sent?.(interval.start, interval.end);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  /** The whole content was read. */
  read(): void {
    this.#isRead = true;
  }

  /** The content failed after the answer began: the client must see that, and the log says why. */
  fail(error: unknown): void {
    if (this.#error !== undefined) {
      return;
    }
    this.#error = error;
    this.hooks.report(error);
    this.hooks.handle(error);
    this.port.destroy();
  }

  /** The content failed before the answer began; an error is answered instead. */
  cancel(error: unknown): void {
    this.#error ??= error;
    this.#end();
  }

  #end(): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    this.watch.signal?.removeEventListener('abort', this.#abort);
    const { raw } = this.port;
    const hasAll = this.content === Infinity ? this.#isRead : this.#bytes === this.content;
    const isSent = raw.writableFinished && raw.statusCode === this.status;
    const outcome: DeliveryOutcome = {
      status: raw.statusCode,
      completed: this.#error === undefined && hasAll && isSent,
      bytes: this.#bytes,
      unconfirmed: this.#writing && [this.#writing],
      reason: this.#reason,
      error: this.#error,
    };
    try {
      this.watch.ended?.(outcome);
    } catch (error) {
      // Uncaught, it would end the process
      logFailure(error);
    }
    this.ended?.(outcome);
  }
}

/** Responses of a connection that wait for their turn; one listener each would be too many for pipelining. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `listener`, perhaps twice, when the response has closed, as it does after it finished or failed, or
 * when its connection has, which the response of a pipelined request does not notice while it waits.
 */
function onResponseClose(response: ServerResponse, listener: () => void): void {
  const socket = (response as { req?: IncomingMessage }).req?.socket;
  if (response.destroyed || response.closed || socket?.destroyed) {
    process.nextTick(listener);
    return;
  }
  const settle = () => {
    if (socket) {
      waiting.get(socket)?.delete(settle);
    }
    listener();
  };
  // Nest and Fastify come to ten listeners, beyond which Node warns of a leak; an error tracker adds its own
  const most = response.getMaxListeners();
  response.setMaxListeners(most === 0 ? 0 : most + 3);
  response.once('close', settle);
  if (!response.socket && typeof socket?.once === 'function') {
    (waiting.get(socket) ?? watchSocket(socket)).add(settle);
  }
}

function watchSocket(socket: Socket): Set<() => void> {
  const listeners = new Set<() => void>();
  waiting.set(socket, listeners);
  socket.once('close', () => {
    waiting.delete(socket);
    for (const settle of [...listeners]) {
      settle();
    }
  });
  return listeners;
}

/** The answers that are being delivered, so that an application that ends waits for them only so long. */
export class RunningDeliveries {
  private readonly running = new Bag<ServerResponse>();
  private isOver = false;

  add(response: ServerResponse): void {
    if (this.isOver) {
      cut(response);
      return;
    }
    this.running.add(response);
    onResponseClose(response, () => this.running.delete(response));
  }

  /**
   * Breaks off what still runs after so many milliseconds, and what begins later. A server that closes waits
   * for clients that keep asking on one connection, as pages that follow a link do: these end then, too.
   */
  endWithin(milliseconds: number, server?: Partial<Pick<Server, 'closeIdleConnections'>>): void {
    setTimeout(() => {
      this.isOver = true;
      [...this.running].forEach(cut);
      server?.closeIdleConnections?.();
    }, milliseconds).unref();
  }
}

/** The connection, and not only the response: one that waits for its turn has no socket of its own. */
function cut(response: ServerResponse): void {
  response.req?.socket?.destroy();
}
