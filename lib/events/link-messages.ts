import type { MessageEvent } from '@nestjs/common';
import {
  catchError,
  defer,
  distinctUntilChanged,
  EMPTY,
  exhaustMap,
  filter,
  finalize,
  from,
  interval,
  map,
  startWith,
  switchMap,
  tap,
  timer,
} from 'rxjs';
import type { Observable } from 'rxjs';
import type { RefusalCode } from '../refusals/download-refusal.js';
import type { DownloadEvent, RefusedEvent } from './download-event.js';

/** How often a link is looked at while a download of it runs, ms. */
const LOOK_EVERY = 250;

/** While none runs, one look in so many. */
const IDLE_LOOKS = 4;

/** How often the last message is repeated, ms: proxies close connections that are silent for long. */
const REPEAT_EVERY = 20_000;

/** How far a download of a link is. */
export interface LinkProgress {
  /** Another one with each request of a download. */
  readonly id: string;
  readonly type: Exclude<LinkMessage['type'], 'refused'>;
  readonly bytes: number;
  readonly length?: number;
  /** Why it was cut. */
  readonly code?: RefusalCode;
}

/** Looks at a link, on all nodes, until it is told to stop. */
export interface FollowedLink {
  look(): Promise<LinkProgress>;
  stop(): void;
}

/** What `DownloadEvents.of()` tells of a link, in the shape that `@Sse()` sends. */
export interface LinkMessage extends MessageEvent {
  /**
   * `waiting`: no download has begun. `progress`: one is running. `aborted`: it stopped before its end, and
   * may be resumed. `completed`: every byte was sent. `revoked`: the link was withdrawn. `refused`: a request
   * was refused.
   */
  readonly type: 'waiting' | 'progress' | 'aborted' | 'completed' | 'revoked' | 'refused';
  /** Names the request of a download that the message is about: another one with each resume. */
  readonly id: string;
  readonly data: {
    /** Different bytes of the file that were sent. */
    readonly bytes: number;
    /** Of the file, in bytes, where it is known. */
    readonly length?: number;
    /** Whole percent, rounded down. */
    readonly percent?: number;
    /** Why a request was refused or a download was cut. */
    readonly code?: RefusalCode;
  };
}

/** How far a link is: now, after each change, at most four times a second. A look that fails is skipped. */
export function progressOf(
  follow: () => FollowedLink,
  happenings: Observable<DownloadEvent>,
): Observable<LinkMessage> {
  return defer(() => {
    const link = follow();
    let isRunning = false;
    let hasNews = false;
    const listening = happenings.subscribe(() => {
      hasNews = true;
    });
    return timer(0, LOOK_EVERY).pipe(
      filter((tick) => isRunning || hasNews || tick % IDLE_LOOKS === 0),
      exhaustMap(() => {
        hasNews = false;
        return from(link.look()).pipe(catchError(() => EMPTY));
      }),
      tap(({ type }) => {
        isRunning = type === 'progress';
      }),
      distinctUntilChanged(isSame),
      switchMap((progress) =>
        interval(REPEAT_EVERY).pipe(
          startWith(0),
          map(() => messageOf(progress)),
        ),
      ),
      finalize(() => {
        listening.unsubscribe();
        link.stop();
      }),
    );
  });
}

/** The refusals among what happens, without what they say of who asked. */
export function refusalsOf(happenings: Observable<DownloadEvent>): Observable<LinkMessage> {
  return happenings.pipe(
    filter((event): event is RefusedEvent => event.type === 'refused'),
    map(({ code, at }) => ({ type: 'refused', id: `refused-${at}`, data: { bytes: 0, code } })),
  );
}

function messageOf({ type, id, bytes, length, code }: LinkProgress): LinkMessage {
  const percent = length ? Math.floor((100 * bytes) / length) : undefined;
  return { type, id, data: { bytes, length, percent, code } };
}

function isSame(a: LinkProgress, b: LinkProgress): boolean {
  return a.type === b.type && a.id === b.id && a.bytes === b.bytes && a.code === b.code;
}
