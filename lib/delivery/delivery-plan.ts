import { decideRange } from './byte-range.js';
import { type ByteInterval } from './delivery-watch.js';
import {
  evaluatePreconditions,
  field,
  ifRangeMatches,
  type RequestFields,
  type Validators,
} from './preconditions.js';

/** What the plan has to know of a representation. */
export interface PlannedRepresentation extends Validators {
  /** Bytes; undefined where only the end of the stream tells. */
  readonly length?: number;
  /** It can be read from an offset, and ranges are wanted. */
  readonly seekable: boolean;
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

/** The answer, decided: nothing in it depends on how it is carried out. */
export interface DeliveryPlan {
  readonly status: number;
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
 * Conditions are evaluated for GET and HEAD alone, and only if the answer without them were a 200
 * (§13.2.1); `Range` for GET alone (§14.2).
 */
export function planDelivery(request: PlannedRequest, representation: PlannedRepresentation): DeliveryPlan {
  const range = field(request.fields, 'range');
  const ifRange = field(request.fields, 'if-range');
  const ranged = range !== undefined;
  const plain = { multipart: false, ranged, ifRangeMatched: false };
  const isGet = request.method === 'GET';
  if (request.status !== 200 || (!isGet && request.method !== 'HEAD')) {
    return { ...plain, status: request.status, intervals: whole(request, representation) };
  }
  const decision = evaluatePreconditions(request.fields, representation);
  if (decision !== 'proceed') {
    return { ...plain, status: decision, intervals: [] };
  }
  const ifRangeMatched = ifRange !== undefined && ifRangeMatches(ifRange, representation, request.now);
  const { length } = representation;
  if (
    isGet &&
    ranged &&
    representation.seekable &&
    length !== undefined &&
    (ifRange === undefined || ifRangeMatched)
  ) {
    return (
      planRange(decideRange(range, length, request.maxRanges), length, { ranged, ifRangeMatched }) ??
      wholePlan()
    );
  }
  return wholePlan();

  function wholePlan(): DeliveryPlan {
    return { ...plain, ifRangeMatched, status: 200, intervals: whole(request, representation) };
  }
}

function planRange(
  decision: ReturnType<typeof decideRange>,
  length: number,
  flags: Pick<DeliveryPlan, 'ranged' | 'ifRangeMatched'>,
): DeliveryPlan | undefined {
  if (decision === 'ignored') {
    return undefined;
  }
  if (decision === 'unsatisfiable') {
    return { ...flags, status: 416, intervals: [], multipart: false, contentRange: `bytes */${length}` };
  }
  const [first] = decision;
  const multipart = decision.length > 1;
  return {
    ...flags,
    status: 206,
    intervals: decision,
    multipart,
    contentRange: multipart || !first ? undefined : contentRange(first, length),
  };
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
