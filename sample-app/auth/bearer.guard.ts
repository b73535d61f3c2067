import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import { AccessTokenService } from './access-token.service.js';
import type { RequestWithSession } from './session.decorator.js';

interface HeaderWriter {
  /** Express and Fastify share this method. */
  header(name: string, value: string): unknown;
}

const BEARER = /^bearer +(\S+)$/i;

/**
 * The ordinary guard of an ordinary API: a bearer token in the `Authorization` header, and nowhere else. Downloads do
 * without it: `@StreamDownload()` brings its own guard, which also reads the query and the cookie and opens links.
 * A route has the one or the other, so neither loosens what the other protects.
 */
@Injectable()
export class BearerGuard implements CanActivate {
  constructor(private readonly tokens: AccessTokenService) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<RequestWithSession>();
    const accessToken = BEARER.exec(request.headers.authorization ?? '')?.[1];
    const session = accessToken && this.tokens.verify(accessToken);
    if (!accessToken || !session) {
      const challenge = accessToken ? 'Bearer error="invalid_token"' : 'Bearer';
      http.getResponse<HeaderWriter>().header('WWW-Authenticate', challenge);
      throw new UnauthorizedException('Sign in first: send the access token in the Authorization header.');
    }
    request.session = { ...session, accessToken };
    return true;
  }
}
