import { describe, expect, it } from 'vitest';
import { resolveLeaseOptions } from '../../lib/leases/options.js';

describe('lease options', () => {
  it('have defaults', () => {
    expect(resolveLeaseOptions()).toEqual({
      byteBudget: 2,
      terms: { idle: 3_600_000, life: 86_400_000, grace: 10_000, attempts: 3, connections: 32 },
      resumeWithin: 0,
      strict: false,
      failClosed: false,
      maxLinkLife: 8 * 86_400_000,
      storeTimeout: 2000,
      reportEvery: 1000,
    });
  });

  it('take durations in words and in milliseconds', () => {
    const { terms } = resolveLeaseOptions({ idle: '15m', life: '2 days', grace: 0.5 });
    expect(terms).toMatchObject({ idle: 900_000, life: 172_800_000, grace: 500 });
  });

  it.each([
    [{ idle: 'soon' }, /leases\.idle: "soon" is not a duration/],
    [{ life: -1 }, /leases\.life: -1/],
    [{ life: '25d' }, /leases\.life: .*write '24d' or less/],
    [{ grace: NaN }, /leases\.grace/],
    [{ byteBudget: 0.5 }, /leases\.byteBudget: write a number from 1 to 1000000/],
    [{ byteBudget: Infinity }, /leases\.byteBudget: write a number/],
    [{ byteBudget: NaN }, /leases\.byteBudget: write a number/],
    [{ byteBudget: '2' }, /leases\.byteBudget: write a number/],
    [{ attempts: Infinity }, /leases\.attempts: write a number/],
    [{ connections: 0 }, /leases\.connections: write a number/],
    [{ connections: Infinity }, /leases\.connections: write a number/],
    [{ attempts: 0 }, /leases\.attempts/],
    [{ strict: 'false' }, /leases\.strict: write true or false/],
    [{ clientKey: 'ip' }, /leases\.clientKey: give a function/],
    [{ store: {} }, /leases\.store: .*new RedisLeaseStore/],
    [{ resumeWithin: '25h' }, /leases\.resumeWithin: .*24 hours/],
    [null, /leases: give an object/],
    [{ maxDownload: 3 }, /leases: there is no option "maxDownload"\. Known are store, byteBudget/],
  ])('refuse %j', (options, message) => {
    expect(() => resolveLeaseOptions(options as never)).toThrow(message);
  });
});
