import { randomBytes } from 'node:crypto';
import { contentRange } from './plan.js';
import type { ByteInterval } from './byte-range.js';

/** Framing as it stands, or bytes of the representation. */
export type BodySegment = Buffer | ByteInterval;

/** The body of an answer as pieces in their order, and how many bytes they come to. */
export interface BodyLayout {
  readonly segments: readonly BodySegment[];
  /** Bytes, framing included; Infinity where only the end of the stream tells. */
  readonly length: number;
  /** Bytes of the representation: {@link length} without framing. */
  readonly content: number;
}

/** The body of an answer that has no framing. */
export function plainLayout(intervals: readonly ByteInterval[]): BodyLayout {
  return layoutOf(intervals);
}

/**
 * Lays out a `multipart/byteranges` body (RFC 9110 §14.6, RFC 2046 §5.1).
 *
 * @param length of the whole representation, bytes
 * @param type `Content-Type` of the representation, repeated in every part
 * @param boundary must not occur in the bytes; a random one does not
 */
export function multipartLayout(
  intervals: readonly ByteInterval[],
  length: number,
  type: string | undefined,
  boundary: string,
): BodyLayout {
  const segments: BodySegment[] = [];
  let before = '';
  for (const interval of intervals) {
    const contentType = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const head = `${before}--${boundary}\r\n${contentType}Content-Range: ${contentRange(interval, length)}\r\n\r\n`;
    segments.push(Buffer.from(head, 'latin1'), interval);
    before = '\r\n';
  }
  segments.push(Buffer.from(`${before}--${boundary}--\r\n`, 'latin1'));
  return layoutOf(segments);
}

function layoutOf(segments: readonly BodySegment[]): BodyLayout {
  let [length, content] = [0, 0];
  for (const segment of segments) {
    const bytes = Buffer.isBuffer(segment) ? 0 : segment.end - segment.start;
    content += bytes;
    length += Buffer.isBuffer(segment) ? segment.length : bytes;
  }
  return { segments, length, content };
}

/** A boundary that no content contains, but by a chance of one in 2^128. */
export function randomBoundary(): string {
  return randomBytes(16).toString('hex');
}
