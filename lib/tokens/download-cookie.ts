import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { serialize } from 'cookie';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../options/resolve-options.js';
import { parseCompactJws } from './compact-jws.js';

/** Bytes of name, value and attributes that a browser must keep at the least (RFC 6265 §6.1), and keeps at the most. */
const MAX_COOKIE_BYTES = 4096;

interface RequestLike {
  readonly protocol?: string;
}

/**
 * Puts the access token into a cookie, so that plain links to downloads work for whoever is signed in; takes it out
 * again. The cookie is HttpOnly, SameSite=Lax unless configured otherwise, Secure on a secure connection, and ends with
 * the token.
 *
 * @example
 * ```ts
 * @Post('auth/cookie') @HttpCode(204) @UseGuards(JwtAuthGuard)
 * remember(@Headers('authorization') header: string, @Res({ passthrough: true }) response: Response) {
 *   this.cookie.set(response, header.slice('Bearer '.length));
 * }
 * ```
 */
@Injectable()
export class DownloadCookie {
  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {}

  /**
   * @param response the response as the framework gives it to a handler: `@Res({ passthrough: true })`
   * @param accessToken a token that the application has issued or verified; it is not verified here
   * @throws DownloadAuthConfigurationError if this is no JWT, or longer than browsers keep
   */
  set(response: object, accessToken: string): void {
    const unverified = parseCompactJws(accessToken);
    if (!unverified) {
      throw new DownloadAuthConfigurationError('DownloadCookie.set: give a signed JWT, without "Bearer ".');
    }
    const { exp } = unverified.claims;
    const now = this.options.clock() / 1000;
    this.write(
      response,
      accessToken,
      typeof exp === 'number' ? Math.max(0, Math.floor(exp - now)) : undefined,
    );
  }

  /** Clears the cookie that {@link set} has set. */
  clear(response: object): void {
    this.write(response, '', 0);
  }

  private write(response: object, value: string, maxAge: number | undefined): void {
    const { path = '/', domain, sameSite = 'lax' } = this.options.cookie;
    // browsers keep no SameSite=None cookie that is not secure
    const { secure = sameSite === 'none' || isSecureResponse(response) } = this.options.cookie;
    const header = serialize(this.options.tokenName, value, {
      httpOnly: true,
      path,
      domain,
      sameSite,
      secure,
      maxAge,
      ...(maxAge === 0 && { expires: new Date(0) }),
    });
    if (header.length > MAX_COOKIE_BYTES) {
      throw new DownloadAuthConfigurationError(
        `DownloadCookie.set: the cookie would have ${header.length} bytes, browsers keep ${MAX_COOKIE_BYTES} at most. Put less into the token, or use links.`,
      );
    }
    this.adapterHost.httpAdapter.appendHeader(response, 'Set-Cookie', header);
  }
}

function isSecureResponse(response: object): boolean {
  const { req, request } = response as { req?: RequestLike; request?: RequestLike };
  return (request ?? req)?.protocol === 'https';
}
