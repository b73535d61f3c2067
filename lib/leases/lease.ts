/*
 * The state machine of a lease (docs/leases.md). These functions take plain records, change none of them, and
 * answer what is to be written, with the reason.
 */
import type { RefusalCode } from '../refusals/download-refusal.js';
import { coversAll, NO_INTERVALS, partBefore, union } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import {
  canCarry,
  charge,
  isDelivered,
  isOpen,
  isOver,
  newLease,
  release,
  runningOf,
  spare,
} from './lease-record.js';
import type { Lease, LeaseName, LeaseTerms, RunningRequest } from './lease-record.js';

/** How many leases of one client are found by its address and User-Agent. */
export const LEASES_OF_CLIENT = 8;

/** What is known of a link when a request is to be decided. */
export interface KnownLink {
  readonly now: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
  /** Those the request might belong to, the latest of each client first. */
  readonly leases: readonly Lease[];
}

/** What a link allows. */
export interface LinkTerms {
  /** How many leases it has; unlimited if absent. */
  readonly maxDownloads?: number;
  readonly terms: LeaseTerms;
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
  /**
   * Names this request, and the lease that it opens if there is none to join: new, and derived from an
   * unguessable value. Deciding again for the same name changes nothing.
   */
  readonly request: string;
  /** False once the link has expired: then an open lease may be joined, and none opened. */
  readonly mayOpen: boolean;
  /** The lease may be joined only if it was opened for this {@link version}. */
  readonly sameVersion?: boolean;
  /** It asks for a part: only that goes on where every byte was sent before. */
  readonly isPart?: boolean;
  /** What is being downloaded, for instance its entity tag. */
  readonly version?: string;
  /** Length of the representation in bytes, where it is known. */
  readonly length?: number;
  /** The first byte that is asked for: what an earlier request left unconfirmed before it has arrived. */
  readonly from?: number;
  /** Bytes that all requests of the lease may send together; unlimited if absent. */
  readonly budget?: number;
  /** Bytes for which to charge the budget now, before they are sent. */
  readonly bytes: number;
  /** Bytes that the request means to send in all; 0 where that is not known. */
  readonly planned: number;
}

/** Whether the request may send, under which lease, how much, and why. */
export type Entry = Granted | Denied;

export interface Granted {
  readonly kind: 'opened' | 'joined';
  readonly reason: string;
  readonly lease: Lease;
  /** Bytes this request may send before it has to ask again; less than asked where the budget ends. */
  readonly granted: number;
}

export interface Denied {
  /**
   * `LINK_USED_UP`: no lease to join and none left. `LINK_EXPIRED`: none to join, and `mayOpen` was false.
   * `LINK_BUSY`: its lease already runs as many requests as it may.
   */
  readonly kind: 'LINK_USED_UP' | 'LINK_EXPIRED' | 'LINK_BUSY';
  readonly reason: string;
}

/** Why a request joined or opened a lease, or was denied: in words for logs. */
export const REASONS = {
  before: 'decided before',
  byCookie: 'joined by cookie',
  byAddress: 'joined by address',
  byAddressAsLast: 'joined by address: budget cannot carry it, but no download is left to open',
  first: 'opened: no download to join',
  notCarried: 'opened: budget or connections of the running download cannot carry it',
  usedUp: 'no download to join, and none left to open',
  closed: 'link expired, and no download to join',
  busy: 'too many connections of one download',
} as const;

type Reason = keyof typeof REASONS;

/** Decides whether a request joins a lease, opens one, or may not send. */
export function enter(known: KnownLink, link: LinkTerms, request: Entering): Entry {
  const { now, leases } = known;
  const { terms } = link;
  const before = leases.find((lease) => runningOf(lease, request.request));
  if (before) {
    const kind = before.id === request.request ? 'opened' : 'joined';
    const { granted } = runningOf(before, request.request)!;
    return { kind, reason: REASONS.before, lease: before, granted };
  }
  const open = leases.filter((lease) => isOpen(lease, now, terms) && goesOn(lease, known, link, request));
  const hasRoom = (lease: Lease) => (lease.running?.length ?? 0) < terms.connections;
  const own = open.filter((lease) => isPresented(lease, request.presented));
  if (own.length > 0) {
    const found = own.find(hasRoom);
    return found ? joined(now, found, request, 'byCookie') : denied('LINK_BUSY', 'busy');
  }
  const ofClient = open.filter(({ client }) => client === request.client);
  const carrying = ofClient.find((lease) => hasRoom(lease) && canCarry(lease, request.planned));
  if (carrying) {
    return joined(now, carrying, request, 'byAddress');
  }
  if (request.mayOpen && hasLeft(known, link)) {
    return opened(known, link, request, ofClient.length > 0 ? 'notCarried' : 'first');
  }
  const last = ofClient.find((lease) => hasRoom(lease) && spare(lease) > 0);
  if (last) {
    return joined(now, last, request, 'byAddressAsLast');
  }
  if (ofClient.some((lease) => !hasRoom(lease))) {
    return denied('LINK_BUSY', 'busy');
  }
  return request.mayOpen ? denied('LINK_USED_UP', 'usedUp') : denied('LINK_EXPIRED', 'closed');
}

/** Whether a request goes on with what was begun, and does not begin again. */
function goesOn(lease: Lease, { now }: KnownLink, { terms }: LinkTerms, request: Entering): boolean {
  const isSameVersion = lease.version === request.version;
  if (isDelivered(lease, now, terms)) {
    return isSameVersion && request.isPart === true;
  }
  return isSameVersion || !request.sameVersion;
}

/** Whether there is a lease that the request may join, before anything is known of what it will send. */
export function mayJoin({ now, leases }: KnownLink, request: Belonging, terms: LeaseTerms): boolean {
  return leases.some(
    (lease) =>
      isOpen(lease, now, terms) && (isPresented(lease, request.presented) || lease.client === request.client),
  );
}

/** What a running request tells, and what it asks for. Repeating it changes nothing. */
export interface Report {
  readonly request: string;
  /** Bytes it has sent so far; at its end, the unconfirmed ones too. */
  readonly sent: number;
  /** What it sent since it last reported, or longer ago. */
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
export function report(known: KnownLink, link: LinkTerms, told: Report): Reported | undefined {
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

function opened(
  { now, leases }: KnownLink,
  { terms }: LinkTerms,
  request: Entering,
  reason: Reason,
): Granted {
  const { version, length, budget } = request;
  const kept = leases.filter(({ client }) => client === request.client);
  const isFull = kept.filter((lease) => !isOver(lease, now, terms)).length >= LEASES_OF_CLIENT;
  // What has no room among the leases of its client is found by its cookie only
  const client = isFull ? request.request : (request.client ?? request.request);
  const lease = { ...newLease(request.request, client, now), version, length, budget };
  return { kind: 'opened', reason: REASONS[reason], ...charge(lease, started(request, true), request.bytes) };
}

function joined(now: number, found: Lease, request: Entering, reason: Reason): Granted {
  let lease = found;
  if (lease.version !== request.version && lease.completedAt === undefined) {
    // The file was replaced under way: what was sent of the old one does not count for the new one
    const { version, length } = request;
    lease = { ...lease, version, length, covered: NO_INTERVALS, unconfirmed: undefined };
  }
  lease = {
    ...lease,
    covered: union(lease.covered, partBefore(lease.unconfirmed, request.from)),
    seenAt: Math.max(lease.seenAt, now),
    served: lease.served + 1,
  };
  const running = started(request, reason === 'byCookie');
  return { kind: 'joined', reason: REASONS[reason], ...charge(lease, running, request.bytes) };
}

function denied(kind: Denied['kind'], reason: Reason): Denied {
  return { kind, reason: REASONS[reason] };
}

function started({ request, planned }: Entering, own: boolean): RunningRequest {
  return { request, start: 0, granted: 0, planned, own };
}

function hasLeft({ used }: KnownLink, { maxDownloads }: LinkTerms): boolean {
  return maxDownloads === undefined || used < maxDownloads;
}

function isPresented({ id, root }: Lease, presented: LeaseName | undefined): boolean {
  return presented !== undefined && (id === presented.id || root === presented.id);
}
