import { describe, expect, it } from 'vitest';
import {
  bytesIn,
  coversAll,
  MAX_INTERVALS,
  NO_INTERVALS,
  partBefore,
  union,
  withInterval,
} from '../../lib/leases/interval-set.js';

describe('interval set', () => {
  it.each([
    ['the first', [], [3, 5], [3, 5]],
    ['one before', [10, 20], [3, 5], [3, 5, 10, 20]],
    ['one after', [10, 20], [30, 40], [10, 20, 30, 40]],
    ['one in a gap', [10, 20, 30, 40], [22, 28], [10, 20, 22, 28, 30, 40]],
    ['one that touches on the left', [10, 20], [5, 10], [5, 20]],
    ['one that touches on the right', [10, 20], [20, 25], [10, 25]],
    ['one that closes a gap', [10, 20, 30, 40], [20, 30], [10, 40]],
    ['one that is inside already', [10, 20], [12, 15], [10, 20]],
    ['one that swallows several', [10, 20, 30, 40, 50, 60], [5, 55], [5, 60]],
    ['an empty one', [10, 20], [15, 15], [10, 20]],
    ['one that ends before it starts', [10, 20], [40, 30], [10, 20]],
    ['one that is no number', [10, 20], [NaN, 30], [10, 20]],
  ])('takes in %s', (_, set, [start, end], expected) => {
    expect(withInterval(set, start!, end!)).toEqual(expected);
  });

  it('is the same in whatever order its parts come', () => {
    const parts = [
      [0, 3],
      [9, 12],
      [3, 5],
      [7, 9],
      [5, 6],
      [20, 21],
      [6, 7],
    ] as const;
    for (let turns = 0; turns < parts.length; turns++) {
      const order = [...parts.slice(turns), ...parts.slice(0, turns)];
      const set = order.reduce((all, [start, end]) => withInterval(all, start, end), NO_INTERVALS);
      expect(set).toEqual([0, 12, 20, 21]);
      expect(bytesIn(set)).toBe(13);
    }
  });

  it('unites with another', () => {
    expect(union([0, 5, 20, 30], [5, 10, 25, 40])).toEqual([0, 10, 20, 40]);
    expect(union([0, 5], NO_INTERVALS)).toEqual([0, 5]);
  });

  it('covers a length only without a hole', () => {
    expect(coversAll([0, 10], 10)).toBe(true);
    expect(coversAll([0, 11], 10)).toBe(true);
    expect(coversAll([0, 9], 10)).toBe(false);
    expect(coversAll([1, 10], 10)).toBe(false);
    expect(coversAll([0, 4, 5, 10], 10)).toBe(false);
    expect(coversAll(NO_INTERVALS, 10)).toBe(false);
  });

  it('forgets its shortest intervals when there are too many, and invents none', () => {
    let set = NO_INTERVALS;
    for (let i = 0; i < 1000; i++) {
      set = withInterval(set, 100 * i, 100 * i + 1 + (i % 50));
    }
    expect(set.length / 2).toBe(MAX_INTERVALS);
    expect(bytesIn(set)).toBeLessThanOrEqual(1000 * 50);
    expect(withInterval(set, 0, 100_000)).toEqual([0, 100_000]);
  });

  it.each([
    ['inside', 12, [10, 12]],
    ['at its end', 20, [10, 20]],
    ['in another', 31, [30, 31]],
    ['at its start', 10, []],
    ['beyond its end', 21, []],
    ['nowhere', undefined, []],
  ])('gives the part of an interval before a position %s', (_, position, expected) => {
    expect(partBefore([10, 20, 30, 40], position)).toEqual(expected);
  });
});
