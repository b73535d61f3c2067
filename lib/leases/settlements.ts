import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { Ending } from './lease.js';
import type { Booking, EndingAnswer, LeaseBook } from './lease-book.js';

/** How often to try again while the store does not answer, ms. */
const RETRY_EVERY = 1000;

/**
 * Cap on reports under way, and on reports waiting to be repeated. Beyond it the oldest is dropped and its
 * download stays counted.
 */
const MOST = 10_000;

/** A request that has ended. */
export interface Settlement {
  readonly booking: Booking;
  /** The records in which its lease may be found. */
  readonly records: readonly string[];
  readonly report: Ending;
}

/** Tells the store that requests have ended, and repeats it until the store answers. */
export class Settlements {
  private waiting: { ending: Settlement; done?: (answer: EndingAnswer) => void }[] = [];
  private inFlight = new Set<Promise<void>>();
  private timer?: NodeJS.Timeout;
  private closed = false;
  private readonly logger = new ThrottledLogger('DownloadAuth');

  constructor(private readonly book: Pick<LeaseBook, 'end'>) {}

  /** Never throws; `done` is called when the store has answered. */
  settle(ending: Settlement, done?: (answer: EndingAnswer) => void): void {
    if (this.inFlight.size >= MOST) {
      this.postpone(ending, done);
      return;
    }
    const attempt = this.attempt(ending, done).finally(() => this.inFlight.delete(attempt));
    this.inFlight.add(attempt);
  }

  /** Like {@link settle}, for a request whose last report is still under way. */
  settleLater(ending: Promise<Settlement>, done?: (answer: EndingAnswer) => void): void {
    const attempt = ending
      .then((known) => this.attempt(known, done))
      .finally(() => this.inFlight.delete(attempt));
    this.inFlight.add(attempt);
  }

  /** Sends the reports that wait, and waits for those under way. Answers how many are left. */
  async flush(): Promise<number> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const again = this.waiting;
    this.waiting = [];
    again.forEach(({ ending, done }) => this.settle(ending, done));
    await Promise.all(this.inFlight);
    return this.waiting.length;
  }

  /** Stops repeating; a request that ends later is reported once. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    if (this.waiting.length > 0) {
      this.lost(this.waiting.length);
    }
    this.waiting = [];
  }

  private async attempt(ending: Settlement, done?: (answer: EndingAnswer) => void): Promise<void> {
    let answer: EndingAnswer;
    try {
      answer = await this.book.end(ending.booking, ending.records, ending.report);
    } catch {
      this.postpone(ending, done);
      return;
    }
    done?.(answer);
  }

  private postpone(ending: Settlement, done?: (answer: EndingAnswer) => void): void {
    if (this.closed) {
      return;
    }
    this.waiting.push({ ending, done });
    if (this.waiting.length > MOST) {
      this.waiting.shift();
      this.lost(1);
    }
    this.timer ??= setTimeout(() => void this.flush(), RETRY_EVERY).unref();
  }

  private lost(reports: number): void {
    this.logger.error(
      'reports',
      `The lease store was not told of the end of ${reports} download(s): they stay counted as running.`,
    );
  }
}
