/**
 * Sorted, disjoint byte intervals as one flat list: `[start, end, start, end, …]`, `end` exclusive.
 * Flat because a million leases are kept in memory, and because it is what the stores write down.
 */
export type IntervalSet = readonly number[];

/** Cap on intervals, so that a hostile client cannot make a lease grow. */
export const MAX_INTERVALS = 128;

export const NO_INTERVALS: IntervalSet = Object.freeze([]);

/** The union of `set` and `[start, end)`; touching intervals become one. */
export function withInterval(set: IntervalSet, start: number, end: number): IntervalSet {
  if (!(end > start)) {
    return set;
  }
  let first = 0;
  while (first < set.length && set[first + 1]! < start) {
    first += 2;
  }
  let after = first;
  while (after < set.length && set[after]! <= end) {
    after += 2;
  }
  const from = after > first ? Math.min(start, set[first]!) : start;
  const to = after > first ? Math.max(end, set[after - 1]!) : end;
  return bounded(set.toSpliced(first, after - first, from, to));
}

/** The union of two sets. */
export function union(set: IntervalSet, other: IntervalSet): IntervalSet {
  for (let i = 0; i < other.length; i += 2) {
    set = withInterval(set, other[i]!, other[i + 1]!);
  }
  return set;
}

/** What lies before `position` of the interval that holds the byte before it; nothing where none does. */
export function partBefore(set: IntervalSet = NO_INTERVALS, position = 0): IntervalSet {
  for (let i = 0; i < set.length; i += 2) {
    if (set[i]! < position && position <= set[i + 1]!) {
      return [set[i]!, position];
    }
  }
  return NO_INTERVALS;
}

/** How many bytes the intervals hold together. */
export function bytesIn(set: IntervalSet): number {
  let bytes = 0;
  for (let i = 0; i < set.length; i += 2) {
    bytes += set[i + 1]! - set[i]!;
  }
  return bytes;
}

/** Whether `[0, length)` is covered without a hole. */
export function coversAll(set: IntervalSet, length: number): boolean {
  return set.length >= 2 && set[0]! <= 0 && set[1]! >= length;
}

/** Drops the shortest intervals: to forget what was sent never ends a lease too early. */
function bounded(set: number[]): IntervalSet {
  while (set.length > 2 * MAX_INTERVALS) {
    let shortest = 0;
    for (let i = 2; i < set.length; i += 2) {
      if (set[i + 1]! - set[i]! < set[shortest + 1]! - set[shortest]!) {
        shortest = i;
      }
    }
    set.splice(shortest, 2);
  }
  return set;
}
