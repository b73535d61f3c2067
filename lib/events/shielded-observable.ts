import { Observable, Subscriber } from 'rxjs';
import type { Observer, Operator, Subscription } from 'rxjs';

type Report = (error: unknown) => void;

/**
 * An observable whose subscribers cannot harm anybody else. RxJS throws what a subscriber threw,
 * and an error that nobody handles, as an uncaught exception, which ends the process; here it is
 * reported instead. What is derived with `pipe` is shielded as well.
 */
export class ShieldedObservable<T> extends Observable<T> {
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
