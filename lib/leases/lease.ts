import {
  type AcquireRequest,
  type ExtendRequest,
  type LeaseTerms,
  type LeaseUsage,
  type ReleaseRequest,
} from './lease-store.js';
import { bytesIn, coversAll, type IntervalSet, NO_INTERVALS, partBefore, union } from './interval-set.js';

/**
 * One use of a limited link. The functions beside it are its state machine (docs/leases.md), pure
 * but for the lease they are given: the memory and SQLite stores run them as they are, Redis runs
 * the same in Lua, and one suite holds all three to it.
 */
export interface Lease {
  client?: string;
  openedAt: number;
  /** When it was last joined, or last sent something. */
  seenAt: number;
  version?: string;
  length?: number;
  budget?: number;
  /** Bytes charged: sent by requests that ended, granted to those that run. */
  charged: number;
  /** Requests it has served. */
  served: number;
  /** Something was sent under it, so it can no longer be given back. */
  used: boolean;
  covered: IntervalSet;
  /** What was being written when connections broke; a resume tells how much of it arrived. Absent in most leases. */
  unconfirmed?: IntervalSet;
  completedAt?: number;
  /** The requests that run, and the bytes granted to each; a list, as it hardly ever has a second entry. */
  running?: [request: string, granted: number][];
}

/** Whether a further request may join. */
export function isOpen(lease: Lease, now: number, terms: LeaseTerms): boolean {
  return (
    now < lease.openedAt + terms.life &&
    now < lease.seenAt + terms.idle &&
    (lease.completedAt === undefined || now < lease.completedAt + terms.grace) &&
    (lease.budget === undefined || lease.charged < lease.budget) &&
    (lease.length !== undefined || lease.served < terms.attempts)
  );
}

export function openLease(request: AcquireRequest): Lease {
  return {
    client: request.client,
    openedAt: request.now,
    seenAt: request.now,
    version: request.version,
    length: request.length,
    budget: request.budget,
    charged: 0,
    served: 0,
    used: false,
    covered: NO_INTERVALS,
    completedAt: undefined,
    running: undefined,
  };
}

/** Lets a request into the lease; answers the bytes it may send. */
export function joinLease(lease: Lease, request: AcquireRequest): number {
  const granted = grantedTo(lease, request.request);
  if (granted !== undefined) {
    return granted;
  }
  if (lease.version !== request.version && lease.completedAt === undefined) {
    // The file was replaced under way: what was sent of the old one completes nothing.
    lease.version = request.version;
    lease.length = request.length;
    lease.covered = NO_INTERVALS;
    lease.unconfirmed = undefined;
  }
  lease.covered = union(lease.covered, partBefore(lease.unconfirmed, request.from));
  lease.seenAt = Math.max(lease.seenAt, request.now);
  lease.served += 1;
  return charge(lease, request.request, request.bytes);
}

/** Bytes that may still be charged; undefined without a budget. */
export function bytesLeft(lease: Lease): number | undefined {
  return lease.budget === undefined ? undefined : Math.max(0, lease.budget - lease.charged);
}

/** Answers the bytes the request may send in all, or undefined if it is not running. */
export function extendLease(lease: Lease, report: ExtendRequest): number | undefined {
  const granted = grantedTo(lease, report.request);
  if (granted === undefined) {
    return undefined;
  }
  note(lease, report);
  const over = report.now >= lease.openedAt + report.terms.life;
  return over ? granted : charge(lease, report.request, report.total - granted);
}

/** Ends a request; undefined if it is not running. */
export function releaseLease(
  lease: Lease,
  report: ReleaseRequest,
): { completed: boolean; givenBack: boolean } | undefined {
  const granted = grantedTo(lease, report.request);
  if (granted === undefined) {
    return undefined;
  }
  note(lease, report);
  if (report.unconfirmed) {
    lease.unconfirmed = union(lease.unconfirmed ?? NO_INTERVALS, report.unconfirmed);
  }
  lease.charged += report.sent - granted;
  const others = lease.running!.filter(([request]) => request !== report.request);
  lease.running = others.length > 0 ? others : undefined;
  const whole = lease.length === undefined ? report.whole : coversAll(lease.covered, lease.length);
  const completed = whole && lease.completedAt === undefined;
  if (completed) {
    lease.completedAt = report.now;
    lease.covered = lease.length === undefined ? NO_INTERVALS : [0, lease.length];
  }
  return { completed, givenBack: !lease.used && lease.running === undefined };
}

export function leaseUsage(lease: Lease): LeaseUsage {
  return {
    openedAt: lease.openedAt,
    seenAt: lease.seenAt,
    completedAt: lease.completedAt,
    length: lease.length,
    covered: bytesIn(lease.covered),
    running: lease.running?.length ?? 0,
  };
}

function note(lease: Lease, report: { now: number; sent: number; covered: IntervalSet }): void {
  if (report.sent > 0) {
    lease.used = true;
    lease.seenAt = Math.max(lease.seenAt, report.now);
  }
  lease.covered = union(lease.covered, report.covered);
}

/** Charges up to `bytes` more, as far as the budget goes. */
function charge(lease: Lease, request: string, bytes: number): number {
  const granted = Math.max(0, Math.min(bytes, bytesLeft(lease) ?? bytes));
  lease.charged += granted;
  const entry = lease.running?.find(([name]) => name === request);
  if (entry) {
    return (entry[1] += granted);
  }
  lease.running = [...(lease.running ?? []), [request, granted]];
  return granted;
}

function grantedTo(lease: Lease, request: string): number | undefined {
  return lease.running?.find(([name]) => name === request)?.[1];
}
