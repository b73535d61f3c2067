import type { HttpAdapterHost } from '@nestjs/core';
import { isSecure } from './http-exchange.js';
import type { HttpExchange } from './http-exchange.js';
import { beforeHead } from './response-port.js';

/** A cookie that a link leaves in a browser. */
export interface LinkCookie {
  /** `ss-`, its kind, and what tells it from others of its kind. */
  readonly name: string;
  /** In characters that a cookie may have. */
  readonly value: string;
  /** As browsers see it. */
  readonly path: string;
  /** Seconds for which the link can still be used in this way. */
  readonly maxAge: number;
  /** How many of its kind a browser keeps for one path: all headers of a request share 16 KiB. Default 40. */
  readonly most?: number;
}

interface LinkCookieSettings {
  /** Those of the access token's cookie. */
  readonly cookie: { readonly sameSite?: string; readonly secure?: boolean; readonly partitioned?: boolean };
}

/** Sets the cookies of links: of leases, prompts and collections. */
export class LinkCookies {
  constructor(
    private readonly options: LinkCookieSettings,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /** Sets a cookie, and removes the oldest of its kind where there are too many. */
  set(cookie: LinkCookie, exchange: HttpExchange): void {
    for (const line of this.lines(cookie, exchange)) {
      this.adapterHost.httpAdapter.appendHeader(exchange.response, 'Set-Cookie', line);
    }
  }

  /** As {@link set}, unless the answer turns out to be an error: then the link has opened nothing. */
  setUnlessError(cookie: LinkCookie, exchange: HttpExchange): void {
    let isDecided = false;
    beforeHead(exchange.rawResponse, (status) => {
      const isSet = status < 400 && !isDecided;
      isDecided = true;
      if (isSet) {
        for (const line of this.lines(cookie, exchange)) {
          exchange.rawResponse.appendHeader('Set-Cookie', line);
        }
      }
    });
  }

  private lines(cookie: LinkCookie, exchange: HttpExchange): string[] {
    const surplus = surplusOf(cookie, exchange).map((name) => ({ ...cookie, name, value: '', maxAge: 0 }));
    return [cookie, ...surplus].map((one) => this.line(one, exchange));
  }

  /**
   * A `Set-Cookie` value (RFC 6265 §4.1). Not `Strict`, as links are opened from mails and other sites.
   * Chromium drops cookies of low priority first when a site has too many, so that the leases of 200 links do
   * not cost the user the session; other browsers ignore the attribute.
   */
  private line({ name, value, path, maxAge }: LinkCookie, exchange: HttpExchange): string {
    const { sameSite, secure = isSecure(exchange), partitioned } = this.options.cookie;
    // Only what RFC 6265 forbids in a path: the rest of a URL's path is ASCII already
    const escaped = path.replace(/[;\s\p{Cc}]/gu, (c) => encodeURIComponent(c));
    return (
      `${name}=${value}; Path=${escaped}; Max-Age=${maxAge}; HttpOnly` +
      `; SameSite=${sameSite === 'none' ? 'None' : 'Lax'}; Priority=Low` +
      (secure ? '; Secure' : '') +
      (partitioned ? '; Partitioned' : '')
    );
  }
}

/** Names of cookies that are too many of one kind: the oldest, which browsers send first (RFC 6265 §5.4). */
function surplusOf({ name: set, most = 40 }: LinkCookie, { rawRequest }: HttpExchange): string[] {
  const kind = set.slice(0, set.indexOf('-', 'ss-'.length) + 1);
  const others = (rawRequest.headers.cookie?.split(';') ?? [])
    .map((pair) => pair.split('=', 1).join('').trim())
    .filter((name) => name.startsWith(kind) && name !== set && /^[\w-]+$/.test(name));
  return others.slice(0, Math.max(0, others.length + 1 - most));
}
