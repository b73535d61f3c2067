import type { ClientAddresses } from '../http/client-addresses.js';
import { cookieOf } from '../http/cookies.js';
import { type HttpExchange, isSecure, requestPath } from '../http/http-exchange.js';
import { isPrefetch, isSelfNamedBot } from '../leases/unattended.js';
import { leaseCookieName, serializeLeaseCookie } from '../leases/lease-cookie.js';
import type { LeaseKeeper } from '../leases/lease-keeper.js';
import type { LeaseClient, LeasedLink } from '../leases/lease-link.js';
import type { DeliveryWatch } from '../delivery/delivery-watch.js';
import type { LeaseOptions } from '../leases/lease-options.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { LinkClaims } from './link-claims.js';

interface LinkAdmissionOptions {
  readonly links: { readonly maxAge: number | undefined; readonly publicUrl: string };
  readonly leases: Pick<LeaseOptions, 'isBot'> | undefined;
}

/** Writes a header field of a response, on either adapter. */
export type HeaderAppender = (response: object, name: string, value: string) => void;

/** Asks the keeper of leases whether a link, found good in every other way, may be used by this request. */
export class LinkAdmission {
  private readonly publicPath: string;

  constructor(
    private readonly options: LinkAdmissionOptions,
    private readonly keeper: Pick<LeaseKeeper, 'admit'>,
    private readonly addresses: ClientAddresses,
    private readonly appendHeader: HeaderAppender,
  ) {
    this.publicPath = options.links.publicUrl && new URL(options.links.publicUrl).pathname.replace(/\/$/, '');
  }

  /**
   * @returns the watch that counts what is delivered
   * @throws DownloadRefusal `LINK_EXPIRED`, `LINK_REVOKED`, `LINK_USED_UP`, `PREFETCH_REFUSED`,
   *   `BOT_REFUSED`,
   *   `STORE_UNAVAILABLE`
   */
  async admit(claims: LinkClaims, exchange: HttpExchange): Promise<DeliveryWatch> {
    const link = leasedLink(claims, this.options.links.maxAge);
    const watch = await this.keeper.admit(link, this.client(claims, exchange));
    if (link.maxDownloads !== undefined && exchange.request.method !== 'HEAD' && this.isBot(exchange)) {
      throw new DownloadRefusal('BOT_REFUSED');
    }
    return watch;
  }

  private isBot({ request }: HttpExchange): boolean {
    const isBot = this.options.leases?.isBot ?? isSelfNamedBot;
    return isBot !== false && isBot(request);
  }

  private client(claims: LinkClaims, exchange: HttpExchange): LeaseClient {
    const { request, response } = exchange;
    const { headers } = request;
    const secure = isSecure(exchange);
    return {
      address: this.addresses.of(exchange),
      userAgent: headers['user-agent'],
      leaseCookie: cookieOf(exchange, leaseCookieName(claims.jti)),
      path: this.publicPath + requestPath(exchange),
      prefetch: isPrefetch(headers),
      setCookie: (cookie) => this.appendHeader(response, 'Set-Cookie', serializeLeaseCookie(cookie, secure)),
    };
  }
}

function leasedLink(claims: LinkClaims, maxAge = Infinity): LeasedLink {
  const { max, strict, resume, bytes, rev } = claims.lim ?? {};
  return {
    id: claims.jti,
    subject: claims.sub,
    resource: claims.res,
    issuedAt: milliseconds(claims.iat),
    expiresAt: milliseconds(Math.min(claims.exp, claims.iat + maxAge)),
    maxDownloads: max,
    strict,
    resumeWithin: resume === undefined ? undefined : milliseconds(resume),
    byteBudget: bytes,
    revocable: rev,
  };
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}
