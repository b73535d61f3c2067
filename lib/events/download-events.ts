import { Injectable } from '@nestjs/common';
import type { Subscriber } from 'rxjs';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { DownloadEvent, DownloadEventSink } from './download-event.js';
import { ShieldedObservable } from './shielded-observable.js';

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
