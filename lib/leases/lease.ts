/*
 * How a request comes under a lease (docs/leases.md); lease-report.ts goes on from there. Both are the state
 * machine of a lease: they take plain records, change none of them, and answer what is to be written.
 */
import { NO_INTERVALS, partBefore, union } from './interval-set.js';
import { canCarry, charge, isDelivered, isOpen, isOver, newLease, runningOf, spare } from './lease-record.js';
import type { Lease, LeaseName, LeaseTerms, RunningRequest } from './lease-record.js';

/** How many leases of one client are found by its address and User-Agent. */
export const LEASES_OF_CLIENT = 8;

/** What is known of a link when a request is to be decided. */
export interface KnownLink {
  readonly now: number;
  /** When the store was created. */
  readonly since: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
  /** Those the request might belong to, the latest of each client first. */
  readonly leases: readonly Lease[];
}

/** What a link allows. */
export interface Booking {
  readonly linkId: string;
  /** Milliseconds since the epoch until which the link may be used or resumed. */
  readonly endsAt: number;
  /** How many leases it has; unlimited if absent. */
  readonly maxDownloads?: number;
  /** When the link was issued, if a store that was created later refuses it. */
  readonly issuedAt?: number;
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
  /** How often the link is used by now. */
  readonly used: number;
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
  olderThanStore: 'link older than the record of the store',
  closed: 'link expired, and no download to join',
  busy: 'too many connections of one download',
} as const;

type Reason = keyof typeof REASONS;

/** Decides whether a request joins a lease, opens one, or may not send. */
export function enter(known: KnownLink, link: Booking, request: Entering): Entry {
  const { now, used, leases } = known;
  const { terms } = link;
  const before = leases.find((lease) => runningOf(lease, request.request));
  if (before) {
    const kind = before.id === request.request ? 'opened' : 'joined';
    const { granted } = runningOf(before, request.request)!;
    return { kind, reason: REASONS.before, lease: before, granted, used };
  }
  if (link.issuedAt !== undefined && link.issuedAt < known.since) {
    return denied('LINK_USED_UP', 'olderThanStore');
  }
  const open = leases.filter((lease) => isOpen(lease, now, terms) && goesOn(lease, known, link, request));
  const hasRoom = (lease: Lease) => (lease.running?.length ?? 0) < terms.connections;
  const own = open.filter((lease) => isPresented(lease, request.presented));
  if (own.length > 0) {
    const found = own.find(hasRoom);
    return found ? joined(known, found, request, 'byCookie') : denied('LINK_BUSY', 'busy');
  }
  const ofClient = open.filter(({ client }) => client === request.client);
  const carrying = ofClient.find((lease) => hasRoom(lease) && canCarry(lease, request.planned));
  if (carrying) {
    return joined(known, carrying, request, 'byAddress');
  }
  if (request.mayOpen && hasLeft(known, link)) {
    return opened(known, link, request, ofClient.length > 0 ? 'notCarried' : 'first');
  }
  const last = ofClient.find((lease) => hasRoom(lease) && spare(lease) > 0);
  if (last) {
    return joined(known, last, request, 'byAddressAsLast');
  }
  if (ofClient.some((lease) => !hasRoom(lease))) {
    return denied('LINK_BUSY', 'busy');
  }
  return request.mayOpen ? denied('LINK_USED_UP', 'usedUp') : denied('LINK_EXPIRED', 'closed');
}

/** Whether a request goes on with what was begun, and does not begin again. */
function goesOn(lease: Lease, { now }: KnownLink, { terms }: Booking, request: Entering): boolean {
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

function opened(
  { now, used, leases }: KnownLink,
  { terms }: Booking,
  request: Entering,
  reason: Reason,
): Granted {
  const { version, length, budget } = request;
  const kept = leases.filter(({ client }) => client === request.client);
  const isFull = kept.filter((lease) => !isOver(lease, now, terms)).length >= LEASES_OF_CLIENT;
  // What has no room among the leases of its client is found by its cookie only
  const client = isFull ? request.request : (request.client ?? request.request);
  const lease = { ...newLease(request.request, client, now), version, length, budget };
  const charged = charge(lease, started(request, true), request.bytes);
  return { kind: 'opened', reason: REASONS[reason], used: used + 1, ...charged };
}

function joined({ now, used }: KnownLink, found: Lease, request: Entering, reason: Reason): Granted {
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
  return { kind: 'joined', reason: REASONS[reason], used, ...charge(lease, running, request.bytes) };
}

function denied(kind: Denied['kind'], reason: Reason): Denied {
  return { kind, reason: REASONS[reason] };
}

function started({ request, planned }: Entering, own: boolean): RunningRequest {
  return { request, start: 0, granted: 0, planned, own };
}

export function hasLeft({ used }: KnownLink, { maxDownloads }: Booking): boolean {
  return maxDownloads === undefined || used < maxDownloads;
}

function isPresented({ id, root }: Lease, presented: LeaseName | undefined): boolean {
  return presented !== undefined && (id === presented.id || root === presented.id);
}
