import ms, { type StringValue } from 'ms';
import { DownloadAuthConfigurationError } from './configuration-error.js';

type ShortUnit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w';
type LongUnit = 'second' | 'minute' | 'hour' | 'day' | 'week';

/** A length of time: a number of seconds, or a string with its unit such as `'5m'`, `'12 hours'`, `'7d'`. */
export type Duration = number | `${number}${ShortUnit}` | `${number} ${LongUnit | `${LongUnit}s`}`;

const WITH_UNIT = /[a-z]$/i;

/**
 * Seconds in a {@link Duration}, fractions kept.
 *
 * A string without a unit is refused: the `ms` notation would read `'300'` as milliseconds, the
 * number `300` is seconds, and nobody means both.
 *
 * @throws DownloadAuthConfigurationError naming `option` when it is no duration or negative.
 */
export function durationInSeconds(value: Duration, option: string): number {
  const seconds = typeof value === 'string' ? parseWithUnit(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) {
    throw new DownloadAuthConfigurationError(
      `${option}: ${JSON.stringify(value)} is no duration. Write a number of seconds (300) or a string with its unit ('5m').`,
    );
  }
  return seconds;
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
