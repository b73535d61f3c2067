import { randomUUID } from 'node:crypto';
import type { ByteInterval, DeliveryOutcome } from '../delivery/watch.js';
import type { DownloadEventSink } from '../events/download-event.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { ByteCredit } from './byte-credit.js';
import { bytesIn, NO_INTERVALS, union, withInterval } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import type { Granted } from './lease.js';
import type { Booking, LeaseBook } from './lease-book.js';
import { bytesLeft } from './lease-record.js';
import type { Lease } from './lease-record.js';
import type { Report, Reported } from './lease-report.js';
import type { ResolvedLeaseOptions } from './options.js';
import type { RunningDownloads } from './running.js';
import type { StoreCalls } from './store-calls.js';

/** The longest that a timer of Node runs, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What the keeper shares with the deliveries that it watches. */
export interface LeaseServices {
  readonly book: LeaseBook;
  readonly options: ResolvedLeaseOptions;
  readonly clock: () => number;
  readonly calls: StoreCalls;
  readonly running: RunningDownloads;
  readonly events?: DownloadEventSink;
}

/** Stops a delivery; `reason` says why in words. */
export type Cut = (code: RefusalCode, reason: string) => void;

/** One request under a lease: what it sent, what it may still send, and what the store knows of it. */
export class LeaseRequest {
  private readonly credit: ByteCredit;
  private lease: Lease;
  private sentBytes = 0;
  /** What was sent since the last report, and what the store has not confirmed of those before. */
  private unreported: IntervalSet = NO_INTERVALS;
  private pending: IntervalSet = NO_INTERVALS;
  private reportedAt: number;
  private reporting?: Promise<void>;
  private failing = false;
  private exhausted = false;
  private over = false;
  /** Bytes of the budget that were not granted to any request, by the latest answer. */
  private left: number;
  private lifeTimer?: NodeJS.Timeout;

  /**
   * @param name of the request
   * @param total bytes it means to send; Infinity if unknown
   * @param cut called when the lease's bytes or its time are used up
   */
  constructor(
    private readonly services: LeaseServices,
    private readonly booking: Booking,
    private readonly name: string,
    total: number,
    { lease, granted }: Granted,
    private readonly cut: Cut,
  ) {
    this.lease = lease;
    this.credit = new ByteCredit(total, granted);
    this.left = bytesLeft(lease) ?? Infinity;
    this.reportedAt = services.clock();
    this.cutAtEndOfLife();
  }

  /** How many of the next bytes may be written; 0 where the download is cut. */
  grant(bytes: number): number | Promise<number> {
    const taken = this.take(bytes);
    if (taken === 0 && bytes > 0) {
      return this.waitFor(bytes);
    }
    if (this.credit.low && !this.reporting && !this.failing) {
      void this.report();
    }
    return taken;
  }

  sent(start: number, end: number): void {
    this.unreported = withInterval(this.unreported, start, end);
    this.sentBytes += end - start;
    if (!this.reporting && !this.over && this.isTimeToReport) {
      void this.report();
    }
  }

  /** What it sent under this lease and the store may not know of. */
  unreportedOf(leaseId: string): IntervalSet {
    return leaseId === this.lease.id ? union(this.pending, this.unreported) : NO_INTERVALS;
  }

  /**
   * Ends the request, once.
   *
   * @param cut why it was cut, where it was
   * @param completed called if the lease became complete by it
   */
  end(outcome: DeliveryOutcome, cut?: RefusalCode, completed?: () => void): void {
    if (this.over) {
      return;
    }
    this.over = true;
    clearTimeout(this.lifeTimer);
    const { book, calls } = this.services;
    const broken = intervalSet(outcome.unconfirmed);
    const told: Report = {
      request: this.name,
      sent: this.sentBytes + bytesIn(broken),
      covered: union(this.pending, this.unreported),
      unconfirmed: broken.length > 0 ? broken : undefined,
      whole: outcome.completed,
      cut,
    };
    const answered = (answer?: Reported) => answer?.completed && completed?.();
    const { client } = this.lease;
    calls.eventually(async () => answered(await book.report(this.booking, [client], told)));
    book.leave(this.booking.linkId);
  }

  private take(bytes: number): number {
    return this.over ? 0 : this.credit.take(bytes);
  }

  private async waitFor(bytes: number): Promise<number> {
    while (!this.over && !this.exhausted) {
      if (this.failing && !this.isTimeToReport) {
        this.drawOn();
      } else {
        await this.report();
      }
      const taken = this.take(bytes);
      if (taken > 0) {
        return taken;
      }
    }
    if (!this.over) {
      this.cut('LINK_USED_UP', 'byte budget used up, and no further download left');
    }
    return 0;
  }

  private get isTimeToReport(): boolean {
    const { clock, options } = this.services;
    return clock() - this.reportedAt >= options.reportEvery;
  }

  private report(): Promise<void> {
    return (this.reporting ??= this.exchange().finally(() => (this.reporting = undefined)));
  }

  /** Tells the store what was sent, and asks for the right to send more. */
  private async exchange(): Promise<void> {
    const { book, calls, clock } = this.services;
    this.reportedAt = clock();
    this.pending = union(this.pending, this.unreported);
    this.unreported = NO_INTERVALS;
    const { taken, target: total } = this.credit;
    const told: Report = {
      request: this.name,
      sent: this.sentBytes,
      covered: this.pending,
      wish: { taken, total, lease: randomUUID() },
    };
    let answer: Reported | undefined;
    try {
      answer = await calls.required(() => book.report(this.booking, [this.lease.client], told));
    } catch {
      this.failing = true;
      this.drawOn();
      return;
    }
    this.failing = false;
    this.pending = NO_INTERVALS;
    // A store that lost its memory does not limit the request, which ends with its plan in any case
    const granted = answer?.granted ?? Infinity;
    this.credit.answered(granted, total);
    this.left = (answer && bytesLeft(answer.lease)) ?? Infinity;
    this.exhausted = granted <= taken && taken < total;
    if (answer && answer.lease.id !== this.lease.id && !this.over) {
      this.lease = answer.lease;
      this.cutAtEndOfLife();
    }
  }

  /** Goes on, while the store does not answer, with what was left of the budget when it last did. */
  private drawOn(): void {
    if (this.credit.isSpent) {
      this.left -= this.credit.draw(this.left);
      this.exhausted = this.credit.isSpent;
    }
  }

  private cutAtEndOfLife(): void {
    clearTimeout(this.lifeTimer);
    const { book, options } = this.services;
    const left = this.lease.openedAt + options.terms.life - book.now();
    if (left <= 0) {
      this.cut('LINK_USED_UP', 'life of the download over');
      return;
    }
    this.lifeTimer = setTimeout(() => this.cutAtEndOfLife(), Math.min(left, LONGEST_TIMER)).unref();
  }
}

function intervalSet(intervals: readonly ByteInterval[] = []): IntervalSet {
  return intervals.reduce((set, { start, end }) => withInterval(set, start, end), NO_INTERVALS);
}
