import { decideRange } from './byte-range.js';
import type { ByteInterval, RangeDecision } from './byte-range.js';
import { evaluatePreconditions, field, ifRangeMatches } from './preconditions.js';
import type { RequestFields, Validators } from './preconditions.js';
import type { PlannedDelivery, PlanReason } from './watch.js';

export interface PlannedRepresentation extends Validators {
  /** Bytes; undefined where only the end of the stream tells. */
  readonly length?: number;
  /** It can be read from an offset, and ranges are wanted. */
  readonly seekable: boolean;
  /** It could be read from an offset, but the options or the handler's headers refuse ranges. */
  readonly rangesOff?: boolean;
}

export interface PlannedRequest {
  readonly method: string;
  readonly fields: RequestFields;
  /** The status that the handler chose; conditions and ranges count for 200 only. */
  readonly status: number;
  readonly maxRanges: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Decides the answer to a request for a representation: RFC 9110 §13.2.2 first, then §14.2. Conditions count
 * for GET and HEAD only, and only if the answer without them were a 200 (§13.2.1); `Range` for GET only.
 */
export function planDelivery(
  request: PlannedRequest,
  representation: PlannedRepresentation,
): PlannedDelivery {
  const { method, fields, status, now } = request;
  const { length, etag } = representation;
  const ranged = field(fields, 'range') !== undefined;
  const whole = wholeOf(request, length);
  const answer = { method, length, etag, ranged, ifRangeMatched: false };
  if (status !== 200) {
    return { ...answer, status, reason: 'status set by the handler', intervals: whole };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...answer, status, reason: 'not GET or HEAD', intervals: whole };
  }
  const refused = evaluatePreconditions(fields, representation);
  if (refused) {
    return { ...answer, ...refused, intervals: [] };
  }
  const ifRange = field(fields, 'if-range');
  const ifRangeMatched = ifRange !== undefined && ifRangeMatches(ifRange, representation, now);
  const decision = decide(request, representation, ifRange === undefined || ifRangeMatched);
  const decided = { ...answer, ifRangeMatched, status: decision.status, reason: decision.reason };
  if (decision.status === 416) {
    return { ...decided, intervals: [], contentRange: `bytes */${length}` };
  }
  if (decision.status === 200) {
    return { ...decided, intervals: whole };
  }
  const { intervals } = decision;
  const [only, second] = intervals;
  return only && !second
    ? { ...decided, intervals, contentRange: contentRange(only, length) }
    : { ...decided, intervals };
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
export function contentRange({ start, end }: ByteInterval, length: number | undefined): string {
  return `bytes ${start}-${end - 1}/${length}`;
}

/** Without HEAD and the statuses that never have a body. */
function wholeOf({ method, status }: PlannedRequest, length = Infinity): ByteInterval[] {
  const isBodiless = method === 'HEAD' || status === 204 || status === 205 || status === 304;
  return isBodiless || length === 0 ? [] : [{ start: 0, end: length }];
}
