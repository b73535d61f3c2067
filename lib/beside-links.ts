import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { isObservable, lastValueFrom } from 'rxjs';
import { markedOptions } from './http/handler-metadata.js';
import { RequestNote } from './http/notes.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { grantOf } from './tokens/grant.js';

/** The call of a handler that a request was granted for; Nest makes one context for all guards of a call. */
export const judgedIn = new RequestNote<ExecutionContext>('judged');

/** Guards that ran before ours in one call, and wait to be asked if the request has no link. */
interface Waiting {
  readonly context: ExecutionContext;
  readonly asks: (() => Promise<boolean>)[];
}

const waitingNote = new RequestNote<Waiting>('waiting');

/**
 * Makes a guard let links to routes marked `@StreamDownload()` pass, because these routes check them, and
 * decide about every other request as before. For guards that run before those of the route and would refuse
 * links: global ones.
 *
 * @example
 * ```ts
 * { provide: APP_GUARD, useClass: besideLinks(JwtAuthGuard) }
 * ```
 */
export function besideLinks<Guard extends Type<CanActivate>>(guard: Guard): Guard {
  if (typeof guard !== 'function') {
    throw new DownloadAuthConfigurationError('besideLinks: give the class of a guard, not an instance.');
  }
  class BesideLinks extends (guard as Type<CanActivate>) {
    override canActivate(context: ExecutionContext): ReturnType<CanActivate['canActivate']> {
      if (!isDownload(context)) {
        return super.canActivate(context);
      }
      const request = context.switchToHttp().getRequest<object>();
      if (judgedIn.get(request) === context) {
        return grantOf(request)?.link !== undefined || super.canActivate(context);
      }
      // The guard of the route knows where links can be, and asks this one if there is none
      const asks = [...waitingIn(context, request), () => answerOf(super.canActivate(context))];
      waitingNote.set(request, { context, asks });
      return true;
    }
  }
  Object.defineProperty(BesideLinks, 'name', { value: guard.name });
  return BesideLinks as Guard;
}

/** Ask the guards that wait in a call. */
export function waitingIn(context: ExecutionContext, request: object): Waiting['asks'] {
  const waiting = waitingNote.get(request);
  return waiting?.context === context ? waiting.asks : [];
}

/** What a guard answers, in each of the forms that Nest allows. */
export async function answerOf(answer: ReturnType<CanActivate['canActivate']>): Promise<boolean> {
  const settled = await answer;
  return isObservable(settled) ? lastValueFrom(settled) : settled;
}

function isDownload(context: ExecutionContext): boolean {
  return markedOptions(context.getClass(), context.getHandler()) !== undefined;
}
