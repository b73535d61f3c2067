import { type ByteInterval } from './delivery-watch.js';

/** What a `Range` field comes to: intervals to send, nothing to honour, or nothing that exists. */
export type RangeDecision = readonly ByteInterval[] | 'ignored' | 'unsatisfiable';

const UNIT = /^bytes=/i;
// Whitespace is matched here and not trimmed: trim() knows more kinds of it than HTTP does
const RANGE_SPEC = /^[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/;
const BLANK = /^[ \t]*$/;

/**
 * Decides what a `Range` field asks of a representation (RFC 9110 §14.1, §14.2).
 *
 * - malformed, another unit, or last position before the first: `'ignored'`, the whole is sent
 * - no range-spec overlaps the representation: `'unsatisfiable'`, a 416
 * - otherwise the intervals, overlapping and adjoining ones coalesced, in the order of the request;
 *   more than `maxRanges` of them: `'ignored'`
 *
 * Written here because the package range-parser 1.2 takes a suffix longer than the representation for
 * unsatisfiable, drops an invalid range-spec where the field has to be ignored, accepts any unit and
 * spaces around the dash, and refuses the empty list elements that a recipient has to accept.
 *
 * @param length of the representation, bytes
 * @param maxRanges most intervals that are worth a multipart answer
 */
export function decideRange(field: string, length: number, maxRanges: number): RangeDecision {
  const unit = UNIT.exec(field);
  if (!unit) {
    return 'ignored';
  }
  const intervals: ByteInterval[] = [];
  let specs = 0;
  let suffixOfNothing = false;
  for (const element of field.slice(unit[0].length).split(',')) {
    // A recipient has to put up with empty list elements (§5.6.1.2).
    if (BLANK.test(element)) {
      continue;
    }
    const match = RANGE_SPEC.exec(element);
    if (!match || isBackwards(match[1], match[2])) {
      return 'ignored';
    }
    specs++;
    suffixOfNothing ||= length === 0 && Number(match[3]) > 0;
    const interval = toInterval(match, length);
    if (interval.start < interval.end) {
      intervals.push(interval);
    }
  }
  if (specs === 0) {
    return 'ignored';
  }
  if (intervals.length === 0) {
    // A suffix of an empty representation is satisfiable, but no Content-Range can say so (§14.1.2, §14.4).
    return suffixOfNothing ? 'ignored' : 'unsatisfiable';
  }
  const coalesced = coalesce(intervals);
  return coalesced.length > maxRanges ? 'ignored' : coalesced;
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
