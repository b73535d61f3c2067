import { Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Sessions } from './sessions.js';

export interface WikiRequest {
  readonly headers: { readonly cookie?: string };
  /** The name of who is signed in. */
  user?: string;
}

/** Lets everybody in, and notes who is signed in: whether a page may be read depends on the page. */
@Injectable()
export class VisitorGuard implements CanActivate {
  constructor(private readonly sessions: Sessions) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<WikiRequest>();
    request.user = this.sessions.userOf(request.headers.cookie);
    return true;
  }
}

/** Lets in who is signed in. */
@Injectable()
export class MemberGuard extends VisitorGuard {
  override canActivate(context: ExecutionContext): boolean {
    super.canActivate(context);
    if (context.switchToHttp().getRequest<WikiRequest>().user === undefined) {
      throw new UnauthorizedException('Sign in first.');
    }
    return true;
  }
}
