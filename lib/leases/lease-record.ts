import type { RefusalCode } from '../refusals/download-refusal.js';
import { NO_INTERVALS } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';

/** One download of a link, as the stores keep it: among the leases of its client. */
export interface Lease {
  readonly id: string;
  /** The record that it is kept in: the key of its client, or its own id where its client has none. */
  readonly client: string;
  readonly openedAt: number;
  /** When it was last joined, or last sent something. */
  readonly seenAt: number;
  /** The lease whose cookie opens this one too, where a download went on under a further lease. */
  readonly root?: string;
  readonly version?: string;
  readonly length?: number;
  readonly budget?: number;
  /** Bytes charged: sent by requests that ended, granted to those that run. */
  readonly charged: number;
  /** Requests it has served. */
  readonly served: number;
  /** Something was sent under it, so it can no longer be given back. */
  readonly used: boolean;
  readonly covered: IntervalSet;
  /** What was being written when connections broke; a resume tells how much of it arrived. */
  readonly unconfirmed?: IntervalSet;
  readonly completedAt?: number;
  /** Why this side cut one of its requests. */
  readonly cut?: RefusalCode;
  /** The requests that run; absent where none does. */
  readonly running?: readonly RunningRequest[];
}

/** A request that runs under a lease. All bytes are counted from its own first one. */
export interface RunningRequest {
  readonly request: string;
  /** Bytes it had sent before it came under this lease. */
  readonly start: number;
  /** Bytes it may send; those after {@link start} are charged to the budget. */
  readonly granted: number;
  /** Bytes it means to send in all; 0 where that is not known. */
  readonly planned: number;
  /** It opened the lease or carries its cookie, so what it planned is kept for it. */
  readonly own: boolean;
}

/** Durations and bounds of a lease; the same for every node that shares a store. */
export interface LeaseTerms {
  /** Milliseconds without a byte sent after which no request may join any more. */
  readonly idle: number;
  /** Milliseconds after its opening at which a lease is over, whatever it is doing. */
  readonly life: number;
  /** Milliseconds after its last byte was sent for which a complete lease may still be joined. */
  readonly grace: number;
  /** After that, parts of the same version may still be asked for: a film is played on. */
  readonly playsOn?: boolean;
  /** How many requests one lease serves where the length of the representation is not known. */
  readonly attempts: number;
  /** How many requests may run under one lease at a time. */
  readonly connections: number;
}

/** What a lease is found by. */
export type LeaseName = Pick<Lease, 'id' | 'client'>;

/** Whether a further request may join. */
export function isOpen(lease: Lease, now: number, terms: LeaseTerms): boolean {
  return (
    now < lease.openedAt + terms.life &&
    now < lease.seenAt + terms.idle &&
    (terms.playsOn || !isDelivered(lease, now, terms)) &&
    (lease.budget === undefined || lease.charged < lease.budget) &&
    (lease.length !== undefined || lease.served < terms.attempts)
  );
}

/** Whether every byte was sent, so long ago that the client has them. */
export function isDelivered({ completedAt }: Lease, now: number, { grace }: LeaseTerms): boolean {
  return completedAt !== undefined && now >= completedAt + grace;
}

/** Whether the lease may be forgotten where there are too many. */
export function isOver(lease: Lease, now: number, terms: LeaseTerms): boolean {
  return !lease.running && (isDelivered(lease, now, terms) || !isOpen(lease, now, terms));
}

/** Whether the link has the lease back: nothing was sent under it, and nothing will be. */
export function isGivenBack({ used, running }: Lease): boolean {
  return !used && !running;
}

export function runningOf(lease: Lease, request: string): RunningRequest | undefined {
  return lease.running?.find((running) => running.request === request);
}

/** Bytes that may still be charged; undefined without a budget. */
export function bytesLeft(lease: Lease): number | undefined {
  return lease.budget === undefined ? undefined : Math.max(0, lease.budget - lease.charged);
}

/** Whether the budget suffices for a further request, when all that run send what they planned. */
export function canCarry(lease: Lease, planned: number): boolean {
  return unplanned(lease, lease.running) >= Math.max(1, planned);
}

/** What a request without the lease's cookie may take: never what those planned that have it. */
export function spare(lease: Lease): number {
  return unplanned(
    lease,
    lease.running?.filter(({ own }) => own),
  );
}

function unplanned(lease: Lease, running: readonly RunningRequest[] = []): number {
  const ahead = running.reduce((sum, { planned, granted }) => sum + Math.max(0, planned - granted), 0);
  return (bytesLeft(lease) ?? Infinity) - ahead;
}

/** Charges up to `bytes` more to the budget, for a request that runs or begins to. */
export function charge(
  lease: Lease,
  running: RunningRequest,
  bytes: number,
): { lease: Lease; granted: number } {
  const available = running.own ? (bytesLeft(lease) ?? Infinity) : spare(lease);
  const more = Math.max(0, Math.min(bytes, available));
  const granted = running.granted + more;
  const others = lease.running?.filter(({ request }) => request !== running.request) ?? [];
  const all = [...others, { ...running, granted }];
  return { lease: { ...lease, charged: lease.charged + more, running: all }, granted };
}

/** Takes a request off its lease; what it was granted and did not send goes back to the budget. */
export function release(lease: Lease, { request, granted }: RunningRequest, sent: number): Lease {
  const others = lease.running?.filter((other) => other.request !== request);
  return { ...lease, charged: lease.charged + sent - granted, running: others?.length ? others : undefined };
}

/** With all members, so that the leases in memory have one shape. */
export function newLease(id: string, client: string, now: number): Lease {
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
    cut: undefined,
    running: undefined,
  };
}
