import type { RefusalCode } from '../refusals/download-refusal.js';
import type { IntervalSet } from './interval-set.js';

/** One download of a link, as the stores keep it: among the leases of its client. */
export interface Lease {
  readonly id: string;
  /** The record that it is kept in: the key of its client, or its own id where its client has none. */
  readonly client: string;
  readonly openedAt: number;
  /** When it was last joined, or last sent something. */
  readonly seenAt: number;
  /** How many downloads of the link it takes: a further one each time its budget ended; 0 if given back. */
  readonly uses: number;
  readonly version?: string;
  readonly length?: number;
  /** Bytes that may be sent for each use; unlimited if absent. */
  readonly budget?: number;
  /** Bytes charged: sent by requests that ended, granted to those that run. */
  readonly charged: number;
  /** Requests it has served. */
  readonly served: number;
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
  /** Bytes it may send: they are charged. */
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

/** Whether a further request may join. */
export function isOpen(lease: Lease, now: number, terms: LeaseTerms): boolean {
  return (
    now < lease.openedAt + terms.life &&
    now < lease.seenAt + terms.idle &&
    (terms.playsOn || !isDelivered(lease, now, terms)) &&
    bytesLeft(lease) > 0 &&
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

export function runningOf(lease: Lease, request: string): RunningRequest | undefined {
  return lease.running?.find((running) => running.request === request);
}

/** Bytes of the budget that are left, without what some running requests planned and have yet to charge. */
function bytesLeft(
  { budget, uses, charged, running = [] }: Lease,
  isKeptFor: (running: RunningRequest) => boolean = () => false,
): number {
  if (budget === undefined) {
    return Infinity;
  }
  const kept = running
    .filter(isKeptFor)
    .reduce((sum, { planned, granted }) => sum + Math.max(0, planned - granted), 0);
  return uses * budget - charged - kept;
}

/** Whether the budget suffices for a further request, when all that run send what they planned. */
export function canCarry(lease: Lease, planned: number): boolean {
  return bytesLeft(lease, () => true) >= Math.max(1, planned);
}

/** What a request may take: never what those planned that have the lease's cookie, unless it has it, too. */
export function available(lease: Lease, isOwn: boolean): number {
  return Math.max(0, isOwn ? bytesLeft(lease) : bytesLeft(lease, ({ own }) => own));
}

/** Charges bytes for a request that runs or begins to. */
export function charge(lease: Lease, running: RunningRequest, bytes: number): Lease {
  const others = lease.running?.filter(({ request }) => request !== running.request) ?? [];
  const granted = running.granted + bytes;
  return { ...lease, charged: lease.charged + bytes, running: [...others, { ...running, granted }] };
}

/**
 * Takes a request off its lease; what it was granted and did not send goes back to the budget, and after the
 * last one the link gets back each use that nothing was sent for.
 */
export function release(lease: Lease, { request, granted }: RunningRequest, sent: number): Lease {
  const others = lease.running?.filter((other) => other.request !== request) ?? [];
  const charged = lease.charged + sent - granted;
  if (others.length > 0) {
    return { ...lease, charged, running: others };
  }
  const { budget = Infinity } = lease;
  const uses = charged > 0 ? Math.max(1, Math.ceil(charged / budget)) : 0;
  return { ...lease, charged, uses, running: undefined };
}
