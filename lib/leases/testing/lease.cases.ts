import assert from 'node:assert/strict';
import { type LeaseStore } from '../lease-store.js';
import { acquisition, ending, HOUR, LINK, query, SECOND, START, type StoreCase } from './fixtures.js';

async function acquired(store: LeaseStore, request: ReturnType<typeof acquisition>) {
  const answer = await store.acquire(request);
  assert.ok('granted' in answer, `expected a lease, got ${answer.kind}`);
  return answer;
}

async function refused(store: LeaseStore, request: ReturnType<typeof acquisition>, kind = 'used-up') {
  assert.deepEqual(await store.acquire(request), { kind });
}

/** Opening, joining, ending and giving back. */
export const leaseCases: StoreCase[] = [
  {
    name: 'opens as many leases as the link has, and no more',
    async run({ store }) {
      for (const used of [1, 2, 3]) {
        const answer = await acquired(store, acquisition({ maxDownloads: 3 }));
        assert.deepEqual([answer.kind, answer.used], ['opened', used]);
      }
      await refused(store, acquisition({ maxDownloads: 3 }));
    },
  },
  {
    name: 'opens exactly 5 of 200 at once',
    async run({ store, other = store }) {
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          (i % 2 ? store : other).acquire(acquisition({ maxDownloads: 5 })),
        ),
      );
      assert.equal(answers.filter((answer) => answer.kind === 'opened').length, 5);
      assert.equal(answers.filter((answer) => answer.kind === 'used-up').length, 195);
    },
  },
  {
    name: 'keeps links apart',
    async run({ store }) {
      await acquired(store, acquisition());
      assert.equal((await acquired(store, acquisition({ linkId: 'link-2' }))).used, 1);
    },
  },
  {
    name: 'lets a request join by its client, for nothing',
    async run({ store, other = store }) {
      const first = acquisition({ client: 'ada' });
      await acquired(store, first);
      const answer = await acquired(other, acquisition({ client: 'ada' }));
      assert.deepEqual([answer.kind, answer.lease, answer.used], ['joined', first.lease, 1]);
    },
  },
  {
    name: 'lets a request join by the lease it presents, whoever its client is',
    async run({ store }) {
      const first = acquisition({ bytes: 50 });
      const presented = first.lease;
      await acquired(store, first);
      for (const client of ['grace', undefined]) {
        const answer = await acquired(store, acquisition({ presented, client, bytes: 50 }));
        assert.deepEqual([answer.kind, answer.lease], ['joined', presented]);
      }
    },
  },
  {
    name: 'lets nobody join without a client or a lease',
    async run({ store }) {
      await acquired(store, acquisition({ client: undefined }));
      await refused(store, acquisition({ client: undefined }));
    },
  },
  {
    name: 'does not know the lease of another link, nor one that never was',
    async run({ store }) {
      const elsewhere = acquisition({ linkId: 'link-2' });
      await acquired(store, elsewhere);
      await acquired(store, acquisition());
      await refused(store, acquisition({ presented: elsewhere.lease }));
      await refused(store, acquisition({ presented: 'used' }));
      await refused(store, acquisition({ presented: '' }));
    },
  },
  {
    name: 'falls back to the client where the presented lease is over',
    async run({ store }) {
      const first = acquisition({ maxDownloads: 2 });
      await acquired(store, first);
      await store.release(ending(first));
      const now = START + 11 * SECOND;
      const second = acquisition({ maxDownloads: 2, client: 'ada', now });
      await acquired(store, second);
      const answer = await acquired(
        store,
        acquisition({ maxDownloads: 2, presented: first.lease, client: 'ada', now }),
      );
      assert.equal(answer.lease, second.lease);
    },
  },
  {
    name: 'answers the same to a call that is repeated',
    async run({ store }) {
      const first = acquisition();
      const answer = await acquired(store, first);
      assert.deepEqual(await store.acquire(first), answer);
      await store.release(ending(first, { sent: 0, covered: [] }));
      assert.equal((await store.usage(LINK)).used, 0);
    },
  },
  {
    name: 'takes a lease back under which nothing was sent',
    async run({ store, other = store }) {
      const first = acquisition();
      await acquired(store, first);
      const answer = await other.release(ending(first, { sent: 0, covered: [], whole: false }));
      assert.deepEqual(answer, { found: true, completed: false, givenBack: true });
      assert.equal((await store.usage(LINK)).used, 0);
      assert.equal((await acquired(store, acquisition())).kind, 'opened');
    },
  },
  {
    name: 'takes a lease back only when the last of its requests ended',
    async run({ store }) {
      const first = acquisition({ client: 'ada', bytes: 10 });
      const second = acquisition({ client: 'ada', bytes: 10 });
      await acquired(store, first);
      await acquired(store, second);
      const nothing = { sent: 0, covered: [], whole: false };
      assert.equal((await store.release(ending(first, nothing))).givenBack, false);
      const last = await store.release(ending(second, { ...nothing, lease: first.lease }));
      assert.equal(last.givenBack, true);
    },
  },
  {
    name: 'takes no lease back under which anything was sent',
    async run({ store }) {
      const first = acquisition();
      await acquired(store, first);
      const answer = await store.release(ending(first, { sent: 1, covered: [0, 1], whole: false }));
      assert.deepEqual(answer, { found: true, completed: false, givenBack: false });
      await refused(store, acquisition());
    },
  },
  {
    name: 'ends a request once, however often it is told',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      await acquired(store, first);
      await acquired(store, acquisition({ client: 'ada' }));
      const nothing = ending(first, { sent: 0, covered: [], whole: false });
      assert.equal((await store.release(nothing)).found, true);
      for (let i = 0; i < 3; i++) {
        assert.deepEqual(await store.release(nothing), { found: false, completed: false, givenBack: false });
      }
      assert.equal((await store.usage(LINK)).used, 1);
    },
  },
  {
    name: 'can be told of what it does not know',
    async run({ store }) {
      const unknown = acquisition({ linkId: 'never-seen' });
      assert.deepEqual(await store.release(ending(unknown)), {
        found: false,
        completed: false,
        givenBack: false,
      });
      assert.deepEqual(await store.usage('never-seen'), { used: 0, leases: [] });
    },
  },
  {
    name: 'opens nothing for an expired link, and lets join what is open',
    async run({ store }) {
      await refused(store, acquisition({ mayOpen: false }), 'closed');
      await acquired(store, acquisition({ client: 'ada' }));
      assert.equal((await acquired(store, acquisition({ mayOpen: false, client: 'ada' }))).kind, 'joined');
      await refused(store, acquisition({ mayOpen: false }), 'closed');
    },
  },
  {
    name: 'lets an expired link be joined only for the same version, where that is asked',
    async run({ store }) {
      const resume = { mayOpen: false, sameVersion: true, client: 'ada' };
      await acquired(store, acquisition({ client: 'ada' }));
      await refused(store, acquisition({ ...resume, version: 'v2' }), 'closed');
      await refused(store, acquisition({ ...resume, version: undefined }), 'closed');
      assert.equal((await acquired(store, acquisition({ ...resume, version: 'v1' }))).kind, 'joined');
    },
  },
  {
    name: 'serves a link without a limit for ever',
    async run({ store }) {
      for (let used = 1; used <= 300; used++) {
        const answer = await acquired(store, acquisition({ maxDownloads: undefined }));
        assert.deepEqual([answer.kind, answer.used], ['opened', used]);
      }
      const first = acquisition({ maxDownloads: undefined, client: 'ada' });
      await acquired(store, first);
      const again = await acquired(store, acquisition({ maxDownloads: undefined, client: 'ada' }));
      assert.equal(again.lease, first.lease);
    },
  },
  {
    name: 'counts a lease that is over, though it may have been forgotten',
    async run({ store }) {
      const over = START + 2 * HOUR;
      for (let i = 0; i < 150; i++) {
        await acquired(store, acquisition({ maxDownloads: 200, keep: 9 * HOUR }));
      }
      for (let i = 0; i < 50; i++) {
        await acquired(store, acquisition({ maxDownloads: 200, keep: 9 * HOUR, now: over }));
      }
      await refused(store, acquisition({ maxDownloads: 200, now: over }));
      assert.equal((await store.inspect(query({ now: over }))).used, 200);
    },
  },
  {
    name: 'inspects without changing anything',
    async run({ store, other = store }) {
      const before = await other.inspect(query({ client: 'ada' }));
      assert.deepEqual([before.used, before.joinable], [0, false]);
      const first = acquisition({ client: 'ada' });
      await acquired(store, first);
      for (let i = 0; i < 3; i++) {
        const state = await other.inspect(query({ client: 'ada' }));
        assert.deepEqual([state.used, state.joinable], [1, true]);
      }
      assert.equal((await other.inspect(query({ client: 'grace' }))).joinable, false);
      assert.equal((await other.inspect(query({ lease: first.lease }))).joinable, true);
      assert.equal((await other.inspect(query({ client: 'ada', now: START + HOUR }))).joinable, false);
      assert.equal((await store.usage(LINK)).leases[0]?.running, 1);
    },
  },
  {
    name: 'says how a link is used',
    async run({ store, other = store }) {
      const first = acquisition();
      await acquired(store, first);
      await store.extend({ ...first, total: 100, sent: 30, covered: [10, 40], now: START + 5 });
      assert.deepEqual(JSON.parse(JSON.stringify(await other.usage(LINK))), {
        used: 1,
        leases: [{ openedAt: START, seenAt: START + 5, length: 100, covered: 30, running: 1 }],
      });
    },
  },
];
