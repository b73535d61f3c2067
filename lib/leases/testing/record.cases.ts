import assert from 'node:assert/strict';
import { LEASES_OF_KEY } from '../lease-store.js';
import type { LeaseCommit, LeaseRecord, LeaseStore } from '../lease-store.js';
import { added, commitOf, LINK, leaseOf, query, START } from './fixtures.js';
import type { StoreCase } from './fixtures.js';

/** Everything that these cases may have written about a link. */
async function all(store: LeaseStore, linkId = LINK): Promise<unknown> {
  const ids = Array.from({ length: 12 }, (_, i) => `lease-${i}`);
  const { link, leases } = await store.read(query({ linkId, leases: ids, keys: ['ada', 'grace'] }));
  return plain({ link, leases: leases.map(recordOf) });
}

/** A store may answer more than it has to. */
const recordOf = ({ id, version, keys, lease }: LeaseRecord) => ({ id, version, keys, lease });

/** Without members that are undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

async function written(store: LeaseStore, commit: LeaseCommit): Promise<void> {
  assert.equal(await store.commit(commit), true);
}

const link = (was: number | undefined, used: number) => ({ was, version: (was ?? 0) + 1, used });

/** Reading, and writing if what was read has not changed. */
export const recordCases: StoreCase[] = [
  {
    name: 'knows the time, and nothing about a link at first',
    async run({ store, other = store }) {
      const state = await other.read(query({ leases: ['lease-1'], keys: ['ada'] }));
      assert.equal(state.now, START);
      assert.equal(state.link, undefined);
      assert.deepEqual(state.leases, []);
    },
  },
  {
    name: 'reads back what was written, by id and by key, each lease once',
    async run({ store, other = store }) {
      const lease = leaseOf({
        root: 'lease-0',
        version: 'a "quoted" väl\u0000ue {}, 1 2',
        length: 2 ** 53 - 1,
        budget: 2 ** 52 + 1,
        charged: 0.5,
        used: true,
        covered: [0, 10, 2 ** 45, 2 ** 45 + 1],
        unconfirmed: [10, 20],
        completedAt: START + 1,
        running: [{ request: 'request-1', granted: 2 ** 45 + 1, planned: 0, own: true }],
      });
      const one = added('lease-1', { keys: ['ada', 'other'], lease });
      await written(store, commitOf([one, added('lease-2', { keys: ['grace'] })]));
      const state = await other.read(
        query({ leases: ['lease-1', 'never'], keys: ['ada', 'other', 'nobody'] }),
      );
      assert.deepEqual(state.link, { version: 1, used: 2 });
      const [found, ...more] = state.leases;
      assert.deepEqual(more, []);
      assert.deepEqual(
        plain(found && recordOf(found)),
        plain({ id: 'lease-1', version: 1, keys: ['ada', 'other'], lease }),
      );
    },
  },
  {
    name: 'keeps links apart',
    async run({ store }) {
      await written(store, commitOf([added('lease-1', { keys: ['ada'] })]));
      const state = await store.read(query({ linkId: 'link-2', leases: ['lease-1'], keys: ['ada'] }));
      assert.deepEqual([state.link, state.leases], [undefined, []]);
      await written(store, commitOf([added('lease-1')], { linkId: 'link-2' }));
    },
  },
  {
    name: 'writes nothing if the link is not what was read',
    async run({ store, other = store }) {
      await written(store, commitOf([added('lease-1')]));
      const before = await all(other);
      for (const was of [undefined, 0, 2]) {
        const commit = commitOf([added('lease-2')], { link: { was, version: 3, used: 2 } });
        assert.equal(await other.commit(commit), false);
      }
      const unknown = commitOf([added('lease-2')], { linkId: 'link-2', link: link(1, 1) });
      assert.equal(await other.commit(unknown), false);
      assert.deepEqual(await all(store), before);
      assert.deepEqual(await all(store, 'link-2'), plain({ leases: [] }));
    },
  },
  {
    name: 'writes nothing if one of several leases is not what was read',
    async run({ store, other = store }) {
      await written(store, commitOf([added('lease-1'), added('lease-2', { version: 7 })]));
      const before = await all(store);
      const changed = leaseOf({ charged: 5 });
      for (const second of [
        { ...added('lease-2'), was: 6, lease: changed },
        { ...added('lease-2'), was: undefined, lease: changed },
        { ...added('lease-3'), was: 1, lease: changed },
        { ...added('lease-2'), was: 8, lease: undefined },
      ]) {
        const first = added('lease-1', { was: 1, version: 2, lease: changed, keys: [] });
        const commit = commitOf([first, added('lease-4'), second], { link: link(1, 3) });
        assert.equal(await other.commit(commit), false);
      }
      assert.deepEqual(await all(store), before);
    },
  },
  {
    name: 'changes a lease and leaves the link alone',
    async run({ store, other = store }) {
      await written(store, commitOf([added('lease-1', { keys: ['ada'] })]));
      const lease = leaseOf({ charged: 50, used: true });
      const report = added('lease-1', { was: 1, version: 2, keys: ['ada'], lease });
      await written(other, commitOf([report], { link: undefined }));
      assert.equal(await store.commit(commitOf([report], { link: undefined })), false);
      assert.deepEqual(
        await all(store),
        plain({
          link: { version: 1, used: 1 },
          leases: [{ id: 'lease-1', version: 2, keys: ['ada'], lease }],
        }),
      );
    },
  },
  {
    name: 'writes a commit once, however often it is repeated',
    async run({ store, other = store }) {
      const commit = commitOf([added('lease-1')]);
      await written(store, commit);
      assert.equal(await other.commit(commit), false);
      assert.equal(await store.commit(commit), false);
      assert.deepEqual((await store.read(query())).link, { version: 1, used: 1 });
    },
  },
  {
    name: 'writes exactly one of many commits that go by the same version',
    async run({ store, other = store }) {
      for (let round = 0; round < 5; round++) {
        const { link: known } = await store.read(query());
        const commits = Array.from({ length: 40 }, (_, i) => {
          const change = { was: known?.version, version: (known?.version ?? 0) + 1, used: round + 1 };
          return commitOf([added(`round-${round}-${i}`)], { link: change });
        });
        const outcomes = await Promise.all(
          commits.map((commit, i) => (i % 2 ? store : other).commit(commit)),
        );
        assert.equal(outcomes.filter(Boolean).length, 1);
      }
      const list = await store.list({ linkId: LINK, limit: 100 });
      assert.deepEqual([list.used, list.leases.length], [5, 5]);
    },
  },
  {
    name: 'finds under a key the latest lease first, and an earlier one when that is removed',
    async run({ store, other = store }) {
      for (let i = 0; i < 3; i++) {
        const commit = commitOf([added(`lease-${i}`, { keys: ['ada'] })], {
          link: link(i || undefined, i + 1),
        });
        await written(i % 2 ? other : store, commit);
      }
      const ids = async () => (await other.read(query({ keys: ['ada'] }))).leases.map(({ id }) => id);
      assert.deepEqual(await ids(), ['lease-2', 'lease-1', 'lease-0']);
      const removal = { id: 'lease-2', was: 1, version: 2, keys: ['ada'], until: 0 };
      await written(store, commitOf([removal], { link: link(3, 2) }));
      assert.deepEqual(await ids(), ['lease-1', 'lease-0']);
      assert.equal(await store.commit(commitOf([removal], { link: link(4, 1) })), false);
    },
  },
  {
    name: 'finds a few of many leases under one key: the latest',
    async run({ store }) {
      for (let i = 0; i < 20; i++) {
        const commit = commitOf([added(`lease-${i}`, { keys: ['ada'] })], {
          link: link(i || undefined, i + 1),
        });
        await written(store, commit);
      }
      const { leases } = await store.read(query({ keys: ['ada'] }));
      const latest = Array.from({ length: LEASES_OF_KEY }, (_, i) => `lease-${19 - i}`);
      assert.deepEqual(
        leases.map(({ id }) => id),
        latest,
      );
    },
  },
  {
    name: 'accepts that a link has nothing left, and uses of it afterwards',
    async run({ store, other = store }) {
      await written(store, commitOf([added('lease-1', { keys: ['ada'] })]));
      const removal = { id: 'lease-1', was: 1, version: 2, keys: ['ada'], until: 0 };
      await written(other, commitOf([removal], { link: { was: 1, version: 2, used: 0 } }));
      const state = await store.read(query({ leases: ['lease-1'], keys: ['ada'] }));
      assert.deepEqual([state.link?.used ?? 0, state.leases], [0, []]);
      const again = { was: state.link?.version, version: 99, used: 1 };
      await written(store, commitOf([added('lease-2')], { link: again }));
    },
  },
  {
    name: 'lists the leases of a link, the latest first and a page at a time',
    async run({ store, other = store }) {
      assert.deepEqual(plain(await store.list({ linkId: LINK, limit: 10 })), { used: 0, leases: [] });
      for (let i = 0; i < 25; i++) {
        const lease = leaseOf({ openedAt: START + i });
        await written(
          store,
          commitOf([added(`lease-${i}`, { lease })], { link: link(i || undefined, i + 1) }),
        );
      }
      const opened: number[] = [];
      let after: string | undefined;
      for (let pages = 0; pages < 10; pages++) {
        const page = await other.list({ linkId: LINK, limit: 10, after });
        assert.equal(page.used, 25);
        assert.ok(page.leases.length <= 10);
        opened.push(...page.leases.map(({ openedAt }) => openedAt - START));
        after = page.next;
        if (after === undefined) {
          break;
        }
      }
      assert.equal(after, undefined);
      assert.deepEqual(
        opened,
        Array.from({ length: 25 }, (_, i) => 24 - i),
      );
    },
  },
  {
    name: 'forgets the oldest leases if there are too many, and still counts them',
    async run({ store, other = store }) {
      for (let i = 0; i < 200; i++) {
        const commit = commitOf([added(`lease-${i}`, { keys: ['ada', `client-${i}`] })], {
          link: link(i || undefined, i + 1),
          enough: 10,
          most: 50,
        });
        await written(store, commit);
      }
      const list = await other.list({ linkId: LINK, limit: 1000 });
      assert.equal(list.used, 200);
      assert.ok(list.leases.length <= 60, `${list.leases.length} are left`);
      const first = await other.read(query({ leases: ['lease-0'], keys: ['client-0'] }));
      assert.deepEqual(first.leases, []);
      const last = await other.read(query({ keys: ['client-199'] }));
      assert.equal(last.leases[0]?.id, 'lease-199');
    },
  },
  {
    name: 'forgets leases that are over if there are enough, and no others',
    async run({ store, other = store }) {
      for (let i = 0; i < 100; i++) {
        const until = START + (i < 70 ? 1 : 1_000_000);
        const commit = commitOf([added(`lease-${i}`, { until })], {
          now: START + i,
          link: link(i || undefined, i + 1),
          enough: 5,
          most: Number.MAX_SAFE_INTEGER,
        });
        await written(store, commit);
      }
      const list = await other.list({ linkId: LINK, limit: 1000 });
      assert.equal(list.used, 100);
      assert.ok(list.leases.length < 60 && list.leases.length >= 30, `${list.leases.length} are left`);
      const ids = Array.from({ length: 30 }, (_, i) => `lease-${i + 70}`);
      assert.equal((await other.read(query({ leases: ids }))).leases.length, 30);
    },
  },
  {
    name: 'keeps every lease while there are few, even those that are over',
    async run({ store }) {
      for (let i = 0; i < 10; i++) {
        const change = { link: link(i || undefined, i + 1), now: START + 10, enough: 10 };
        await written(store, commitOf([added(`lease-${i}`, { until: START })], change));
      }
      assert.equal((await store.list({ linkId: LINK, limit: 100 })).leases.length, 10);
    },
  },
];
