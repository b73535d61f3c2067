import { describe, expect, it } from 'vitest';
import { formatHttpDate, parseHttpDate } from '../../lib/delivery/http-date.js';

const NOW = Date.UTC(2026, 0, 1);

describe('an HTTP-date', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],
    ['Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37Z'],
    ['Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37Z'],
    ['Wednesday, 01-Jan-76 00:00:00 GMT', '2076-01-01T00:00:00Z'],
    ['Wednesday, 01-Jan-76 00:00:01 GMT', '1976-01-01T00:00:01Z'],
    ['Friday, 31-Dec-76 23:59:59 GMT', '1976-12-31T23:59:59Z'],
    ['Friday, 01-Jan-77 00:00:00 GMT', '1977-01-01T00:00:00Z'],
    ['Fri, 31 Dec 1999 23:59:60 GMT', '1999-12-31T23:59:59Z'],
    ['Thu, 29 Feb 2024 00:00:00 GMT', '2024-02-29T00:00:00Z'],
  ])('%s is understood', (text, iso) => {
    expect(parseHttpDate(text, NOW)).toBe(Date.parse(iso));
  });

  it.each([
    '',
    'yesterday',
    '0',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'sun, 06 nov 1994 08:49:37 gmt',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Thu, 29 Feb 2023 00:00:00 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Tuesday, 29-Feb-77 00:00:00 GMT',
  ])('"%s" is none', (text) => {
    expect(parseHttpDate(text, NOW)).toBeUndefined();
  });

  it('is written without fractions, and not at all for a year of more than four digits', () => {
    expect(formatHttpDate(Date.UTC(1994, 10, 6, 8, 49, 37, 999))).toBe('Sun, 06 Nov 1994 08:49:37 GMT');
    expect(formatHttpDate(Date.UTC(10_000, 0, 1))).toBeUndefined();
    expect(formatHttpDate(Number.NaN)).toBeUndefined();
  });
});
