import assert from 'node:assert/strict';
import type { LeaseStore } from '../lease-store.js';
import { WHENEVER_ISSUED } from '../revocation.js';
import type { Revocation } from '../revocation.js';
import { HOUR, query, START } from './fixtures.js';
import type { StoreCase } from './fixtures.js';

function revocation(changes: Partial<Revocation>): Revocation {
  return { name: 'link:link-1', issuedBefore: WHENEVER_ISSUED, keepUntil: START + HOUR, ...changes };
}

/** The first revocation that a store reports; rejects after 1.5 seconds. */
function heard(store: LeaseStore): { what: Promise<Revocation>; stop: () => void } {
  let stop = () => {};
  const what = new Promise<Revocation>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no revocation was reported')), 1500);
    const unsubscribe = store.subscribe({
      revoked: (revocation) => {
        clearTimeout(timer);
        resolve(revocation);
      },
      missed: () => {},
    });
    stop = () => {
      clearTimeout(timer);
      unsubscribe();
    };
  });
  return { what, stop };
}

const NAMES = ['all', 'link:link-1', 'resource:one', 'subject:ada'];

const before = async (store: LeaseStore, changes: Parameters<typeof query>[0] = {}) =>
  (await store.read(query({ records: [], revocations: NAMES, ...changes }))).revokedBefore;

/** Revoking, and telling subscribers about it; and since when a store remembers. */
export const revocationCases: StoreCase[] = [
  {
    name: 'has revoked nothing at first',
    async run({ store, other = store }) {
      assert.equal(await before(store), 0);
      assert.equal(await before(other, { revocations: [] }), 0);
    },
  },
  {
    name: 'answers the latest moment of the names that are asked for, and of no others',
    async run({ store, other = store }) {
      await store.revoke(revocation({ name: 'resource:one', issuedBefore: 10 }), START);
      assert.equal(await before(other), 10);
      assert.equal(await before(other, { revocations: ['resource:two', 'all'] }), 0);
      await store.revoke(revocation({ name: 'subject:ada', issuedBefore: 20 }), START);
      assert.equal(await before(other), 20);
      assert.equal(await before(other, { revocations: NAMES.slice(0, 3) }), 10);
      await store.revoke(revocation({ name: 'all', issuedBefore: 15 }), START);
      assert.equal(await before(other, { revocations: NAMES.slice(0, 3) }), 15);
      await store.revoke(revocation({}), START);
      assert.equal(await before(other), WHENEVER_ISSUED);
      assert.equal(await before(other, { revocations: ['subject:ada', 'link:link-2'] }), 20);
    },
  },
  {
    name: 'never takes a revocation back',
    async run({ store }) {
      await store.revoke(revocation({ name: 'resource:one', issuedBefore: 50 }), START);
      await store.revoke(revocation({ name: 'resource:one', issuedBefore: 40 }), START);
      assert.equal(await before(store), 50);
    },
  },
  {
    name: 'finds revocations together with records',
    async run({ store }) {
      await store.revoke(revocation({}), START);
      for (const records of ['all', ['link']] as const) {
        assert.equal(await before(store, { records }), WHENEVER_ISSUED);
      }
    },
  },
  {
    name: 'tells subscribers of every process within a second',
    async run({ store, other = store }) {
      const [here, there] = [heard(store), heard(other)];
      try {
        const made = revocation({ name: 'subject:ada', issuedBefore: 77 });
        // Time to subscribe.
        await new Promise((resolve) => setTimeout(resolve, 300));
        await store.revoke(made, START);
        for (const { what } of [here, there]) {
          const { name, issuedBefore } = await what;
          assert.deepEqual([name, issuedBefore], ['subject:ada', 77]);
        }
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
