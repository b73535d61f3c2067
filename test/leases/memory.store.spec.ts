import { describe, expect, it } from 'vitest';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import type { LeaseCommit } from '../../lib/leases/lease-store.js';
import { added, commitOf, HOUR, query, SECOND, START } from '../../lib/leases/testing/fixtures.js';
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

  const open = (store: MemoryLeaseStore, linkId: string, i = 0, changes: Partial<LeaseCommit> = {}) =>
    store.commit(
      commitOf([added(`lease-${i}`)], {
        linkId,
        link: { was: i || undefined, version: i + 1, used: i + 1 },
        ...changes,
      }),
    );

  it('forgets links that have expired, without being asked to', async () => {
    const store = await opened();
    for (let i = 0; i < 10_000; i++) {
      const now = START + i * SECOND;
      await open(store, `link-${i}`, 0, { now, keepUntil: now + HOUR });
    }
    expect(store.size).toBeLessThan(2 * 3600);
  });

  it('refuses a further link when it is full, rather than forget one that counts', async () => {
    const store = await opened({ capacity: 100 });
    for (let i = 0; i < 100; i++) {
      await open(store, `link-${i}`);
    }
    await expect(open(store, 'further')).rejects.toThrow(/full/);
    expect((await store.read(query({ linkId: 'link-7' }))).link).toEqual({ version: 1, used: 1 });
    const later = { now: START + HOUR, keepUntil: START + 2 * HOUR };
    expect(await open(store, 'further', 0, later)).toBe(true);
    expect(store.size).toBeLessThan(100);
  });

  it('has room for other links however many leases one has', async () => {
    const store = await opened({ capacity: 320 });
    for (let i = 0; i < 1000; i++) {
      await open(store, 'busy', i, { most: Infinity });
    }
    expect((await store.read(query({ linkId: 'busy' }))).link?.used).toBe(1000);
    for (let i = 0; i < 280; i++) {
      expect(await open(store, `link-${i}`)).toBe(true);
    }
  });

  it('keeps count when the link that a commit is about has expired', async () => {
    const store = await opened({ capacity: 2 });
    await open(store, 'link', 0, { keepUntil: START + 1 });
    await open(store, 'link', 1, { now: START + 1 });
    expect(store.size).toBe(0);
    expect(await open(store, 'link', 0, { now: START + 1 })).toBe(true);
    expect(store.size).toBe(1);
  });

  it('finds and forgets leases of a link that has many', async () => {
    const store = await opened();
    for (let i = 0; i < 40; i++) {
      const link = { was: i || undefined, version: i + 1, used: i + 1 };
      await store.commit(commitOf([added(`lease-${i}`, { keys: ['ada', `client-${i}`] })], { link }));
    }
    const removal = { id: 'lease-30', was: 1, version: 2, keys: ['ada', 'client-30'], until: 0 };
    expect(await store.commit(commitOf([removal], { link: { was: 40, version: 41, used: 39 } }))).toBe(true);
    const ids = async (keys: string[]) => (await store.read(query({ keys }))).leases.map(({ id }) => id);
    expect(await ids(['client-30'])).toEqual([]);
    expect(await ids(['ada', 'client-3'])).toHaveLength(9);
    expect(store.size).toBe(39);
  });

  it('has room again for what was given back', async () => {
    const store = await opened({ capacity: 1 });
    await open(store, 'link-1');
    await expect(open(store, 'link-2')).rejects.toThrow(/full/);
    const removal = { id: 'lease-0', was: 1, version: 2, keys: [], until: 0 };
    const commit = commitOf([removal], { linkId: 'link-1', link: { was: 1, version: 2, used: 0 } });
    expect(await store.commit(commit)).toBe(true);
    expect(store.size).toBe(0);
    expect(await open(store, 'link-2')).toBe(true);
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
      const state = await store.read(query({ linkId: `link-${i}` }));
      expect(state.revokedBefore).toBe(WHENEVER_ISSUED);
    }
    await revoke(10, START + HOUR);
  });
});
