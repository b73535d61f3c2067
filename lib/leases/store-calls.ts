import { Logger } from '@nestjs/common';
import type { DownloadEventSink } from '../events/download-event.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';

/** How often a store that failed is asked again, ms. */
const PROBE_EVERY = 1000;

/** Cap on reports that wait to be repeated; beyond it the oldest is dropped. */
const MOST_WAITING = 10_000;

type Call<T = unknown> = () => Promise<T>;

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
  /** Quiet: no call has failed since the last probe. */
  private outage?: { readonly since: number; isLogged: boolean; isQuiet: boolean };
  private timer?: NodeJS.Timeout;
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
    return new Promise<T>((resolve, reject) => {
      const answer = call();
      const fail = (error: unknown) => {
        clearTimeout(timer);
        this.failed(error);
        undo?.();
        reject(new DownloadRefusal('STORE_UNAVAILABLE', { cause: error }));
      };
      const timer = setTimeout(() => {
        fail(new Error(`no answer within ${storeTimeout} ms`));
        answer.then(undo, () => {});
      }, storeTimeout);
      answer.then((value) => {
        clearTimeout(timer);
        resolve(value);
      }, fail);
    });
  }

  /** The store's answer; undefined during an outage, unless it {@link required is needed}. */
  ask<T>(isNeeded: boolean, call: Call<T>, undo?: () => void): Promise<T | undefined> {
    if (this.outage && !isNeeded) {
      return Promise.resolve(undefined);
    }
    const answer = this.required(call, undo);
    return isNeeded ? answer : answer.catch(() => undefined);
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
    clearTimeout(this.timer);
    await this.settled();
    this.lost(this.waiting.splice(0).length);
  }

  private failed(error: unknown): void {
    if (this.stopped) {
      return;
    }
    const { clock, events, failClosed } = this.options;
    const reason = errorReason(error);
    const others = failClosed
      ? 'So are all other links (leases.failClosed).'
      : 'Other links are served, the revoked ones too (leases.failClosed refuses them).';
    const message = `The lease store fails (${reason}). Limited and revocable links are refused with 503. ${others}`;
    const isLogged = this.throttled.error('store', message);
    if (this.outage) {
      this.outage.isLogged ||= isLogged;
      this.outage.isQuiet = false;
      return;
    }
    const since = clock();
    this.outage = { since, isLogged, isQuiet: true };
    this.timer = setTimeout(() => void this.probe(), PROBE_EVERY).unref();
    events?.emit({ type: 'storeUnavailable', at: since, reason });
  }

  /** Ends the outage where the store answers, and has answered all others since the last probe. */
  private async probe(): Promise<void> {
    const outage = this.outage!;
    try {
      await this.required(this.options.probe);
      await this.settled();
    } catch {
      outage.isQuiet = false;
    }
    if (outage.isQuiet) {
      this.outage = undefined;
      this.answersAgain(outage);
    } else if (!this.stopped) {
      outage.isQuiet = true;
      this.timer = setTimeout(() => void this.probe(), PROBE_EVERY).unref();
    }
  }

  private answersAgain({ since, isLogged }: { since: number; isLogged: boolean }): void {
    const { clock, events } = this.options;
    const at = clock();
    const duration = Math.max(0, at - since);
    if (isLogged) {
      new Logger('DownloadAuth').log(`The lease store answers again, after ${Math.ceil(duration / 1000)} s.`);
    }
    events?.emit({ type: 'storeAvailable', at, duration });
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
