import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  catchError,
  concatMap,
  defer,
  EMPTY,
  expand,
  filter,
  groupBy,
  map,
  merge,
  mergeMap,
  type Observable,
  Subject,
  switchMap,
  takeUntil,
  timer,
} from 'rxjs';
import { LinkLedger } from '../ledger/link-ledger.js';
import type { LinkSummary } from '../links/link-summary.js';
import { LinksService } from '../links/links.service.js';

/** Milliseconds between two looks at a download that runs: the package reports its progress once a second. */
const LOOK_EVERY = 1000;

/** Tells people what happens to their links, on whichever instance it happens. */
@Injectable()
export class LiveLinks implements OnModuleDestroy {
  private readonly ended = new Subject<void>();

  constructor(
    private readonly ledger: LinkLedger,
    private readonly links: LinksService,
  ) {}

  /** All links of one person as they are now, and each again whenever something is new. */
  of(owner: string): Observable<LinkSummary> {
    const existing = defer(() => this.ledger.idsOf(owner)).pipe(mergeMap((ids) => ids));
    const changed = this.ledger.changes.pipe(
      filter((change) => change.owner === owner),
      map(({ id }) => id),
    );
    return merge(changed, existing).pipe(
      groupBy((id) => id),
      mergeMap((ids) => ids.pipe(switchMap((id) => this.follow(owner, id)))),
      takeUntil(this.ended),
    );
  }

  /** Lets go of everybody who listens: the application would wait for them otherwise. */
  onModuleDestroy(): void {
    this.ended.next();
  }

  /** A link now, and every second as long as a download of it runs. */
  private follow(owner: string, id: string): Observable<LinkSummary> {
    // where a store does not answer, there is nothing to tell; the next change is another chance
    const look = defer(() => this.links.summary(owner, id)).pipe(catchError(() => EMPTY));
    return look.pipe(
      expand((link) => (link?.progress?.running ? timer(LOOK_EVERY).pipe(concatMap(() => look)) : EMPTY)),
      filter((link) => link !== undefined),
    );
  }
}
