/** `start` inclusive, `end` exclusive. */
export interface ByteInterval {
  readonly start: number;
  readonly end: number;
}

export const WHOLE: ByteInterval = { start: 0, end: Infinity };

/** What a `Range` field comes to. */
export type RangeDecision =
  | {
      readonly status: 206;
      readonly reason: 'one range' | 'several ranges';
      readonly intervals: readonly ByteInterval[];
    }
  | { readonly status: 416; readonly reason: 'Range outside the content' }
  | {
      readonly status: 200;
      readonly reason: 'malformed Range' | 'more ranges than maxRanges' | 'empty content';
    };

const MALFORMED: RangeDecision = { status: 200, reason: 'malformed Range' };
const UNSATISFIABLE: RangeDecision = { status: 416, reason: 'Range outside the content' };

const UNIT = /^bytes=/i;
// Whitespace is matched here and not trimmed: trim() knows more kinds of it than HTTP does
const RANGE_SPEC = /^[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/;
const BLANK = /^[ \t]*$/;

/** What the first range of a field will probably come to, before anything is known of the representation. */
export function firstRange(field = ''): ByteInterval {
  const [, first, last = ''] = /^bytes=(\d+)-(\d*)/i.exec(field) ?? [];
  if (first === undefined) {
    return WHOLE;
  }
  return { start: Number(first), end: last === '' ? Infinity : Number(last) + 1 };
}

/**
 * Decides what a `Range` field asks of a representation (RFC 9110 §14.1, §14.2).
 *
 * - 200, the field is ignored: malformed, another unit, last position before the first, or more than
 *   `maxRanges` intervals
 * - 416: no range-spec overlaps the representation
 * - 206: the intervals in the order of the request; overlapping and adjoining ones are one
 *
 * Not range-parser 1.2: that refuses a suffix longer than the representation and empty list elements, and
 * accepts other units, spaces around the dash and lists with an invalid element.
 *
 * @param length of the representation, bytes
 */
export function decideRange(field: string, length: number, maxRanges: number): RangeDecision {
  const unit = UNIT.exec(field);
  if (!unit) {
    return MALFORMED;
  }
  const intervals: ByteInterval[] = [];
  let specs = 0;
  let suffixOfNothing = false;
  for (const element of field.slice(unit[0].length).split(',')) {
    // A recipient has to accept empty list elements (§5.6.1.2)
    if (BLANK.test(element)) {
      continue;
    }
    const match = RANGE_SPEC.exec(element);
    if (!match || isBackwards(match[1], match[2])) {
      return MALFORMED;
    }
    specs++;
    suffixOfNothing ||= length === 0 && Number(match[3]) > 0;
    const interval = toInterval(match, length);
    if (interval.start < interval.end) {
      intervals.push(interval);
    }
  }
  if (specs === 0) {
    return MALFORMED;
  }
  if (intervals.length === 0) {
    // A suffix of an empty representation is satisfiable, but no Content-Range can say so (§14.1.2, §14.4)
    return suffixOfNothing ? { status: 200, reason: 'empty content' } : UNSATISFIABLE;
  }
  const coalesced = coalesce(intervals);
  if (coalesced.length > maxRanges) {
    return { status: 200, reason: 'more ranges than maxRanges' };
  }
  const reason = coalesced.length > 1 ? 'several ranges' : 'one range';
  return { status: 206, reason, intervals: coalesced };
}

/** Compared as text: positions may have more digits than a number can tell apart. */
function isBackwards(first: string | undefined, last: string | undefined): boolean {
  if (!first || !last) {
    return false;
  }
  const [a, b] = [first.replace(/^0+/, ''), last.replace(/^0+/, '')];
  return a.length === b.length ? b < a : b.length < a.length;
}

function toInterval(match: RegExpExecArray, length: number): ByteInterval {
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    return { start: Math.max(0, length - Number(suffix)), end: length };
  }
  return { start: Number(first), end: last ? Math.min(Number(last) + 1, length) : length };
}

/**
 * Joins what overlaps or adjoins; the place of a joined interval is that of its earliest part (§15.3.7.2).
 */
function coalesce(intervals: readonly ByteInterval[]): ByteInterval[] {
  const sorted = intervals
    .map(({ start, end }, order) => ({ start, end, order }))
    .sort((a, b) => a.start - b.start);
  const joined: typeof sorted = [];
  for (const interval of sorted) {
    const last = joined.at(-1);
    if (last && interval.start <= last.end) {
      last.end = Math.max(last.end, interval.end);
      last.order = Math.min(last.order, interval.order);
    } else {
      joined.push(interval);
    }
  }
  return joined.sort((a, b) => a.order - b.order).map(({ start, end }) => ({ start, end }));
}
