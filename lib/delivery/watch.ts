import { RequestNote } from '../http/notes.js';
import type { ByteInterval, RangeDecision } from './byte-range.js';
import type { PreconditionAnswer } from './preconditions.js';

/** Why an answer has its status. Stable: logs and tests may compare it. */
export type PlanReason =
  | RangeDecision['reason']
  | PreconditionAnswer['reason']
  | 'no Range'
  | 'not GET or HEAD'
  | 'HEAD ignores Range'
  | 'status set by the handler'
  | 'not seekable'
  | 'ranges are off'
  | 'If-Range did not match'
  | 'redirect';

/** The header field that lets a proxy send the file. */
export interface OffloadField {
  readonly name: 'x-accel-redirect' | 'x-sendfile';
  readonly value: string;
}

/** The answer, decided: nothing in it depends on how it is carried out. */
export interface PlannedDelivery {
  readonly method: string;
  /** 200, 206, 304, 412 or 416; 302 or 303 of a redirect; otherwise what the handler chose. */
  readonly status: number;
  readonly reason: PlanReason;
  /** Bytes of the whole representation; undefined where only the end of the stream tells. */
  readonly length?: number;
  /** Bytes to send; `end` is Infinity where only the end of the stream tells; empty without a body. */
  readonly intervals: readonly ByteInterval[];
  /** `Content-Range` of a 206 in one part or of a 416. */
  readonly contentRange?: string;
  /** The entity tag, quoted, where the representation has one; weak ones start with `W/`. */
  readonly etag?: string;
  /** The request carried `Range`, whether or not it was honoured. */
  readonly ranged: boolean;
  /** The request carried `If-Range`, and it matched the representation. */
  readonly ifRangeMatched: boolean;
  /** A proxy sends the bytes: `sent` is not called, and aborting `signal` does not stop them. */
  readonly offload?: OffloadField;
}

export interface DeliveryOutcome {
  readonly status: number;
  /** Every byte of the plan was handed to the kernel. */
  readonly completed: boolean;
  /** Bytes of the representation that were sent, without multipart framing. */
  readonly bytes: number;
  /** Bytes that were being written when the connection broke; the kernel may have taken some of them. */
  readonly unconfirmed?: readonly ByteInterval[];
  /** The client took no byte for as long as `stallTimeout` says. */
  readonly reason?: 'stalled';
  readonly error?: unknown;
}

/** Observes one delivery, and may stop it. */
export interface DeliveryWatch {
  /** Called once, before any status, header or byte is written. What it throws becomes the answer instead. */
  planned?(plan: PlannedDelivery): void | Promise<void>;
  /**
   * Asked before bytes of the representation are written: how many of the next `bytes` may be. Fewer than
   * asked are asked for again; 0 ends the body, and the watch aborts {@link signal}.
   */
  grant?(bytes: number): number | Promise<number>;
  /** The kernel took these bytes; where the response is wrapped or HTTP/2, the response did. */
  sent?(start: number, end: number): void;
  /** Called exactly once after `planned` succeeded, also where the content failed before its first byte. */
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

/** What is still to be asked once the handler has returned, before anything is delivered. */
export const admissionNote = new RequestNote<() => Promise<void>>('admission');

export type { ByteInterval } from './byte-range.js';
