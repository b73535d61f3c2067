import { createParamDecorator, Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';

/** The claims of an access token. */
export interface UserClaims {
  readonly sub: string;
  /** Seconds since 1970. */
  readonly exp: number;
}

interface RequestWithUser {
  readonly headers: { readonly authorization?: string };
  user?: UserClaims;
}

/**
 * The application's own guard, for all routes but downloads. Those have `@StreamDownload()` instead, which
 * also reads the query and the cookie, and opens links.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(private readonly jwt: JwtService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<RequestWithUser>();
    const token = bearerToken(request.headers.authorization);
    try {
      request.user = await this.jwt.verifyAsync<UserClaims>(token ?? '');
      return true;
    } catch {
      http
        .getResponse<{ header(name: string, value: string): unknown }>()
        .header('WWW-Authenticate', token === undefined ? 'Bearer' : 'Bearer error="invalid_token"');
      throw new UnauthorizedException(
        'Sign in first, and send the access token in the Authorization header.',
      );
    }
  }
}

/** The claims of the person who is signed in, on a route with {@link AuthGuard}. */
export const User = createParamDecorator(
  (_data: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<RequestWithUser>().user,
);

export function bearerToken(authorization = ''): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization)?.[1];
}
