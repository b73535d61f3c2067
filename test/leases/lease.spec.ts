import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coversAll } from '../../lib/leases/interval-set.js';
import { end, enter, mayJoin, progress, REASONS, transfer } from '../../lib/leases/lease.js';
import type { Ending, Entering, Entry, KnownLink } from '../../lib/leases/lease.js';
import { isOpen, isOver, LEASES_OF_CLIENT, leaseUsage } from '../../lib/leases/lease-record.js';
import type { Lease } from '../../lib/leases/lease-record.js';
import { HOUR, SECOND, START } from '../../lib/leases/testing/fixtures.js';

const TERMS = { idle: HOUR, life: 24 * HOUR, grace: 10 * SECOND, attempts: 3, connections: 4 };

let names = 0;

/** A request for 100 of 100 bytes of a link of one download, by a client of its own; the budget is 200. */
function entering(changes: Partial<Entering> = {}): Entering {
  names += 1;
  const bytes = changes.bytes ?? 100;
  return {
    lease: `lease-${names}`,
    request: `request-${names}`,
    client: `client-${names}`,
    maxDownloads: 1,
    mayOpen: true,
    version: 'v1',
    length: 100,
    budget: 200,
    bytes,
    planned: bytes,
    terms: TERMS,
    ...changes,
  };
}

const ending = (request: string, changes: Partial<Ending> = {}): Ending => ({
  request,
  sent: 100,
  covered: [0, 100],
  whole: true,
  ...changes,
});

/** One link, in memory, with its decisions one after the other. */
class Link {
  now = START;
  used = 0;
  leases: Lease[] = [];

  get known(): KnownLink {
    return { now: this.now, used: this.used, leases: this.leases };
  }

  enter(changes: Partial<Entering> = {}): Entry & { request: string } {
    const request = entering(changes);
    const entry = enter(this.known, request);
    if ('lease' in entry) {
      this.put(entry.lease);
      this.used = entry.used;
    }
    return { ...entry, request: request.request };
  }

  /** As {@link enter}, of a request that must be let in. */
  granted(changes: Partial<Entering> = {}) {
    const entry = this.enter(changes);
    if (!('lease' in entry)) {
      throw new Error(`refused: ${entry.kind}`);
    }
    return { ...entry, id: entry.lease.id };
  }

  end(id: string, report: Ending) {
    const answer = end(this.lease(id), report, this.now);
    if (answer?.givenBack) {
      this.leases = this.leases.filter((lease) => lease.id !== id);
      this.used -= 1;
    } else if (answer) {
      this.put(answer.lease);
    }
    return answer && { completed: answer.completed, givenBack: answer.givenBack };
  }

  progress(id: string, request: string, total: number, sent = 0, covered: number[] = []) {
    const answer = progress(this.lease(id), { request, total, sent, covered }, this.now, TERMS);
    if (answer) {
      this.put(answer.lease);
    }
    return answer?.granted;
  }

  lease(id: string): Lease {
    return this.leases.find((lease) => lease.id === id)!;
  }

  private put(lease: Lease): void {
    const known = this.leases.findIndex((other) => other.id === lease.id);
    this.leases = known < 0 ? [lease, ...this.leases] : this.leases.with(known, lease);
  }
}

describe('a request', () => {
  it('opens as many leases as the link has, and no more', () => {
    const link = new Link();
    for (const used of [1, 2, 3]) {
      expect(link.enter({ maxDownloads: 3 })).toMatchObject({ kind: 'opened', reason: REASONS.first, used });
    }
    expect(link.enter({ maxDownloads: 3 }).kind).toBe('used-up');
    expect(link.enter({ maxDownloads: undefined }).kind).toBe('opened');
  });

  it('opens nothing once the link has expired, and joins what is open', () => {
    const link = new Link();
    expect(link.enter({ mayOpen: false }).kind).toBe('closed');
    link.granted({ client: 'ada' });
    expect(link.enter({ mayOpen: false, client: 'ada' }).kind).toBe('joined');
    for (const version of ['v2', undefined]) {
      expect(link.enter({ mayOpen: false, sameVersion: true, client: 'ada', version }).kind).toBe('closed');
    }
  });

  it('is decided once, however often it is asked', () => {
    const link = new Link();
    const request = entering();
    const first = enter(link.known, request);
    expect(first).toMatchObject({ kind: 'opened', reason: REASONS.first, granted: 100 });
    link.enter({ ...request });
    for (let i = 0; i < 3; i++) {
      expect(link.enter({ ...request })).toMatchObject({ kind: 'opened', repeated: true, granted: 100 });
    }
    expect([link.used, link.lease(request.lease).charged]).toEqual([1, 100]);
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
    expect(joined).toMatchObject({ kind: 'joined', reason: REASONS.byCookie, id, granted: 50, used: 1 });
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
    expect(link.enter({ client: 'ada', bytes: 10 }).kind).toBe('used-up');
    expect(link.progress(first.id, first.request, 100)).toBe(100);
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
      expect(link.enter(other).kind).toBe('used-up');
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
    const { id, lease, request } = link.granted({ client: 'ada', bytes: 1 });
    for (let i = 1; i < TERMS.connections; i++) {
      link.granted({ client: 'ada', bytes: 1 });
    }
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('busy');
    expect(link.enter({ presented: lease, bytes: 1, maxDownloads: 9 }).kind).toBe('busy');
    expect(link.enter({ client: 'ada', bytes: 1, maxDownloads: 2 }).kind).toBe('opened');
    link.end(id, ending(request, { sent: 1, covered: [0, 1] }));
    expect(link.enter({ presented: lease, bytes: 1 }).kind).toBe('joined');
  });

  it('has three attempts where the length is not known', () => {
    const link = new Link();
    const unknown = { client: 'ada', length: undefined, budget: undefined, version: undefined, planned: 0 };
    for (let i = 0; i < 3; i++) {
      const { id, request } = link.granted(unknown);
      expect(link.end(id, ending(request, { sent: 10, covered: [0, 10], whole: false }))).toEqual({
        completed: false,
        givenBack: false,
      });
    }
    expect(link.enter(unknown).kind).toBe('used-up');
  });
});

describe('a lease', () => {
  it('is given back when the last of its requests ended and nothing was sent', () => {
    const link = new Link();
    const first = link.granted({ client: 'ada', bytes: 10 });
    const second = link.granted({ client: 'ada', bytes: 10 });
    const nothing = { sent: 0, covered: [], whole: false };
    expect(link.end(first.id, ending(first.request, nothing))?.givenBack).toBe(false);
    expect(link.end(first.id, ending(second.request, nothing))?.givenBack).toBe(true);
    expect([link.used, link.leases]).toEqual([0, []]);
  });

  it('is not given back where a byte was sent', () => {
    const link = new Link();
    const { id, request } = link.granted();
    expect(link.end(id, ending(request, { sent: 1, covered: [0, 1] }))?.givenBack).toBe(false);
    expect(link.end(id, ending(request))).toBeUndefined();
    expect(link.used).toBe(1);
  });

  it('charges before anything is sent, and takes back what was not sent', () => {
    const link = new Link();
    const { id, request } = link.granted({ client: 'ada' });
    link.end(id, ending(request, { sent: 10, covered: [0, 10] }));
    expect(link.granted({ client: 'ada', bytes: 1000, planned: 100 }).granted).toBe(190);
  });

  it('grants a running request more, up to the budget, and nothing when its life is over', () => {
    const link = new Link();
    const { id, request } = link.granted({ length: 1000, budget: 500 });
    expect(link.progress(id, request, 300)).toBe(300);
    expect(link.progress(id, request, 200)).toBe(300);
    expect(link.progress(id, 'another', 400)).toBeUndefined();
    link.now += TERMS.life;
    expect(link.progress(id, request, 400)).toBe(300);
    link.now -= 1;
    expect(link.progress(id, request, 900)).toBe(500);
  });

  it('is complete, once, when the union of what was sent has no hole, and over some time after', () => {
    const link = new Link();
    const requests = [0, 1, 2].map(() => link.granted({ client: 'ada', bytes: 40, budget: 1000 }));
    const { id } = requests[0]!;
    const parts = [[60, 100], [0, 30], [30, 70]]; // prettier-ignore
    const completed = requests.map(
      ({ request }, i) => link.end(id, ending(request, { sent: 40, covered: parts[i]! }))?.completed,
    );
    expect(completed).toEqual([false, false, true]);
    expect(leaseUsage(link.lease(id))).toMatchObject({ covered: 100, running: 0, completedAt: START });
    link.now += TERMS.grace - 1;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('joined');
    link.now += 1;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('used-up');
  });

  it('starts again with what was sent when the representation was replaced', () => {
    const link = new Link();
    const first = link.granted({ client: 'ada', budget: 1000 });
    link.end(first.id, ending(first.request, { sent: 60, covered: [0, 60], unconfirmed: [60, 70] }));
    const second = link.granted({ client: 'ada', version: 'v2', length: 80, from: 65 });
    expect(leaseUsage(link.lease(first.id)).covered).toBe(0);
    const part = ending(second.request, { sent: 30, covered: [50, 80] });
    expect(link.end(first.id, part)?.completed).toBe(false);
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
    link.end(id, ending(request, { sent: 60, covered: [0, 30], unconfirmed: [30, 60], whole: false }));
    link.granted({ client: 'ada', from, bytes: 1 });
    expect(leaseUsage(link.lease(id)).covered).toBe(covered);
  });

  it('ends when it is idle, revives with what it sends, and is over at the end of its life', () => {
    const link = new Link();
    const { id, request } = link.granted({ client: 'ada', budget: 1000, bytes: 1 });
    link.now += HOUR;
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('used-up');
    link.progress(id, request, 1, 1, [0, 1]);
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('joined');
    while (link.now < START + TERMS.life) {
      link.progress(id, request, 1, 1);
      link.now += HOUR;
    }
    expect(link.enter({ client: 'ada', bytes: 1 }).kind).toBe('used-up');
  });

  it('is exact with files of terabytes', () => {
    const length = 2 ** 45 + 1;
    const link = new Link();
    const { id, request } = link.granted({ length, budget: 2 * length, bytes: length });
    link.progress(id, request, length, 1, [0, length - 1]);
    expect(link.end(id, ending(request, { sent: length, covered: [length - 1, length] }))?.completed).toBe(
      true,
    );
  });
});

describe('a download whose lease has nothing left', () => {
  const going = (request: string, changes = {}) => ({
    request,
    lease: 'next',
    sent: 40,
    bytes: 30,
    planned: 60,
    terms: TERMS,
    ...changes,
  });

  function spent(changes: Partial<Entering> = {}) {
    const link = new Link();
    const entry = link.granted({ client: 'ada', budget: 40, planned: 100, ...changes });
    link.progress(entry.id, entry.request, 40, 40, [0, 40]);
    return { link, entry, from: link.leases[0]! };
  }

  it('goes on under a further one, which is found by the cookie and the client of the first', () => {
    const { link, entry, from } = spent();
    const answer = transfer(link.known, from, going(entry.request))!;
    expect(answer.granted).toBe(30);
    expect(answer.from).toMatchObject({ charged: 40, running: undefined });
    expect(answer.to).toMatchObject({
      id: 'next',
      client: 'ada',
      root: entry.id,
      charged: 30,
      covered: [0, 40],
      used: false,
    });
    link.leases = [answer.to, answer.from];
    for (const belonging of [{ presented: entry.lease }, { client: 'ada' }]) {
      expect(mayJoin(link.known, belonging, TERMS)).toBe(true);
    }
    const rest = ending(entry.request, { sent: 60, covered: [40, 100] });
    expect(end(answer.to, rest, link.now)?.completed).toBe(true);
  });

  it.each([
    ['the link has none left', { maxDownloads: 1 }, {}, 0],
    ['its life is over', {}, {}, TERMS.life],
    ['it does not run', {}, { request: 'another' }, 0],
  ])('does not where %s', (_name, limit, changes, later) => {
    const { link, entry, from } = spent();
    link.now += later;
    expect(transfer(link.known, from, { ...going(entry.request), ...limit, ...changes })).toBeUndefined();
  });
});

/** What random clients do to a link, and what must be so whatever they do. */
describe('whatever happens', () => {
  const step = fc.record({
    what: fc.constantFrom('enter', 'enter', 'progress', 'end', 'transfer', 'wait'),
    client: fc.integer({ min: 0, max: 3 }),
    which: fc.nat(),
    from: fc.integer({ min: 0, max: 99 }),
    to: fc.integer({ min: 1, max: 100 }),
    cookie: fc.boolean(),
    time: fc.integer({ min: 0, max: 2 * HOUR }),
  });

  interface Running {
    id: string;
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
      let opened = 0;
      for (const { what, client, which, from, to, cookie, time } of steps) {
        const one = running[which % (running.length || 1)];
        if (what === 'enter') {
          const lease = cookie && one ? link.lease(one.id) : undefined;
          const presented = lease && { client: lease.client, id: lease.root ?? lease.id };
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
            running.push({ id: entry.lease.id, request: entry.request, granted: entry.granted, sent: 0 });
            opened += entry.kind === 'opened' ? 1 : 0;
          }
        } else if (what === 'wait') {
          link.now += time;
        } else if (one && what === 'progress') {
          one.sent = Math.min(one.granted, one.sent + to);
          const covered = one.sent > 0 && to > from ? [from, to] : [];
          one.granted = link.progress(one.id, one.request, one.granted + from, one.sent, covered) ?? 0;
        } else if (one && what === 'transfer') {
          const named = link.leases.find(({ id }) => id === one.id)!;
          const request = { request: one.request, lease: `next-${names++}`, maxDownloads: max, terms: TERMS };
          const report = { ...request, sent: one.sent, bytes: to, planned: to };
          const answer = transfer(link.known, named, report);
          if (answer) {
            link.leases = [
              answer.to,
              ...link.leases.map((lease) => (lease.id === one.id ? answer.from : lease)),
            ];
            link.used += 1;
            Object.assign(one, { id: answer.to.id, granted: answer.granted, sent: 0 });
          }
        } else if (one) {
          running.splice(running.indexOf(one), 1);
          const covered = one.sent > 0 && to > from ? [from, to] : [];
          link.end(one.id, ending(one.request, { sent: one.sent, covered, whole: false }));
        }
        expect(link.used).toBeLessThanOrEqual(max);
        expect(link.used).toBe(link.leases.length);
        for (const lease of link.leases) {
          const { id } = lease;
          const granted = running
            .filter((other) => other.id === id)
            .reduce((sum, other) => sum + other.granted, 0);
          expect(lease.charged).toBeLessThanOrEqual(budget);
          expect(lease.charged).toBeGreaterThanOrEqual(granted);
          expect(lease.running?.length ?? 0).toBe(running.filter((other) => other.id === id).length);
          expect(lease.running?.length ?? 0).toBeLessThanOrEqual(TERMS.connections);
          if (lease.completedAt !== undefined) {
            expect(coversAll(lease.covered, lease.length!)).toBe(true);
          }
          expect(isOpen(lease, lease.openedAt + TERMS.life, TERMS)).toBe(false);
          expect(isOver(lease, link.now, TERMS) && lease.running).toBeFalsy();
        }
      }
      return opened;
    };
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 250 }),
        (steps, max, budget) => void run(steps, max, budget),
      ),
      { numRuns: 300 },
    );
  });
});
