const KIB = 1024;

/** Bytes of the first chunks: 500 clients that read slowly cost 16 MiB. */
export const SMALLEST_CHUNK = 32 * KIB;
/** A whole body of up to this many bytes is one chunk: a second one would cost more than the memory is worth. */
const ONE_CHUNK = 64 * KIB;
/** Bytes beyond which larger chunks save no more CPU. */
export const LARGEST_CHUNK = 512 * KIB;
/** A client that has taken this many bytes is worth a larger buffer. More than socket buffers hold as a rule. */
const SLOW_START = 8 * KIB * KIB;
/** Milliseconds for one chunk: up to the first it may grow, over the second it shrinks. */
const QUICK = 50;
const SLOW = 200;

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
