import type { RefusalCode } from '../refusals/download-refusal.js';
import { coversAll, NO_INTERVALS, union } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import { hasLeft } from './lease.js';
import type { Booking, KnownLink } from './lease.js';
import { charge, newLease, release, runningOf } from './lease-record.js';
import type { Lease, RunningRequest } from './lease-record.js';

/** What a running request tells, and what it asks for. Repeating it changes nothing. */
export interface Report {
  readonly request: string;
  /** Bytes it has sent so far; at its end, the unconfirmed ones too. */
  readonly sent: number;
  /** What it has sent. */
  readonly covered: IntervalSet;
  /** Absent once it has ended. */
  readonly wish?: Wish;
  /**
   * Bytes that were being written when the connection broke, so that the client has some of them, all or
   * none.
   */
  readonly unconfirmed?: IntervalSet;
  /** It has ended and every byte was sent: what tells of completion where the length is not known. */
  readonly whole?: boolean;
  /** Why this side cut it. */
  readonly cut?: RefusalCode;
}

/** What a running request wants to send. */
export interface Wish {
  /** Bytes it has sent or is about to write. */
  readonly taken: number;
  /** Bytes it wants to be allowed in all, those already granted included. */
  readonly total: number;
  /** The lease to open where its own has nothing left: new. */
  readonly lease: string;
}

export interface Reported {
  /** The lease that the request runs or ran under, to be written. */
  readonly lease: Lease;
  /** The one that it left for a further one, to be written before. */
  readonly left?: Lease;
  /** Bytes the request may send in all. */
  readonly granted: number;
  /** By this report the lease became complete. */
  readonly completed: boolean;
}

/**
 * Takes in what a request has sent. While it runs, charges the budget for more, and where that has nothing
 * left, moves it to a further lease of the link, if there is one. At its end, what it did not send goes back
 * to the budget. Undefined if the request is not running.
 */
export function report(known: KnownLink, link: Booking, told: Report): Reported | undefined {
  const { now, leases } = known;
  const before = leases.find((lease) => runningOf(lease, told.request));
  const running = before && runningOf(before, told.request);
  if (!before || !running) {
    return undefined;
  }
  const hasSent = told.sent > running.start;
  const lease: Lease = {
    ...before,
    covered: union(before.covered, told.covered),
    used: before.used || hasSent,
    seenAt: hasSent ? Math.max(before.seenAt, now) : before.seenAt,
  };
  if (!told.wish) {
    return ended(now, lease, running, told);
  }
  const { taken, total } = told.wish;
  if (now >= lease.openedAt + link.terms.life) {
    return { lease, granted: running.granted, completed: false };
  }
  const charged = charge(lease, running, total - running.granted);
  // Long after its expiry a link may be forgotten: then no use is counted
  const isSpent = charged.granted <= taken && taken < total;
  if (isSpent && known.used > 0 && hasLeft(known, link)) {
    return moved(now, lease, running, told.wish);
  }
  return { ...charged, completed: false };
}

function ended(now: number, lease: Lease, running: RunningRequest, told: Report): Reported {
  const whole = lease.length === undefined ? told.whole === true : coversAll(lease.covered, lease.length);
  const completed = whole && lease.completedAt === undefined;
  const { unconfirmed } = told;
  const after: Lease = {
    ...release(lease, running, told.sent),
    cut: told.cut ?? lease.cut,
    unconfirmed: unconfirmed ? union(lease.unconfirmed ?? NO_INTERVALS, unconfirmed) : lease.unconfirmed,
    completedAt: completed ? now : lease.completedAt,
    covered: completed && lease.length === undefined ? NO_INTERVALS : lease.covered,
  };
  return { lease: after, granted: told.sent, completed };
}

/** Moves a request to a further lease of its link, which continues the first one. */
function moved(
  now: number,
  lease: Lease,
  running: RunningRequest,
  { taken, total, lease: id }: Wish,
): Reported {
  const { client, version, length, budget, covered, unconfirmed } = lease;
  const root = lease.root ?? lease.id;
  const next = { ...newLease(id, client, now), root, version, length, budget, covered, unconfirmed };
  const to = charge(next, { ...running, start: taken, granted: taken }, total - taken);
  return { ...to, left: { ...release(lease, running, taken), used: true }, completed: false };
}
