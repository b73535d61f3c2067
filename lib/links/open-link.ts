import type { ExecutionContext } from '@nestjs/common';
import type { DeliveryWatch } from '../delivery/watch.js';
import { cookieOf, isSecure, requestPath, routePattern } from '../http/http-exchange.js';
import type { ClientAddresses, FrameworkRequest, HttpExchange } from '../http/http-exchange.js';
import { leaseCookieName, serializeLeaseCookie } from '../leases/client.js';
import type { LeaseClient } from '../leases/client.js';
import type { LeaseKeeper } from '../leases/keeper.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { addressWithin } from '../shared/ip-address.js';
import { isPrefetch, isSelfNamedBot } from './automatic-requests.js';
import { leasedLink } from './link-claims.js';
import type { LinkClaims } from './link-claims.js';
import type { LinkSettings } from './link-options.js';
import { resourceDigest } from './link-resource.js';
import type { LinkTokens } from './link-tokens.js';
import type { RouteRegistry } from './route-registry.js';

/** Decides whether a link opens what a request asks for, for whoever asks. */
export class LinkOpener {
  private readonly publicPath: string;

  constructor(
    private readonly options: LinkSettings,
    private readonly tokens: LinkTokens,
    private readonly routes: RouteRegistry,
    private readonly keeper: Pick<LeaseKeeper, 'admit' | 'endOf'>,
    private readonly addresses: ClientAddresses,
    /** Writes a header field of a response, on either adapter. */
    private readonly appendHeader: (response: object, name: string, value: string) => void,
  ) {
    const { publicUrl } = options.links;
    this.publicPath = publicUrl && new URL(publicUrl).pathname.replace(/\/$/, '');
  }

  /** Whether a token is a link that this application has made, whatever it opens, and until when. */
  async isGenuine(token: string): Promise<boolean> {
    return (await this.tokens.open(token)) !== undefined;
  }

  /** The claims of a genuine link. @throws DownloadRefusal `LINK_INVALID` */
  verify(token: string): Promise<LinkClaims> {
    return this.tokens.verify(token);
  }

  /**
   * Opens a genuine link for a request.
   *
   * @param signedIn the subject of the access token beside the link, where there is a genuine one
   * @returns the watch that counts what is delivered
   * @throws DownloadRefusal `LINK_SCOPE`, `LINK_NOT_YET_VALID`, `LINK_ADDRESS`, `LINK_SUBJECT`,
   *   `LINK_EXPIRED`, `LINK_REVOKED`, `LINK_USED_UP`, `PREFETCH_REFUSED`, `BOT_REFUSED`, `STORE_UNAVAILABLE`
   */
  async open(
    claims: LinkClaims,
    exchange: HttpExchange,
    context: ExecutionContext,
    signedIn: string | undefined,
  ): Promise<DeliveryWatch> {
    if (!this.isScopeOf(claims, exchange.request, context)) {
      throw new DownloadRefusal('LINK_SCOPE');
    }
    const now = this.options.clock() / 1000;
    if (claims.nbf !== undefined && now < claims.nbf) {
      throw new DownloadRefusal('LINK_NOT_YET_VALID', { retryAfter: claims.nbf - now });
    }
    const { net, sub } = claims.bnd ?? {};
    if (net && !addressWithin(this.addresses.of(exchange), net)) {
      throw new DownloadRefusal('LINK_ADDRESS');
    }
    if (sub && (signedIn === undefined || signedIn !== claims.sub)) {
      throw new DownloadRefusal('LINK_SUBJECT');
    }
    return this.admit(claims, exchange);
  }

  /** Where a browser is to keep a cookie of a link, and until when, in milliseconds since 1970. */
  cookieScope(claims: LinkClaims, exchange: HttpExchange): { path: string; endsAt: number } {
    const endsAt = this.keeper.endOf(leasedLink(claims, this.options.links.maxAge));
    return { path: this.pathOf(exchange), endsAt };
  }

  /** The path as the client knows it. */
  private pathOf(exchange: HttpExchange): string {
    return this.publicPath + requestPath(exchange);
  }

  /** Whether it opens what the request asks for; the token has been taken out of its query before. */
  private isScopeOf(claims: LinkClaims, request: FrameworkRequest, context: ExecutionContext): boolean {
    const route = this.routes.ofRequest(context.getClass(), context.getHandler());
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== route?.method) {
      return false;
    }
    const { params = {}, query = {}, hosts = {} } = request;
    const { ignoreQuery } = this.options.links;
    const bound = Object.fromEntries(Object.entries(query).filter(([name]) => !ignoreQuery.has(name)));
    const pattern = routePattern(request);
    return claims.res === resourceDigest({ route, pattern, params, query: bound, hosts });
  }

  /** Expiry is judged here too: a download that had begun may go on for a while. */
  private async admit(claims: LinkClaims, exchange: HttpExchange): Promise<DeliveryWatch> {
    const { request } = exchange;
    const link = leasedLink(claims, this.options.links.maxAge);
    const watch = await this.keeper.admit(link, this.client(claims, exchange));
    if (link.maxDownloads !== undefined) {
      this.refuseAutomatic(request);
    }
    return watch;
  }

  /** @throws DownloadRefusal `PREFETCH_REFUSED`, `BOT_REFUSED` */
  private refuseAutomatic(request: FrameworkRequest): void {
    if (isPrefetch(request.headers)) {
      throw new DownloadRefusal('PREFETCH_REFUSED');
    }
    const isBot = this.options.leases?.isBot ?? isSelfNamedBot;
    if (request.method !== 'HEAD' && isBot && isBot(request)) {
      throw new DownloadRefusal('BOT_REFUSED');
    }
  }

  private client(claims: LinkClaims, exchange: HttpExchange): LeaseClient {
    const { request, response } = exchange;
    const { headers } = request;
    const secure = isSecure(exchange);
    return {
      address: this.addresses.of(exchange),
      userAgent: headers['user-agent'],
      leaseCookie: cookieOf(exchange, leaseCookieName(claims.jti)),
      path: this.pathOf(exchange),
      setCookie: (cookie) => this.appendHeader(response, 'Set-Cookie', serializeLeaseCookie(cookie, secure)),
    };
  }
}
