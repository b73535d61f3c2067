import { expect, it } from 'vitest';
import type { Duration } from '../../lib/index.js';
import { durationAdvice, durationInSeconds } from '../../lib/shared/duration.js';

it.each<[Duration, number]>([
  [0, 0],
  [90, 90],
  [0.5, 0.5],
  [86_400, 86_400],
  ['250ms', 0.25],
  ['5m', 300],
  ['12 hours', 43_200],
  ['7d', 604_800],
  [' 1h ' as Duration, 3600],
])('%j is %d seconds', (duration, seconds) => {
  expect(durationAdvice(duration)).toBeUndefined();
  expect(durationInSeconds(duration)).toBe(seconds);
});

it.each([['300'], ['soon'], ['-5m'], [-1], [NaN], [Infinity], [null], [{}], ['m'], [`${'9'.repeat(200)}m`]])(
  '%j is not a duration',
  (value) =>
    expect(durationAdvice(value)).toMatch(
      /^.* is not a duration\. Write a number of seconds \(300\) or .*\('5m'\)\.$/,
    ),
);

it('a number over a day is taken for milliseconds, and the message says how to write either', () => {
  expect(durationAdvice(300_000)).toBe(
    "a number is seconds, and 300000 of them are 3.5 days. Write 300 or '300000ms' for milliseconds, '300000s' for seconds.",
  );
});
