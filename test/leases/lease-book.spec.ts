import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { Booking, Entering, Entry, Report } from '../../lib/leases/lease.js';
import { LeaseBook } from '../../lib/leases/lease-book.js';
import { runningOf } from '../../lib/leases/lease-record.js';
import type { LeaseStore } from '../../lib/leases/lease-store.js';
import { recordsOf } from '../../lib/leases/link-knowledge.js';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { HOUR, SECOND, START } from '../../lib/leases/testing/fixtures.js';
import { DeferringStore } from './support/deferring-store.js';

const TERMS = { idle: HOUR, life: 24 * HOUR, grace: 10 * SECOND, attempts: 3, connections: 32 };
const BOOKING: Booking = { linkId: 'link-1', endsAt: START + HOUR, maxDownloads: 5, terms: TERMS };
/** So long that no test waits for it. */
const PATIENCE = 60 * SECOND;

let names = 0;

function entering(changes: Partial<Entering> = {}): Entering {
  names += 1;
  return {
    request: `request-${names}`,
    client: `client-${names}`,
    mayOpen: true,
    version: 'v1',
    length: 100,
    budget: 200,
    bytes: 100,
    planned: 100,
    ...changes,
  };
}

function leaseOf(entry: Entry) {
  if (!('lease' in entry)) {
    throw new Error(`refused: ${entry.kind}`);
  }
  return entry.lease;
}

async function opened(): Promise<MemoryLeaseStore> {
  const store = new MemoryLeaseStore();
  await store.open(START);
  return store;
}

const bookOn = (store: LeaseStore, clock = () => START) => new LeaseBook(store, clock, PATIENCE);

describe('many requests for one link at once', () => {
  it('are decided together, and get what there is', async () => {
    const store = await opened();
    const commit = vi.spyOn(store, 'commit');
    const book = bookOn(store);
    const entries = await Promise.all(
      Array.from({ length: 1000 }, () => book.enter({ ...BOOKING, maxDownloads: 500 }, entering())),
    );
    expect(entries.filter(({ kind }) => kind === 'opened')).toHaveLength(500);
    expect(entries.filter(({ kind }) => kind === 'LINK_USED_UP')).toHaveLength(500);
    const changes = commit.mock.calls.map(([one]) => one.changes.length);
    expect(changes.length).toBeLessThan(15);
    expect(Math.max(...changes)).toBeLessThan(100);
  });

  it('are one download where one client makes them', async () => {
    const book = bookOn(await opened());
    const ask = () => book.enter(BOOKING, entering({ client: 'ada', bytes: 10, planned: 10 }));
    const entries = await Promise.all(Array.from({ length: 20 }, ask));
    expect(entries.filter(({ kind }) => kind === 'opened')).toHaveLength(1);
    expect(entries.filter(({ kind }) => kind === 'joined')).toHaveLength(19);
  });
});

describe('a request that was looked up before', () => {
  it('costs one commit, and so does each report', async () => {
    const store = await opened();
    const book = bookOn(store);
    const request = entering();
    const read = vi.spyOn(store, 'read');
    const commit = vi.spyOn(store, 'commit');
    const seen = await book.read(BOOKING.linkId, recordsOf(request));
    book.stay(BOOKING.linkId);
    const entry = await book.enter(BOOKING, request, seen);
    const lease = leaseOf(entry);
    for (let sent = 10; sent <= 50; sent += 10) {
      const report = { request: request.request, sent, covered: [0, sent], wanted: 100 };
      const answer = await book.report(BOOKING, [lease.client], report);
      expect(runningOf(answer!.lease, report.request)?.granted).toBe(100);
    }
    expect([read.mock.calls.length, commit.mock.calls.length]).toEqual([1, 6]);
  });

  it('is read again where another process has opened the same download meanwhile', async () => {
    const store = await opened();
    const [here, there] = [bookOn(store), bookOn(store)];
    const request = entering({ client: 'ada', bytes: 10, planned: 10 });
    const seen = await here.read(BOOKING.linkId, recordsOf(request));
    const first = await there.enter(BOOKING, entering({ client: 'ada' }));
    const second = await here.enter(BOOKING, request, seen);
    expect(second).toMatchObject({ kind: 'joined', lease: { id: leaseOf(first).id } });
  });

  it.each([
    ['was used before', 1],
    ['was not', 0],
  ])('is refused where the store has lost its records meanwhile, if the link %s', async (_, uses) => {
    const [before, after] = [await opened(), new MemoryLeaseStore()];
    await after.open(START + 1);
    const store = { current: before as LeaseStore };
    const calls: Partial<LeaseStore> = {
      read: (query) => store.current.read(query),
      commit: (commit) => store.current.commit(commit),
    };
    const book = bookOn(calls as LeaseStore);
    const booking = { ...BOOKING, maxDownloads: 2, issuedAt: START };
    for (let i = 0; i < uses; i++) {
      await book.enter(booking, entering());
    }
    const requests = [entering(), entering()];
    const seen = await Promise.all(requests.map((request) => book.read(BOOKING.linkId, recordsOf(request))));
    store.current = after;
    for (const [i, request] of requests.entries()) {
      const entry = await book.enter(booking, request, seen[i]);
      expect(entry).toMatchObject({
        kind: 'LINK_USED_UP',
        reason: 'link older than the record of the store',
      });
    }
  });

  it('holds up no later request for longer than the patience, when a commit hangs', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const store = await opened();
    vi.spyOn(store, 'commit').mockImplementationOnce(() => new Promise(() => {}));
    const book = bookOn(store);
    void book.enter(BOOKING, entering());
    const waiting = book.enter(BOOKING, entering());
    vi.advanceTimersByTime(PATIENCE);
    const later = book.enter(BOOKING, entering());
    vi.useRealTimers();
    expect([(await later).kind, (await waiting).kind]).toEqual(['opened', 'opened']);
  });
});

describe('a store that defers what may be deferred', () => {
  it('is not asked to write the reports of a download at once, and has them when it does', async () => {
    const memory = await opened();
    const store = new DeferringStore(memory);
    const commit = vi.spyOn(memory, 'commit');
    const book = bookOn(store);
    const request = entering({ client: 'ada' });
    const opening = leaseOf(await book.enter(BOOKING, request));
    expect(leaseOf(await book.enter(BOOKING, entering({ client: 'ada', bytes: 1, planned: 1 }))).id).toBe(
      opening.id,
    );
    expect(commit).toHaveBeenCalledTimes(2);
    const about = { request: request.request, sent: 50, covered: [0, 50] };
    await book.report(BOOKING, ['ada'], { ...about, wanted: 100 });
    await book.report(BOOKING, ['ada'], { ...about, sent: 100, covered: [0, 100] });
    expect(commit).toHaveBeenCalledTimes(2);
    expect((await book.list(BOOKING.linkId)).leases).toMatchObject([{ covered: [0, 100] }]);
    expect((await bookOn(memory).list(BOOKING.linkId)).leases).toMatchObject([{ covered: [] }]);
    await store.flush();
    expect((await bookOn(memory).list(BOOKING.linkId)).leases).toMatchObject([{ covered: [0, 100] }]);

    const unused = entering();
    await book.enter(BOOKING, unused);
    await book.report(BOOKING, recordsOf(unused), { request: unused.request, sent: 0, covered: [] });
    expect((await bookOn(memory).list(BOOKING.linkId)).used).toBe(1);
  });
});

describe('a link that is used very often', () => {
  it.each([
    ['without a limit, forgets its oldest clients', undefined, false, 1600],
    ['with a limit, forgets those whose leases are over', 5000, true, 600],
    ['with a limit, forgets no client whose lease is open', 5000, false, 2100],
  ])('%s', async (_name, maxDownloads, completes, most) => {
    const store = await opened();
    // Time goes on, so that there is an oldest
    const book = bookOn(store, () => START + names);
    const booking = { ...BOOKING, maxDownloads, terms: { ...TERMS, grace: 0 } };
    for (let i = 0; i < 21; i++) {
      const requests = Array.from({ length: 100 }, () => entering());
      const entries = await Promise.all(requests.map((request) => book.enter(booking, request)));
      const report = { sent: 100, covered: completes ? [0, 100] : [0, 1], whole: completes };
      const ended = entries.map((entry, n) =>
        book.report(booking, [leaseOf(entry).client], { request: requests[n]!.request, ...report }),
      );
      await Promise.all(ended);
    }
    const { used, leases } = await book.list(BOOKING.linkId);
    expect(used).toBe(2100);
    expect(leases.length).toBeLessThanOrEqual(most);
    expect(leases.length).toBeGreaterThanOrEqual(most === 2100 ? 2100 : 32);
    const { records } = await store.read({
      now: START,
      linkId: BOOKING.linkId,
      records: 'all',
      revocations: [],
    });
    expect(records.some(({ id }) => id === `client-${names}`)).toBe(true);
  });
});

/**
 * A node whose calls to the shared store take turns with those of others, and may be lost with their answers.
 */
function node(
  store: LeaseStore,
  scheduler: fc.Scheduler,
  ahead: number,
  faults: Iterator<boolean>,
): LeaseBook {
  const slow = async <T>(call: () => Promise<T>): Promise<T> => {
    await scheduler.schedule(Promise.resolve());
    const answer = await call();
    const isLost = faults.next().value === true;
    await scheduler.schedule(Promise.resolve());
    if (isLost) {
      throw new Error('the connection broke');
    }
    return answer;
  };
  const far: Pick<LeaseStore, 'read' | 'commit'> = {
    // The store's own clock counts, whatever the nodes think
    read: (query) => slow(() => store.read({ ...query, now: START })),
    commit: (commit) => slow(() => store.commit(commit)),
  };
  return bookOn(far as LeaseStore, () => START + ahead);
}

describe('several nodes, in whatever order their calls arrive', () => {
  /** What a request does with the lease that it got; a node that crashes tells nothing more. */
  const fates = ['sends', 'sends nothing', 'goes on', 'crashes'] as const;

  it.each<[string, (store: LeaseStore) => LeaseStore]>([
    ['never use a link too often, and lose no download for ever', (store) => store],
    ['never use a link too often where their stores defer reports', (store) => new DeferringStore(store)],
  ])(
    '%s',
    async (_, wrap) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.array(fc.record({ node: fc.nat(2), client: fc.nat(3), fate: fc.constantFrom(...fates) }), {
            minLength: 1,
            maxLength: 12,
          }),
          fc.integer({ min: 1, max: 3 }),
          fc.tuple(fc.integer({ min: -300_000, max: 300_000 }), fc.integer({ min: -300_000, max: 300_000 })),
          fc.infiniteStream(fc.integer({ min: 0, max: 9 }).map((number) => number === 0)),
          async (scheduler, requests, maxDownloads, [ahead, behind], faults) => {
            const store = await opened();
            const losses = faults[Symbol.iterator]();
            const stores = [store, store, store].map(wrap);
            const nodes = [0, ahead, behind].map((offset, i) => node(stores[i]!, scheduler, offset, losses));
            const booking = { ...BOOKING, maxDownloads };
            /** Bytes that were sent under each lease. */
            const served = new Map<string, number>();
            const crashed = new Set<string>();
            const untilTold = async <T>(tell: () => Promise<T>): Promise<T> => {
              for (;;) {
                try {
                  return await tell();
                } catch {
                  // Told again, as the keeper does
                }
              }
            };
            const lives = requests.map(async ({ node: at, client, fate }) => {
              const book = nodes[at]!;
              const request = entering({ client: `client-${client}`, budget: 40, bytes: 40, planned: 60 });
              const { request: name } = request;
              const about = { request: name, sent: 0, covered: [] };
              const entered = await book.enter(booking, request).catch(() => undefined);
              if (fate === 'crashes') {
                crashed.add(name);
              } else if (!entered) {
                // What may have been done unheard is undone
                await untilTold(() => book.report(booking, recordsOf(request), about));
              } else if ('lease' in entered) {
                const { id, client: record } = leaseOf(entered);
                const tell = (report: Partial<Report>) =>
                  untilTold(() => book.report(booking, [record], { ...about, ...report }));
                let sent = fate === 'sends nothing' ? 0 : runningOf(entered.lease, name)!.granted;
                if (fate === 'goes on') {
                  const answer = await tell({ sent, covered: [0, sent], wanted: 60 });
                  sent = runningOf(answer!.lease, name)!.granted;
                }
                served.set(id, (served.get(id) ?? 0) + sent);
                await tell({ sent, covered: [0, sent] });
              }
            });
            await scheduler.waitFor(Promise.all(lives));
            const deferring = stores.filter((one) => one instanceof DeferringStore);
            await Promise.all(deferring.map((one) => one.flush()));
            const { used, leases } = await bookOn(store).list(BOOKING.linkId);
            const uses = [...served.values()].reduce((sum, bytes) => sum + Math.ceil(bytes / 40), 0);
            expect(uses).toBeLessThanOrEqual(maxDownloads);
            expect(used).toBe(leases.reduce((sum, lease) => sum + lease.uses, 0));
            expect(used).toBeLessThanOrEqual(maxDownloads);
            expect(used).toBeGreaterThanOrEqual(uses);
            if (deferring.length > 0) {
              return;
            }
            const running = leases.flatMap((lease) => lease.running ?? []);
            expect(running.every(({ request }) => crashed.has(request))).toBe(true);
            expect(leases.every((lease) => lease.charged > 0 || lease.running)).toBe(true);
            expect(leases.every(({ charged, uses }) => charged <= uses * 40)).toBe(true);
          },
        ),
        { numRuns: 100 },
      );
    },
    60_000,
  );
});
