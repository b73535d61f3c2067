import type { ByteInterval, DeliveryOutcome } from '../delivery/watch.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { bytesIn, NO_INTERVALS, withInterval } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import type { Booking, Entering, Report } from './lease.js';
import { runningOf } from './lease-record.js';
import type { Lease } from './lease-record.js';
import type { LeaseServices, WatchedDelivery } from './watched-delivery.js';

const MIB = 1024 * 1024;

/** Bytes charged before the first is sent, and at least with each step. */
export const SMALLEST_STEP = MIB;
const LARGEST_STEP = 32 * MIB;

/**
 * One request under a lease: what it sent, what it may still send, and what the store knows of it.
 *
 * Bytes are charged to the budget in steps ahead of the sending: the budget holds across nodes and through a
 * crash. A step is at most a quarter of what was sent (and at least 1 MiB), so that requests that break off
 * hold little of the budget back.
 */
export class LeaseRequest {
  /** Bytes it may send without asking. */
  private granted: number;
  /** Bytes written, or being written. */
  private taken = 0;
  private sentBytes = 0;
  private covered: IntervalSet = NO_INTERVALS;
  /** It was granted less than it asked for. */
  private isRefused: boolean;
  private reportedAt: number;
  private reporting?: Promise<void>;
  private isOver = false;
  private readonly endOfLife: NodeJS.Timeout;

  /** @param delivery is cut when the lease's bytes or its time are used up */
  constructor(
    private readonly services: LeaseServices,
    private readonly booking: Booking,
    private readonly request: Entering,
    private readonly lease: Lease,
    private readonly delivery: Pick<WatchedDelivery, 'cut'>,
  ) {
    this.granted = runningOf(lease, request.request)!.granted;
    this.isRefused = this.granted < request.bytes;
    this.reportedAt = services.clock();
    const left = lease.openedAt + booking.terms.life - services.book.now();
    this.endOfLife = setTimeout(
      () => delivery.cut('LINK_USED_UP', 'life of the download over'),
      left,
    ).unref();
  }

  /** How many of the next bytes may be written; 0 where the download is cut. */
  grant(bytes: number): number | Promise<number> {
    const taken = this.take(bytes);
    if (taken === 0 && bytes > 0) {
      return this.waitFor(bytes);
    }
    // Half of the step is used up: asks before the rest is
    const isLow = this.target - this.granted > (this.target - this.taken) / 2;
    if (isLow && !this.isRefused) {
      void this.report();
    }
    return taken;
  }

  sent(start: number, end: number): void {
    this.covered = withInterval(this.covered, start, end);
    this.sentBytes += end - start;
    if (this.services.clock() - this.reportedAt >= this.services.options.reportEvery && !this.isOver) {
      void this.report();
    }
  }

  /** What it has sent, if it runs under this lease. */
  sentUnder(leaseId: string): IntervalSet {
    return leaseId === this.lease.id ? this.covered : NO_INTERVALS;
  }

  /**
   * Ends the request, once.
   *
   * @param cut why it was cut, where it was
   * @param completed called if the lease became complete by it
   */
  end(outcome: DeliveryOutcome, cut?: RefusalCode, completed?: () => void): void {
    if (this.isOver) {
      return;
    }
    this.isOver = true;
    clearTimeout(this.endOfLife);
    const { book, calls } = this.services;
    const broken = intervalSet(outcome.unconfirmed);
    const told: Report = {
      request: this.request.request,
      sent: this.sentBytes + bytesIn(broken),
      covered: this.covered,
      unconfirmed: broken.length > 0 ? broken : undefined,
      whole: outcome.completed,
      cut,
    };
    calls.eventually(async () => {
      const answer = await book.report(this.booking, [this.lease.client], told);
      if (answer?.completed) {
        completed?.();
      }
    });
    book.leave(this.booking.linkId);
  }

  private take(bytes: number): number {
    const taken = this.isOver ? 0 : Math.max(0, Math.min(bytes, this.granted - this.taken));
    this.taken += taken;
    return taken;
  }

  private async waitFor(bytes: number): Promise<number> {
    while (!this.isOver) {
      await this.report();
      const taken = this.take(bytes);
      if (taken > 0) {
        return taken;
      }
      if (this.isRefused && !this.isOver) {
        this.delivery.cut('LINK_USED_UP', 'byte budget used up, and no further download left');
        break;
      }
    }
    return 0;
  }

  /** Bytes to ask for whenever something is reported. */
  private get target(): number {
    const step = Math.min(LARGEST_STEP, Math.max(SMALLEST_STEP, Math.ceil(this.taken / 4)));
    return Math.min(this.request.planned || Infinity, this.taken + step);
  }

  /** Tells the store what was sent, and asks for more. */
  private report(): Promise<void> {
    return (this.reporting ??= this.exchange().finally(() => (this.reporting = undefined)));
  }

  private async exchange(): Promise<void> {
    const { book, calls, clock } = this.services;
    this.reportedAt = clock();
    const { sentBytes: sent, covered, target: wanted } = this;
    const told = { request: this.request.request, sent, covered, wanted };
    const report = () => book.report(this.booking, [this.lease.client], told);
    const answer = await calls.required(report).catch(() => undefined);
    // Without an answer, and where the store lost its records, nothing limits the request
    this.granted = answer ? runningOf(answer.lease, told.request)!.granted : Infinity;
    this.isRefused = this.granted < wanted;
  }
}

function intervalSet(intervals: readonly ByteInterval[] = []): IntervalSet {
  return intervals.reduce((set, { start, end }) => withInterval(set, start, end), NO_INTERVALS);
}
