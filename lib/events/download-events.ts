import { Injectable } from '@nestjs/common';
import { Observable, Subscriber } from 'rxjs';
import type { Observer, Operator, Subscription } from 'rxjs';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { DownloadEvent, DownloadEventSink } from './download-event.js';

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

  get observed(): boolean {
    return this.subscribers.size > 0;
  }

  emit(event: DownloadEvent): void {
    for (const subscriber of this.subscribers) {
      subscriber.next(event);
    }
  }

  /** Completes every subscription: the application ends. */
  close(): void {
    for (const subscriber of [...this.subscribers]) {
      subscriber.complete();
    }
  }
}
