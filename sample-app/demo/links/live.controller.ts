import { Controller, Sse, UseGuards } from '@nestjs/common';
import type { MessageEvent, OnModuleDestroy } from '@nestjs/common';
import {
  catchError,
  concatMap,
  defer,
  EMPTY,
  expand,
  filter,
  groupBy,
  interval,
  map,
  merge,
  mergeMap,
  Subject,
  switchMap,
  takeUntil,
  timer,
} from 'rxjs';
import type { Observable } from 'rxjs';
import { AuthGuard, User } from '../../auth.guard.js';
import type { UserClaims } from '../../auth.guard.js';
import { DemoLedger } from './demo-ledger.js';
import type { LinkSummary } from './demo-ledger.js';
import { LinkStore } from './link-store.js';

/** How often the progress of a running download is read, ms; the package reports it once a second. */
const LOOK_EVERY = 1000;

/** How often something is sent, so that no proxy closes the connection, ms. */
const KEEP_ALIVE = 20_000;

/** Tells people what happens to their links, whichever instance it happens on. */
@Controller()
@UseGuards(AuthGuard)
export class LiveController implements OnModuleDestroy {
  private readonly closing = new Subject<void>();

  constructor(
    private readonly store: LinkStore,
    private readonly ledger: DemoLedger,
  ) {}

  /** Server-sent events: each link now and after every change, as `link` with a {@link LinkSummary}. */
  @Sse('links/events')
  events(@User() { sub, exp }: UserClaims): Observable<MessageEvent> {
    const existing = defer(() => this.store.idsOf(sub)).pipe(mergeMap((ids) => ids));
    const changed = this.store.changes.pipe(
      filter(({ owner }) => owner === sub),
      map(({ id }) => id),
    );
    const links = merge(changed, existing).pipe(
      groupBy((id) => id),
      mergeMap((ids) => ids.pipe(switchMap((id) => this.follow(sub, id)))),
      map((link) => ({ type: 'link', data: link })),
    );
    const alive = interval(KEEP_ALIVE).pipe(map(() => ({ type: 'alive', data: 'yes' })));
    return merge(links, alive).pipe(takeUntil(merge(this.closing, timer(new Date(exp * 1000)))));
  }

  /** Ends all streams; otherwise the application would wait for them. */
  onModuleDestroy(): void {
    this.closing.next();
  }

  /** A link now, and once a second while one of its downloads is running. */
  private follow(owner: string, id: string): Observable<LinkSummary> {
    // While a store is unreachable nothing is sent; the next change tries again.
    const look = defer(() => this.ledger.summary(owner, id)).pipe(catchError(() => EMPTY));
    return look.pipe(
      expand((link) => (link?.progress?.running ? timer(LOOK_EVERY).pipe(concatMap(() => look)) : EMPTY)),
      filter((link) => link !== undefined),
    );
  }
}
