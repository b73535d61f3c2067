import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type LeaseStore, type ReleaseRequest } from '../../lib/leases/lease-store.js';
import { Settlements } from '../../lib/leases/settlements.js';
import { acquisition, ending } from '../../lib/leases/testing/fixtures.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

describe('what is told to a store that never answers', () => {
  it('is bounded, and told when it answers again', async () => {
    const told = new Set<string>();
    let answer = () => {};
    const answering = new Promise<void>((resolve) => (answer = resolve));
    const release = vi.fn(async ({ request }: ReleaseRequest) => {
      await answering;
      told.add(request);
      return { found: true, completed: false, givenBack: false };
    });
    const settlements = new Settlements({ release } as Partial<LeaseStore> as LeaseStore);
    for (let i = 0; i < 10_500; i++) {
      settlements.settle(ending(acquisition()));
    }
    expect(release).toHaveBeenCalledTimes(10_000);
    answer();
    await vi.waitFor(() => expect(told.size).toBe(10_000));
    expect(await settlements.flush()).toBe(0);
    expect(told.size).toBe(10_500);
    settlements.close();
  });
});
