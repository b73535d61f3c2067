import assert from 'node:assert/strict';
import type { LeaseStore, LinkCommit, LinkQuery, LinkRecord } from '../lease-store.js';
import { added, commitOf, query, SECOND, START } from './fixtures.js';
import type { StoreCase } from './fixtures.js';

/** The records that a store answers, in the order of their ids. */
async function read(store: LeaseStore, changes: Partial<LinkQuery> = {}): Promise<LinkRecord[]> {
  const { records } = await store.read(query(changes));
  // A store may answer more members than it has to
  return records
    .map(({ id, version, value }) => ({ id, version, value }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function written(store: LeaseStore, commit: LinkCommit): Promise<void> {
  assert.equal(await store.commit(commit), true);
}

/** Reading, and writing if what was read has not changed. */
export const recordCases: StoreCase[] = [
  {
    name: 'knows the time, and nothing about a link at first',
    async run({ store, other = store }) {
      const { now, records } = await other.read(query({ records: ['link', 'ada'] }));
      assert.deepEqual([now, records], [START, []]);
      assert.deepEqual(await read(other), []);
    },
  },
  {
    name: 'reads back what was written, by id or all of it, each record once',
    async run({ store, other = store }) {
      const value = [
        { text: 'a "quoted" v\u00e4l\u0000ue {}, 1 2\n', list: [], none: null, yes: true },
        { length: 2 ** 53 - 1, part: 0.5, intervals: [0, 10, 2 ** 45, 2 ** 45 + 1] },
      ];
      await written(store, commitOf([added('link'), { ...added('ada', value), version: 2 ** 48 }]));
      const link = { id: 'link', version: 1, value: { used: 1 } };
      const ada = { id: 'ada', version: 2 ** 48, value };
      assert.deepEqual(await read(other), [ada, link]);
      assert.deepEqual(await read(other, { records: ['link', 'never', 'ada'] }), [ada, link]);
      assert.deepEqual(await read(other, { records: ['ada'] }), [ada]);
      assert.deepEqual(await read(other, { records: [] }), []);
    },
  },
  {
    name: 'keeps values of tens of kilobytes, and hundreds of records of one link',
    async run({ store, other = store }) {
      const large = { text: 'x'.repeat(50_000) };
      const ids = Array.from({ length: 300 }, (_, i) => `client-${i}`);
      await written(store, commitOf([added('large', large), ...ids.map((id) => added(id))]));
      assert.deepEqual(await read(other, { records: ['large'] }), [
        { id: 'large', version: 1, value: large },
      ]);
      assert.equal((await read(other)).length, 301);
    },
  },
  {
    name: 'keeps links apart',
    async run({ store }) {
      await written(store, commitOf([added('ada')]));
      assert.deepEqual(await read(store, { linkId: 'link-2' }), []);
      await written(store, commitOf([added('ada')], { linkId: 'link-2' }));
      await written(store, commitOf([{ id: 'ada', was: 1, version: 2 }], { linkId: 'link-2' }));
      assert.equal((await read(store)).length, 1);
    },
  },
  {
    name: 'replaces a record, and removes it',
    async run({ store, other = store }) {
      await written(store, commitOf([added('link'), added('ada')]));
      await written(other, commitOf([{ id: 'ada', was: 1, version: 2, value: { used: 2 } }]));
      assert.deepEqual(await read(store, { records: ['ada'] }), [
        { id: 'ada', version: 2, value: { used: 2 } },
      ]);
      await written(store, commitOf([{ id: 'ada', was: 2, version: 3 }]));
      assert.deepEqual(await read(other), [{ id: 'link', version: 1, value: { used: 1 } }]);
      await written(other, commitOf([{ ...added('ada'), version: 7 }]));
      assert.deepEqual(await read(store, { records: ['ada'] }), [
        { id: 'ada', version: 7, value: { used: 1 } },
      ]);
    },
  },
  {
    name: 'writes nothing if one of several records is not what was read',
    async run({ store, other = store }) {
      await written(store, commitOf([added('link'), { ...added('ada'), version: 7 }]));
      const before = await read(store);
      const value = { used: 5 };
      for (const late of [
        { id: 'ada', was: 6, version: 8, value },
        { id: 'ada', was: 8, version: 9, value },
        { id: 'ada', was: undefined, version: 8, value },
        { id: 'ada', was: 6, version: 8 },
        { id: 'grace', was: 1, version: 2, value },
        { id: 'grace', was: 1, version: 2 },
      ]) {
        const first = { id: 'link', was: 1, version: 2, value };
        for (const changes of [
          [first, added('new'), late],
          [late, first],
        ]) {
          assert.equal(await other.commit(commitOf(changes)), false);
        }
      }
      assert.equal(await store.commit(commitOf([{ ...added('ada'), was: 7 }], { linkId: 'link-2' })), false);
      assert.deepEqual(await read(store), before);
      assert.deepEqual(await read(store, { linkId: 'link-2' }), []);
    },
  },
  {
    name: 'changes one record and leaves the others alone',
    async run({ store, other = store }) {
      await written(store, commitOf([added('link'), added('ada'), added('grace')]));
      const report = commitOf([{ id: 'ada', was: 1, version: 2, value: { used: 2 } }]);
      await written(other, report);
      assert.equal(await store.commit(report), false);
      assert.deepEqual(
        (await read(store)).map(({ version }) => version),
        [2, 1, 1],
      );
    },
  },
  {
    name: 'writes a commit once, however often it is repeated',
    async run({ store, other = store }) {
      const commit = commitOf([added('link'), added('ada')]);
      await written(store, commit);
      assert.equal(await other.commit(commit), false);
      assert.equal(await store.commit(commit), false);
    },
  },
  {
    name: 'writes exactly one of many commits that go by the same version',
    async run({ store, other = store }) {
      for (let round = 0; round < 5; round++) {
        const [known] = await read(store, { records: ['link'] });
        const commits = Array.from({ length: 40 }, (_, i) => {
          const link = { id: 'link', was: known?.version, version: round + 1, value: { used: i } };
          return commitOf([added(`round-${round}-${i}`), link]);
        });
        const outcomes = await Promise.all(
          commits.map((commit, i) => (i % 2 ? store : other).commit(commit)),
        );
        assert.equal(outcomes.filter(Boolean).length, 1);
      }
      assert.equal((await read(store)).length, 6);
    },
  },
  {
    name: 'keeps every record for as long as it must, however many others expire',
    async run({ store, other = store }) {
      await written(store, commitOf([added('link')], { keepUntil: START + 60 * SECOND }));
      for (let i = 0; i < 30; i++) {
        const now = START + i * SECOND;
        await written(store, commitOf([added('ada')], { linkId: `link-${i + 2}`, now, keepUntil: now + 1 }));
      }
      assert.equal((await read(other)).length, 1);
    },
  },
];
