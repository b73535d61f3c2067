import ms from 'ms';
import type { StringValue } from 'ms';

type ShortUnit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w';
type LongUnit = 'second' | 'minute' | 'hour' | 'day' | 'week';

/**
 * A length of time: a string with its unit such as `'5m'`, `'12 hours'`, `'7d'`, or a number of seconds, at
 * most a day: a larger number is nearly always milliseconds, and is refused.
 */
export type Duration = number | `${number}${ShortUnit}` | `${number} ${LongUnit | `${LongUnit}s`}`;

const WITH_UNIT = /[a-z]$/i;
const DAY = 24 * 60 * 60;

/** Seconds in a {@link Duration} that was checked, fractions kept. */
export function durationInSeconds(value: Duration): number {
  return secondsOf(value) as number;
}

/**
 * What to write instead of a value that is not a {@link Duration}; `undefined` for one that is.
 *
 * A string without a unit is not: the `ms` notation would read `'300'` as milliseconds, while the number
 * `300` is seconds.
 */
export function durationAdvice(value: unknown): string | undefined {
  const seconds = secondsOf(value);
  if (seconds === undefined || !Number.isFinite(seconds) || seconds < 0) {
    return `${JSON.stringify(value)} is not a duration. Write a number of seconds (300) or a string with its unit ('5m').`;
  }
  if (typeof value === 'number' && value > DAY) {
    return (
      `a number is seconds, and ${value} of them are ${Math.round((value / DAY) * 10) / 10} days. ` +
      `Write ${value / 1000} or '${value}ms' for milliseconds, '${value}s' for seconds.`
    );
  }
  return undefined;
}

function secondsOf(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return value;
  }
  if (typeof value !== 'string' || !WITH_UNIT.test(value.trim())) {
    return undefined;
  }
  const milliseconds = ms(value.trim() as StringValue) as number | undefined;
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}
