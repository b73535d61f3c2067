import { Logger } from '@nestjs/common';
import type { DownloadEventSink } from '../events/download-event.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';

/** How often a store that failed is asked again, ms. */
const PROBE_EVERY = 1000;

/** An outage is over with the first answer to a call made this long after the last failure, ms. */
const QUIET_FOR = 500;

/** For how long after a failure the store is not asked about what can do without its answer, ms. */
const REST = 1000;

interface Outage {
  /** By the clock of the application. */
  readonly since: number;
  /** By `performance.now()`. */
  failedAt: number;
  logged: boolean;
}

export interface StoreCallsOptions {
  readonly storeTimeout: number;
  readonly failClosed: boolean;
  readonly clock: () => number;
  readonly events?: DownloadEventSink;
  /** A call that is repeated every second during an outage. */
  readonly probe: () => Promise<unknown>;
}

/** Calls to a store that may fail. Tells the log and the events when it does, and when it answers again. */
export class StoreCalls {
  private readonly throttled = new ThrottledLogger('DownloadAuth', 30_000);
  private outage?: Outage;
  private restUntil = -Infinity;
  private probing?: NodeJS.Timeout;
  private stopped = false;

  constructor(private readonly options: StoreCallsOptions) {}

  /**
   * The store's answer.
   *
   * @param late is called with an answer that arrived after the timeout, to undo what the call did
   * @throws DownloadRefusal STORE_UNAVAILABLE
   */
  async required<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    const startedAt = performance.now();
    try {
      const answer = await this.within(call, late);
      this.answered(startedAt);
      return answer;
    } catch (error) {
      this.failed(error);
      throw new DownloadRefusal('STORE_UNAVAILABLE', { cause: error });
    }
  }

  /** The store's answer; undefined if the call fails, or if one failed within the last second. */
  async optional<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T | undefined> {
    const now = this.options.clock();
    if (now < this.restUntil && now >= this.restUntil - REST) {
      return undefined;
    }
    return this.required(call, late).catch(() => undefined);
  }

  /** The application ends: later failures are not reported. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.probing);
  }

  private within<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { storeTimeout } = this.options;
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        reject(new Error(`no answer within ${storeTimeout} ms`));
      }, storeTimeout);
      // `async`, so that a store that throws counts as one that rejects
      (async () => call())()
        .then((answer) => (over ? late?.(answer) : resolve(answer)), reject)
        .finally(() => clearTimeout(timer));
    });
  }

  private failed(error: unknown): void {
    const { clock, events, failClosed, probe } = this.options;
    const now = clock();
    this.restUntil = now + REST;
    if (this.stopped) {
      return;
    }
    const reason = errorReason(error);
    if (!this.outage) {
      this.outage = { since: now, failedAt: 0, logged: false };
      this.probing = setInterval(() => void this.required(probe).catch(() => {}), PROBE_EVERY).unref();
      events?.emit({ type: 'storeUnavailable', at: now, reason });
    }
    this.outage.failedAt = performance.now();
    const others = failClosed
      ? 'So are all other links (leases.failClosed).'
      : 'Other links are served, the revoked ones too (leases.failClosed refuses them).';
    const message = `The lease store fails (${reason}). Limited and revocable links are refused with 503. ${others}`;
    const logged = this.throttled.error('store', message);
    this.outage.logged ||= logged;
  }

  private answered(startedAt: number): void {
    if (!this.outage || startedAt < this.outage.failedAt + QUIET_FOR) {
      return;
    }
    const { since, logged } = this.outage;
    const { clock, events } = this.options;
    this.outage = undefined;
    clearInterval(this.probing);
    const at = clock();
    const duration = Math.max(0, at - since);
    if (logged) {
      new Logger('DownloadAuth').log(`The lease store answers again, after ${Math.ceil(duration / 1000)} s.`);
    }
    events?.emit({ type: 'storeAvailable', at, duration });
  }
}
