import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LeaseBook } from '../../lib/leases/lease-book.js';
import { Settlements } from '../../lib/leases/settlements.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

describe('what is reported to a store that never answers', () => {
  it('is bounded, and sent when it answers again', async () => {
    const told = new Set<string>();
    let answer = () => {};
    const answering = new Promise<void>((resolve) => (answer = resolve));
    const end = vi.fn<LeaseBook['end']>(async (_booking, _lease, { request }) => {
      await answering;
      told.add(request);
      return { found: true, completed: false, givenBack: false };
    });
    const settlements = new Settlements({ end });
    const terms = { idle: 1, life: 1, grace: 1, attempts: 1, connections: 1 };
    for (let i = 0; i < 10_500; i++) {
      const report = { request: `request-${i}`, sent: 0, covered: [], whole: false };
      settlements.settle({
        booking: { linkId: 'link-1', keep: 0, limited: true, terms },
        records: ['client-1'],
        report,
      });
    }
    expect(end).toHaveBeenCalledTimes(10_000);
    answer();
    await vi.waitFor(() => expect(told.size).toBe(10_000));
    expect(await settlements.flush()).toBe(0);
    expect(told.size).toBe(10_500);
    settlements.close();
  });
});
