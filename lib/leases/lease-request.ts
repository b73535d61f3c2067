import type { ByteInterval, DeliveryOutcome } from '../delivery/watch.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { ByteCredit } from './byte-credit.js';
import { leaseId, randomText } from './client.js';
import { bytesIn, NO_INTERVALS, union, withInterval } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import type { Entering, Granted } from './lease.js';
import type { Booking, EndingAnswer, LeaseBook, ProgressAnswer } from './lease-book.js';
import { bytesLeft } from './lease-record.js';
import type { LeaseName } from './lease-record.js';
import type { ResolvedLeaseOptions } from './options.js';
import type { Settlement, Settlements } from './settlements.js';
import type { StoreCalls } from './store-health.js';

/** The longest that a timer of Node runs, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What a request under a lease works with. */
export interface LeaseServices {
  readonly book: LeaseBook;
  readonly options: ResolvedLeaseOptions;
  readonly clock: () => number;
  readonly calls: StoreCalls;
  readonly settlements: Settlements;
}

/** Stops a delivery; `reason` says why in words. */
export type Cut = (code: RefusalCode, reason: string) => void;

/** One request under a lease: what it sent, what it may still send, and what the store knows of it. */
export class LeaseRequest {
  private readonly credit: ByteCredit;
  /** The lease that it runs under now, and the bytes it had taken under those before. */
  private lease: LeaseName;
  private before = 0;
  private sentBytes = 0;
  /** Sent, but not yet known to the store. */
  private unreported: IntervalSet = NO_INTERVALS;
  private reportedAt: number;
  private reporting?: Promise<void>;
  private failing = false;
  private exhausted = false;
  private over = false;
  /** Bytes of the budget that were not granted to any request, by the latest answer. */
  private left: number;
  private lifeTimer?: NodeJS.Timeout;

  /** @param cut called when the lease's bytes or its time are used up */
  constructor(
    private readonly services: LeaseServices,
    private readonly booking: Booking,
    private readonly request: Entering,
    private readonly total: number,
    readonly entry: Granted,
    private readonly cut: Cut,
  ) {
    this.lease = entry.lease;
    this.credit = new ByteCredit(total, entry.granted);
    this.left = bytesLeft(entry.lease) ?? Infinity;
    this.reportedAt = services.clock();
    this.endAt(entry.lease.openedAt + services.options.terms.life);
  }

  /** How many of the next bytes may be written; 0 where the download is cut. */
  grant(bytes: number): number | Promise<number> {
    const { credit } = this;
    const taken = this.over ? 0 : credit.take(bytes);
    if (taken === 0 && bytes > 0) {
      return this.waitFor(bytes);
    }
    if (credit.low && !this.reporting && !this.failing) {
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

  /** Ends the request, once. `done` is told whether the lease became complete by it. */
  end(outcome: DeliveryOutcome, done?: (completed: boolean) => void): void {
    if (this.over) {
      return;
    }
    this.over = true;
    clearTimeout(this.lifeTimer);
    const { book, settlements } = this.services;
    const told = ({ completed }: EndingAnswer) => done?.(completed);
    if (this.reporting) {
      // The report under way may move the request to another lease
      settlements.settleLater(
        this.reporting.then(() => this.ending(outcome)),
        told,
      );
    } else {
      settlements.settle(this.ending(outcome), told);
    }
    book.leave(this.booking.linkId);
  }

  private ending(outcome: DeliveryOutcome): Settlement {
    const unconfirmed = intervalSet(outcome.unconfirmed);
    const report = {
      request: this.request.request,
      sent: Math.max(0, this.sentBytes + bytesIn(unconfirmed) - this.before),
      covered: this.unreported,
      unconfirmed: unconfirmed.length > 0 ? unconfirmed : undefined,
      whole: outcome.completed,
    };
    return { booking: this.booking, records: [this.lease.client], report };
  }

  private async waitFor(bytes: number): Promise<number> {
    while (!this.over && !this.exhausted) {
      if (this.failing && !this.isTimeToReport) {
        this.drawOn();
      } else {
        await this.report();
      }
      const taken = this.over ? 0 : this.credit.take(bytes);
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
    const asked = this.credit.target;
    const covered = this.unreported;
    this.reportedAt = clock();
    this.unreported = NO_INTERVALS;
    const report = {
      request: this.request.request,
      total: asked - this.before,
      sent: Math.max(0, this.sentBytes - this.before),
      covered,
    };
    let answer: ProgressAnswer;
    try {
      answer = await calls.required(() => book.progress(this.booking, this.lease, report));
    } catch {
      // Told again with the next report: an interval may be told twice
      this.unreported = union(covered, this.unreported);
      this.drawWhileFailing();
      return;
    }
    this.failing = false;
    this.takeIn(answer, asked);
    if (answer.found && this.credit.isSpent) {
      await this.transfer().catch(() => this.drawWhileFailing());
    }
  }

  private takeIn({ found, granted, left }: ProgressAnswer, asked: number): void {
    // A store that lost its memory does not limit the request, which ends with its plan in any case
    this.credit.answered(found ? granted + this.before : Infinity, asked);
    this.left = left ?? Infinity;
  }

  /** The lease has nothing left: charges a further one, where the link has one. */
  private async transfer(): Promise<void> {
    const { booking, credit, services, lease: from } = this;
    const { book, calls, settlements, options } = services;
    const { taken } = credit;
    const ahead = this.total - taken;
    const bytes = Math.min(ahead, credit.target - taken);
    const report = {
      request: this.request.request,
      lease: leaseId(booking.linkId, randomText(18)),
      maxDownloads: this.request.maxDownloads,
      sent: taken - this.before,
      bytes,
      planned: ahead === Infinity ? 0 : ahead,
      terms: booking.terms,
    };
    const undo = () => settlements.settle(nothingSent(booking, [from.client], report.request));
    const answer = await undoable(calls, () => book.transfer(booking, from, report), undo, true);
    if (!answer?.found || answer.granted === 0) {
      this.exhausted = true;
      return;
    }
    this.lease = { client: from.client, id: report.lease };
    this.before = taken;
    this.takeIn(answer, taken + bytes);
    this.endAt(book.now() + options.terms.life);
  }

  private drawWhileFailing(): void {
    this.failing = true;
    this.drawOn();
  }

  /** Goes on, while the store does not answer, with what was left of the budget when it last did. */
  private drawOn(): void {
    if (this.credit.isSpent) {
      this.left -= this.credit.draw(this.left);
      this.exhausted = this.credit.isSpent;
    }
  }

  /** Cuts the download when the life of its lease is over. */
  private endAt(moment: number): void {
    clearTimeout(this.lifeTimer);
    const left = moment - this.services.book.now();
    if (left <= 0) {
      this.cut('LINK_USED_UP', 'life of the download over');
      return;
    }
    this.lifeTimer = setTimeout(() => this.endAt(moment), Math.min(left, LONGEST_TIMER)).unref();
  }
}

/** The end of a request that sent nothing, if the store has it at all. */
export function nothingSent(booking: Booking, records: readonly string[], request: string): Settlement {
  return { booking, records, report: { request, sent: 0, covered: [], whole: false } };
}

/**
 * The answer to a call that changes the store. Undone where it failed, as it may have been done all the same,
 * and where its answer came after the timeout.
 *
 * @param required as for {@link StoreCalls.required}; otherwise {@link StoreCalls.optional}
 */
export async function undoable<T>(
  calls: StoreCalls,
  call: () => Promise<T>,
  undo: () => void,
  required: boolean,
): Promise<T | undefined> {
  try {
    return await (required ? calls.required(call, undo) : calls.optional(call, undo));
  } catch (error) {
    undo();
    throw error;
  }
}

function intervalSet(intervals: readonly ByteInterval[] = []): IntervalSet {
  return intervals.reduce((set, { start, end }) => withInterval(set, start, end), NO_INTERVALS);
}
