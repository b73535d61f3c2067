import { Injectable } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { serialize } from 'cookie';
import { isIP } from 'node:net';
import { isSecure, requestOf } from '../http/http-exchange.js';
import { boolean, checkOptions, oneOf, rule } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { parseCompactJws } from './compact-jws.js';
import type { TokenNames } from './transports.js';

/** How {@link DownloadCookie} writes the cookie (RFC 6265bis §4.1.2). */
export interface CookieOptions {
  /** Default `'/'`. */
  path?: string;
  /** Default: none, which confines the cookie to the host that set it. */
  domain?: string;
  /**
   * Default `'lax'`: sent when a person follows a link to the download, not with cross-site subrequests. With
   * `partitioned` it is `'none'`.
   */
  sameSite?: 'lax' | 'strict' | 'none';
  /**
   * Default: whether the request that sets the cookie is secure; `true` with `sameSite: 'none'`, with
   * `partitioned` and for names that require it.
   */
  secure?: boolean;
  /**
   * Keeps one cookie per site that embeds the application in a frame (CHIPS), where browsers block
   * third-party cookies. Default `false`.
   */
  partitioned?: boolean;
}

/** Limit of name, value and attributes (RFC 6265 §6.1), in bytes: browsers drop what is larger. */
export const MAX_COOKIE_BYTES = 4096;

/** Cap on the domains that are cleared: each takes several `Set-Cookie` lines. */
const MAX_DOMAINS = 4;

const RULES: OptionRules<CookieOptions> = {
  path: attribute('path', "a path such as '/files'"),
  domain: attribute('domain', "a host name such as 'example.com'"),
  sameSite: oneOf('lax', 'strict', 'none'),
  secure: boolean,
  partitioned: boolean,
};

function attribute(name: 'path' | 'domain', expected: string): OptionRule {
  return rule((value) => {
    try {
      return typeof value === 'string' && serialize('name', '', { [name]: value }) !== '';
    } catch {
      return false;
    }
  }, `write ${expected}.`);
}

/** @throws DownloadAuthConfigurationError for attributes that browsers refuse, alone or with this name */
export function resolveCookie(options: CookieOptions = {}, name: string): CookieOptions {
  checkOptions(options, RULES, 'cookie');
  const { partitioned, sameSite = partitioned ? 'none' : 'lax' } = options;
  if (partitioned && sameSite !== 'none') {
    throw new DownloadAuthConfigurationError(
      "cookie.sameSite: a partitioned cookie is for frames on other sites. Leave sameSite out, or write 'none'.",
    );
  }
  // browsers match the prefixes in any case
  const prefix = /^__(?:Host|Secure|Http|Host-Http)-/i.exec(name)?.[0];
  const needing = prefix ?? (partitioned ? 'partitioned' : sameSite === 'none' && "sameSite 'none'");
  if (needing && options.secure === false) {
    throw new DownloadAuthConfigurationError(
      `cookie.secure: browsers keep a cookie with ${needing} only if it is secure. Leave secure out, or write true.`,
    );
  }
  if (prefix && isHostOnly(name) && (options.domain ?? options.path ?? '/') !== '/') {
    throw new DownloadAuthConfigurationError(
      `tokenName.cookie: browsers keep a cookie named ${prefix}… only without a domain and with the path '/'. ` +
        'Leave cookie.domain and cookie.path out, or choose another name.',
    );
  }
  return { ...options, sameSite, ...(needing && { secure: true }) };
}

interface DownloadCookieSettings {
  readonly cookie: CookieOptions;
  readonly tokenNames: Pick<TokenNames, 'cookie'>;
  readonly clock: () => number;
}

type CookieScope = Pick<CookieOptions, 'path' | 'domain' | 'partitioned' | 'secure'>;

/**
 * Puts the access token into a cookie, so that plain links to downloads work for everyone who is signed in,
 * and clears it. The cookie is HttpOnly, SameSite=Lax unless configured otherwise, Secure on a secure
 * connection, and expires with the token.
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
   * @param response the framework's response, as a handler gets it: `@Res({ passthrough: true })`
   * @param accessToken a token that the application has issued or verified; it is not verified here
   * @throws DownloadAuthConfigurationError if this is not a JWT, or longer than browsers keep
   */
  set(response: object, accessToken: string): void {
    const unverified = parseCompactJws(accessToken);
    if (!unverified) {
      throw new DownloadAuthConfigurationError('DownloadCookie.set: give a signed JWT, without "Bearer ".');
    }
    const { exp } = unverified.claims;
    const now = this.options.clock() / 1000;
    const maxAge = typeof exp === 'number' ? Math.max(0, Math.floor(exp - now)) : undefined;
    this.write(response, accessToken, maxAge, this.scopeFor(response));
  }

  /**
   * Clears the cookie that {@link set} has set, and others of its name that the browser may have: from before
   * the options changed, or planted by a neighbouring host. That is: for this host alone, for `cookie.domain`
   * and the domains above this host, on `cookie.path` and on `/`, partitioned and not. Browsers ignore lines
   * that do not apply.
   *
   * @param response the framework's response, as a handler gets it: `@Res({ passthrough: true })`
   */
  clear(response: object): void {
    const { path, domain, partitioned = false, secure } = this.scopeFor(response);
    const domains = isHostOnly(this.options.tokenNames.cookie)
      ? [undefined]
      : [domain, undefined, ...domainsAbove(requestOf(response)?.hostname)];
    for (const one of new Set(domains)) {
      for (const on of new Set([path, '/'])) {
        for (const jar of secure ? [partitioned, !partitioned] : [partitioned]) {
          this.write(response, '', 0, { path: on, domain: one, partitioned: jar, secure });
        }
      }
    }
  }

  private scopeFor(response: object): CookieScope {
    const request = requestOf(response);
    const {
      path = '/',
      domain,
      partitioned,
      secure = request && isSecure({ request }),
    } = this.options.cookie;
    return { path, domain, partitioned, secure };
  }

  private write(response: object, value: string, maxAge: number | undefined, scope: CookieScope): void {
    const header = serialize(this.options.tokenNames.cookie, value, {
      httpOnly: true,
      sameSite: this.options.cookie.sameSite,
      maxAge,
      ...scope,
      ...(maxAge === 0 && { expires: new Date(0) }),
    });
    if (header.length > MAX_COOKIE_BYTES) {
      throw new DownloadAuthConfigurationError(
        `DownloadCookie.set: the cookie would have ${header.length} bytes; browsers keep at most ${MAX_COOKIE_BYTES}. ` +
          'Put less into the token, or use links.',
      );
    }
    this.adapterHost.httpAdapter.appendHeader(response, 'Set-Cookie', header);
  }
}

function isHostOnly(name: string): boolean {
  return /^__Host-/i.test(name);
}

/** The host and the domains above it that a cookie can be for; none for an IP address or `localhost`. */
function domainsAbove(host = ''): string[] {
  const labels = host.toLowerCase().split('.');
  if (isIP(host) !== 0 || !labels.every((label) => /^[a-z0-9-]{1,63}$/.test(label))) {
    return [];
  }
  return labels
    .slice(0, Math.min(MAX_DOMAINS, labels.length - 1))
    .map((_, index) => labels.slice(index).join('.'));
}
