import { type OpenFile } from '../representation/open-file.js';
import { PooledBuffer } from './buffer-pool.js';
import { type ByteSource } from './byte-source.js';

/** Bytes of a chunk, beyond which a download counts as a fast one. */
const SMALL = 64 * 1024;

/**
 * The downloads that have begun, and those among them that have come to larger chunks. One alone is read in this
 * thread: to wake the thread pool for it costs more than to copy the bytes. Several keep the pool awake, and share its
 * cores while this thread writes; a fast one is as good as alone among slow ones.
 */
const running = new Set<FileSource>();
const fast = new Set<FileSource>();

/** Bytes of an open file, or of a slice of one. Owns the descriptor. */
export class FileSource implements ByteSource {
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
    const isAlone = this.#isAlone(wanted);
    pooled.busy();
    try {
      const count = isAlone
        ? await this.file.readPromptly(bytes, wanted, this.offset + position)
        : await this.file.read(bytes, wanted, this.offset + position);
      return bytes.subarray(0, count);
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
    running.delete(this);
    fast.delete(this);
    this.#pooled?.retire();
    return this.file.close();
  }

  #isAlone(wanted: number): boolean {
    running.add(this);
    if (wanted <= SMALL) {
      fast.delete(this);
      return running.size === 1;
    }
    fast.add(this);
    return fast.size === 1;
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
