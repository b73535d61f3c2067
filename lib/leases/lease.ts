/*
 * The state machine of a lease (docs/leases.md). These functions take plain records, change none of them, and
 * answer what is to be written, with the reason.
 */
import { coversAll, NO_INTERVALS, partBefore, union } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import {
  canCarry,
  charge,
  isOpen,
  isOver,
  isRunning,
  LEASES_OF_CLIENT,
  runningOf,
  spare,
} from './lease-record.js';
import type { Lease, LeaseName, LeaseTerms } from './lease-record.js';

/** What is known of a link when a request is to be decided. */
export interface KnownLink {
  readonly now: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
  /** Those the request might belong to, the latest first. */
  readonly leases: readonly Lease[];
}

/** What tells whether a request belongs to a lease. */
export interface Belonging {
  /** The lease that the request's cookie names. */
  readonly presented?: LeaseName;
  /** The client's key, unless only the cookie counts. */
  readonly client?: string;
}

/** A request that is about to send bytes. */
export interface Entering extends Belonging {
  /** The lease to open if there is none to join: new, and derived from an unguessable value. */
  readonly lease: string;
  /** Names this request; deciding again for the same name changes nothing. */
  readonly request: string;
  /** How many leases the link has; unlimited if absent. */
  readonly maxDownloads?: number;
  /** False once the link has expired: then an open lease may be joined, and none opened. */
  readonly mayOpen: boolean;
  /** The lease may be joined only if it was opened for this {@link version}. */
  readonly sameVersion?: boolean;
  /** What is being downloaded, for instance its entity tag. */
  readonly version?: string;
  /** Length of the representation in bytes, where it is known. */
  readonly length?: number;
  /**
   * The first byte that is asked for. Where it lies within what an earlier request left unconfirmed, the
   * client has what comes before it.
   */
  readonly from?: number;
  /** Bytes that all requests of the lease may send together; unlimited if absent. */
  readonly budget?: number;
  /** Bytes for which to charge the budget now, before they are sent. */
  readonly bytes: number;
  /** Bytes that the request means to send in all; 0 where that is not known. */
  readonly planned: number;
  readonly terms: LeaseTerms;
}

/** Whether the request may send, under which lease, how much, and why. */
export type Entry = Granted | Denied;

export interface Granted {
  readonly kind: 'opened' | 'joined';
  readonly reason: string;
  readonly lease: Lease;
  /** Bytes this request may send before it has to ask again; less than asked where the budget ends. */
  readonly granted: number;
  /** Leases that were opened and not given back, this one included. */
  readonly used: number;
  /** It was decided before, and only its answer was lost: there is nothing to write. */
  readonly repeated?: true;
}

export interface Denied {
  /**
   * `used-up`: no lease to join and none left. `closed`: none to join, and `mayOpen` was false. `busy`: its
   * lease already runs as many requests as it may.
   */
  readonly kind: 'used-up' | 'closed' | 'busy';
  readonly reason: string;
}

/** Why a request joined or opened a lease, or was denied: in words for logs. */
export const REASONS = {
  byCookie: 'joined by cookie',
  byAddress: 'joined by address',
  byAddressAsLast: 'joined by address: budget cannot carry it, but no download is left to open',
  first: 'opened: no download to join',
  notCarried: 'opened: budget or connections of the running download cannot carry it',
  usedUp: 'no download to join, and none left to open',
  closed: 'link expired, and no download to join',
  busy: 'too many connections of one download',
} as const;

/** Decides whether a request joins a lease, opens one, or may not send. */
export function enter(known: KnownLink, request: Entering): Entry {
  const { now, used, leases } = known;
  const { presented, client, terms } = request;
  const before = leases.find((lease) => isRunning(lease, request.request));
  if (before) {
    return again(before, request, used);
  }
  const open = leases.filter(
    (lease) => isOpen(lease, now, terms) && (!request.sameVersion || lease.version === request.version),
  );
  const hasRoom = (lease: Lease) => (lease.running?.length ?? 0) < terms.connections;
  const own = open.filter((lease) => isPresented(lease, presented));
  if (own.length > 0) {
    const found = own.find(hasRoom);
    return found ? join(known, found, request, 'byCookie') : denied('busy', 'busy');
  }
  const ofClient = open.filter((lease) => lease.client === client);
  const carrying = ofClient.find((lease) => hasRoom(lease) && canCarry(lease, request.planned));
  if (carrying) {
    return join(known, carrying, request, 'byAddress');
  }
  if (request.mayOpen && isLeft(used, request.maxDownloads)) {
    return opened(known, request, ofClient.length > 0 ? 'notCarried' : 'first');
  }
  const last = ofClient.find((lease) => hasRoom(lease) && spare(lease) > 0);
  if (last) {
    return join(known, last, request, 'byAddressAsLast');
  }
  if (ofClient.some((lease) => !hasRoom(lease))) {
    return denied('busy', 'busy');
  }
  return request.mayOpen ? denied('used-up', 'usedUp') : denied('closed', 'closed');
}

/** Whether there is a lease that the request may join, before anything is known of what it will send. */
export function mayJoin(
  { now, leases }: KnownLink,
  { presented, client }: Belonging,
  terms: LeaseTerms,
): boolean {
  return leases.some(
    (lease) => (isPresented(lease, presented) || lease.client === client) && isOpen(lease, now, terms),
  );
}

type Reason = keyof typeof REASONS;

/** The progress of a running request. */
export interface Progress {
  readonly request: string;
  /** Bytes the request wants to be allowed in all, those already granted included. */
  readonly total: number;
  /** Bytes it has sent so far. */
  readonly sent: number;
  /** What it sent since it last reported. */
  readonly covered: IntervalSet;
}

/** Takes in what a request has sent, and charges the budget for more; undefined if it is not running. */
export function progress(
  lease: Lease,
  report: Progress,
  now: number,
  terms: LeaseTerms,
): { lease: Lease; granted: number } | undefined {
  const running = runningOf(lease, report.request);
  if (!running) {
    return undefined;
  }
  const after = noted(lease, report, now);
  const isOver = now >= lease.openedAt + terms.life;
  return isOver
    ? { lease: after, granted: running.granted }
    : charge(after, running, report.total - running.granted);
}

/** The end of a request. */
export interface Ending {
  readonly request: string;
  /** Bytes it has sent in all, the unconfirmed ones included. */
  readonly sent: number;
  readonly covered: IntervalSet;
  /**
   * Bytes that were being written when the connection broke, so that the client has some of them, all or
   * none.
   */
  readonly unconfirmed?: IntervalSet;
  /** Every byte was sent: what tells of completion where the length is not known. */
  readonly whole: boolean;
}

/**
 * Ends a request: what it did not send goes back to the byte budget, and the lease goes back to the link if
 * nothing was sent under it at all. Undefined if it is not running.
 */
export function end(
  lease: Lease,
  report: Ending,
  now: number,
): { lease: Lease; completed: boolean; givenBack: boolean } | undefined {
  const running = runningOf(lease, report.request);
  if (!running) {
    return undefined;
  }
  const after = noted(lease, report, now);
  const whole = lease.length === undefined ? report.whole : coversAll(after.covered, lease.length);
  const completed = whole && lease.completedAt === undefined;
  const ended: Lease = {
    ...after,
    charged: lease.charged + report.sent - running.granted,
    unconfirmed: report.unconfirmed
      ? union(lease.unconfirmed ?? NO_INTERVALS, report.unconfirmed)
      : lease.unconfirmed,
    running: without(lease.running, report.request),
    completedAt: completed ? now : lease.completedAt,
    covered: completed && lease.length === undefined ? NO_INTERVALS : after.covered,
  };
  return { lease: ended, completed, givenBack: !ended.used && ended.running === undefined };
}

/** A running request whose lease has nothing left, and what it needs of a further one. */
export interface Transfer {
  readonly request: string;
  /** The lease to open: new. */
  readonly lease: string;
  readonly maxDownloads?: number;
  /** Bytes that were granted and written, or are being written. */
  readonly sent: number;
  /** Bytes to charge to the further lease now. */
  readonly bytes: number;
  /** Bytes the request still means to send; 0 where that is not known. */
  readonly planned: number;
  readonly terms: LeaseTerms;
}

/**
 * Moves a running request to a further lease of its link, which continues the first one. Undefined if the
 * request is not running, the life of its lease is over, or the link has no lease left.
 */
export function transfer(
  { now, used }: Pick<KnownLink, 'now' | 'used'>,
  from: Lease,
  report: Transfer,
): { from: Lease; to: Lease; granted: number } | undefined {
  const running = runningOf(from, report.request);
  const lifeOver = now >= from.openedAt + report.terms.life;
  // A link that was forgotten, long after its expiry, counts no use
  const isForgotten = used === 0;
  if (!running || lifeOver || isForgotten || !isLeft(used, report.maxDownloads)) {
    return undefined;
  }
  const lease = noted(from, { ...report, covered: NO_INTERVALS }, now);
  const { client, version, length, budget, covered, unconfirmed } = lease;
  const root = lease.root ?? lease.id;
  const next = {
    ...newLease(report.lease, client, now),
    root,
    version,
    length,
    budget,
    covered,
    unconfirmed,
  };
  const to = charge(next, { ...running, granted: 0, planned: report.planned }, report.bytes);
  return {
    from: {
      ...lease,
      charged: lease.charged + report.sent - running.granted,
      running: without(lease.running, report.request),
    },
    to: to.lease,
    granted: to.granted,
  };
}

/** With all members, so that the leases in memory have one shape. */
function newLease(id: string, client: string, now: number): Lease {
  return {
    id,
    client,
    openedAt: now,
    seenAt: now,
    root: undefined,
    version: undefined,
    length: undefined,
    budget: undefined,
    charged: 0,
    served: 1,
    used: false,
    covered: NO_INTERVALS,
    unconfirmed: undefined,
    completedAt: undefined,
    running: undefined,
  };
}

function opened({ now, used, leases }: KnownLink, request: Entering, reason: Reason): Entry {
  const { version, length, budget, client, terms } = request;
  const kept = leases.filter((lease) => lease.client === client && !isOver(lease, now, terms));
  // What has no room among the leases of its client is found by its cookie only
  const home = client === undefined || kept.length >= LEASES_OF_CLIENT ? request.lease : client;
  const lease = { ...newLease(request.lease, home, now), version, length, budget };
  const running = { request: request.request, granted: 0, planned: request.planned, own: true };
  return {
    kind: 'opened',
    reason: REASONS[reason],
    used: used + 1,
    ...charge(lease, running, request.bytes),
  };
}

function again(lease: Lease, request: Entering, used: number): Entry {
  const { granted } = runningOf(lease, request.request)!;
  const kind = lease.id === request.lease ? 'opened' : 'joined';
  return { kind, reason: `${kind} before`, lease, granted, used, repeated: true };
}

function denied(kind: Denied['kind'], reason: Reason): Denied {
  return { kind, reason: REASONS[reason] };
}

function join({ now, used }: KnownLink, found: Lease, request: Entering, reason: Reason): Entry {
  let lease = found;
  if (lease.version !== request.version && lease.completedAt === undefined) {
    // The file was replaced under way: what was sent of the old one does not count for the new one
    const { version, length } = request;
    lease = { ...lease, version, length, covered: NO_INTERVALS, unconfirmed: undefined };
  }
  const arrived = partBefore(lease.unconfirmed, request.from);
  const joined = {
    ...lease,
    covered: union(lease.covered, arrived),
    seenAt: Math.max(lease.seenAt, now),
    served: lease.served + 1,
  };
  const own = reason === 'byCookie';
  const running = { request: request.request, granted: 0, planned: request.planned, own };
  const charged = charge(joined, running, request.bytes);
  return { kind: 'joined', reason: REASONS[reason], used, ...charged };
}

function noted(lease: Lease, report: { sent: number; covered: IntervalSet }, now: number): Lease {
  const covered = union(lease.covered, report.covered);
  return report.sent > 0
    ? { ...lease, covered, used: true, seenAt: Math.max(lease.seenAt, now) }
    : { ...lease, covered };
}

function isLeft(used: number, maxDownloads: number | undefined): boolean {
  return maxDownloads === undefined || used < maxDownloads;
}

function isPresented({ id, root }: Lease, presented: LeaseName | undefined): boolean {
  return presented !== undefined && (id === presented.id || root === presented.id);
}

function without(running: Lease['running'], request: string): Lease['running'] {
  const others = running?.filter((other) => other.request !== request);
  return others?.length ? others : undefined;
}
