import type { ByteInterval, DeliveryOutcome } from '../delivery/watch.js';
import type { DownloadEventSink } from '../events/download-event.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { ByteCredit } from './byte-credit.js';
import { bytesIn, NO_INTERVALS, withInterval } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import type { Booking, Granted, Report, Reported } from './lease.js';
import type { LeaseBook } from './lease-book.js';
import type { Lease } from './lease-record.js';
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
  private readonly lease: Lease;
  private sentBytes = 0;
  private covered: IntervalSet = NO_INTERVALS;
  private reportedAt: number;
  private reporting?: Promise<boolean>;
  private over = false;
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
    this.reportedAt = services.clock();
    this.cutAtEndOfLife();
  }

  /** How many of the next bytes may be written; 0 where the download is cut. */
  grant(bytes: number): number | Promise<number> {
    const taken = this.take(bytes);
    if (taken === 0 && bytes > 0) {
      return this.waitFor(bytes);
    }
    if (this.credit.low && !this.reporting) {
      void this.report();
    }
    return taken;
  }

  sent(start: number, end: number): void {
    this.covered = withInterval(this.covered, start, end);
    this.sentBytes += end - start;
    const isTime = this.services.clock() - this.reportedAt >= this.services.options.reportEvery;
    if (isTime && !this.reporting && !this.over) {
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
      covered: this.covered,
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
    while (!this.over) {
      const isExhausted = await this.report();
      const taken = this.take(bytes);
      if (taken > 0) {
        return taken;
      }
      if (isExhausted && !this.over) {
        this.cut('LINK_USED_UP', 'byte budget used up, and no further download left');
        break;
      }
    }
    return 0;
  }

  /** Tells the store what was sent, and asks for more. True if neither lease nor link have any left. */
  private report(): Promise<boolean> {
    return (this.reporting ??= this.exchange().finally(() => (this.reporting = undefined)));
  }

  private async exchange(): Promise<boolean> {
    const { book, calls, clock } = this.services;
    this.reportedAt = clock();
    const { taken, target: total } = this.credit;
    const told: Report = { request: this.name, sent: this.sentBytes, covered: this.covered, wanted: total };
    const report = () => book.report(this.booking, [this.lease.client], told);
    const answer = await calls.required(report).catch(() => undefined);
    // Without an answer, and where the store lost its records, the request goes on
    this.credit.answered(answer?.granted, total);
    return answer !== undefined && answer.granted <= taken && taken < total;
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
