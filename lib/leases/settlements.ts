import { ThrottledLogger } from '../shared/throttled-logger.js';

/** How often to try again while the store does not answer, ms. */
const RETRY_EVERY = 1000;

/** Cap on reports under way, and on those that wait; beyond it the oldest is dropped and stays counted. */
const MOST = 10_000;

/** Tells the store that a request has ended; rejects where the store does not answer. */
type Tell = () => Promise<unknown>;

/** Repeats the reports of requests that have ended until the store answers. */
export class Settlements {
  private waiting: Tell[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private timer?: NodeJS.Timeout;
  private closed = false;
  private readonly logger = new ThrottledLogger('DownloadAuth');

  settle(tell: Tell): void {
    if (this.underWay.size >= MOST) {
      this.postpone(tell);
      return;
    }
    const attempt = tell()
      .then(
        () => {},
        () => this.postpone(tell),
      )
      .finally(() => this.underWay.delete(attempt));
    this.underWay.add(attempt);
  }

  /** Sends the reports that wait, and waits for those under way. Answers how many are left. */
  async flush(): Promise<number> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting.splice(0).forEach((tell) => this.settle(tell));
    await Promise.all(this.underWay);
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

  private postpone(tell: Tell): void {
    if (this.closed) {
      return;
    }
    this.waiting.push(tell);
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
