import { decideRange } from './byte-range.js';
import type { RangeDecision } from './byte-range.js';
import { evaluatePreconditions, field, ifRangeMatches } from './preconditions.js';
import type { PreconditionAnswer, RequestFields, Validators } from './preconditions.js';
import type { ByteInterval } from './byte-range.js';

/** What the plan has to know of a representation. */
export interface PlannedRepresentation extends Validators {
  /** Bytes; undefined where only the end of the stream tells. */
  readonly length?: number;
  /** It can be read from an offset, and ranges are wanted. */
  readonly seekable: boolean;
  /** It could be read from an offset, but the options or the handler's headers refuse ranges. */
  readonly rangesOff?: boolean;
}

/** What the plan has to know of a request. */
export interface PlannedRequest {
  readonly method: string;
  readonly fields: RequestFields;
  /** The status that the handler chose; conditions and ranges count for 200 only. */
  readonly status: number;
  readonly maxRanges: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

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
  | 'If-Range did not match';

/** The answer, decided: nothing in it depends on how it is carried out. */
export interface DeliveryPlan {
  readonly status: number;
  readonly reason: PlanReason;
  /**
   * Bytes to send; `end` is Infinity where only the end of the stream tells; empty where there is no body.
   */
  readonly intervals: readonly ByteInterval[];
  /** 206 in several parts. */
  readonly multipart: boolean;
  /** `Content-Range` of a 206 in one part or of a 416. */
  readonly contentRange?: string;
  readonly ranged: boolean;
  readonly ifRangeMatched: boolean;
}

/**
 * Decides the answer to a request for a representation: RFC 9110 §13.2.2 first, then §14.2.
 *
 * Conditions are evaluated for GET and HEAD only, and only if the answer without them were a 200 (§13.2.1);
 * `Range` for GET only (§14.2).
 */
export function planDelivery(request: PlannedRequest, representation: PlannedRepresentation): DeliveryPlan {
  const { method, fields, status, now } = request;
  const ranged = field(fields, 'range') !== undefined;
  const answer = { multipart: false, ranged, ifRangeMatched: false };
  const all = whole(request, representation);
  if (status !== 200) {
    return { ...answer, status, reason: 'status set by the handler', intervals: all };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...answer, status, reason: 'not GET or HEAD', intervals: all };
  }
  const refused = evaluatePreconditions(fields, representation);
  if (refused) {
    return { ...answer, ...refused, intervals: [] };
  }
  const ifRange = field(fields, 'if-range');
  const ifRangeMatched = ifRange !== undefined && ifRangeMatches(ifRange, representation, now);
  const decision = decide(request, representation, ifRange === undefined || ifRangeMatched);
  const decided = { ...answer, ifRangeMatched, status: decision.status, reason: decision.reason };
  const { length } = representation;
  if (decision.status === 416) {
    return { ...decided, intervals: [], contentRange: `bytes */${length}` };
  }
  if (decision.status === 200) {
    return { ...decided, intervals: all };
  }
  const { intervals } = decision;
  const [only, second] = intervals;
  return only && second === undefined && length !== undefined
    ? { ...decided, intervals, contentRange: contentRange(only, length) }
    : { ...decided, intervals, multipart: true };
}

/** Whether a part is sent, and why not. */
function decide(
  { method, fields, maxRanges }: PlannedRequest,
  { length, seekable, rangesOff }: PlannedRepresentation,
  isSameVersion: boolean,
): RangeDecision | { readonly status: 200; readonly reason: PlanReason } {
  const range = field(fields, 'range');
  if (range === undefined) {
    return { status: 200, reason: 'no Range' };
  }
  if (method === 'HEAD') {
    return { status: 200, reason: 'HEAD ignores Range' };
  }
  if (!seekable || length === undefined) {
    return { status: 200, reason: rangesOff ? 'ranges are off' : 'not seekable' };
  }
  return isSameVersion
    ? decideRange(range, length, maxRanges)
    : { status: 200, reason: 'If-Range did not match' };
}

/** `Content-Range` of one interval (RFC 9110 §14.4). */
export function contentRange({ start, end }: ByteInterval, length: number): string {
  return `bytes ${start}-${end - 1}/${length}`;
}

/** Statuses that never have a body. */
function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

function whole(request: PlannedRequest, { length }: PlannedRepresentation): ByteInterval[] {
  const end = length ?? Infinity;
  return request.method === 'HEAD' || isBodiless(request.status) || end === 0 ? [] : [{ start: 0, end }];
}
