import { type ByteInterval } from '../delivery-watch.js';
import { type BodySegment } from '../multipart-byteranges.js';

/** Keeps account of which bytes of the representation were sent; framing does not count. */
export class SentLedger {
  #segment = 0;
  #offset = 0;
  #bytes = 0;
  /** Bytes of the body, framing included, that are being written. */
  #writing = 0;

  constructor(
    private readonly segments: readonly BodySegment[],
    private readonly sent?: (start: number, end: number) => void,
  ) {}

  /** Bytes of the representation that were sent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes of the representation whose writing has begun and not ended; undefined where there are none. */
  get unconfirmed(): readonly ByteInterval[] | undefined {
    const intervals: ByteInterval[] = [];
    let [segment, offset, left] = [this.#segment, this.#offset, this.#writing];
    for (; left > 0 && segment < this.segments.length; segment++, offset = 0) {
      const { length, start } = extentOf(this.segments[segment]!);
      const step = Math.min(left, length - offset);
      left -= step;
      if (start !== undefined && step > 0) {
        intervals.push({ start: start + offset, end: start + offset + step });
      }
    }
    return intervals.length > 0 ? intervals : undefined;
  }

  /** The next `count` bytes of the body are being written. */
  begin(count: number): void {
    this.#writing += count;
  }

  /** The next `count` bytes of the body were sent. */
  advance(count: number): void {
    this.#writing = Math.max(0, this.#writing - count);
    let left = count;
    while (left > 0 && this.#segment < this.segments.length) {
      const { length, start } = extentOf(this.segments[this.#segment]!);
      const offset = this.#offset;
      const step = Math.min(left, length - offset);
      left -= step;
      this.#offset += step;
      if (this.#offset === length) {
        this.#segment++;
        this.#offset = 0;
      }
      if (start !== undefined && step > 0) {
        this.#bytes += step;
        this.sent?.(start + offset, start + offset + step);
      }
    }
  }
}

/** Framing has no start in the representation. */
function extentOf(segment: BodySegment): { length: number; start?: number } {
  return Buffer.isBuffer(segment)
    ? { length: segment.length }
    : { length: segment.end - segment.start, start: segment.start };
}
