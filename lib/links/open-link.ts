import type { ExecutionContext } from '@nestjs/common';
import type { DeliveryWatch } from '../delivery/watch.js';
import { ClientAddresses, cookieOf, pathOf, requestPath, routePattern } from '../http/http-exchange.js';
import type { FrameworkRequest, HttpExchange } from '../http/http-exchange.js';
import type { LinkCookie, LinkCookies } from '../http/link-cookies.js';
import { isPrefetch, isSelfNamedBot } from '../http/requester.js';
import { leaseCookieName } from '../leases/client.js';
import type { LeaseClient } from '../leases/client.js';
import type { LeasedLink } from '../leases/counted-delivery.js';
import type { LeaseKeeper } from '../leases/keeper.js';
import { seeOther } from '../prompts/link-prompts.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { asked } from '../shared/hooks.js';
import { addressWithin } from '../shared/ip-address.js';
import type { PresentedToken } from '../tokens/request-tokens.js';
import { cleanUrl, companionCookie } from './companion-cookie.js';
import { leasedLink } from './link-claims.js';
import type { LinkClaims } from './link-claims.js';
import type { LinkSettings } from './options.js';
import { isInCollection, resourceDigest, without } from './link-resource.js';
import type { LinkResource } from './link-resource.js';
import type { LinkTokens } from './link-tokens.js';
import type { Route } from './nest-routes.js';
import type { RouteRegistry } from './route-registry.js';

/** Decides whether a link opens what a request asks for, for whoever asks. */
export class LinkOpener {
  private readonly addresses = new ClientAddresses();

  constructor(
    private readonly options: LinkSettings,
    private readonly tokens: LinkTokens,
    private readonly routes: RouteRegistry,
    private readonly keeper: LeaseKeeper,
    private readonly cookies: LinkCookies,
  ) {}

  /** Whether a token is a link of this application, whatever it opens and until when. */
  async isGenuine(token: string): Promise<boolean> {
    return (await this.tokens.claimsOf(token)) !== undefined;
  }

  /** The claims of a genuine link. @throws DownloadRefusal `LINK_INVALID` */
  async verify({ token, transport }: PresentedToken): Promise<LinkClaims> {
    const claims = await this.tokens.verify(token);
    if (transport === 'companion' && !claims.col) {
      throw new DownloadRefusal('LINK_INVALID');
    }
    return claims;
  }

  /** Opens a genuine link for a request; the store is not asked, {@link admit} does that. */
  open(
    claims: LinkClaims,
    exchange: HttpExchange,
    context: ExecutionContext,
    signedIn: string | undefined,
  ): LeasedLink {
    const resource = this.resourceOf(exchange, context);
    const digest = resource && resourceDigest(resource);
    const isScope = claims.col
      ? resource && isInCollection(claims.res, claims.col, resource, requestPath(exchange))
      : claims.res === digest;
    if (!isScope) {
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
    const link = leasedLink(claims, this.options.links.maxAge, claims.col && digest);
    if (now * 1000 >= this.keeper.endOf(link)) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    return link;
  }

  /** Asks the store whether a link may be used now; the watch counts what is delivered. */
  async admit(link: LeasedLink, exchange: HttpExchange): Promise<DeliveryWatch> {
    const path = this.publicPathOf(exchange);
    const client = new RequestingClient(link.id, exchange, path, this.addresses, this.cookies);
    const watch = await this.keeper.admit(link, client);
    if (link.maxDownloads !== undefined) {
      await this.refuseAutomatic(exchange.request);
    }
    return watch;
  }

  /** Whether the handler of a request sends its answer itself, past the interceptor. */
  answersItself(context: ExecutionContext): boolean {
    return this.routeOf(context)?.answersItself === true;
  }

  /** Where a browser is to keep a cookie of a link, and until when, in milliseconds since 1970. */
  cookieScope(claims: LinkClaims, exchange: HttpExchange): { path: string; endsAt: number } {
    const endsAt = this.keeper.endOf(leasedLink(claims, this.options.links.maxAge));
    return { path: claims.col?.path ?? this.publicPathOf(exchange), endsAt };
  }

  /** The path as the client knows it: as it came in, or as links have it where they lead through a proxy. */
  private publicPathOf(exchange: HttpExchange): string {
    const { publicPath } = this.options.links;
    const { url = '/' } = exchange.rawRequest;
    return publicPath ? publicPath + pathOf(url) : requestPath(exchange);
  }

  /**
   * Exchanges a link to a collection for its companion cookie, for URLs that do not hold the token.
   * @throws LinkReply where the link leads a person who opened it in a browser to the URL without its token
   */
  exchange(claims: LinkClaims, { token, transport }: PresentedToken, exchange: HttpExchange): void {
    const cookie = companionCookie(claims, token, exchange, this.options);
    if (cookie) {
      this.cookies.setUnlessError(cookie, exchange);
    }
    const location = transport === 'query' ? cleanUrl(claims, exchange) : undefined;
    if (location !== undefined) {
      throw seeOther(location);
    }
  }

  private routeOf(context: ExecutionContext): Route | undefined {
    return this.routes.ofRequest(context.getClass(), context.getHandler());
  }

  /** What a request asks for; undefined for a method that links do not open. */
  private resourceOf(exchange: HttpExchange, context: ExecutionContext): LinkResource | undefined {
    const { request } = exchange;
    const route = this.routeOf(context);
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== route?.method) {
      return undefined;
    }
    const { params = {}, query = {} } = this.routes.router?.received(request) ?? request;
    const bound = without(query, this.options.links.ignoreQuery);
    return { route, pattern: routePattern(request), params, query: bound, hosts: request.hosts ?? {} };
  }

  /** @throws DownloadRefusal `PREFETCH_REFUSED`, `BOT_REFUSED` */
  private async refuseAutomatic(request: FrameworkRequest): Promise<void> {
    if (isPrefetch(request.headers)) {
      throw new DownloadRefusal('PREFETCH_REFUSED');
    }
    const isBot = this.options.leases?.isBot ?? isSelfNamedBot;
    if (request.method !== 'HEAD' && isBot && (await asked('leases.isBot', () => isBot(request)))) {
      throw new DownloadRefusal('BOT_REFUSED');
    }
  }
}

/**
 * Only links whose downloads are counted need the address and the cookie. A class, as V8 keeps what accessors
 * of an object literal refer to, here whole requests, in memory until a full collection.
 */
class RequestingClient implements LeaseClient {
  constructor(
    private readonly linkId: string,
    private readonly exchange: HttpExchange,
    readonly path: string,
    private readonly addresses: ClientAddresses,
    private readonly cookies: LinkCookies,
  ) {}

  get address(): string | undefined {
    return this.addresses.of(this.exchange);
  }

  get userAgent(): string | undefined {
    return this.exchange.request.headers['user-agent'];
  }

  get leaseCookie(): string | undefined {
    const { headers } = this.exchange.request;
    return headers.cookie && cookieOf(this.exchange, leaseCookieName(this.linkId));
  }

  setCookie(cookie: LinkCookie): void {
    this.cookies.setUnlessError(cookie, this.exchange);
  }
}
