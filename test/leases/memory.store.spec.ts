import { describe, expect, it } from 'vitest';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import { acquisition, ending, HOUR, query, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';

describe('memory store', () => {
  describeLeaseStore({
    test: it,
    create: () => {
      const store = new MemoryLeaseStore();
      return { store };
    },
  });

  async function opened(options?: ConstructorParameters<typeof MemoryLeaseStore>[0]) {
    const store = new MemoryLeaseStore(options);
    await store.open(START);
    return store;
  }

  it('remembers nothing before it was opened', async () => {
    const state = await new MemoryLeaseStore().inspect(query());
    expect(state.since).toBe(Infinity);
  });

  it('forgets links that have expired, without being asked to', async () => {
    const store = await opened();
    for (let i = 0; i < 10_000; i++) {
      await store.acquire(acquisition({ linkId: `link-${i}`, now: START + i * 1000, keep: HOUR }));
    }
    expect(store.size).toBeLessThan(2 * 3600);
  });

  it('refuses a further link when it is full, rather than forget one that counts', async () => {
    const store = await opened({ capacity: 100 });
    for (let i = 0; i < 100; i++) {
      await store.acquire(acquisition({ linkId: `link-${i}` }));
    }
    await expect(store.acquire(acquisition({ linkId: 'further' }))).rejects.toThrow(/full/);
    expect(await store.acquire(acquisition({ linkId: 'link-7' }))).toEqual({ kind: 'used-up' });
    await expect(store.acquire(acquisition({ linkId: 'link-7', maxDownloads: 2 }))).rejects.toThrow(/full/);
    expect((await store.inspect(query({ linkId: 'link-7' }))).used).toBe(1);
    const later = await store.acquire(acquisition({ linkId: 'further', now: START + HOUR }));
    expect(later.kind).toBe('opened');
    expect(store.size).toBeLessThan(100);
  });

  it('has room again for what was given back', async () => {
    const store = await opened({ capacity: 2 });
    const [first, second] = [acquisition({ maxDownloads: 5 }), acquisition({ maxDownloads: 5 })];
    await store.acquire(first);
    await store.acquire(second);
    await expect(store.acquire(acquisition({ maxDownloads: 5 }))).rejects.toThrow(/full/);
    await store.release(ending(second, { sent: 0, covered: [] }));
    expect(store.size).toBe(1);
    await store.release(ending(first, { sent: 0, covered: [] }));
    expect(store.size).toBe(0);
  });

  it('forgets the leases that are over of a link without a limit', async () => {
    const store = await opened();
    for (let i = 0; i < 20_000; i++) {
      const request = acquisition({ maxDownloads: undefined, now: START + i * 1000, keep: 100 * HOUR });
      await store.acquire(request);
      await store.release(ending(request));
    }
    expect(store.size).toBeLessThan(200);
  });

  it('forgets revocations of links that have expired, and none before', async () => {
    const store = await opened({ revocations: 10 });
    const revoke = (i: number, now: number) =>
      store.revoke(
        { kind: 'link', name: `link-${i}`, issuedBefore: WHENEVER_ISSUED, keepUntil: now + HOUR },
        now,
      );
    for (let i = 0; i < 10; i++) {
      await revoke(i, START);
    }
    await expect(revoke(10, START + 1)).rejects.toThrow(/full/);
    for (let i = 0; i < 10; i++) {
      const state = await store.inspect(query({ linkId: `link-${i}` }));
      expect(state.revokedBefore).toBe(WHENEVER_ISSUED);
    }
    await revoke(10, START + HOUR);
  });
});
