import { Logger } from '@nestjs/common';
import type { DownloadEventSink } from '../events/download-event.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { LeaseStore } from './lease-store.js';

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

export interface StoreHealthOptions {
  readonly storeTimeout: number;
  readonly failClosed: boolean;
  readonly clock: () => number;
  readonly events?: DownloadEventSink;
}

/** Notices when the store stops and starts answering, and tells the log and the events. */
export class StoreHealth {
  private readonly throttled = new ThrottledLogger('DownloadAuth', 30_000);
  private outage?: Outage;
  private timer?: NodeJS.Timeout;
  private probe?: () => Promise<unknown>;
  private stopped = false;

  constructor(private readonly options: StoreHealthOptions) {}

  /** The same store, with the outcome of every call observed. */
  watch(store: LeaseStore): LeaseStore {
    return {
      open: (now, waits) => store.open(now, waits),
      read: (query) => this.observe(() => store.read(query)),
      commit: (commit) => this.observe(() => store.commit(commit)),
      revoke: (revocation, now) => this.observe(() => store.revoke(revocation, now)),
      subscribe: (listener) => store.subscribe(listener),
      close: () => store.close(),
    };
  }

  /** @param probe a call to the watched store, repeated every second during an outage */
  start(probe: () => Promise<unknown>): void {
    this.probe = probe;
  }

  /** The application ends: later failures are not reported. */
  stop(): void {
    this.stopped = true;
    this.probe = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async observe<T>(call: () => Promise<T>): Promise<T> {
    const { storeTimeout } = this.options;
    const startedAt = performance.now();
    const late = setTimeout(
      () => this.failed(new Error(`no answer within ${storeTimeout} ms`)),
      storeTimeout,
    );
    late.unref();
    try {
      const answer = await call();
      this.answered(startedAt);
      return answer;
    } catch (error) {
      this.failed(error);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  private failed(error: unknown): void {
    if (this.stopped) {
      return;
    }
    const { clock, events, failClosed } = this.options;
    const reason = errorReason(error);
    if (!this.outage) {
      const since = clock();
      this.outage = { since, failedAt: 0, logged: false };
      events?.emit({ type: 'storeUnavailable', at: since, reason });
    }
    this.outage.failedAt = performance.now();
    const others = failClosed
      ? 'So are all other links (leases.failClosed).'
      : 'Other links are served, the revoked ones too (leases.failClosed refuses them).';
    const message = `The lease store fails (${reason}). Limited and revocable links are refused with 503. ${others}`;
    const logged = this.throttled.error('store', message);
    this.outage.logged ||= logged;
    this.askAgain();
  }

  private answered(startedAt: number): void {
    if (!this.outage || startedAt < this.outage.failedAt + QUIET_FOR) {
      return;
    }
    const { since, logged } = this.outage;
    const { clock, events } = this.options;
    this.outage = undefined;
    const at = clock();
    const duration = Math.max(0, at - since);
    if (logged) {
      new Logger('DownloadAuth').log(`The lease store answers again, after ${Math.ceil(duration / 1000)} s.`);
    }
    events?.emit({ type: 'storeAvailable', at, duration });
  }

  private askAgain(): void {
    if (this.timer || !this.probe) {
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.outage) {
        this.probe?.()
          .catch(() => {})
          .finally(() => this.outage && this.askAgain());
      }
    }, PROBE_EVERY).unref();
  }
}

/** Calls to a store that may be slow or unreachable. */
export class StoreCalls {
  private restUntil = -Infinity;

  constructor(
    private readonly timeout: number,
    private readonly clock: () => number,
  ) {}

  /**
   * The store's answer.
   *
   * @param late is called with an answer that arrived after the timeout, to undo what the call did
   * @throws DownloadRefusal STORE_UNAVAILABLE
   */
  async required<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    try {
      return await this.within(call, late);
    } catch (error) {
      this.restUntil = this.clock() + REST;
      throw new DownloadRefusal('STORE_UNAVAILABLE', { cause: error });
    }
  }

  /** The store's answer; undefined if the call fails, or if one failed within the last second. */
  async optional<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T | undefined> {
    const now = this.clock();
    if (now < this.restUntil && now >= this.restUntil - REST) {
      return undefined;
    }
    return this.required(call, late).catch(() => undefined);
  }

  private within<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        reject(new Error(`The lease store did not answer within ${this.timeout} ms.`));
      }, this.timeout);
      const settle = (then: () => void) => {
        clearTimeout(timer);
        then();
      };
      // `async`, so that a store that throws counts as one that rejects
      (async () => call())().then(
        (answer) => settle(() => (over ? late?.(answer) : resolve(answer))),
        (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }
}
