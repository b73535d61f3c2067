import { type BodyObserver } from './body.js';
import { type Chunk } from './body-reader.js';
import { type FailureHooks, logFailure } from './delivery-failure.js';
import { type ByteInterval, type DeliveryOutcome, type DeliveryWatch } from './delivery-watch.js';
import { type BodyLayout } from './multipart-byteranges.js';
import { onResponseClose } from './response-close.js';
import { type ResponsePort } from './response-port.js';
import { watchStall } from './stall.js';

/**
 * One delivery from its decision to its end: tells the observer how it ended, exactly once, and lets it be
 * stopped.
 */
export class DeliveryRun implements BodyObserver {
  readonly grant: BodyObserver['grant'];
  /** Settles when the client has left or has everything; never rejects. */
  readonly gone: Promise<void>;
  readonly #abort = () => this.port.destroy();
  #error: unknown;
  #reason: 'stalled' | undefined;
  #ended = false;
  /** Bytes of the representation that were sent; framing does not count. */
  #bytes = 0;
  /** Bytes whose writing has begun and not ended. */
  #writing: ByteInterval | undefined;

  constructor(
    private readonly port: ResponsePort,
    private readonly status: number,
    private readonly layout: BodyLayout,
    private readonly watch: DeliveryWatch,
    private readonly hooks?: FailureHooks,
    private readonly ended?: (outcome: DeliveryOutcome) => void,
  ) {
    this.grant = watch.grant?.bind(watch);
    this.gone = new Promise((resolve) => {
      onResponseClose(port.raw, () => {
        this.#end();
        resolve();
      });
    });
    watch.signal?.addEventListener('abort', this.#abort, { once: true });
    if (watch.signal?.aborted) {
      this.#abort();
    }
  }

  /** Destroys the connection of a client that stops reading. */
  watchStall(seconds: number): void {
    const stalled = () => {
      this.#reason = 'stalled';
      this.port.destroy();
    };
    watchStall(this.port.raw, seconds, () => this.#bytes, stalled);
  }

  writing({ interval }: Chunk): void {
    this.#writing = interval;
  }

  wrote({ interval }: Chunk): void {
    this.#writing = undefined;
    if (interval) {
      this.#bytes += interval.end - interval.start;
      this.watch.sent?.(interval.start, interval.end);
    }
  }

  /** The content failed after the answer began: the client must see that, and the log says why. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.hooks?.report(error);
    this.hooks?.handle(error);
    this.port.destroy();
  }

  /** The content failed before the answer began; an error is answered instead. */
  cancel(error: unknown): void {
    this.#error ??= error;
    this.#end();
  }

  #end(): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    this.watch.signal?.removeEventListener('abort', this.#abort);
    const { raw } = this.port;
    const expected = this.layout.segments.reduce(
      (sum, part) => sum + (Buffer.isBuffer(part) ? 0 : part.end - part.start),
      0,
    );
    const hasAll = expected === Infinity || this.#bytes === expected;
    const completed =
      this.#error === undefined && hasAll && raw.writableFinished && raw.statusCode === this.status;
    const outcome: DeliveryOutcome = {
      status: raw.statusCode,
      completed,
      bytes: this.#bytes,
      unconfirmed: this.#writing && [this.#writing],
      reason: this.#reason,
      error: this.#error,
    };
    try {
      this.watch.ended?.(outcome);
    } catch (error) {
      // Nobody is left to answer to; an exception here would end the process
      logFailure(error);
    }
    this.ended?.(outcome);
  }
}
