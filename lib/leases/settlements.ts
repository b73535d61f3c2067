import { ThrottledLogger } from '../shared/throttled-logger.js';
import { type LeaseStore, type ReleaseAnswer, type ReleaseRequest } from './lease-store.js';

/** Milliseconds between attempts while the store does not answer. */
const RETRY_EVERY = 1000;

/**
 * Cap on reports under way, and on reports waiting to be repeated. Beyond it the oldest is dropped: its download stays
 * counted, so no link can be used too often.
 */
const MOST = 10_000;

/** Ends requests in the store, for as long as it takes the store to hear of it. */
export class Settlements {
  private waiting: { report: ReleaseRequest; done?: (answer: ReleaseAnswer) => void }[] = [];
  private inFlight = new Set<Promise<void>>();
  private timer?: NodeJS.Timeout;
  private closed = false;
  private readonly logger = new ThrottledLogger('DownloadAuth');

  constructor(private readonly store: LeaseStore) {}

  /** Never throws; `done` is called once the store has answered. */
  settle(report: ReleaseRequest, done?: (answer: ReleaseAnswer) => void): void {
    if (this.inFlight.size >= MOST) {
      this.postpone(report, done);
      return;
    }
    const attempt = this.attempt(report, done).finally(() => this.inFlight.delete(attempt));
    this.inFlight.add(attempt);
  }

  /** Tries what is waiting, and waits for what is under way. Answers how many are left. */
  async flush(): Promise<number> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const again = this.waiting;
    this.waiting = [];
    again.forEach(({ report, done }) => this.settle(report, done));
    await Promise.all(this.inFlight);
    return this.waiting.length;
  }

  /** Stops trying; what ends later is told once. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    if (this.waiting.length > 0) {
      this.lost(this.waiting.length);
    }
    this.waiting = [];
  }

  private async attempt(report: ReleaseRequest, done?: (answer: ReleaseAnswer) => void): Promise<void> {
    let answer: ReleaseAnswer;
    try {
      answer = await this.store.release(report);
    } catch {
      this.postpone(report, done);
      return;
    }
    done?.(answer);
  }

  private postpone(report: ReleaseRequest, done?: (answer: ReleaseAnswer) => void): void {
    if (this.closed) {
      return;
    }
    this.waiting.push({ report, done });
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
