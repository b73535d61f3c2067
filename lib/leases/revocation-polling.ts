import { setTimeout as sleep } from 'node:timers/promises';
import type { RevocationListener } from './lease-store.js';
import type { Revocation } from './revocation.js';

/** What a store answers when it is asked for new revocations. */
export interface RevocationNews {
  /** The number of the latest revocation; 0 where there is none. Each revocation has a higher one. */
  readonly last: number;
  readonly revocations: readonly Revocation[];
  /** The moment by the store's own clock, if it has one. */
  readonly now?: number;
}

/** How long to wait after a failure to reach the store for the first time, ms. */
const RETRY_EVERY = 50;

/**
 * Subscriptions to a store that numbers its revocations: asks again and again what is new, and what time it
 * is.
 */
export class RevocationPolling {
  private readonly listeners = new Set<RevocationListener>();
  private timer?: NodeJS.Timeout;
  private asking?: Promise<void>;
  /** The latest revocation that listeners know of; undefined while they may have missed some. */
  private seen?: number;
  /** The latest moment that a caller gave. */
  private latest = 0;
  /** Milliseconds by which the store's clock is ahead of this machine's; undefined if it has none. */
  private ahead?: number;

  /**
   * @param news answers the revocations after a number; without one, only the number of the latest. `now` is
   *   the latest moment that is known of the caller's clock
   * @param interval milliseconds between two questions
   */
  constructor(
    private readonly news: (after: number | undefined, now: number) => Promise<RevocationNews>,
    private readonly interval: number,
  ) {}

  /**
   * Waits until the store has answered once, but not longer than `patience` milliseconds.
   *
   * @throws the first error that is fatal
   */
  async first(now: number, patience: number, isFatal: (error: unknown) => boolean): Promise<void> {
    this.latest = now;
    const giveUp = performance.now() + patience;
    for (;;) {
      try {
        return await this.ask();
      } catch (error) {
        if (isFatal(error)) {
          throw error;
        }
      }
      if (performance.now() > giveUp) {
        return;
      }
      await sleep(RETRY_EVERY);
    }
  }

  subscribe(listener: RevocationListener): () => void {
    this.listeners.add(listener);
    this.seen = undefined;
    this.look();
    return () => this.listeners.delete(listener);
  }

  /** The moment by the store's clock if it has one; otherwise the caller's. */
  moment(callers: number): number {
    this.latest = Math.max(this.latest, callers);
    return this.ahead === undefined ? callers : Date.now() + this.ahead;
  }

  /** Asks now instead of later. */
  look(): void {
    clearTimeout(this.timer);
    if (this.listeners.size > 0) {
      this.ask()
        .catch((error: unknown) => {
          this.seen = undefined;
          this.listeners.forEach((listener) => listener.interrupted?.(error));
        })
        .finally(() => {
          clearTimeout(this.timer);
          this.timer = setTimeout(() => this.look(), this.interval).unref();
        });
    }
  }

  private ask(): Promise<void> {
    this.asking ??= this.learn().finally(() => (this.asking = undefined));
    return this.asking;
  }

  private async learn(): Promise<void> {
    const askedAt = Date.now();
    const { last, revocations, now } = await this.news(this.seen, this.latest);
    this.ahead = now === undefined ? undefined : difference(now, askedAt);
    // A lower number is one of a store that lost its memory
    const missed = this.seen === undefined || last < this.seen;
    this.seen = last;
    for (const listener of this.listeners) {
      if (missed) {
        listener.missed();
      } else {
        revocations.forEach((revocation) => listener.revoked(revocation));
      }
    }
  }
}

/** How far another clock is ahead of this machine's; it may have been read at any time since `askedAt`. */
function difference(theirs: number, askedAt: number): number {
  return theirs < askedAt ? theirs - askedAt : Math.max(0, theirs - Date.now());
}
