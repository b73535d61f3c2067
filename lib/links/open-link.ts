import type { ExecutionContext } from '@nestjs/common';
import type { FrameworkRequest } from '../http/http-exchange.js';
import { addressWithin } from '../leases/client-address.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { parseCompactJws, type UnverifiedToken } from '../tokens/compact-jws.js';
import { claimsToBeLink, type LinkBinding, type LinkClaims } from './link-claims.js';
import { requestedResource, resourceDigest } from './link-resource.js';
import type { LinkTokens } from './link-tokens.js';
import type { RouteRegistry } from './route-registry.js';

interface LinkOpenerOptions {
  readonly links: { readonly ignoreQuery: ReadonlySet<string> };
  readonly clock: () => number;
}

/** What is known of who opens a link. */
export interface LinkUser {
  /** As the framework resolves it behind trusted proxies. */
  readonly address: string | undefined;
  /** The subject of the access token in header or cookie, where a genuine one is. */
  readonly subject: string | undefined;
}

/** Decides whether a link opens what a request asks for. */
export class LinkOpener {
  constructor(
    private readonly options: LinkOpenerOptions,
    private readonly tokens: LinkTokens,
    private readonly routes: RouteRegistry,
  ) {}

  /** Whether a token is a link that this application has made, whatever it opens, and until when. */
  async isGenuine(token: string): Promise<boolean> {
    const unverified = parseCompactJws(token);
    return (
      unverified !== undefined &&
      claimsToBeLink(unverified.header.typ) &&
      (await this.tokens.open(unverified)) !== undefined
    );
  }

  /** The claims of a genuine link. @throws DownloadRefusal `LINK_INVALID` */
  async verify(unverified: UnverifiedToken): Promise<LinkClaims> {
    const claims = await this.tokens.open(unverified);
    if (!claims) {
      throw new DownloadRefusal('LINK_INVALID');
    }
    return claims;
  }

  /**
   * Checks that a genuine link opens what is asked for, for who asks. Whether it has expired is for the
   * keeper of leases to say: a download that had begun may go on for a while.
   *
   * @throws DownloadRefusal `LINK_SCOPE`, `LINK_NOT_YET_VALID`, `LINK_ADDRESS`, `LINK_SUBJECT`
   */
  check(claims: LinkClaims, request: FrameworkRequest, context: ExecutionContext, user: LinkUser): void {
    if (!this.isScopeOf(claims, request, context)) {
      throw new DownloadRefusal('LINK_SCOPE');
    }
    const now = this.options.clock() / 1000;
    if (claims.nbf !== undefined && now < claims.nbf) {
      throw new DownloadRefusal('LINK_NOT_YET_VALID', { retryAfter: claims.nbf - now });
    }
    const refusal = checkBinding(claims.bnd, claims.sub, user);
    if (refusal) {
      throw new DownloadRefusal(refusal);
    }
  }

  private isScopeOf(claims: LinkClaims, request: FrameworkRequest, context: ExecutionContext): boolean {
    const route = this.routes.identify(context.getClass(), context.getHandler());
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== route.method) {
      return false;
    }
    return claims.res === resourceDigest(requestedResource(route, request, this.options.links.ignoreQuery));
  }
}

/** @returns why the link is not for this user, `undefined` where it is */
function checkBinding(
  binding: LinkBinding | undefined,
  linkSubject: string | undefined,
  user: LinkUser,
): RefusalCode | undefined {
  if (binding?.net && !addressWithin(user.address, binding.net)) {
    return 'LINK_ADDRESS';
  }
  if (binding?.sub && (user.subject === undefined || user.subject !== linkSubject)) {
    return 'LINK_SUBJECT';
  }
  return undefined;
}
