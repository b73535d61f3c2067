import ms, { type StringValue } from 'ms';
import { DownloadAuthConfigurationError } from './configuration-error.js';

type ShortUnit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w';
type LongUnit = 'second' | 'minute' | 'hour' | 'day' | 'week';

/**
 * A length of time: a string with its unit such as `'5m'`, `'12 hours'`, `'7d'`, or a number of seconds, at most a
 * day: a larger number is nearly always milliseconds, and is refused.
 */
export type Duration = number | `${number}${ShortUnit}` | `${number} ${LongUnit | `${LongUnit}s`}`;

const WITH_UNIT = /[a-z]$/i;
const DAY = 24 * 60 * 60;

/**
 * Seconds in a {@link Duration}, fractions kept.
 *
 * A string without a unit is refused: the `ms` notation would read `'300'` as milliseconds, while the number `300`
 * is seconds.
 *
 * @throws DownloadAuthConfigurationError naming `option` for anything else, a negative one, a number over a day
 */
export function durationInSeconds(value: Duration, option: string): number {
  const seconds = typeof value === 'string' ? parseWithUnit(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) {
    throw new DownloadAuthConfigurationError(
      `${option}: ${JSON.stringify(value)} is no duration. Write a number of seconds (300) or a string with its unit ('5m').`,
    );
  }
  if (typeof value === 'number' && seconds > DAY) {
    throw new DownloadAuthConfigurationError(
      `${option}: a number is seconds, and ${value} of them are ${days(seconds)} days. ` +
        `Write ${value / 1000} or '${value}ms' if milliseconds were meant, '${value}s' if seconds were.`,
    );
  }
  return seconds;
}

function days(seconds: number): number {
  return Math.round((seconds / DAY) * 10) / 10;
}

function parseWithUnit(value: string): number | undefined {
  const trimmed = value.trim();
  if (!WITH_UNIT.test(trimmed)) return undefined;
  try {
    const milliseconds = ms(trimmed as StringValue) as number | undefined;
    return milliseconds === undefined ? undefined : milliseconds / 1000;
  } catch {
    return undefined;
  }
}
