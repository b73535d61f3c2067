import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Settlements } from '../../lib/leases/settlements.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

describe('what is reported to a store that never answers', () => {
  it('is bounded, and sent when it answers again', async () => {
    const told = new Set<number>();
    let answer = () => {};
    const answering = new Promise<void>((resolve) => (answer = resolve));
    const tell = vi.fn(async (request: number) => {
      await answering;
      told.add(request);
    });
    const settlements = new Settlements();
    for (let i = 0; i < 10_500; i++) {
      settlements.settle(() => tell(i));
    }
    expect(tell).toHaveBeenCalledTimes(10_000);
    answer();
    await vi.waitFor(() => expect(told.size).toBe(10_000));
    expect(await settlements.flush()).toBe(0);
    expect(told.size).toBe(10_500);
    settlements.close();
  });
});
