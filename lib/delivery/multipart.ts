import { randomBytes } from 'node:crypto';
import type { ByteInterval } from './byte-range.js';
import { contentRange } from './plan.js';

/** Framing as it stands, or bytes of the representation. */
type BodySegment = Buffer | ByteInterval;

export interface BodyLayout {
  readonly segments: readonly BodySegment[];
  /** Bytes, framing included; Infinity where only the end of the stream tells. */
  readonly length: number;
  /** Bytes of the representation: {@link length} without framing. */
  readonly content: number;
  /** Of several parts. */
  readonly boundary?: string;
}

export function plainLayout(intervals: readonly ByteInterval[]): BodyLayout {
  const length = sizeOf(intervals);
  return { segments: intervals, length, content: length };
}

/**
 * Lays out a `multipart/byteranges` body (RFC 9110 §14.6, RFC 2046 §5.1).
 *
 * @param length of the whole representation, bytes
 * @param boundary must not occur in the bytes
 */
export function multipartLayout(
  intervals: readonly ByteInterval[],
  length: number | undefined,
  type: string,
  boundary = randomBytes(16).toString('hex'),
): BodyLayout {
  const framing = (text: string) => Buffer.from(text, 'latin1');
  const segments: BodySegment[] = [];
  let before = '';
  for (const interval of intervals) {
    const fields = `Content-Type: ${type}\r\nContent-Range: ${contentRange(interval, length)}`;
    segments.push(framing(`${before}--${boundary}\r\n${fields}\r\n\r\n`), interval);
    before = '\r\n';
  }
  segments.push(framing(`${before}--${boundary}--\r\n`));
  return { segments, length: sizeOf(segments), content: sizeOf(intervals), boundary };
}

function sizeOf(segments: readonly BodySegment[]): number {
  return segments.reduce(
    (sum, segment) => sum + (Buffer.isBuffer(segment) ? segment.length : segment.end - segment.start),
    0,
  );
}
