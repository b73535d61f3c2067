import assert from 'node:assert/strict';
import type { LeaseStore, LinkCommit, LinkQuery, LinkRecord } from '../lease-store.js';
import { added, commitOf, HOUR, query, START } from './fixtures.js';
import type { StoreCase } from './fixtures.js';

/** The records that are found, by their ids. */
async function found(store: LeaseStore, changes: Partial<LinkQuery> = {}): Promise<LinkRecord[]> {
  const { records } = await store.read(query(changes));
  return records
    .map(({ id, version, value }) => ({ id, version, value }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function written(store: LeaseStore, commit: LinkCommit): Promise<void> {
  assert.equal(await store.commit(commit), true);
}

const recordOf = (id: string, version = 1, value: object = { id }): LinkRecord => ({ id, version, value });

/** Reading, and writing if what was read has not changed. */
export const recordCases: StoreCase[] = [
  {
    name: 'knows the time, and nothing about a link at first',
    async run({ store, other = store }) {
      const { now, records } = await other.read(query());
      assert.deepEqual([now, records], [START, []]);
      assert.deepEqual(await found(store, { records: ['a'] }), []);
      assert.deepEqual(await found(store, { records: [] }), []);
    },
  },
  {
    name: 'reads back what was written, of all records or of some',
    async run({ store, other = store }) {
      await written(store, commitOf([added('a'), added('b', { version: 2 ** 48 + 1 }), added('c')]));
      const [a, b, c] = [recordOf('a'), recordOf('b', 2 ** 48 + 1), recordOf('c')];
      assert.deepEqual(await found(other), [a, b, c]);
      assert.deepEqual(await found(other, { records: ['c', 'never', 'a'] }), [a, c]);
      assert.deepEqual(await found(other, { records: [] }), []);
    },
  },
  {
    name: 'keeps a value as it is',
    async run({ store, other = store }) {
      const value = {
        text: 'a "quoted" väl\u0000ue {}, \\ \n 1 2 €😀',
        numbers: [0, 0.5, -1, 2 ** 53 - 1, 1e300],
        nested: { list: [{ deep: true }, null, []], empty: {} },
        long: 'x'.repeat(100_000),
      };
      await written(store, commitOf([added('a', { value })]));
      assert.deepEqual(await found(other), [recordOf('a', 1, value)]);
    },
  },
  {
    name: 'keeps links apart',
    async run({ store, other = store }) {
      await written(store, commitOf([added('a')]));
      assert.deepEqual(await found(other, { linkId: 'link-2' }), []);
      assert.deepEqual(await found(other, { linkId: 'link-2', records: ['a'] }), []);
      await written(store, commitOf([added('a', { version: 7 })], { linkId: 'link-2' }));
      assert.deepEqual(await found(other), [recordOf('a')]);
    },
  },
  {
    name: 'changes some records and leaves the others alone',
    async run({ store, other = store }) {
      await written(store, commitOf([added('a'), added('b'), added('c')]));
      const change = added('a', { was: 1, version: 2, value: { changed: true } });
      const removal = added('b', { was: 1, version: 2, value: undefined });
      await written(other, commitOf([change, removal, added('d')]));
      const changed = [recordOf('a', 2, { changed: true }), recordOf('c'), recordOf('d')];
      assert.deepEqual(await found(store), changed);
      assert.deepEqual(await found(other), changed);
    },
  },
  {
    name: 'changes nothing if one of several records is not what was read',
    async run({ store, other = store }) {
      await written(store, commitOf([added('a'), added('b', { version: 7 }), added('c')]));
      const before = await found(store);
      const value = { changed: true };
      for (const stale of [
        added('b', { value }),
        added('b', { was: 6, version: 8, value }),
        added('b', { was: 8, version: 9, value: undefined }),
        added('never', { was: 1, version: 2, value }),
        added('never', { was: 1, version: 2, value: undefined }),
      ]) {
        const fitting = [
          added('a', { was: 1, version: 2, value }),
          added('c', { was: 1, version: 2, value: undefined }),
          added('d'),
        ];
        assert.equal(await other.commit(commitOf([...fitting, stale])), false);
        assert.equal(await store.commit(commitOf([stale, ...fitting])), false);
      }
      assert.deepEqual(await found(store), before);
      assert.deepEqual(await found(other), before);
    },
  },
  {
    name: 'changes nothing for a reader of a store that was created at another moment',
    async run({ store, other = store }) {
      const change = added('a', { was: 1, version: 2 });
      await written(store, commitOf([added('a')]));
      assert.equal(await other.commit(commitOf([added('b')], { since: START - 1 })), false);
      assert.equal(await store.commit(commitOf([change], { since: START + 1 })), false);
      assert.deepEqual(await found(store), [recordOf('a')]);
    },
  },
  {
    name: 'makes a change once, however often it is repeated',
    async run({ store, other = store }) {
      const first = commitOf([added('a')]);
      await written(store, first);
      assert.equal(await other.commit(first), false);
      const second = commitOf([added('a', { was: 1, version: 2 })]);
      await written(other, second);
      assert.equal(await store.commit(second), false);
      assert.deepEqual(await found(store), [recordOf('a', 2)]);
    },
  },
  {
    name: 'makes exactly one of many commits that go by the same version',
    async run({ store, other = store }) {
      for (let round = 0; round < 5; round++) {
        const [count] = await found(store, { records: ['count'] });
        const commits = Array.from({ length: 40 }, (_, i) => {
          const value = { used: round + 1 };
          const version = (count?.version ?? 0) + 1;
          return commitOf([
            added(`round-${round}-${i}`),
            { id: 'count', was: count?.version, version, value },
          ]);
        });
        const outcomes = await Promise.all(
          commits.map((commit, i) => (i % 2 ? store : other).commit(commit)),
        );
        assert.equal(outcomes.filter(Boolean).length, 1);
      }
      const records = await found(other);
      assert.equal(records.length, 6);
      assert.deepEqual(records[0], recordOf('count', 5, { used: 5 }));
    },
  },
  {
    name: 'makes all of many commits that concern different records of one link',
    async run({ store, other = store }) {
      const commits = Array.from({ length: 40 }, (_, i) => commitOf([added(`record-${i}`)]));
      const outcomes = await Promise.all(commits.map((commit, i) => (i % 2 ? store : other).commit(commit)));
      assert.deepEqual(outcomes, commits.map(() => true)); // prettier-ignore
      assert.equal((await found(store)).length, 40);
    },
  },
  {
    name: 'adds a record again that was removed',
    async run({ store, other = store }) {
      await written(store, commitOf([added('a')]));
      await written(other, commitOf([added('a', { was: 1, version: 2, value: undefined })]));
      assert.deepEqual(await found(store), []);
      assert.equal(await other.commit(commitOf([added('a', { was: 1, version: 2 })])), false);
      await written(store, commitOf([added('a', { version: 9 })]));
      assert.deepEqual(await found(other), [recordOf('a', 9)]);
    },
  },
  {
    name: 'changes 99 records at once',
    async run({ store, other = store }) {
      const ids = Array.from({ length: 99 }, (_, i) => `record-${i}`);
      await written(store, commitOf(ids.map((id) => added(id))));
      await written(other, commitOf(ids.map((id) => added(id, { was: 1, version: 2 }))));
      const { records } = await store.read(query({ records: ids }));
      assert.deepEqual([records.length, new Set(records.map(({ version }) => version))], [99, new Set([2])]);
    },
  },
  {
    name: 'forgets nothing too early, whatever else it forgets',
    async run({ store, other = store }) {
      await written(store, commitOf([added('kept')], { keepUntil: START + 10 * HOUR }));
      // A later commit about the same link that needs its record for less time
      await written(other, commitOf([added('short')], { keepUntil: START + 1 }));
      for (let i = 0; i < 100; i++) {
        const now = START + 9 * HOUR + i;
        await written(store, commitOf([added('a')], { linkId: `link-${i + 2}`, now, keepUntil: now + HOUR }));
      }
      const now = START + 9 * HOUR + 100;
      assert.deepEqual(await found(other, { now, records: ['kept'] }), [recordOf('kept')]);
    },
  },
];
