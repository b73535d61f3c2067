import { describe, expect, it } from 'vitest';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import type { LinkCommit } from '../../lib/leases/lease-store.js';
import { added, commitOf, HOUR, LINK, query, SECOND, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';

describe('memory store', () => {
  describeLeaseStore({
    test: it,
    create: () => ({ store: new MemoryLeaseStore() }),
  });

  async function opened(options?: ConstructorParameters<typeof MemoryLeaseStore>[0]) {
    const store = new MemoryLeaseStore(options);
    await store.open(START);
    return store;
  }

  it('refuses options that it does not have, and values that cannot work', () => {
    expect(() => new MemoryLeaseStore({ capcity: 1 } as never)).toThrow(/Did you mean "capacity"\?/);
    expect(() => new MemoryLeaseStore({ capacity: 0 })).toThrow(
      /MemoryLeaseStore\.capacity: write a whole number/,
    );
  });

  it('remembers nothing before it was opened', async () => {
    const state = await new MemoryLeaseStore().read(query());
    expect(state.since).toBe(Infinity);
  });

  const open = (store: MemoryLeaseStore, linkId: string, changes: Partial<LinkCommit> = {}) =>
    store.commit(commitOf([added('a')], { linkId, ...changes }));

  it('forgets links that have expired, without being asked to', async () => {
    const store = await opened();
    for (let i = 0; i < 10_000; i++) {
      const now = START + i * SECOND;
      await open(store, `link-${i}`, { now, keepUntil: now + HOUR });
    }
    expect(store.size).toBeLessThan(2 * 3600);
  });

  it('refuses a further link when it is full, rather than forget one that counts', async () => {
    const store = await opened({ capacity: 100 });
    for (let i = 0; i < 100; i++) {
      await open(store, `link-${i}`);
    }
    await expect(open(store, 'further')).rejects.toThrow(/full/);
    expect((await store.read(query({ linkId: 'link-7' }))).records).toHaveLength(1);
    const later = { now: START + HOUR, keepUntil: START + 2 * HOUR };
    expect(await open(store, 'further', later)).toBe(true);
    expect(store.size).toBe(1);
  });

  it('changes what it has while it is full', async () => {
    const store = await opened({ capacity: 1 });
    await open(store, 'link-1');
    const change = added('a', { was: 1, version: 2 });
    expect(await store.commit(commitOf([change]))).toBe(true);
  });

  it('keeps count when the link that a commit is about has expired', async () => {
    const store = await opened({ capacity: 2 });
    await open(store, 'link', { keepUntil: START + 1 });
    await store.commit(commitOf([added('b')], { linkId: 'link', now: START + 1 }));
    expect(store.size).toBe(1);
  });

  it('has room again for what was removed', async () => {
    const store = await opened({ capacity: 1 });
    await open(store, LINK);
    await expect(open(store, 'link-2')).rejects.toThrow(/full/);
    await store.commit(commitOf([added('a', { was: 1, version: 2, value: undefined })]));
    expect(store.size).toBe(0);
    expect(await open(store, 'link-2')).toBe(true);
  });

  it('forgets revocations of links that have expired, and none before', async () => {
    const store = await opened({ capacity: 10 });
    const revoke = (i: number, now: number) =>
      store.revoke({ name: `link:${i}`, issuedBefore: WHENEVER_ISSUED, keepUntil: now + HOUR }, now);
    for (let i = 0; i < 10; i++) {
      await revoke(i, START);
    }
    await expect(revoke(10, START + 1)).rejects.toThrow(/full/);
    for (let i = 0; i < 10; i++) {
      const state = await store.read(query({ revocations: [`link:${i}`] }));
      expect(state.revokedBefore).toBe(WHENEVER_ISSUED);
    }
    await revoke(10, START + HOUR);
  });
});
