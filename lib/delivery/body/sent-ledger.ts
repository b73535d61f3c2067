import { type BodySegment } from '../multipart-byteranges.js';

/** Keeps account of which bytes of the representation were sent; framing does not count. */
export class SentLedger {
  #segment = 0;
  #offset = 0;
  #bytes = 0;

  constructor(
    private readonly segments: readonly BodySegment[],
    private readonly sent?: (start: number, end: number) => void,
  ) {}

  /** Bytes of the representation that were sent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The next `count` bytes of the body were sent. */
  advance(count: number): void {
    let left = count;
    while (left > 0) {
      const segment = this.segments[this.#segment];
      if (!segment) {
        return;
      }
      const isFraming = Buffer.isBuffer(segment);
      const length = isFraming ? segment.length : segment.end - segment.start;
      const step = Math.min(left, length - this.#offset);
      const start = this.#offset;
      left -= step;
      this.#offset += step;
      if (this.#offset === length) {
        this.#segment++;
        this.#offset = 0;
      }
      if (!isFraming && step > 0) {
        this.#bytes += step;
        this.sent?.(segment.start + start, segment.start + start + step);
      }
    }
  }
}
