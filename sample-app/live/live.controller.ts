import { Controller, type MessageEvent, Sse, UseGuards } from '@nestjs/common';
import { interval, map, merge, type Observable, takeUntil, timer } from 'rxjs';
import { BearerGuard } from '../auth/bearer.guard.js';
import { Session, type SessionInfo } from '../auth/session.decorator.js';
import { LiveLinks } from './live-links.service.js';

/** Milliseconds between two signs of life, without which proxies hang up. */
const SIGN_OF_LIFE = 20_000;

/** Behind the same guard as the rest of the API: the page reads it with `fetch`, which can send the header. */
@Controller()
@UseGuards(BearerGuard)
export class LiveController {
  constructor(private readonly live: LiveLinks) {}

  /** Server-sent events: `link` with a `LinkSummary`, until the session ends. */
  @Sse('links/events')
  events(@Session() { username, expiresAt }: SessionInfo): Observable<MessageEvent> {
    const links = this.live.of(username).pipe(map((link) => ({ type: 'link', data: link })));
    const alive = interval(SIGN_OF_LIFE).pipe(map(() => ({ type: 'alive', data: 'yes' })));
    return merge(links, alive).pipe(takeUntil(timer(expiresAt)));
  }
}
