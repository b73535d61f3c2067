import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DownloadEvent } from '../../lib/events/download-event.js';
import { DownloadEvents } from '../../lib/events/download-events.js';
import { LeaseKeeper } from '../../lib/leases/keeper.js';
import type { LeaseClient } from '../../lib/leases/client.js';
import type { LeasedLink } from '../../lib/leases/counted-delivery.js';
import type { LeaseOptions } from '../../lib/leases/options.js';
import type { Lease } from '../../lib/leases/lease-record.js';
import type { LeaseStore } from '../../lib/leases/lease-store.js';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { SqliteLeaseStore } from '../../lib/leases/sqlite/index.js';
import { HOUR, SECOND, START } from '../../lib/leases/testing/fixtures.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { ADA, Answer, GRACE, link, MIB, plan, RESOURCE } from './support/downloads.js';
import { hasRedis, RedisServer } from './support/redis-server.js';
import { hasSqlite, temporaryFile } from './support/sqlite.js';

const refusal = (code: string) => expect.objectContaining({ code }) as Error;

let clock: TestClock;
let keeper: LeaseKeeper;
let events: DownloadEvent[];
let createStore: () => LeaseStore;
const cleanUps: (() => unknown)[] = [];

async function start(options: LeaseOptions = {}): Promise<LeaseKeeper> {
  clock = testClock(START);
  events = [];
  const heard = new DownloadEvents();
  heard.subscribe((event) => events.push(event));
  keeper = new LeaseKeeper({ store: createStore(), ...options }, clock, heard);
  cleanUps.push(() => started.close());
  const started = keeper;
  await keeper.start();
  return keeper;
}

const begin = (to: LeasedLink, client?: LeaseClient, planned?: ReturnType<typeof plan>) =>
  Answer.begin(keeper, to, client, planned);

const used = async () => (await keeper.usage('link-1')).used;

let server: RedisServer | undefined;
let prefixes = 0;

beforeAll(async () => {
  server = hasRedis ? await RedisServer.start({ persistent: false }) : undefined;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) {
    await cleanUp();
  }
});
afterAll(() => server?.remove());

const stores: { name: string; available: boolean; create: () => LeaseStore }[] = [
  { name: 'memory', available: true, create: () => new MemoryLeaseStore() },
  {
    name: 'SQLite',
    available: hasSqlite,
    create: () => {
      const { file, remove } = temporaryFile();
      cleanUps.push(remove);
      return new SqliteLeaseStore({ file });
    },
  },
  {
    name: 'Redis',
    available: hasRedis,
    create: () => new RedisLeaseStore({ url: server!.url, prefix: `keeper-${prefixes++}:`, clock: 'caller' }),
  },
];

describe.each(stores.filter(({ available }) => available))('with $name', ({ create }) => {
  beforeEach(async () => {
    createStore = create;
    await start();
  });
  describe('a download', () => {
    it('is one for a browser that is cut twice and resumes, and none is left for another', async () => {
      const first = await begin(link());
      await first.send(4 * MIB);
      await first.end();
      const second = await begin(link(), ADA, plan({ from: 4 * MIB, ifRangeMatched: true }));
      await second.send(2 * MIB);
      await second.end();
      await expect(begin(link(), GRACE)).rejects.toThrow(refusal('LINK_USED_UP'));
      const third = await begin(link(), ADA, plan({ from: 6 * MIB }));
      await third.finish();
      expect(await used()).toBe(1);
      expect(events.map(({ type }) => type)).toEqual([
        'opened',
        'aborted',
        'resumed',
        'aborted',
        'resumed',
        'completed',
      ]);

      clock.advance(10 * SECOND);
      await expect(begin(link())).rejects.toThrow(refusal('LINK_USED_UP'));
      await expect(begin(link(), { ...ADA, leaseCookie: first.cookie!.value })).rejects.toThrow(
        refusal('LINK_USED_UP'),
      );
    });

    it('is one for four connections, whichever ends first', async () => {
      const probe = await begin(link());
      await probe.send(MIB);
      const parts = await Promise.all(
        [2, 5, 7].map((at, i) => begin(link(), ADA, plan({ from: at * MIB, to: [5, 7, 10][i]! * MIB }))),
      );
      await Promise.all(parts.map((part) => part.finish()));
      await probe.send(MIB);
      await probe.end();
      expect(await used()).toBe(1);
      expect(events.filter(({ type }) => type === 'completed')).toHaveLength(1);
    });

    it('is one for a plain GET followed by two parallel ranges', async () => {
      const whole = await begin(link());
      await whole.send(3 * MIB);
      const halves = [
        await begin(link(), ADA, plan({ from: 0, to: 5 * MIB })),
        await begin(link(), ADA, plan({ from: 5 * MIB })),
      ];
      await whole.end();
      await Promise.all(halves.map((half) => half.finish()));
      expect(await used()).toBe(1);
    });

    it('is one of exactly 500 that a link of 500 has, where 1,000 clients ask at once', async () => {
      const store = createStore();
      const commit = vi.spyOn(store, 'commit');
      await start({ store });
      const clients = Array.from({ length: 1000 }, (_, i) => ({ ...ADA, userAgent: `client ${i}` }));
      const outcomes = await Promise.all(
        clients.map((client) =>
          begin(link({ maxDownloads: 500 }), client).then(
            () => 'served',
            (error: { code: string }) => error.code,
          ),
        ),
      );
      expect(outcomes.filter((outcome) => outcome === 'served')).toHaveLength(500);
      expect(outcomes.filter((outcome) => outcome === 'LINK_USED_UP')).toHaveLength(500);
      expect([await used(), commit.mock.calls.length < 50]).toEqual([500, true]);
    });

    it('is counted though it asks for bytes=0-', async () => {
      await (await begin(link(), ADA, plan({ from: 0 }))).finish();
      await expect(begin(link(), GRACE, plan({ from: 0 }))).rejects.toThrow(refusal('LINK_USED_UP'));
    });

    it.each([
      ['HEAD', plan({ method: 'HEAD', intervals: [] })],
      ['HEAD with intervals', plan({ method: 'HEAD' })],
      ['304', plan({ status: 304, intervals: [] })],
      ['412', plan({ status: 412, intervals: [] })],
      ['416', plan({ status: 416, intervals: [], ranged: true })],
      ['an empty file', plan({ length: 0, intervals: [{ start: 0, end: 0 }] })],
    ])('is none for %s', async (_, planned) => {
      const admission = await keeper.admit(link(), ADA);
      await admission.planned(planned);
      admission.ended({ status: planned.status, completed: true, bytes: 0 });
      await keeper.settled();
      expect(await used()).toBe(0);
      expect(keeper.running).toBe(0);
      await (await begin(link(), GRACE)).finish();
    });

    it('is none where the handler failed, or the answer broke before its first byte', async () => {
      await keeper.admit(link(), ADA);
      expect(await used()).toBe(0);
      const broken = await begin(link());
      expect(await used()).toBe(1);
      await broken.end();
      expect(await used()).toBe(0);
      expect(events.map(({ type }) => type)).toEqual(['opened', 'aborted']);
    });

    it('is cut when it re-reads for ever, at the last byte of its budget', async () => {
      await start({ byteBudget: 2 });
      let sent = 0;
      for (let i = 0; i < 5; i++) {
        // Never the last megabyte, so that the lease is never complete.
        const answer = await begin(link(), ADA, plan({ from: 0, to: 9 * MIB })).catch(() => undefined);
        sent += (await answer?.send()) ?? 0;
        await answer?.end();
      }
      expect(sent).toBe(20 * MIB);
      await expect(begin(link())).rejects.toThrow(refusal('LINK_USED_UP'));
      expect(events.findLast(({ type }) => type === 'aborted')).toMatchObject({ code: 'LINK_USED_UP' });
    });

    it('keeps to its budget with any number of connections at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => begin(link()).catch(() => undefined)),
      );
      const served = answers.filter((answer) => answer !== undefined);
      const sent = await Promise.all(served.map((answer) => answer.send()));
      expect(sent.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(20 * MIB);
    });

    it.each([10, undefined])(
      'is not cut for three people who share an address and a browser: a link of %s',
      async (maxDownloads) => {
        const to = link({ maxDownloads, resumeWithin: HOUR });
        const people = [await begin(to), await begin(to), await begin(to)];
        for (let i = 0; i < 10; i++) {
          for (const one of people) {
            await one.send(MIB);
          }
        }
        await Promise.all(people.map((one) => one.end()));
        expect(people.map(({ bytes }) => bytes)).toEqual([10 * MIB, 10 * MIB, 10 * MIB]);
        expect(await used()).toBe(2);
      },
    );

    it('counts as a further one where its budget ends, as long as the link has one', async () => {
      const to = link({ maxDownloads: 3, byteBudget: 4 * MIB });
      const first = await begin(to);
      await first.finish();
      expect([first.bytes, await used()]).toEqual([10 * MIB, 3]);
      expect(events.map(({ type }) => type)).toEqual(['opened', 'completed']);
      const elsewhere = { ...GRACE, leaseCookie: first.cookie!.value };
      const again = await begin(to, elsewhere, plan({ from: 9 * MIB }));
      expect([again.cookie, await used()]).toEqual([undefined, 3]);
    });

    it('may run over so many connections, and no more', async () => {
      await start({ connections: 2 });
      const running = [await begin(link()), await begin(link(), ADA, plan({ from: 9 * MIB }))];
      const third = () => begin(link(), ADA, plan({ from: 9 * MIB }));
      await expect(third()).rejects.toThrow(refusal('LINK_BUSY'));
      expect(keeper.running).toBe(2);
      await running[1]!.send(1);
      await running[1]!.end();
      await third();
      expect(await used()).toBe(1);
    });

    it('may have a budget of its own, in bytes', async () => {
      const answer = await begin(link({ byteBudget: 3 * MIB }));
      expect(await answer.send()).toBe(3 * MIB);
      expect(answer.admission.signal.aborted).toBe(true);
      expect(answer.admission.signal.reason).toEqual(refusal('LINK_USED_UP'));
    });

    it('takes what another request gave back', async () => {
      const to = link({ byteBudget: 1.5 * MIB });
      const first = await begin(to, ADA, plan({ from: 0, to: MIB }));
      const second = await begin(to, { ...GRACE, leaseCookie: first.cookie!.value });
      await first.send(1);
      await first.end();
      expect(await second.send()).toBe(1.5 * MIB - 1);
    });

    it('completes though its length is not known, and has three attempts at it', async () => {
      const opaque = () =>
        plan({ length: undefined, intervals: [{ start: 0, end: 4 * MIB }], etag: undefined });
      for (let i = 0; i < 2; i++) {
        const cut = await begin(link(), ADA, opaque());
        await cut.send(MIB);
        await cut.end();
      }
      await (await begin(link(), ADA, opaque())).finish();
      expect(events.at(-1)).toMatchObject({ type: 'completed', bytes: 4 * MIB });
      await expect(begin(link(), ADA, opaque())).rejects.toThrow(refusal('LINK_USED_UP'));
    });

    it('stays resumable while it sends, and ends when it was idle for too long', async () => {
      const slow = await begin(link({ expiresAt: START + 30 * HOUR }));
      for (let i = 0; i < 5; i++) {
        clock.advance(HOUR - 1);
        await slow.send(MIB / 4);
      }
      await slow.end();
      clock.advance(HOUR - 1);
      const again = await begin(link({ expiresAt: START + 30 * HOUR }), ADA, plan({ from: MIB }));
      await again.send(MIB);
      await again.end();
      clock.advance(HOUR);
      await expect(begin(link({ expiresAt: START + 30 * HOUR }))).rejects.toThrow(refusal('LINK_USED_UP'));
    });
  });

  describe('expiry', () => {
    const resumable = link({ resumeWithin: HOUR });

    it('refuses from the very moment on', async () => {
      clock.advance(HOUR - 1);
      await keeper.admit(link({ maxDownloads: undefined }), ADA);
      clock.advance(1);
      await expect(keeper.admit(link({ maxDownloads: undefined }), ADA)).rejects.toThrow(
        refusal('LINK_EXPIRED'),
      );
      await expect(keeper.admit(link(), ADA)).rejects.toThrow(refusal('LINK_EXPIRED'));
    });

    it('does not touch a download that runs', async () => {
      const running = await begin(link());
      await running.send(5 * MIB);
      clock.advance(2 * HOUR);
      await running.finish();
      expect(running.bytes).toBe(10 * MIB);
      expect(events.at(-1)).toMatchObject({ type: 'completed', duration: 2 * HOUR });
    });

    async function interrupted(to: LeasedLink): Promise<void> {
      const first = await begin(to);
      await first.send(5 * MIB);
      clock.advance(HOUR - 1);
      await first.send(MIB / 4);
      await first.end();
      clock.advance(1);
    }

    it('lets a download go on within resumeWithin, by If-Range or the same entity tag', async () => {
      await interrupted(resumable);
      const byTag = await begin(resumable, ADA, plan({ from: 6 * MIB, to: 7 * MIB }));
      await byTag.finish();
      const untagged = plan({ from: 7 * MIB, etag: undefined, ifRangeMatched: true });
      await (await begin(resumable, ADA, untagged)).end();
    });

    it.each([
      ['a fresh download, by the same client', ADA, plan()],
      ['another client', GRACE, plan({ from: 5 * MIB })],
      ['another version', ADA, plan({ from: 5 * MIB, etag: '"v2"' })],
      ['no way to tell the version', ADA, plan({ from: 5 * MIB, etag: undefined })],
    ])('does not let go on: %s', async (_, client, planned) => {
      await interrupted(resumable);
      await expect(begin(resumable, client, planned)).rejects.toThrow(refusal('LINK_EXPIRED'));
      expect(keeper.running).toBe(0);
    });

    it('lets nothing go on after resumeWithin, or without it', async () => {
      await interrupted(resumable);
      await expect(begin(link(), ADA, plan({ from: 5 * MIB }))).rejects.toThrow(refusal('LINK_EXPIRED'));
      clock.advance(HOUR);
      await expect(begin(resumable, ADA, plan({ from: 5 * MIB }))).rejects.toThrow(refusal('LINK_EXPIRED'));
    });

    it('lets a download of a link without a limit go on as well', async () => {
      const unlimited = link({ maxDownloads: undefined, resumeWithin: HOUR });
      await interrupted(unlimited);
      await (await begin(unlimited, ADA, plan({ from: 5 * MIB }))).finish();
      await expect(begin(unlimited, GRACE, plan({ from: 5 * MIB }))).rejects.toThrow(refusal('LINK_EXPIRED'));
    });
  });

  describe('a client', () => {
    it('is its lease cookie, wherever it comes from then', async () => {
      const { cookie } = await begin(link());
      expect(cookie).toMatchObject({ path: '/', maxAge: 3600 });
      const elsewhere = { ...GRACE, leaseCookie: cookie!.value };
      const joined = await begin(link(), elsewhere, plan({ from: MIB }));
      expect(joined.cookie).toBeUndefined();
      expect(await used()).toBe(1);
    });

    it('is its network and its User-Agent', async () => {
      const six = { address: '2001:db8:1:2:aaaa::1', userAgent: 'curl' };
      await begin(link(), six);
      await begin(link(), { ...six, address: '2001:db8:1:2:bbbb::2' });
      for (const other of [
        { ...six, address: '2001:db8:1:3::1' },
        { ...six, userAgent: 'wget' },
        { userAgent: 'curl' },
        {},
      ]) {
        await expect(begin(link(), other)).rejects.toThrow(refusal('LINK_USED_UP'));
      }
    });

    it('is only its cookie where the link is strict', async () => {
      const strict = link({ strict: true });
      const { cookie } = await begin(strict);
      await expect(begin(strict)).rejects.toThrow(refusal('LINK_USED_UP'));
      await begin(strict, { leaseCookie: cookie!.value });
    });

    it('can be changed by an option', async () => {
      await start({ strict: true });
      await begin(link());
      await expect(begin(link())).rejects.toThrow(refusal('LINK_USED_UP'));
      await start({ clientKey: ({ userAgent }) => userAgent });
      await begin(link(), ADA);
      await begin(link(), { ...GRACE, userAgent: ADA.userAgent });
    });

    it.each(['', 'x', 'A'.repeat(24), 'a'.repeat(10_000), 'lease:1', '../../etc'])(
      'gains nothing by the forged cookie %j',
      async (leaseCookie) => {
        await begin(link());
        await expect(begin(link(), { ...GRACE, leaseCookie })).rejects.toThrow(refusal('LINK_USED_UP'));
      },
    );

    it('gains nothing by the cookie of another link', async () => {
      const other = await begin(link({ id: 'link-2' }));
      await begin(link());
      const stolen = { ...GRACE, leaseCookie: other.cookie!.value };
      await expect(begin(link(), stolen)).rejects.toThrow(refusal('LINK_USED_UP'));
    });
  });

  describe('revocation', () => {
    it.each([
      ['the link', { link: 'link-1' }],
      ['the resource', { resource: RESOURCE }],
      ['the subject', { subject: 'ada' }],
      ['everything issued before a moment', { issuedBefore: new Date(START + 1) }],
    ])('of %s cuts running downloads and refuses to resume', async (_, target) => {
      for (const limit of [1, undefined]) {
        await start();
        const to = link({ maxDownloads: limit });
        const running = await begin(to);
        await running.send(MIB);
        await keeper.revoke(target);
        expect(running.admission.signal.aborted).toBe(true);
        await running.end();
        expect(events.map(({ type }) => type)).toEqual(['opened', 'revoked', 'aborted']);
        expect(events.at(-1)).toMatchObject({ code: 'LINK_REVOKED', bytes: MIB });
        await expect(begin(to, ADA, plan({ from: MIB }))).rejects.toThrow(refusal('LINK_REVOKED'));
        expect(keeper.running).toBe(0);
      }
    });

    it('leaves others alone', async () => {
      const running = await begin(link());
      await keeper.revoke({ link: 'link-2' });
      await keeper.revoke({ resource: 'x'.repeat(43) });
      await keeper.revoke({ subject: 'grace' });
      await keeper.revoke({ issuedBefore: new Date(START) });
      expect(running.admission.signal.aborted).toBe(false);
      await running.finish();
    });

    it('of a resource or a subject leaves links alone that are issued later', async () => {
      await keeper.revoke({ subject: 'ada' });
      await expect(begin(link())).rejects.toThrow(refusal('LINK_REVOKED'));
      await begin(link({ id: 'link-2', issuedAt: START + 1 }));
    });

    it('that comes while the handler works is noticed before the first byte', async () => {
      for (const to of [link(), link({ maxDownloads: undefined })]) {
        const admission = await keeper.admit({ ...to, id: 'slow' }, ADA);
        await keeper.revoke({ link: 'slow' });
        await expect(admission.planned(plan())).rejects.toThrow(refusal('LINK_REVOKED'));
        await start();
      }
    });

    it('of what cannot be a link is not asked of the store, and its usage is not, either', async () => {
      for (const id of ['', 'a b', 'a\0', '\ud800', '../a', 'x'.repeat(10_000)]) {
        await expect(keeper.revoke({ link: id })).rejects.toThrow(/give the link's id/);
        await expect(keeper.usage(id)).rejects.toThrow(/give the link's id/);
      }
      expect(events).toEqual([]);
    });

    it('needs exactly one target', async () => {
      await expect(keeper.revoke({})).rejects.toThrow(TypeError);
      await expect(keeper.revoke({ link: 'a', subject: 'b' })).rejects.toThrow(TypeError);
    });
  });

  describe('events', () => {
    it('say what is known, and contain no secret', async () => {
      const answer = await begin(link({ maxDownloads: 3 }));
      clock.advance(5);
      await answer.finish();
      const about = {
        linkId: 'link-1',
        subject: 'ada',
        resource: RESOURCE,
        length: 10 * MIB,
        status: 200,
      };
      expect(events).toEqual([
        { type: 'opened', at: START, ...about, used: 1, maxDownloads: 3 },
        { type: 'completed', at: START + 5, ...about, bytes: 10 * MIB, duration: 5 },
      ]);
      expect(JSON.stringify(events)).not.toContain(answer.cookie!.value);
    });

    it('tell of links without a limit answer by answer', async () => {
      const unlimited = link({ maxDownloads: undefined });
      await (await begin(unlimited, ADA, plan({ from: 0, to: MIB }))).finish();
      const resumed = await begin(unlimited, ADA, plan({ from: MIB }));
      await resumed.end();
      expect(events.map(({ type }) => type)).toEqual(['opened', 'completed', 'resumed', 'aborted']);
    });
  });
});

describe('a restart with the memory store', () => {
  beforeEach(async () => {
    createStore = () => new MemoryLeaseStore();
    await start();
  });

  it('makes no limited link usable twice, and leaves others alone', async () => {
    await (await begin(link())).finish();
    await start();
    const old = { issuedAt: START - 1 };
    await expect(begin(link(old))).rejects.toThrow(refusal('LINK_USED_UP'));
    await expect(begin(link({ ...old, maxDownloads: 100 }))).rejects.toThrow(refusal('LINK_USED_UP'));
    await expect(begin(link({ ...old, maxDownloads: undefined, revocable: true }))).rejects.toThrow(
      refusal('LINK_REVOKED'),
    );
    await begin(link({ ...old, maxDownloads: undefined }));
  });
});

it('asks the store once in the guard, once before the first byte, and once at the end', async () => {
  const store = new MemoryLeaseStore();
  createStore = () => store;
  await start();
  const read = vi.spyOn(store, 'read');
  const commit = vi.spyOn(store, 'commit');
  const calls = () => [read.mock.calls.length, commit.mock.calls.length];
  const answer = await begin(link());
  expect(calls()).toEqual([1, 1]);
  await answer.send(MIB / 2);
  await answer.end();
  expect(calls()).toEqual([1, 2]);
});

it('charges its budget ahead of what it sends, in steps that grow, and never for more than it will send', async () => {
  const store = new MemoryLeaseStore();
  createStore = () => store;
  await start();
  const commit = vi.spyOn(store, 'commit');
  const answer = await begin(link(), ADA, plan({ length: 300 * MIB }));
  await answer.finish();
  const leases = commit.mock.calls.flatMap(([{ changes }]) =>
    changes.flatMap(({ value }) => (Array.isArray(value) ? (value as Lease[]) : [])),
  );
  const granted = leases.flatMap(({ running = [] }) => running.map((request) => request.granted));
  expect(answer.bytes).toBe(300 * MIB);
  expect(granted).toEqual(granted.toSorted((a, b) => a - b));
  expect([granted[0], granted.at(-1)]).toEqual([MIB, 300 * MIB]);
  expect(granted.length).toBeLessThan(60);
});
