import type { ByteSource } from './body-reader.js';
import type { OpenFile } from './open-file.js';

/** Bytes of an open file, or of a slice of one. Owns the descriptor. */
export class FileSource implements ByteSource {
  readonly inPool = true;
  /** Read into again and again; the body's reader has written its bytes before it asks for more. */
  #buffer: Buffer | undefined;

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
    const buffer = reuse ? this.#fitting(wanted) : Buffer.allocUnsafeSlow(wanted);
    return buffer.subarray(0, await this.file.read(buffer, wanted, this.offset + position));
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** The buffer at hand, or another where it is too small, or so large that a slow client would waste it. */
  #fitting(wanted: number): Buffer {
    if (!this.#buffer || this.#buffer.length < wanted || this.#buffer.length > wanted * 2) {
      this.#buffer = Buffer.allocUnsafeSlow(wanted);
    }
    return this.#buffer;
  }
}
