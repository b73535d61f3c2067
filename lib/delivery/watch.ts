import { RequestNote } from '../http/notes.js';
import type { ByteInterval } from './byte-range.js';
import type { PlanReason } from './plan.js';

/** What is about to be sent, as far as an observer of the delivery needs to know it. */
export interface PlannedDelivery {
  readonly method: string;
  /** 200, 206, 304, 412 or 416; 302 or 303 of a redirect; otherwise what the handler chose. */
  readonly status: number;
  /** Why it is that status: why 200 and not 206, why 304, 412 or 416. For logs. */
  readonly reason: PlanReason | 'redirect';
  /** Length of the whole representation in bytes; undefined where only the end of the stream tells. */
  readonly length?: number;
  /**
   * The byte intervals that will be sent: `start` inclusive, `end` exclusive, Infinity where only the end of
   * the stream tells; empty for HEAD, 304, 412, 416.
   */
  readonly intervals: readonly ByteInterval[];
  /** The entity tag, quoted, where the representation has one; weak ones start with `W/`. */
  readonly etag?: string;
  /** The request carried `Range`, whether or not it was honoured. */
  readonly ranged: boolean;
  /** The request carried `If-Range`, and it matched the representation. */
  readonly ifRangeMatched: boolean;
  /** Somebody else sends the bytes; `sent` will not be called, and aborting `signal` does not stop them. */
  readonly delegated?: 'x-accel-redirect' | 'x-sendfile' | 'redirect';
}

export interface DeliveryOutcome {
  readonly status: number;
  /** Every byte of the plan was handed to the kernel. */
  readonly completed: boolean;
  /** Body bytes of the representation that were sent (multipart framing not counted). */
  readonly bytes: number;
  /**
   * Bytes that were being written when the connection broke: nobody here knows how many of them the kernel
   * took. Absent where none were.
   */
  readonly unconfirmed?: readonly ByteInterval[];
  /** The client took no byte for as long as `stallTimeout` says. */
  readonly reason?: 'stalled';
  readonly error?: unknown;
}

/** Observes one delivery, and may stop it. Every member is optional. */
export interface DeliveryWatch {
  /**
   * Called once, when the answer is decided and before any status, header or byte is written.
   * What it throws becomes the answer instead.
   */
  planned?(plan: PlannedDelivery): void | Promise<void>;
  /**
   * Asked before bytes of the representation are written: how many of the next `bytes` may be. Fewer than
   * asked are asked for again; 0 ends the body, for which the observer aborts {@link signal}.
   */
  grant?(bytes: number): number | Promise<number>;
  /**
   * Called as bytes of the representation were taken by the kernel; where the response is wrapped or
   * HTTP/2, as they were handed to the response.
   */
  sent?(start: number, end: number): void;
  /**
   * Called exactly once after `planned` succeeded, however the delivery ended: also when the content failed
   * before its first byte and the answer became an error.
   */
  ended?(outcome: DeliveryOutcome): void;
  /** Aborting it destroys the connection of a running delivery. */
  readonly signal?: AbortSignal;
  /** What was decided and why, for `NODE_DEBUG`; known once `planned` has returned. Never a token. */
  readonly reason?: string;
  /** The bytes must be counted here: files are not offloaded to a proxy. Default false. */
  readonly countsBytes?: boolean;
}

/** Who observes the delivery that answers a request. */
export const watchNote = new RequestNote<DeliveryWatch>('watch');

export type { ByteInterval } from './byte-range.js';
