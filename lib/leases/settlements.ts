import { type LeaseStore, type ReleaseAnswer, type ReleaseRequest } from './lease-store.js';

/** Milliseconds between attempts while the store does not answer. */
const RETRY_EVERY = 1000;

/**
 * So many may wait for the store's answer, and so many to be told again. Of the latter the oldest is given up: what is
 * not released stays counted, which wrongs nobody's limit.
 */
const MOST = 10_000;

/** Ends requests in the store, for as long as it takes the store to hear of it. */
export class Settlements {
  private waiting: { report: ReleaseRequest; done?: (answer: ReleaseAnswer) => void }[] = [];
  private inFlight = new Set<Promise<void>>();
  private timer?: NodeJS.Timeout;
  private closed = false;

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
    }
    this.timer ??= setTimeout(() => void this.flush(), RETRY_EVERY).unref();
  }
}
