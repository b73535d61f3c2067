const SMALLEST = 4 * 1024;
/** What is kept for later, bytes: enough for the downloads that run at once on a busy core. */
const MAX_IDLE = 8 * 1024 * 1024;

const idle = new Map<number, Buffer[]>();
let idleBytes = 0;

/**
 * Memory that is read into and written from again and again.
 *
 * It goes back to the pool only when it was retired and nothing reads into it or writes from it: if a write's
 * callback is lost with its connection, the memory is left to the garbage collector. A buffer given back too
 * early would send one user's bytes to another.
 */
export class PooledBuffer {
  #buffer: Buffer | undefined;
  #busy = false;
  #retired = false;

  /** @param size bytes; the buffer has the next power of two, at least 4 KiB */
  constructor(size: number) {
    const rounded = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size)));
    const kept = idle.get(rounded)?.pop();
    idleBytes -= kept ? rounded : 0;
    this.#buffer = kept ?? Buffer.allocUnsafeSlow(rounded);
  }

  /** @throws Error after the buffer was retired, or while it is busy */
  get bytes(): Buffer {
    if (!this.#buffer || this.#busy) {
      throw new Error('A pooled buffer was asked for while its bytes belong to somebody else.');
    }
    return this.#buffer;
  }

  get size(): number {
    return this.#buffer?.length ?? 0;
  }

  /** A read or a write is under way. */
  busy(): void {
    this.#busy = true;
  }

  /** The read or write is over. */
  idle(): void {
    this.#busy = false;
    this.#giveBack();
  }

  /** Not needed any more: back to the pool, now or when it is idle. */
  retire(): void {
    this.#retired = true;
    this.#giveBack();
  }

  #giveBack(): void {
    const buffer = this.#buffer;
    if (!buffer || this.#busy || !this.#retired) {
      return;
    }
    this.#buffer = undefined;
    if (idleBytes + buffer.length <= MAX_IDLE) {
      idleBytes += buffer.length;
      const kept = idle.get(buffer.length);
      if (kept) {
        kept.push(buffer);
      } else {
        idle.set(buffer.length, [buffer]);
      }
    }
  }
}
