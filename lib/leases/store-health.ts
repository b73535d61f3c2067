import { Logger } from '@nestjs/common';
import { type DownloadEventSink } from '../events/download-event.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import { type LeaseStore } from './lease-store.js';

/** How often a store that failed is asked whether it is back, ms. */
const PROBE_EVERY = 1000;

/** An outage is over at the first answer to a call made so long after the last failure, ms. */
const QUIET_FOR = 500;

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

/** Notices when the store stops answering and when it is back, and says so in the log and the events. */
export class StoreHealth {
  private readonly throttled = new ThrottledLogger('DownloadAuth', 30_000);
  private outage?: Outage;
  private timer?: NodeJS.Timeout;
  private probe?: () => Promise<unknown>;
  private stopped = false;

  constructor(private readonly options: StoreHealthOptions) {}

  /** The same store, with every call watched, whoever makes it and whatever becomes of its error. */
  watch(store: LeaseStore): LeaseStore {
    return {
      open: (now, waits) => store.open(now, waits),
      read: (query) => this.observe(() => store.read(query)),
      commit: (commit) => this.observe(() => store.commit(commit)),
      list: (query) => this.observe(() => store.list(query)),
      revoke: (revocation, now) => this.observe(() => store.revoke(revocation, now)),
      subscribe: (listener) => store.subscribe(listener),
      close: () => store.close(),
    };
  }

  /** @param probe a call to the watched store, made each second while it does not answer */
  start(probe: () => Promise<unknown>): void {
    this.probe = probe;
  }

  /** What fails from now on is no outage: the application ends. */
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
        // Its outcome is observed like that of any other call.
        this.probe?.()
          .catch(() => {})
          .finally(() => this.outage && this.askAgain());
      }
    }, PROBE_EVERY).unref();
  }
}
