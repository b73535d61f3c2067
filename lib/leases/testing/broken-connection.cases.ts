import assert from 'node:assert/strict';
import { type AcquireRequest, type LeaseStore } from '../lease-store.js';
import { acquisition, ending, extension, type StoreCase } from './fixtures.js';

/** A request that sent bytes 0 to 29, and broke while 30 to 59 were being written. */
async function broken(store: LeaseStore, linkId: string): Promise<AcquireRequest> {
  const request = acquisition({ linkId, client: 'ada' });
  await store.acquire(request);
  const report = { sent: 60, covered: [0, 30], unconfirmed: [30, 60], whole: false };
  const answer = await store.release(ending(request, report));
  assert.deepEqual(answer, { found: true, completed: false, givenBack: false });
  return request;
}

async function covered(store: LeaseStore, linkId: string): Promise<number | undefined> {
  return (await store.usage(linkId)).leases[0]?.covered;
}

/** What was being written when a connection broke: the client has some of it, all or nothing. */
export const brokenConnectionCases: StoreCase[] = [
  {
    name: 'learns from a resume how much of a broken write arrived, and completes with the rest',
    async run({ store, other = store }) {
      for (const from of [30, 31, 60]) {
        const linkId = `link-${from}`;
        const { lease } = await broken(store, linkId);
        assert.equal(await covered(other, linkId), 30);
        const resume = acquisition({ linkId, client: 'ada', from, bytes: 100 - from });
        assert.equal((await other.acquire(resume)).kind, 'joined');
        assert.equal(await covered(store, linkId), from);
        const rest = { lease, sent: 100 - from, covered: [from, 100] };
        assert.equal((await other.release(ending(resume, rest))).completed, true);
      }
    },
  },
  {
    name: 'learns nothing of a broken write from a request that starts elsewhere',
    async run({ store }) {
      for (const from of [undefined, 0, 29, 61]) {
        const linkId = `link-${from}`;
        await broken(store, linkId);
        await store.acquire(acquisition({ linkId, client: 'ada', from, bytes: 1 }));
        assert.equal(await covered(store, linkId), 30);
      }
    },
  },
  {
    name: 'learns nothing of a broken write once the representation was replaced',
    async run({ store }) {
      const linkId = 'link-1';
      await broken(store, linkId);
      for (const version of ['v2', 'v1']) {
        await store.acquire(acquisition({ linkId, client: 'ada', version, from: 60, bytes: 1 }));
        assert.equal(await covered(store, linkId), 0);
      }
    },
  },
  {
    name: 'keeps apart what several broken connections were writing',
    async run({ store }) {
      const linkId = 'link-1';
      const first = acquisition({ linkId, client: 'ada', bytes: 50 });
      const second = acquisition({ linkId, client: 'ada', from: 50, bytes: 50 });
      const { lease } = first;
      await store.acquire(first);
      await store.acquire(second);
      await store.extend(extension(first, { sent: 10, covered: [0, 10], total: 50 }));
      await store.release(ending(first, { sent: 20, covered: [], unconfirmed: [10, 20], whole: false }));
      await store.release(
        ending(second, { lease, sent: 30, covered: [50, 70], unconfirmed: [70, 80], whole: false }),
      );
      for (const [from, known] of [
        [15, 35],
        [78, 43],
      ] as const) {
        await store.acquire(acquisition({ linkId, client: 'ada', from, bytes: 1 }));
        assert.equal(await covered(store, linkId), known);
      }
    },
  },
];
