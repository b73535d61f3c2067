import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LeaseStore } from '../lease-store.js';
import { WHENEVER_ISSUED } from '../revocation.js';
import type { Revocation } from '../revocation.js';
import { added, commitOf, HOUR, query, START } from './fixtures.js';
import type { StoreCase } from './fixtures.js';

function revocation(changes: Partial<Revocation>): Revocation {
  return { name: 'link:1', issuedBefore: WHENEVER_ISSUED, keepUntil: START + HOUR, ...changes };
}

/** Collects what a store reports. */
function heard(store: LeaseStore): { reports: string[]; stop: () => void } {
  const reports: string[] = [];
  const stop = store.subscribe({
    revoked: ({ name, issuedBefore }) => reports.push(`${name} ${issuedBefore}`),
    missed: () => {},
  });
  return { reports, stop };
}

/** Waits until all were reported; rejects after 1.5 seconds. */
async function until(reports: string[], ...expected: string[]): Promise<void> {
  const giveUp = performance.now() + 1500;
  while (!expected.every((one) => reports.includes(one))) {
    assert.ok(performance.now() < giveUp, `expected ${expected.join(', ')}, but got ${reports.join(', ')}`);
    await sleep(10);
  }
}

const before = async (store: LeaseStore, ...revocations: string[]) =>
  (await store.read(query({ records: [], revocations }))).revokedBefore;

/** Revoking, and telling subscribers about it; and since when a store remembers. */
export const revocationCases: StoreCase[] = [
  {
    name: 'has revoked nothing at first',
    async run({ store, other = store }) {
      assert.equal(await before(store), 0);
      assert.equal(await before(other, 'link:1', 'all'), 0);
    },
  },
  {
    name: 'finds the latest revocation of several names',
    async run({ store, other = store }) {
      await store.revoke(revocation({ issuedBefore: 10 }), START);
      await other.revoke(revocation({ name: 'subject:1', issuedBefore: 20 }), START);
      await store.revoke(revocation({ name: 'all' }), START);
      assert.equal(await before(other, 'link:1'), 10);
      assert.equal(await before(store, 'link:1', 'subject:2'), 10);
      assert.equal(await before(other, 'link:1', 'subject:1'), 20);
      assert.equal(await before(store, 'subject:1', 'link:1', 'all'), WHENEVER_ISSUED);
      assert.equal(await before(store, 'subject:2'), 0);
    },
  },
  {
    name: 'never takes a revocation back',
    async run({ store, other = store }) {
      await store.revoke(revocation({ issuedBefore: 50 }), START);
      await other.revoke(revocation({ issuedBefore: 40 }), START);
      assert.equal(await before(store, 'link:1'), 50);
      assert.equal(await before(other, 'link:1'), 50);
    },
  },
  {
    name: 'keeps each of many revocations that are made at once',
    async run({ store, other = store }) {
      const names = Array.from({ length: 40 }, (_, i) => `link:${i % 20}`);
      await Promise.all(names.map((name, i) => [store, other][i % 2]!.revoke(revocation({ name }), START)));
      for (const name of names) {
        assert.equal(await before(store, name), WHENEVER_ISSUED);
      }
    },
  },
  {
    name: 'finds revocations together with records',
    async run({ store, other = store }) {
      await store.commit(commitOf([added('a')]));
      await store.revoke(revocation({}), START);
      const state = await other.read(query({ revocations: ['all', 'link:1'] }));
      assert.deepEqual([state.revokedBefore, state.records.length], [WHENEVER_ISSUED, 1]);
    },
  },
  {
    name: 'tells subscribers of every process within a second, of each revocation',
    async run({ store, other = store }) {
      const [here, there] = [heard(store), heard(other)];
      try {
        // Time to subscribe
        await sleep(300);
        const made = [revocation({ issuedBefore: 77 }), revocation({ name: 'all', issuedBefore: 78 })];
        await Promise.all(made.map((one, i) => (i % 2 ? other : store).revoke(one, START)));
        await until(here.reports, 'link:1 77', 'all 78');
        await until(there.reports, 'link:1 77', 'all 78');
        await store.revoke(revocation({ issuedBefore: 79 }), START);
        await until(here.reports, 'link:1 79');
        await until(there.reports, 'link:1 79');
      } finally {
        here.stop();
        there.stop();
      }
    },
  },
  {
    name: 'says since when it remembers: the same to every process, and after it was opened again',
    async run({ store, other = store }) {
      const { since } = await store.read(query());
      assert.equal(since, START);
      await other.open(START + HOUR);
      assert.equal((await other.read(query())).since, since);
    },
  },
];
