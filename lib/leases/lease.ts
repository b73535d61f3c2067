/*
 * The state machine of a lease (docs/leases.md): how a request comes under one, and what it reports
 * afterwards. It takes plain records, changes none of them, and answers what is to be written.
 */
import type { RefusalCode } from '../refusals/download-refusal.js';
import { coversAll, NO_INTERVALS, partBefore, union } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import {
  available,
  canCarry,
  charge,
  isDelivered,
  isOpen,
  isOver,
  release,
  runningOf,
} from './lease-record.js';
import type { Lease, LeaseTerms, RunningRequest } from './lease-record.js';

/** How many leases of one client are found by its address and User-Agent. */
export const LEASES_OF_CLIENT = 8;

/** What is known of a link when a request is to be decided. */
export interface KnownLink {
  readonly now: number;
  /** When the store was created. */
  readonly since: number;
  /** Downloads that were begun and not given back. */
  readonly used: number;
  /** The leases that the request might belong to, the latest of each client first. */
  readonly leases: readonly Lease[];
}

/** What a link allows. */
export interface Booking {
  readonly linkId: string;
  /** Milliseconds since the epoch until which the link may be used or resumed. */
  readonly endsAt: number;
  /** How many downloads it has; unlimited if absent. */
  readonly maxDownloads?: number;
  /** When the link was issued, if a store that was created later refuses it. */
  readonly issuedAt?: number;
  readonly terms: LeaseTerms;
}

/** What tells whether a request belongs to a lease. */
export interface Belonging {
  /** The lease that the request's cookie names. */
  readonly presented?: Pick<Lease, 'id' | 'client'>;
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

/**
 * Whether the request may send, under which lease, and why. `LINK_USED_UP`: no lease to join, and none left
 * to open. `LINK_EXPIRED`: none to join, and `mayOpen` was false. `LINK_BUSY`: its lease already runs as many
 * requests as it may.
 */
export type Entry =
  Granted | { readonly kind: 'LINK_USED_UP' | 'LINK_EXPIRED' | 'LINK_BUSY'; readonly reason: string };

export interface Granted {
  readonly kind: 'opened' | 'joined';
  readonly reason: string;
  /** To be written: how much the request may send is in it ({@link runningOf}). */
  readonly lease: Lease;
  /** How often the link is used by now. */
  readonly used: number;
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
  onlyParts: 'after its expiry only ranges of one version are sent',
  busy: 'too many connections of one download',
} as const;

/** Decides whether a request joins a lease, opens one, or may not send. */
export function enter(known: KnownLink, link: Booking, request: Entering): Entry {
  const { now, used, leases } = known;
  const { terms } = link;
  const before = leases.find((lease) => runningOf(lease, request.request));
  if (before) {
    const kind = before.id === request.request ? 'opened' : 'joined';
    return { kind, reason: REASONS.before, used, lease: before };
  }
  if (isForgotten(known, link)) {
    return { kind: 'LINK_USED_UP', reason: REASONS.olderThanStore };
  }
  const open = leases.filter((lease) => isOpen(lease, now, terms) && goesOn(lease, known, link, request));
  const hasRoom = ({ running = [] }: Lease) => running.length < terms.connections;
  const own = open.find(({ id }) => id === request.presented?.id);
  if (own) {
    return hasRoom(own)
      ? joined(known, own, request, REASONS.byCookie)
      : { kind: 'LINK_BUSY', reason: REASONS.busy };
  }
  const ofClient = open.filter(({ client }) => client === request.client);
  const carrying = ofClient.find((lease) => hasRoom(lease) && canCarry(lease, request.planned));
  if (carrying) {
    return joined(known, carrying, request, REASONS.byAddress);
  }
  if (request.mayOpen && hasLeft(known, link)) {
    return opened(known, link, request, ofClient.length > 0 ? REASONS.notCarried : REASONS.first);
  }
  const last = ofClient.find((lease) => hasRoom(lease) && available(lease, false) > 0);
  if (last) {
    return joined(known, last, request, REASONS.byAddressAsLast);
  }
  if (ofClient.some((lease) => !hasRoom(lease))) {
    return { kind: 'LINK_BUSY', reason: REASONS.busy };
  }
  return request.mayOpen
    ? { kind: 'LINK_USED_UP', reason: REASONS.usedUp }
    : { kind: 'LINK_EXPIRED', reason: REASONS.closed };
}

/** Whether the store was created after the link, so that it cannot know how often the link was used. */
export function isForgotten({ since }: Pick<KnownLink, 'since'>, { issuedAt = Infinity }: Booking): boolean {
  return issuedAt < since;
}

/** Whether there is a lease that the request may join, before anything is known of what it will send. */
export function mayJoin({ now, leases }: KnownLink, request: Belonging, terms: LeaseTerms): boolean {
  return leases.some(
    (lease) =>
      isOpen(lease, now, terms) && (lease.id === request.presented?.id || lease.client === request.client),
  );
}

export function hasLeft({ used }: Pick<KnownLink, 'used'>, { maxDownloads = Infinity }: Booking): boolean {
  return used < maxDownloads;
}

/** Whether a request goes on with what was begun, and does not begin again. */
function goesOn(lease: Lease, { now }: KnownLink, { terms }: Booking, request: Entering): boolean {
  const isSameVersion = lease.version === request.version;
  if (isDelivered(lease, now, terms)) {
    return isSameVersion && request.isPart === true;
  }
  return isSameVersion || !request.sameVersion;
}

function opened(known: KnownLink, { terms }: Booking, request: Entering, reason: string): Granted {
  const { now, used, leases } = known;
  const { request: id, version, length, budget } = request;
  const kept = leases.filter((lease) => lease.client === request.client && !isOver(lease, now, terms));
  // What has no room among the leases of its client is found by its cookie only
  const client = kept.length < LEASES_OF_CLIENT ? (request.client ?? id) : id;
  // With all members, so that the leases in memory have one shape
  const lease: Lease = {
    id,
    client,
    openedAt: now,
    seenAt: now,
    uses: 1,
    version,
    length,
    budget,
    charged: 0,
    served: 1,
    covered: NO_INTERVALS,
    unconfirmed: undefined,
    completedAt: undefined,
    cut: undefined,
    running: undefined,
  };
  return { kind: 'opened', reason, used: used + 1, lease: begun(lease, request, true) };
}

function joined({ now, used }: KnownLink, found: Lease, request: Entering, reason: string): Granted {
  const { version, length } = request;
  const isReplaced = found.version !== version && found.completedAt === undefined;
  // What was sent of a file that was replaced under way does not count for the new one
  const known = isReplaced
    ? { ...found, version, length, covered: NO_INTERVALS, unconfirmed: undefined }
    : found;
  const lease: Lease = {
    ...known,
    covered: union(known.covered, partBefore(known.unconfirmed, request.from)),
    seenAt: Math.max(known.seenAt, now),
    served: known.served + 1,
  };
  return { kind: 'joined', reason, used, lease: begun(lease, request, reason === REASONS.byCookie) };
}

function begun(lease: Lease, { request, planned, bytes }: Entering, own: boolean): Lease {
  return charge(lease, { request, granted: 0, planned, own }, Math.min(bytes, available(lease, own)));
}

/** What a running request tells, and what it asks for. Repeating it changes nothing. */
export interface Report {
  readonly request: string;
  /** Bytes it has sent so far; at its end, the unconfirmed ones too. */
  readonly sent: number;
  /** What it has sent. */
  readonly covered: IntervalSet;
  /** Bytes it wants to be allowed in all, those already granted included; absent once it has ended. */
  readonly wanted?: number;
  /** What was being written when the connection broke: the client has some of it, all or none. */
  readonly unconfirmed?: IntervalSet;
  /** It has ended and every byte was sent: what tells of completion where the length is not known. */
  readonly whole?: boolean;
  /** Why this side cut it. */
  readonly cut?: RefusalCode;
}

export interface Reported {
  /** The lease that the request runs or ran under, to be written. */
  readonly lease: Lease;
  /** By this report the lease became complete. */
  readonly completed: boolean;
}

/**
 * Takes in what a request has sent. While it runs, charges the budget for more, and where that lacks some,
 * the link for another download, if it has one left. At its end, what it did not send goes back. Undefined if
 * the request is not running.
 */
export function report(known: KnownLink, link: Booking, told: Report): Reported | undefined {
  const { now, leases } = known;
  const before = leases.find((lease) => runningOf(lease, told.request));
  const running = before && runningOf(before, told.request);
  if (!before || !running) {
    return undefined;
  }
  const lease: Lease = {
    ...before,
    covered: union(before.covered, told.covered),
    seenAt: told.sent > 0 ? Math.max(before.seenAt, now) : before.seenAt,
  };
  if (told.wanted === undefined) {
    return ended(now, lease, running, told);
  }
  const isAlive = now < lease.openedAt + link.terms.life;
  const wanted = isAlive ? Math.max(0, told.wanted - running.granted) : 0;
  const bytes = Math.min(wanted, available(lease, running.own));
  // Long after its expiry a link may be forgotten: then no use is counted
  const after =
    bytes < wanted && known.used > 0 && hasLeft(known, link)
      ? extended(lease, running, wanted)
      : charge(lease, running, bytes);
  return { lease: after, completed: false };
}

/** Charges the link another download, and its budget to the request, as far as that means to send. */
function extended(lease: Lease, running: RunningRequest, wanted: number): Lease {
  const planned = Math.max(wanted, running.planned - running.granted);
  const bytes = available(lease, running.own) + (lease.budget ?? 0);
  return charge({ ...lease, uses: lease.uses + 1 }, running, Math.min(planned, bytes));
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
  return { lease: after, completed };
}
