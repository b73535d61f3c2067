import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coversAll } from '../../lib/leases/interval-set.js';
import { enter, LEASES_OF_CLIENT, REASONS, report } from '../../lib/leases/lease.js';
import type { Entering, Entry, KnownLink, Report } from '../../lib/leases/lease.js';
import { isOpen, isOver, runningOf } from '../../lib/leases/lease-record.js';
import type { Lease } from '../../lib/leases/lease-record.js';
import { leaseUsage } from '../../lib/leases/link-usage.js';
import { HOUR, SECOND, START } from '../../lib/leases/testing/fixtures.js';

const TERMS = { idle: HOUR, life: 24 * HOUR, grace: 10 * SECOND, attempts: 3, connections: 4 };
const BOOKING = { linkId: 'link-1', endsAt: START + HOUR, terms: TERMS };

/** What a test says of a request; the link has one download where it does not say. */
type Asking = Partial<Entering> & { maxDownloads?: number };

let names = 0;

/** A request for 100 of 100 bytes, by a client of its own; the budget is 200. */
function entering({ maxDownloads: _, ...changes }: Asking = {}): Entering {
  names += 1;
  const bytes = changes.bytes ?? 100;
  return {
    request: `request-${names}`,
    client: `client-${names}`,
    mayOpen: true,
    version: 'v1',
    length: 100,
    budget: 200,
    bytes,
    planned: bytes,
    ...changes,
  };
}

/** One link, in memory, with its decisions one after the other. */
class Link {
  now = START;
  leases: Lease[] = [];

  get used(): number {
    return this.leases.reduce((sum, { uses }) => sum + uses, 0);
  }

  get known(): KnownLink {
    return { now: this.now, since: START, used: this.used, leases: this.leases };
  }

  enter(asking: Asking = {}): Entry & { request: string } {
    const request = entering(asking);
    const maxDownloads = 'maxDownloads' in asking ? asking.maxDownloads : 1;
    const entry = enter(this.known, { ...BOOKING, maxDownloads }, request);
    if ('lease' in entry) {
      this.put(entry.lease);
    }
    return { ...entry, request: request.request };
  }

  /** As {@link enter}, of a request that must be let in. */
  granted(asking: Asking = {}) {
    const entry = this.enter(asking);
    if (!('lease' in entry)) {
      throw new Error(`refused: ${entry.kind}`);
    }
    return { ...entry, id: entry.lease.id, granted: runningOf(entry.lease, entry.request)!.granted };
  }

  report(told: Report, maxDownloads?: number) {
    const answer = report(this.known, { ...BOOKING, maxDownloads }, told);
    if (answer) {
      this.put(answer.lease);
    }
    return answer && { ...answer, granted: runningOf(answer.lease, told.request)?.granted };
  }

  /** The end of a request that sent all of 100 bytes, unless told otherwise. */
  end(request: string, changes: Partial<Report> = {}) {
    const answer = this.report({ request, sent: 100, covered: [0, 100], whole: true, ...changes });
    return answer && { completed: answer.completed, givenBack: answer.lease.uses === 0 };
  }

  /** Asks for more under the same lease: the link has no other. */
  progress(request: string, total: number, sent = 0, covered: number[] = []) {
    return this.report({ request, sent, covered, wanted: total }, 0)?.granted;
  }

  lease(id: string): Lease {
    return this.leases.find((lease) => lease.id === id)!;
  }

  private put(lease: Lease): void {
    const known = this.leases.findIndex((other) => other.id === lease.id);
    const others = this.leases.filter((other) => other.id !== lease.id);
    if (lease.uses === 0) {
      this.leases = others;
    } else {
      this.leases = known < 0 ? [lease, ...others] : this.leases.with(known, lease);
    }
  }
}

describe('a request', () => {
  it('opens as many leases as the link has, and no more', () => {
    const link = new Link();
    for (const used of [1, 2, 3]) {
      expect(link.enter({ maxDownloads: 3 })).toMatchObject({ kind: 'opened', reason: REASONS.first });
      expect(link.used).toBe(used);
    }
    expect(link.enter({ maxDownloads: 3 }).kind).toBe('LINK_USED_UP');
    expect(link.enter({ maxDownloads: undefined }).kind).toBe('opened');
  });

  it('opens nothing once the link has expired, and joins what is open', () => {
    const link = new Link();
    expect(link.enter({ mayOpen: false }).kind).toBe('LINK_EXPIRED');
    link.granted({ client: 'ada' });
    expect(link.enter({ mayOpen: false, client: 'ada' }).kind).toBe('joined');
    for (const version of ['v2', undefined]) {
      expect(link.enter({ mayOpen: false, sameVersion: true, client: 'ada', version }).kind).toBe(
        'LINK_EXPIRED',
      );
    }
  });

  it('is decided once, however often it is asked', () => {
    const link = new Link();
    const request = entering();
    expect(link.granted(request)).toMatchObject({ kind: 'opened', reason: REASONS.first, granted: 100 });
    for (let i = 0; i < 3; i++) {
      expect(link.granted(request)).toMatchObject({ kind: 'opened', reason: REASONS.before, granted: 100 });
    }
    expect([link.used, link.lease(request.request).charged]).toEqual([1, 100]);
  });

  it('joins by its cookie, whoever its client is, and takes what the budget has', () => {
    const link = new Link();
    const { id, lease } = link.granted({ maxDownloads: 5 });
    const joined = link.granted({
      maxDownloads: 5,
      presented: lease,
      client: undefined,
      bytes: 50,
      planned: 100,
    });
    expect(joined).toMatchObject({ kind: 'joined', reason: REASONS.byCookie, id, granted: 50 });
    const next = link.granted({ maxDownloads: 5, presented: lease, bytes: 80, planned: 100 });
    expect(next).toMatchObject({ kind: 'joined', reason: REASONS.byCookie, id, granted: 50 });
  });

  it('joins by its client only while the budget can carry it', () => {
    const link = new Link();
    const ask = () => link.granted({ client: 'ada', maxDownloads: 10, bytes: 10, planned: 100 });
    const [first, second, third, fourth] = [ask(), ask(), ask(), ask()];
    expect([first.reason, second.reason, third.reason, fourth.reason]).toEqual([
      REASONS.first,
      REASONS.byAddress,
      REASONS.notCarried,
      REASONS.byAddress,
    ]);
    expect([second.id, fourth.id]).toEqual([first.id, third.id]);
  });

  it('joins what cannot carry it where no further lease can be opened, within what is not planned', () => {
    const link = new Link();
    const first = link.granted({ client: 'ada', bytes: 10, planned: 100 });
    link.granted({ client: 'ada', bytes: 100, planned: 100 });
    expect(link.enter({ client: 'ada', bytes: 10 }).kind).toBe('LINK_USED_UP');
    expect(link.progress(first.request, 100)).toBe(100);
    const other = new Link();
    other.granted({ client: 'ada', bytes: 10, planned: 100 });
    const half = other.granted({ client: 'ada', bytes: 50, planned: 60 });
    const last = other.granted({ client: 'ada', bytes: 70, planned: 70 });
    expect([half.reason, last.reason, last.granted]).toEqual([
      REASONS.byAddress,
      REASONS.byAddressAsLast,
      50,
    ]);
  });

  it('joins no lease without a client or a cookie, nor by those of others', () => {
    const link = new Link();
    const { lease } = link.granted({ client: undefined });
    const forged = { client: lease.client, id: 'guessed' };
    for (const other of [{ client: undefined }, { presented: forged }, {}]) {
      expect(link.enter(other).kind).toBe('LINK_USED_UP');
    }
  });

  it('opens a lease that only its cookie finds where its client has many', () => {
    const link = new Link();
    const ask = () => link.granted({ client: 'ada', maxDownloads: 100, planned: 200 });
    const leases = Array.from({ length: LEASES_OF_CLIENT }, () => ask().lease);
    expect(new Set(leases.map(({ client }) => client))).toEqual(new Set(['ada']));
    const further = ask();
    expect(further.lease.client).toBe(further.id);
    expect(link.granted({ presented: further.lease, bytes: 1 })).toMatchObject({ reason: REASONS.byCookie });
  });

  it('waits where its lease runs as many requests as it may', () => {
    const link = new Link();
    const { lease, request } = link.granted({ client: 'ada', bytes: 1 });
    for (let i = 1; i < TERMS.connections; i++) {
      link.granted({ client: 'ada', bytes: 1 });
    }
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('LINK_BUSY');
    expect(link.enter({ presented: lease, bytes: 1, maxDownloads: 9 }).kind).toBe('LINK_BUSY');
    expect(link.enter({ client: 'ada', bytes: 1, maxDownloads: 2 }).kind).toBe('opened');
    link.end(request, { sent: 1, covered: [0, 1] });
    expect(link.enter({ presented: lease, bytes: 1 }).kind).toBe('joined');
  });

  it('has three attempts where the length is not known', () => {
    const link = new Link();
    const unknown = { client: 'ada', length: undefined, budget: undefined, version: undefined, planned: 0 };
    for (let i = 0; i < 3; i++) {
      const { request } = link.granted(unknown);
      expect(link.end(request, { sent: 10, covered: [0, 10], whole: false })).toEqual({
        completed: false,
        givenBack: false,
      });
    }
    expect(link.enter(unknown).kind).toBe('LINK_USED_UP');
  });
});

describe('a lease', () => {
  it('is given back when the last of its requests ended and nothing was sent', () => {
    const link = new Link();
    const first = link.granted({ client: 'ada', bytes: 10 });
    const second = link.granted({ client: 'ada', bytes: 10 });
    const nothing = { sent: 0, covered: [], whole: false };
    expect(link.end(first.request, nothing)?.givenBack).toBe(false);
    expect(link.end(second.request, nothing)?.givenBack).toBe(true);
    expect([link.used, link.leases]).toEqual([0, []]);
  });

  it('is not given back where a byte was sent', () => {
    const link = new Link();
    const { request } = link.granted();
    expect(link.end(request, { sent: 1, covered: [0, 1] })?.givenBack).toBe(false);
    expect(link.end(request)).toBeUndefined();
    expect(link.used).toBe(1);
  });

  it('charges before anything is sent, and takes back what was not sent', () => {
    const link = new Link();
    const { request } = link.granted({ client: 'ada' });
    link.end(request, { sent: 10, covered: [0, 10] });
    expect(link.granted({ client: 'ada', bytes: 1000, planned: 100 }).granted).toBe(190);
  });

  it('grants a running request more, up to the budget, and nothing when its life is over', () => {
    const link = new Link();
    const { request } = link.granted({ length: 1000, budget: 500 });
    expect(link.progress(request, 300)).toBe(300);
    expect(link.progress(request, 200)).toBe(300);
    expect(link.progress('another', 400)).toBeUndefined();
    link.now += TERMS.life;
    expect(link.progress(request, 400)).toBe(300);
    link.now -= 1;
    expect(link.progress(request, 900)).toBe(500);
  });

  it('is complete, once, when the union of what was sent has no hole, and over some time after', () => {
    const link = new Link();
    const requests = [0, 1, 2].map(() => link.granted({ client: 'ada', bytes: 40, budget: 1000 }));
    const { id } = requests[0]!;
    const parts = [[60, 100], [0, 30], [30, 70]]; // prettier-ignore
    const completed = requests.map(
      ({ request }, i) => link.end(request, { sent: 40, covered: parts[i]! })?.completed,
    );
    expect(completed).toEqual([false, false, true]);
    expect(leaseUsage(link.lease(id))).toMatchObject({ covered: 100, running: 0, completedAt: START });
    link.now += TERMS.grace - 1;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('joined');
    link.now += 1;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('LINK_USED_UP');
  });

  it('starts again with what was sent when the representation was replaced', () => {
    const link = new Link();
    const first = link.granted({ client: 'ada', budget: 1000 });
    link.end(first.request, { sent: 60, covered: [0, 60], unconfirmed: [60, 70] });
    const second = link.granted({ client: 'ada', version: 'v2', length: 80, from: 65 });
    expect(leaseUsage(link.lease(first.id)).covered).toBe(0);
    expect(link.end(second.request, { sent: 30, covered: [50, 80] })?.completed).toBe(false);
  });

  it.each([
    [30, 30],
    [31, 31],
    [60, 60],
    [61, 30],
    [0, 30],
    [undefined, 30],
  ])('learns from a resume at %s how much of a broken write arrived: %i', (from, covered) => {
    const link = new Link();
    const { id, request } = link.granted({ client: 'ada' });
    link.end(request, { sent: 60, covered: [0, 30], unconfirmed: [30, 60], whole: false });
    link.granted({ client: 'ada', from, bytes: 1 });
    expect(leaseUsage(link.lease(id)).covered).toBe(covered);
  });

  it('ends when it is idle, revives with what it sends, and is over at the end of its life', () => {
    const link = new Link();
    const { request } = link.granted({ client: 'ada', budget: 1000, bytes: 1 });
    link.now += HOUR;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('LINK_USED_UP');
    link.progress(request, 1, 1, [0, 1]);
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('joined');
    while (link.now < START + TERMS.life) {
      link.progress(request, 1, 1);
      link.now += HOUR;
    }
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('LINK_USED_UP');
  });

  it('is exact with files of terabytes', () => {
    const length = 2 ** 45 + 1;
    const link = new Link();
    const { request } = link.granted({ length, budget: 2 * length, bytes: length });
    link.progress(request, length, 1, [0, length - 1]);
    expect(link.end(request, { sent: length, covered: [length - 1, length] })?.completed).toBe(true);
  });
});

describe('a download whose budget has ended', () => {
  function spent(changes: Partial<Entering> = {}) {
    const link = new Link();
    const entry = link.granted({ client: 'ada', budget: 40, planned: 100, ...changes });
    link.progress(entry.request, 40, 40, [0, 40]);
    return { link, entry, told: { request: entry.request, sent: 40, covered: [0, 40], wanted: 70 } };
  }

  it('goes on, and counts as another one, with the whole of its budget', () => {
    const { link, entry, told } = spent();
    expect(link.report(told)?.granted).toBe(80);
    expect(link.lease(entry.id)).toMatchObject({ uses: 2, charged: 80, covered: [0, 40] });
    expect(link.report({ ...told, sent: 80, covered: [0, 80], wanted: 90 })?.granted).toBe(100);
    expect(link.end(entry.request)).toEqual({ completed: true, givenBack: false });
    expect([link.used, link.lease(entry.id).charged]).toEqual([3, 100]);
    for (const belonging of [{ presented: entry.lease }, { client: 'ada' }]) {
      expect(link.granted({ ...belonging, maxDownloads: 3, bytes: 1, planned: 1 }).id).toBe(entry.id);
    }
  });

  it('goes on once, however often it reports', () => {
    const { link, told } = spent();
    link.report(told);
    expect(link.report(told)?.granted).toBe(80);
    expect([link.used, link.leases.length]).toEqual([2, 1]);
  });

  it('gives the further one back where nothing more was sent', () => {
    const { link, entry, told } = spent();
    link.report(told);
    expect(link.end(entry.request, { sent: 40, covered: [0, 40] })?.givenBack).toBe(false);
    expect(link.used).toBe(1);
  });

  it('without its cookie, leaves alone what those planned that have it', () => {
    const link = new Link();
    const asking = { client: 'ada', budget: 150, maxDownloads: undefined };
    const own = link.granted({ ...asking, bytes: 10, planned: 100 });
    const other = link.granted({ ...asking, bytes: 10, planned: 50 });
    const told = { request: other.request, sent: 10, covered: [], wanted: 40 };
    expect(link.report(told)?.granted).toBe(40);
    // It sends more than it planned: only the link can give it that
    link.report({ ...told, wanted: 51 }, 1);
    expect(runningOf(link.lease(own.id), other.request)?.granted).toBe(50);
    link.report({ ...told, wanted: 60 }, 2);
    expect(link.used).toBe(2);
    expect(link.progress(own.request, 100)).toBe(100);
  });

  it.each([
    ['the link has none left', 1, 0],
    ['its life is over', 2, TERMS.life],
  ])('does not where %s', (_name, maxDownloads, later) => {
    const { link, told } = spent();
    link.now += later;
    expect(link.report(told, maxDownloads)?.granted).toBe(40);
    expect(link.used).toBe(1);
  });

  it('does not where it does not run, or its link was forgotten', () => {
    const { link, told } = spent();
    expect(link.report({ ...told, request: 'another' })).toBeUndefined();
    const forgotten = report({ ...link.known, used: 0 }, { ...BOOKING, maxDownloads: 2 }, told);
    expect(runningOf(forgotten!.lease, told.request)?.granted).toBe(40);
  });
});

/** What random clients do to a link, and what must be so whatever they do. */
describe('whatever happens', () => {
  const step = fc.record({
    what: fc.constantFrom('enter', 'enter', 'progress', 'end', 'go on', 'wait'),
    client: fc.integer({ min: 0, max: 3 }),
    which: fc.nat(),
    from: fc.integer({ min: 0, max: 99 }),
    to: fc.integer({ min: 1, max: 100 }),
    cookie: fc.boolean(),
    time: fc.integer({ min: 0, max: 2 * HOUR }),
  });

  interface Running {
    request: string;
    granted: number;
    sent: number;
  }

  it('no more leases are used than the link has, and no more bytes granted than their budgets', () => {
    const run = (
      steps: (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
      max: number,
      budget: number,
    ) => {
      const link = new Link();
      const running: Running[] = [];
      for (const { what, client, which, from, to, cookie, time } of steps) {
        const one = running[which % (running.length || 1)];
        const covered = one && one.sent > 0 && to > from ? [from, to] : [];
        if (what === 'enter') {
          const lease = link.leases.find((found) => cookie && one && runningOf(found, one.request));
          const presented = lease;
          const bytes = Math.max(1, to - from);
          const entry = link.enter({
            client: `client-${client}`,
            presented,
            maxDownloads: max,
            budget,
            bytes,
            from,
          });
          if ('lease' in entry) {
            running.push({
              request: entry.request,
              granted: runningOf(entry.lease, entry.request)!.granted,
              sent: 0,
            });
          }
        } else if (what === 'wait') {
          link.now += time;
        } else if (one && what !== 'end') {
          one.sent = Math.min(one.granted, one.sent + to);
          const told = { request: one.request, sent: one.sent, covered, wanted: one.granted + from };
          const granted = link.report(told, what === 'go on' ? max : 0)!.granted!;
          expect(granted).toBeGreaterThanOrEqual(one.granted);
          one.granted = granted;
        } else if (one) {
          running.splice(running.indexOf(one), 1);
          link.end(one.request, { sent: one.sent, covered, whole: false });
        }
        expect(link.used).toBeLessThanOrEqual(max);
        for (const lease of link.leases) {
          const { running: requests = [] } = lease;
          const charged = requests.reduce((sum, { granted }) => sum + granted, 0);
          expect(lease.uses).toBeGreaterThan(0);
          expect(lease.charged).toBeLessThanOrEqual(lease.uses * budget);
          expect(lease.charged).toBeGreaterThanOrEqual(charged);
          expect(requests.length).toBeLessThanOrEqual(TERMS.connections);
          for (const { request, granted } of requests) {
            expect(running.find((one) => one.request === request)?.granted).toBe(granted);
          }
          if (lease.completedAt !== undefined) {
            expect(coversAll(lease.covered, lease.length!)).toBe(true);
          }
          expect(isOpen(lease, lease.openedAt + TERMS.life, TERMS)).toBe(false);
          expect(isOver(lease, link.now, TERMS) && lease.running).toBeFalsy();
        }
      }
      const requests = link.leases.flatMap((lease) => lease.running ?? []);
      expect(requests).toHaveLength(running.length);
    };
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 250 }),
        run,
      ),
      { numRuns: 300 },
    );
  });
});
