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

/** Cap on calls that wait to be repeated; beyond it the oldest is dropped. */
const MOST_WAITING = 10_000;

/** `async`, so that a store that throws counts as one that rejects. */
type Call<T = unknown> = () => Promise<T>;

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
  readonly probe: Call;
}

/** Calls to a store that may fail. Tells the log and the events when it does, and when it answers again. */
export class StoreCalls {
  private readonly throttled = new ThrottledLogger('DownloadAuth', 30_000);
  private outage?: Outage;
  private restUntil = -Infinity;
  private probing?: NodeJS.Timeout;
  private waiting: Call[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private stopped = false;

  constructor(private readonly options: StoreCallsOptions) {}

  /**
   * The store's answer.
   *
   * @param undo takes back what the call may have done, if it fails and again if it is answered later
   * @throws DownloadRefusal STORE_UNAVAILABLE
   */
  required<T>(call: Call<T>, undo?: () => void): Promise<T> {
    const { storeTimeout } = this.options;
    const startedAt = performance.now();
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const fail = (error: unknown) => {
        if (!isOver) {
          isOver = true;
          clearTimeout(timer);
          this.failed(error);
          reject(new DownloadRefusal('STORE_UNAVAILABLE', { cause: error }));
          undo?.();
        }
      };
      const timer = setTimeout(() => fail(new Error(`no answer within ${storeTimeout} ms`)), storeTimeout);
      call().then((answer) => {
        if (isOver) {
          undo?.();
          return;
        }
        clearTimeout(timer);
        this.answered(startedAt);
        resolve(answer);
      }, fail);
    });
  }

  /** The store's answer; undefined if the call fails, or if one failed within the last second. */
  async optional<T>(call: Call<T>, undo?: () => void): Promise<T | undefined> {
    const now = this.options.clock();
    if (now < this.restUntil && now >= this.restUntil - REST) {
      return undefined;
    }
    return this.required(call, undo).catch(() => undefined);
  }

  /** Tells the store that a request has ended, again and again until it answers. */
  eventually(call: Call): void {
    const attempt = this.required(call)
      .catch(() => this.postpone(call))
      .then(() => void this.underWay.delete(attempt));
    this.underWay.add(attempt);
  }

  /** Repeats what waits, and resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    this.waiting.splice(0).forEach((call) => this.eventually(call));
    await Promise.all(this.underWay);
  }

  /** The application ends: what waits is tried once more, and later failures are not reported. */
  async end(): Promise<void> {
    this.stopped = true;
    clearInterval(this.probing);
    await this.settled();
    this.lost(this.waiting.splice(0).length);
  }

  private failed(error: unknown): void {
    const { clock, events, failClosed } = this.options;
    const now = clock();
    this.restUntil = now + REST;
    if (this.stopped) {
      return;
    }
    const reason = errorReason(error);
    if (!this.outage) {
      this.outage = { since: now, failedAt: 0, logged: false };
      this.probing ??= setInterval(() => void this.probe(), PROBE_EVERY).unref();
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
    const at = clock();
    const duration = Math.max(0, at - since);
    if (logged) {
      new Logger('DownloadAuth').log(`The lease store answers again, after ${Math.ceil(duration / 1000)} s.`);
    }
    events?.emit({ type: 'storeAvailable', at, duration });
  }

  private async probe(): Promise<void> {
    const answers = await this.required(this.options.probe).then(
      () => true,
      () => false,
    );
    if (answers) {
      await this.settled();
    }
    if (!this.outage && this.waiting.length === 0) {
      clearInterval(this.probing);
      this.probing = undefined;
    }
  }

  private postpone(call: Call): void {
    this.waiting.push(call);
    if (this.waiting.length > MOST_WAITING) {
      this.waiting.shift();
      this.lost(1);
    }
  }

  private lost(reports: number): void {
    if (reports > 0) {
      this.throttled.error(
        'reports',
        `The lease store was not told of the end of ${reports} download(s): they stay counted as running.`,
      );
    }
  }
}
