/*
 * The state machine of a lease (docs/leases.md). These functions take plain records, change none of them, and answer
 * what is to be written, with the reason.
 */
import { coversAll, type IntervalSet, NO_INTERVALS, partBefore, union } from './interval-set.js';
import { canCarry, charge, isOpen, type Lease, type LeaseTerms, type NamedLease } from './lease-record.js';
import { type RunningRequest, runningOf, spare } from './lease-record.js';

/** What is known of a link when a request is to be decided. */
export interface KnownLink {
  readonly now: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
  /** Those the request might belong to, the latest first. */
  readonly leases: readonly NamedLease[];
}

/** What tells whether a request belongs to a lease. */
export interface Belonging {
  /** The lease that the request's cookie belongs to. */
  readonly presented?: string;
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
   * The first byte that is asked for. Where it lies within what an earlier request left unconfirmed, the client has
   * what comes before it.
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
export type Entry =
  | {
      readonly kind: 'opened' | 'joined';
      readonly reason: EntryReason;
      readonly id: string;
      readonly keys: readonly string[];
      readonly lease: Lease;
      /** Bytes this request may send before it has to ask again; less than asked where the budget ends. */
      readonly granted: number;
      /** Leases that were opened and not given back, this one included. */
      readonly used: number;
    }
  | {
      /**
       * `used-up`: no lease to join and none left. `closed`: none to join, and `mayOpen` was false. `busy`: its lease
       * already runs as many requests as it may.
       */
      readonly kind: 'used-up' | 'closed' | 'busy';
    };

export type EntryReason =
  /** It was decided before; only its answer was lost. */
  | 'repeated'
  /** Its cookie names the lease. */
  | 'cookie'
  /** It comes from the client of the lease, whose budget can carry it. */
  | 'client'
  /** As `client`, but the budget cannot carry it to its end, and no further lease can be opened. */
  | 'client-last'
  /** It belongs to no lease that could carry it. */
  | 'first';

/** Decides whether a request joins a lease, opens one, or may not send. */
export function enter(known: KnownLink, request: Entering): Entry {
  const { now, used, leases } = known;
  const { presented, client, terms } = request;
  const repeated = leases.find(({ lease }) => runningOf(lease, request.request) !== undefined);
  if (repeated) {
    const { id, keys, lease } = repeated;
    const granted = runningOf(lease, request.request)![1];
    return {
      kind: id === request.lease ? 'opened' : 'joined',
      reason: 'repeated',
      id,
      keys,
      lease,
      granted,
      used,
    };
  }
  const open = leases.filter(
    ({ lease }) => isOpen(lease, now, terms) && (!request.sameVersion || lease.version === request.version),
  );
  const hasRoom = ({ lease }: NamedLease) => (lease.running?.length ?? 0) < terms.connections;
  const own = open.filter((found) => isPresented(found, presented));
  if (own.length > 0) {
    const found = own.find(hasRoom);
    return found ? join(known, found, request, 'cookie') : { kind: 'busy' };
  }
  const ofClient = open.filter(({ keys }) => client !== undefined && keys.includes(client));
  const carrying = ofClient.find((found) => hasRoom(found) && canCarry(found.lease, request.planned));
  if (carrying) {
    return join(known, carrying, request, 'client');
  }
  if (request.mayOpen && isLeft(used, request.maxDownloads)) {
    return opened(known, request);
  }
  const last = ofClient.find((found) => hasRoom(found) && spare(found.lease) > 0);
  if (last) {
    return join(known, last, request, 'client-last');
  }
  if (ofClient.some((found) => !hasRoom(found))) {
    return { kind: 'busy' };
  }
  return { kind: request.mayOpen ? 'used-up' : 'closed' };
}

/** Whether there is a lease that the request may join, before anything is known of what it will send. */
export function mayJoin(
  { now, leases }: KnownLink,
  { presented, client }: Belonging,
  terms: LeaseTerms,
): boolean {
  return leases.some(
    (found) =>
      (isPresented(found, presented) || (client !== undefined && found.keys.includes(client))) &&
      isOpen(found.lease, now, terms),
  );
}

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
  const noted = note(lease, report, now);
  const isOver = now >= lease.openedAt + terms.life;
  return isOver ? { lease: noted, granted: running[1] } : charge(noted, running, report.total - running[1]);
}

/** The end of a request. */
export interface Ending {
  readonly request: string;
  /** Bytes it has sent in all, the unconfirmed ones included. */
  readonly sent: number;
  readonly covered: IntervalSet;
  /** Bytes that were being written when the connection broke, so that the client has some of them, all or none. */
  readonly unconfirmed?: IntervalSet;
  /** Every byte was sent: what tells of completion where the length is not known. */
  readonly whole: boolean;
}

/**
 * Ends a request: what it did not send goes back to the byte budget, and the lease goes back to the link if nothing
 * was sent under it at all. Undefined if it is not running.
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
  const noted = note(lease, report, now);
  const whole = lease.length === undefined ? report.whole : coversAll(noted.covered, lease.length);
  const completed = whole && lease.completedAt === undefined;
  const ended: Lease = {
    ...noted,
    charged: lease.charged + report.sent - running[1],
    unconfirmed: report.unconfirmed
      ? union(lease.unconfirmed ?? NO_INTERVALS, report.unconfirmed)
      : lease.unconfirmed,
    running: without(lease.running, report.request),
    completedAt: completed ? now : lease.completedAt,
    covered: completed && lease.length === undefined ? NO_INTERVALS : noted.covered,
  };
  return { lease: ended, completed, givenBack: !ended.used && ended.running === undefined };
}

/** A running request whose lease has nothing left, and what it needs of a further one. */
export interface GoingOn {
  readonly request: string;
  /** The lease to open: new. */
  readonly lease: string;
  readonly maxDownloads?: number;
  /** Bytes that were granted and written, or are being written. */
  readonly sent: number;
  readonly covered: IntervalSet;
  /** Bytes to charge to the further lease now. */
  readonly bytes: number;
  /** Bytes the request still means to send; 0 where that is not known. */
  readonly planned: number;
  readonly terms: LeaseTerms;
}

/**
 * Moves a running request to a further lease of its link, which goes on where the first one ended. Undefined if the
 * request is not running, the life of its lease is over, or the link has no lease left.
 */
export function goOn(
  known: Pick<KnownLink, 'now' | 'used'>,
  from: NamedLease,
  report: GoingOn,
): { from: Lease; to: NamedLease; granted: number } | undefined {
  const { lease, keys } = from;
  const running = runningOf(lease, report.request);
  const isOver = known.now >= lease.openedAt + report.terms.life;
  if (!running || isOver || !isLeft(known.used, report.maxDownloads)) {
    return undefined;
  }
  const noted = note(lease, report, known.now);
  const root = lease.root ?? from.id;
  const { lease: to, granted } = charge(
    {
      openedAt: known.now,
      seenAt: known.now,
      root,
      version: lease.version,
      length: lease.length,
      budget: lease.budget,
      charged: 0,
      served: 1,
      used: false,
      covered: noted.covered,
      unconfirmed: lease.unconfirmed,
      completedAt: undefined,
      running: undefined,
    },
    [report.request, 0, report.planned, running[3]],
    report.bytes,
  );
  return {
    from: {
      ...noted,
      charged: lease.charged + report.sent - running[1],
      running: without(lease.running, report.request),
    },
    to: { id: report.lease, keys: [...new Set([...keys, root])], lease: to },
    granted,
  };
}

function opened({ now, used }: KnownLink, request: Entering): Entry {
  // All members, so that a million leases have one shape in memory
  const lease: Lease = {
    openedAt: now,
    seenAt: now,
    root: undefined,
    version: request.version,
    length: request.length,
    budget: request.budget,
    charged: 0,
    served: 1,
    used: false,
    covered: NO_INTERVALS,
    unconfirmed: undefined,
    completedAt: undefined,
    running: undefined,
  };
  const keys = request.client === undefined ? [] : [request.client];
  const charged = charge(lease, [request.request, 0, request.planned, true], request.bytes);
  return { kind: 'opened', reason: 'first', id: request.lease, keys, used: used + 1, ...charged };
}

function join({ now, used }: KnownLink, found: NamedLease, request: Entering, reason: EntryReason): Entry {
  let { lease } = found;
  if (lease.version !== request.version && lease.completedAt === undefined) {
    // The file was replaced under way: what was sent of the old one completes nothing.
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
  const running: RunningRequest = [request.request, 0, request.planned, reason === 'cookie'];
  const charged = charge(joined, running, request.bytes);
  return { kind: 'joined', reason, id: found.id, keys: found.keys, used, ...charged };
}

function note(lease: Lease, report: { sent: number; covered: IntervalSet }, now: number): Lease {
  const covered = union(lease.covered, report.covered);
  return report.sent > 0
    ? { ...lease, covered, used: true, seenAt: Math.max(lease.seenAt, now) }
    : { ...lease, covered };
}

function isLeft(used: number, maxDownloads: number | undefined): boolean {
  return maxDownloads === undefined || used < maxDownloads;
}

function isPresented({ id, lease }: NamedLease, presented: string | undefined): boolean {
  return presented !== undefined && (id === presented || lease.root === presented);
}

function without(running: Lease['running'], request: string): Lease['running'] {
  const others = running?.filter(([name]) => name !== request);
  return others?.length ? others : undefined;
}
