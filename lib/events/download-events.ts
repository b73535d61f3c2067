import { Injectable } from '@nestjs/common';
import {
  defer,
  filter,
  finalize,
  merge,
  Observable,
  ReplaySubject,
  shareReplay,
  Subscriber,
  takeUntil,
} from 'rxjs';
import type { Observer, Operator, Subscription } from 'rxjs';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { errorReason } from '../shared/error-reason.js';
import { checkLinkId } from '../shared/link-id.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { DownloadEvent, DownloadEventSink } from './download-event.js';
import { progressOf, refusalsOf } from './link-messages.js';
import type { FollowedLink, LinkMessage } from './link-messages.js';

type Report = (error: unknown) => void;

/**
 * An observable that reports what a subscriber throws. RxJS throws it, and errors without a handler, as an
 * uncaught exception, which ends the process. What is derived with `pipe` is shielded as well.
 */
class ShieldedObservable<T> extends Observable<T> {
  constructor(
    private readonly report: Report,
    subscribe?: (subscriber: Subscriber<T>) => void | (() => void),
  ) {
    super(subscribe);
  }

  override subscribe(
    observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    if (observerOrNext instanceof Subscriber) {
      // RxJS connecting two stages of a pipe: the shield is at the pipe's end.
      return super.subscribe(observerOrNext as Observer<T>);
    }
    const given: Partial<Observer<T>> =
      typeof observerOrNext === 'function'
        ? { next: observerOrNext, error: error ?? undefined, complete: complete ?? undefined }
        : (observerOrNext ?? {});
    return super.subscribe({
      next: (value) => this.shielded(() => given.next?.(value)),
      error: (reason) => (given.error ? this.shielded(() => given.error?.(reason)) : this.report(reason)),
      complete: () => this.shielded(() => given.complete?.()),
    });
  }

  /** @internal the hook by which RxJS makes every operator's result */
  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    const derived = new ShieldedObservable<R>(this.report);
    derived.source = this;
    derived.operator = operator as Operator<unknown, R>;
    return derived;
  }

  private shielded(call: () => unknown): void {
    try {
      const result = call();
      if (result instanceof Promise) {
        result.catch(this.report);
      }
    } catch (error) {
      this.report(error);
    }
  }
}

/**
 * What happens to downloads, as it happens on this node (docs/events.md has recipes).
 *
 * Subscribers are called within the request, so they should be quick; what one of them throws, or
 * a promise of theirs rejects with, is logged and harms neither the download nor other subscribers.
 *
 * @example
 * events.subscribe((event) => logger.log(event));
 * events.pipe(filter((event) => event.type === 'completed')).subscribe(…);
 */
@Injectable()
export class DownloadEvents extends ShieldedObservable<DownloadEvent> implements DownloadEventSink {
  private readonly subscribers: Set<Subscriber<DownloadEvent>>;
  /** By link id: the listeners of one link share its looks. */
  private readonly followed = new Map<string, Observable<LinkMessage>>();
  /** Replays, for those who begin to listen when it has happened: a page reconnects while downloads go on. */
  private readonly ending = new ReplaySubject<void>(1);
  private follow?: (linkId: string) => FollowedLink;

  constructor() {
    const logger = new ThrottledLogger('DownloadEvents');
    const subscribers = new Set<Subscriber<DownloadEvent>>();
    super(
      (error) => {
        const reason = errorReason(error);
        logger.error(reason, `A subscriber failed: ${reason}`, error);
      },
      (subscriber) => {
        subscribers.add(subscriber);
        return () => subscribers.delete(subscriber);
      },
    );
    this.subscribers = subscribers;
  }

  /**
   * What happens to one link on any node, for `@Sse()`: how far it is now, then each change, at most four
   * times a second. Who may listen is decided by your route. It does not end before the application or the
   * listener does, since a link may be downloaded again.
   *
   * @throws DownloadAuthConfigurationError for what cannot be the id of a link
   * @example
   * ```ts
   * @Sse('links/:id/events')
   * follow(@Param('id') id: string) {
   *   return this.events.of(id);
   * }
   * ```
   */
  of(linkId: string): Observable<LinkMessage> {
    checkLinkId(linkId, 'events.of');
    const happenings = this.pipe(filter((event) => event.linkId === linkId));
    return defer(() => merge(this.progressOf(linkId, happenings), refusalsOf(happenings))).pipe(
      takeUntil(this.ending),
    );
  }

  /** @internal how links are looked at */
  followBy(follow: (linkId: string) => FollowedLink): void {
    this.follow = follow;
  }

  /** @internal Ends what {@link of} returned: the server that closes waits for those connections. */
  endFollowing(): void {
    this.ending.next();
  }

  get observed(): boolean {
    return this.subscribers.size > 0;
  }

  emit(event: DownloadEvent): void {
    for (const subscriber of this.subscribers) {
      subscriber.next(event);
    }
  }

  private progressOf(linkId: string, happenings: Observable<DownloadEvent>): Observable<LinkMessage> {
    const { follow, followed } = this;
    if (!follow) {
      throw new DownloadAuthConfigurationError(
        'events.of: import DownloadAuthModule, which makes these events.',
      );
    }
    const known = followed.get(linkId);
    if (known) {
      return known;
    }
    const progress = progressOf(() => follow(linkId), happenings).pipe(
      finalize(() => followed.delete(linkId)),
      shareReplay({ bufferSize: 1, refCount: true }),
    );
    followed.set(linkId, progress);
    return progress;
  }

  /** Completes every subscription: the application ends. */
  close(): void {
    for (const subscriber of [...this.subscribers]) {
      subscriber.complete();
    }
  }
}
