import { Injectable, SetMetadata, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { parseCookie } from 'cookie';
import { People } from './people.js';
import type { Caller } from './people.js';

export interface PhotoRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, unknown>>;
  caller?: Caller;
}

const AUTHENTICATED = 'authenticated';

interface AuthenticatedOptions {
  /** Lets in who has the key of an album. */
  shareKey?: boolean;
}

/** A route without it is open to everybody. */
export const Authenticated = (options: AuthenticatedOptions = {}) => SetMetadata(AUTHENTICATED, options);

/** The guard of all routes: an API key, the cookie of a session, or the key of an album. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly people: People,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const options = this.reflector.get<AuthenticatedOptions | undefined>(AUTHENTICATED, context.getHandler());
    if (!options) {
      return true;
    }
    const request = context.switchToHttp().getRequest<PhotoRequest>();
    request.caller =
      this.people.byApiKey(request.headers['x-api-key']) ??
      this.people.bySession(parseCookie(request.headers.cookie ?? '').photos_session) ??
      (options.shareKey ? this.people.byShareKey(request.query.key) : undefined);
    if (!request.caller) {
      throw new UnauthorizedException();
    }
    return true;
  }
}
