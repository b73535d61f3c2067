import type { ExecutionContext } from '@nestjs/common';
import type { FrameworkRequest } from '../http/http-exchange.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import type { UnverifiedToken } from '../tokens/compact-jws.js';
import type { LinkClaims } from './link-claims.js';
import { requestedResource, resourceDigest } from './link-resource.js';
import { checkLinkTimes, type LinkTokens } from './link-tokens.js';
import type { RouteRegistry } from './route-registry.js';

interface LinkOpenerOptions {
  readonly links: { readonly maxAge: number | undefined; readonly ignoreQuery: ReadonlySet<string> };
  readonly clock: () => number;
}

/** Decides whether a link opens what a request asks for. */
export class LinkOpener {
  constructor(
    private readonly options: LinkOpenerOptions,
    private readonly tokens: LinkTokens,
    private readonly routes: RouteRegistry,
  ) {}

  /**
   * The claims of a genuine link to the requested resource that works now. The reason of a refusal beyond
   * `LINK_INVALID` is told only once the signature was found good.
   *
   * @throws DownloadRefusal `LINK_INVALID`, `LINK_SCOPE`, `LINK_EXPIRED`, `LINK_NOT_YET_VALID`
   */
  async open(
    unverified: UnverifiedToken,
    request: FrameworkRequest,
    context: ExecutionContext,
  ): Promise<LinkClaims> {
    const claims = await this.tokens.open(unverified);
    if (!claims) throw new DownloadRefusal('LINK_INVALID');
    if (!this.isScopeOf(claims, request, context)) throw new DownloadRefusal('LINK_SCOPE');
    const now = this.options.clock() / 1000;
    const refusal: RefusalCode | undefined = checkLinkTimes(claims, now, this.options.links.maxAge);
    if (refusal === 'LINK_NOT_YET_VALID') {
      throw new DownloadRefusal(refusal, { retryAfter: (claims.nbf ?? now) - now });
    }
    if (refusal) throw new DownloadRefusal(refusal);
    return claims;
  }

  private isScopeOf(claims: LinkClaims, request: FrameworkRequest, context: ExecutionContext): boolean {
    const route = this.routes.byHandler(context.getClass(), context.getHandler());
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== route.method) return false;
    return claims.res === resourceDigest(requestedResource(route, request, this.options.links.ignoreQuery));
  }
}
