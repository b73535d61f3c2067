import { describe, expect, it } from 'vitest';
import { isPrefetch } from '../../lib/links/automatic-requests.js';

describe('a prefetch', () => {
  it.each([
    [{ 'sec-purpose': 'prefetch' }, true],
    [{ 'sec-purpose': 'prefetch;prerender' }, true],
    [{ 'sec-purpose': 'Prefetch; anonymous-client-ip' }, true],
    [{ purpose: 'prefetch' }, true],
    [{ 'x-moz': 'prefetch' }, true],
    [{ 'x-purpose': 'preview' }, true],
    [{ 'sec-purpose': '' }, false],
    [{ 'sec-purpose': 'prefetched' }, false],
    [{ 'sec-fetch-mode': 'navigate' }, false],
    [{}, false],
  ])('by %j: %s', (headers, expected) => {
    expect(isPrefetch(headers as Record<string, string>)).toBe(expected);
  });
});
