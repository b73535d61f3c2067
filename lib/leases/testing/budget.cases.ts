import assert from 'node:assert/strict';
import { MAX_INTERVALS } from '../interval-set.js';
import {
  acquisition,
  ending,
  extension,
  HOUR,
  LINK,
  SECOND,
  START,
  type StoreCase,
  TERMS,
} from './fixtures.js';

/** The byte budget, completion, and the ends that time puts to a lease. */
export const budgetCases: StoreCase[] = [
  {
    name: 'charges the budget before anything is sent, and for all requests together',
    async run({ store, other = store }) {
      const grants = [];
      for (const node of [store, other, store]) {
        const answer = await node.acquire(acquisition({ client: 'ada', bytes: 80 }));
        grants.push('granted' in answer && answer.granted);
      }
      assert.deepEqual(grants, [80, 80, 40]);
      assert.deepEqual(await store.acquire(acquisition({ client: 'ada' })), { kind: 'used-up' });
    },
  },
  {
    name: 'gives back to the budget what a request did not send',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      await store.acquire(first);
      await store.release(ending(first, { sent: 10, covered: [0, 10], whole: false }));
      const next = await store.acquire(acquisition({ client: 'ada', bytes: 1000 }));
      assert.equal('granted' in next && next.granted, 190);
    },
  },
  {
    name: 'charges what a request sent beyond what it was granted',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      await store.acquire(first);
      await store.release(ending(first, { sent: 150, covered: [0, 50], whole: false }));
      const next = await store.acquire(acquisition({ client: 'ada', bytes: 1000 }));
      assert.equal('granted' in next && next.granted, 50);
    },
  },
  {
    name: 'grants a running request more, up to the budget',
    async run({ store, other = store }) {
      const first = acquisition({ length: 1000, budget: 500, bytes: 100 });
      await store.acquire(first);
      const asked = [
        [store, 300, 300],
        [other, 300, 300],
        [store, 200, 300],
        [store, 900, 500],
      ] as const;
      for (const [node, total, granted] of asked) {
        const answer = await node.extend(extension(first, { total }));
        assert.deepEqual(answer, { found: true, granted, left: 500 - granted });
      }
    },
  },
  {
    name: 'grants a request nothing that has ended or never was',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      await store.acquire(first);
      await store.acquire(acquisition({ client: 'ada', bytes: 1 }));
      await store.release(ending(first, { sent: 1, covered: [0, 1] }));
      assert.deepEqual(await store.extend(extension(first)), { found: false, granted: 0 });
      assert.deepEqual(await store.extend(extension(acquisition())), { found: false, granted: 0 });
    },
  },
  {
    name: 'bounds nothing where there is no budget',
    async run({ store }) {
      const first = acquisition({ budget: undefined, length: undefined, bytes: 2 ** 40 });
      const answer = await store.acquire(first);
      assert.equal('granted' in answer && answer.granted, 2 ** 40);
      const more = await store.extend(extension(first, { total: 2 ** 41 }));
      assert.equal(more.granted, 2 ** 41);
    },
  },
  {
    name: 'is complete when the union of what all requests sent has no hole',
    async run({ store, other = store }) {
      const requests = [0, 1, 2].map(() => acquisition({ client: 'ada', bytes: 40 }));
      const { lease } = requests[0]!;
      const parts = [
        [60, 100],
        [0, 30],
        [30, 70],
      ];
      for (const request of requests) {
        await store.acquire(request);
      }
      for (const [i, request] of requests.entries()) {
        const node = i % 2 ? store : other;
        const answer = await node.release(ending(request, { lease, sent: 40, covered: parts[i]! }));
        assert.equal(answer.completed, i === 2);
      }
      assert.equal((await store.usage(LINK)).leases[0]?.covered, 100);
    },
  },
  {
    name: 'counts what running requests reported',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      await store.acquire(first);
      await store.extend(extension(first, { sent: 50, covered: [0, 20, 50, 80] }));
      await store.extend(extension(first, { sent: 60, covered: [15, 55] }));
      assert.equal((await store.usage(LINK)).leases[0]?.covered, 80);
      assert.equal((await store.release(ending(first, { covered: [80, 100] }))).completed, true);
    },
  },
  {
    name: 'says once that a lease is complete',
    async run({ store }) {
      const first = acquisition({ client: 'ada' });
      const second = acquisition({ client: 'ada' });
      await store.acquire(first);
      await store.acquire(second);
      assert.equal((await store.release(ending(first))).completed, true);
      assert.equal((await store.release(ending(second, { lease: first.lease }))).completed, false);
    },
  },
  {
    name: 'ends a lease some time after it is complete, and not before',
    async run({ store }) {
      const first = acquisition({ client: 'ada', budget: 1000 });
      await store.acquire(first);
      await store.release(ending(first));
      const last = acquisition({ client: 'ada', now: START + 10 * SECOND - 1, bytes: 1 });
      assert.equal((await store.acquire(last)).kind, 'joined');
      const late = acquisition({ client: 'ada', now: START + 10 * SECOND });
      assert.deepEqual(await store.acquire(late), { kind: 'used-up' });
    },
  },
  {
    name: 'starts again with what was sent when the representation was replaced',
    async run({ store }) {
      const first = acquisition({ client: 'ada', budget: 1000 });
      await store.acquire(first);
      await store.release(ending(first, { sent: 60, covered: [0, 60] }));
      const second = acquisition({ client: 'ada', version: 'v2', length: 80 });
      await store.acquire(second);
      const part = { lease: first.lease, sent: 30, covered: [50, 80] };
      assert.equal((await store.release(ending(second, part))).completed, false);
      assert.equal((await store.usage(LINK)).leases[0]?.covered, 30);
    },
  },
  {
    name: 'goes by the whole being sent, and by attempts, where the length is unknown',
    async run({ store }) {
      const unknown = { client: 'ada', length: undefined, budget: undefined, version: undefined };
      const requests = [0, 1, 2].map(() => acquisition(unknown));
      const { lease } = requests[0]!;
      for (const request of requests.slice(0, 2)) {
        await store.acquire(request);
        const cut = ending(request, { lease, sent: 10, covered: [0, 10], whole: false });
        assert.equal((await store.release(cut)).completed, false);
      }
      assert.equal((await store.acquire(requests[2]!)).kind, 'joined');
      assert.deepEqual(await store.acquire(acquisition(unknown)), { kind: 'used-up' });
      assert.equal((await store.release(ending(requests[2]!, { lease }))).completed, true);
    },
  },
  {
    name: 'ends a lease that sends nothing, and keeps one that does',
    async run({ store }) {
      const first = acquisition({ client: 'ada', budget: 1000, bytes: 1 });
      const join = (now: number) => store.acquire(acquisition({ client: 'ada', now, bytes: 1 }));
      await store.acquire(first);
      await store.extend(extension(first, { now: START + HOUR - 1, sent: 1, covered: [0, 1] }));
      assert.equal((await join(START + HOUR)).kind, 'joined');
      await store.extend(extension(first, { now: START + HOUR + 1, sent: 0 }));
      assert.equal((await join(START + 2 * HOUR)).kind, 'used-up');
    },
  },
  {
    name: 'ends a lease when its life is over, though it is sending',
    async run({ store }) {
      const first = acquisition({ client: 'ada', budget: 1000, bytes: 10 });
      await store.acquire(first);
      for (let hour = 0.5; hour < 24; hour += 0.5) {
        const now = START + hour * HOUR;
        await store.extend(extension(first, { now, total: 10, sent: 5, covered: [0, 5] }));
      }
      const now = START + TERMS.life;
      assert.deepEqual(await store.acquire(acquisition({ client: 'ada', now })), { kind: 'used-up' });
      assert.deepEqual(await store.extend(extension(first, { now, total: 50 })), {
        found: true,
        granted: 10,
        left: 990,
      });
    },
  },
  {
    name: 'does not grow with a client that asks for every other byte',
    async run({ store }) {
      const length = 1_000_000;
      const first = acquisition({ length, budget: 2 * length, bytes: length });
      await store.acquire(first);
      for (let start = 0; start < 1000; start += 200) {
        const covered = Array.from({ length: 100 }, (_, i) => [start + 2 * i, start + 2 * i + 1]).flat();
        await store.extend(extension(first, { sent: 1, covered, total: length }));
      }
      assert.equal((await store.usage(LINK)).leases[0]?.covered, MAX_INTERVALS);
      const rest = { covered: [0, length], sent: length };
      assert.equal((await store.release(ending(first, rest))).completed, true);
    },
  },
  {
    name: 'is exact with files of terabytes',
    async run({ store }) {
      const length = 2 ** 45 + 1;
      const first = acquisition({ length, budget: 2 * length, bytes: length });
      assert.deepEqual(await store.acquire(first), {
        kind: 'opened',
        lease: first.lease,
        granted: length,
        left: length,
        used: 1,
      });
      const short = await store.extend(
        extension(first, { sent: 1, covered: [0, length - 1], total: length }),
      );
      assert.equal(short.granted, length);
      const answer = await store.release(ending(first, { sent: length, covered: [length - 1, length] }));
      assert.equal(answer.completed, true);
    },
  },
];
