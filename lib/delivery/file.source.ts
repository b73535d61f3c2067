import type { ByteSource } from './body-reader.js';
import { PooledBuffer } from './buffer-pool.js';
import type { OpenFile } from './open-file.js';

/** Bytes of an open file, or of a slice of one. Owns the descriptor. */
export class FileSource implements ByteSource {
  readonly inPool = true;
  #pooled: PooledBuffer | undefined;

  /**
   * @param offset where the representation starts in the file, bytes
   * @param limit where it ends in the file, if it goes that far
   */
  constructor(
    private readonly file: OpenFile,
    private readonly offset: number,
    private readonly limit = Infinity,
  ) {}

  async read(position: number, end: number, size: number, reuse: boolean): Promise<Uint8Array> {
    const wanted = Math.min(size, Math.min(end, this.limit - this.offset) - position);
    if (!reuse) {
      const fresh = Buffer.allocUnsafeSlow(wanted);
      return fresh.subarray(0, await this.file.read(fresh, wanted, this.offset + position));
    }
    const pooled = this.#fitting(wanted);
    const { bytes } = pooled;
    pooled.busy();
    try {
      return bytes.subarray(0, await this.file.read(bytes, wanted, this.offset + position));
    } finally {
      pooled.idle();
    }
  }

  lend(): void {
    this.#pooled?.busy();
  }

  written(): void {
    this.#pooled?.idle();
  }

  giveAway(): void {
    this.#pooled = undefined;
  }

  close(): Promise<void> {
    this.#pooled?.retire();
    return this.file.close();
  }

  /** The buffer at hand, or another where it is too small, or so large that a slow client would waste it. */
  #fitting(wanted: number): PooledBuffer {
    if (this.#pooled && (this.#pooled.size < wanted || this.#pooled.size > wanted * 2)) {
      this.#pooled.retire();
      this.#pooled = undefined;
    }
    return (this.#pooled ??= new PooledBuffer(wanted));
  }
}
