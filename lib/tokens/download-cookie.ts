import { Injectable } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { serialize } from 'cookie';
import { isIP } from 'node:net';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { parseCompactJws } from './compact-jws.js';
import type { CookieOptions, TokenNames } from './token-options.js';

/**
 * Bytes of name, value and attributes that a browser must keep at the least (RFC 6265 §6.1), and keeps at the
 * most.
 */
const MAX_COOKIE_BYTES = 4096;

/** Domains for which a cookie is cleared at the most: one `Set-Cookie` line for each. */
const MAX_DOMAINS = 4;

interface DownloadCookieSettings {
  readonly cookie: CookieOptions;
  readonly tokenNames: TokenNames;
  readonly clock: () => number;
}

interface RequestLike {
  readonly protocol?: string;
  readonly hostname?: string;
}

interface CookieScope {
  readonly path: string;
  readonly domain: string | undefined;
  readonly partitioned: boolean | undefined;
  readonly secure: boolean;
}

/**
 * Puts the access token into a cookie, so that plain links to downloads work for whoever is signed in; takes
 * it out again. The cookie is HttpOnly, SameSite=Lax unless configured otherwise, Secure on a secure
 * connection, and ends with the token.
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
    private readonly options: DownloadCookieSettings,
    private readonly adapterHost: HttpAdapterHost,
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
    const maxAge = typeof exp === 'number' ? Math.max(0, Math.floor(exp - now)) : undefined;
    const { path = '/', domain, partitioned, secure = isSecureResponse(response) } = this.options.cookie;
    this.write(response, accessToken, maxAge, { path, domain, partitioned, secure });
  }

  /**
   * Clears the cookie that {@link set} has set, and others of its name that a browser may have kept since the
   * options were different, or that a neighbouring host has planted: for this host alone, for `cookie.domain`
   * and for the domains above this host, on `cookie.path` and on `/`, partitioned and not. Browsers ignore
   * what is not theirs.
   *
   * @param response the response as the framework gives it to a handler: `@Res({ passthrough: true })`
   */
  clear(response: object): void {
    const {
      path = '/',
      domain,
      partitioned = false,
      secure = isSecureResponse(response),
    } = this.options.cookie;
    const isHostOnly = /^__Host-/i.test(this.options.tokenNames.cookie);
    const domains = isHostOnly ? [undefined] : [domain, undefined, ...domainsAbove(hostOf(response))];
    for (const one of new Set(domains)) {
      for (const on of new Set([path, '/'])) {
        for (const jar of secure ? [partitioned, !partitioned] : [partitioned]) {
          this.write(response, '', 0, { path: on, domain: one, partitioned: jar, secure });
        }
      }
    }
  }

  private write(response: object, value: string, maxAge: number | undefined, scope: CookieScope): void {
    const { sameSite = 'lax' } = this.options.cookie;
    const header = serialize(this.options.tokenNames.cookie, value, {
      httpOnly: true,
      sameSite,
      maxAge,
      ...scope,
      ...(maxAge === 0 && { expires: new Date(0) }),
    });
    if (header.length > MAX_COOKIE_BYTES) {
      throw new DownloadAuthConfigurationError(
        `DownloadCookie.set: the cookie would have ${header.length} bytes, browsers keep ${MAX_COOKIE_BYTES} ` +
          'at most. Put less into the token, or use links.',
      );
    }
    this.adapterHost.httpAdapter.appendHeader(response, 'Set-Cookie', header);
  }
}

function requestOf(response: object): RequestLike | undefined {
  const { req, request } = response as { req?: RequestLike; request?: RequestLike };
  return request ?? req;
}

function isSecureResponse(response: object): boolean {
  return requestOf(response)?.protocol === 'https';
}

function hostOf(response: object): string {
  return requestOf(response)?.hostname ?? '';
}

/**
 * The host and the domains above it that a cookie can be for; none for an address or a host without a domain.
 */
function domainsAbove(host: string): string[] {
  const labels = host.toLowerCase().split('.');
  const isName = labels.length > 1 && labels.every((label) => /^[a-z0-9-]{1,63}$/.test(label));
  if (!isName || isIP(host) !== 0) {
    return [];
  }
  return labels.slice(0, MAX_DOMAINS).flatMap((_label, index) => {
    const domain = labels.slice(index);
    return domain.length > 1 ? [domain.join('.')] : [];
  });
}
