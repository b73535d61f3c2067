import { Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { watchNote } from './delivery/watch.js';
import { claimantNote, transportNote } from './events/claimant.js';
import { DownloadEvents } from './events/download-events.js';
import { exchangeOf, isSecure, requestPath } from './http/http-exchange.js';
import type { HttpExchange } from './http/http-exchange.js';
import { PerRoute, RequestNote } from './http/notes.js';
import { unleasedWatch } from './leases/delivery-events.js';
import { claimsToBeLink, grantedLink } from './links/link-claims.js';
import { LinkOpener } from './links/open-link.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { routeOptions, routePolicy } from './route-options.js';
import type { RoutePolicy } from './route-options.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { AccessTokens, invalidToken } from './tokens/access-tokens.js';
import { parseCompactJws, typeOf } from './tokens/compact-jws.js';
import type { TokenClaims, UnverifiedToken } from './tokens/compact-jws.js';
import { grantNote } from './tokens/grant.js';
import type { DownloadGrant } from './tokens/grant.js';
import { companionToken, decidingToken } from './tokens/deciding-token.js';
import type { PresentedToken } from './tokens/deciding-token.js';
import { takeTokens } from './tokens/transports.js';
import type { FoundTokens } from './tokens/transports.js';

/** The call of a handler that a request was granted for; Nest makes one context for all guards of a call. */
const judgedIn = new RequestNote<ExecutionContext>('judged');

/**
 * Lets a request through to its handler if it carries a valid token: the application's access token, or a
 * link token made for this very resource. `@StreamDownload()` brings it along.
 */
@Injectable()
export class DownloadAuthGuard implements CanActivate {
  private readonly policies = new PerRoute<RoutePolicy>();

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(AccessTokens) private readonly accessTokens: AccessTokens,
    @Inject(LinkOpener) private readonly links: LinkOpener,
    @Inject(DownloadEvents) private readonly events: DownloadEvents,
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(RequestReport) private readonly report: RequestReport,
  ) {}

  /** Whether this guard works with these options, of one module instance among several. */
  isFor(options: ResolvedOptions): boolean {
    return this.options === options;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const exchange = exchangeOf(context);
    // A handler and its controller may both be marked, which makes two guards; a request that is forwarded to
    // another handler is judged again.
    if (judgedIn.get(exchange.request) === context) {
      return true;
    }
    for (const note of [judgedIn, grantNote, watchNote, claimantNote, transportNote]) {
      note.clear(exchange.request);
    }
    this.report.begin(exchange, context);
    try {
      const grant = await this.judge(exchange, context);
      grantNote.set(exchange.request, grant);
      this.report.granted(exchange, grant.kind);
    } catch (error) {
      this.report.failed(exchange, error);
      throw error;
    }
    judgedIn.set(exchange.request, context);
    return true;
  }

  private async judge(exchange: HttpExchange, context: ExecutionContext): Promise<DownloadGrant> {
    const policy = this.policyOf(context);
    // Before any refusal, so that the tokens leave the request's URL whatever becomes of it
    const found = takeTokens(exchange, this.options.tokenNames, policy.transports);
    if (policy.requireSecureConnection && !isSecure(exchange)) {
      throw new DownloadRefusal('INSECURE_CONNECTION');
    }
    const presented = await decidingToken(found, (token) => this.links.isGenuine(token));
    transportNote.set(exchange.request, presented.transport);
    const unverified = parseCompactJws(presented.token);
    const isLink = claimsToBeLink(unverified ? unverified.header.typ : typeOf(presented.token));
    if (!unverified) {
      throw isLink
        ? new DownloadRefusal('LINK_INVALID')
        : invalidToken('It is not a JWT in compact serialization.');
    }
    return isLink
      ? await this.openLink(unverified, presented, found, exchange, context)
      : await this.authenticate(unverified, presented, exchange, policy);
  }

  /** Verifies an access token and asks the application's `validate`. */
  private async authenticate(
    unverified: UnverifiedToken,
    { transport }: PresentedToken,
    exchange: HttpExchange,
    policy: RoutePolicy,
  ): Promise<DownloadGrant> {
    const { request } = exchange;
    if (transport === 'query') {
      this.acceptInQuery(policy);
    }
    const claims = await this.accessTokens.authenticate(unverified, request);
    const claimant = { subject: claims.sub, path: requestPath(exchange) };
    claimantNote.set(request, claimant);
    request.user = await this.validated(this.options.validate, claims, request);
    const watch = unleasedWatch(this.events, this.options.clock, claimant);
    if (watch) {
      watchNote.set(request, watch);
    }
    return { kind: 'access', subject: claims.sub, claims, transport };
  }

  /** Checks that a link opens what is asked for, for who asks, and may be used now. */
  private async openLink(
    unverified: UnverifiedToken,
    presented: PresentedToken,
    found: FoundTokens,
    exchange: HttpExchange,
    context: ExecutionContext,
  ): Promise<DownloadGrant> {
    const { request } = exchange;
    const claims = await this.links.verify(unverified);
    const { sub: subject, res: resource, jti: linkId } = claims;
    claimantNote.set(request, { linkId, subject, resource, path: requestPath(exchange) });
    const signedIn = claims.bnd?.sub
      ? await this.signedIn(companionToken(found, presented), request)
      : undefined;
    watchNote.set(request, await this.links.open(claims, exchange, context, signedIn?.sub));
    const user = await this.validated(this.options.links.validate, claims, request);
    request.user = signedIn ? await this.validated(this.options.validate, signedIn, request) : user;
    return { kind: 'link', subject, claims, transport: presented.transport, link: grantedLink(claims) };
  }

  /** The claims of the access token beside a link, if it is genuine. */
  private async signedIn(companion: string | undefined, request: unknown): Promise<TokenClaims | undefined> {
    const unverified = companion === undefined ? undefined : parseCompactJws(companion);
    if (!unverified) {
      return undefined;
    }
    try {
      return await this.accessTokens.authenticate(unverified, request);
    } catch (error) {
      if (error instanceof DownloadRefusal && error.getStatus() === 401) {
        return undefined;
      }
      throw error;
    }
  }

  private async validated<Claims>(
    validate: ((claims: Claims, request: unknown) => unknown) | undefined,
    claims: Claims,
    request: unknown,
  ): Promise<unknown> {
    if (!validate) {
      return claims;
    }
    const user = await validate(claims, request);
    if (!user) {
      throw new DownloadRefusal('ACCESS_DENIED');
    }
    return user;
  }

  private acceptInQuery(policy: RoutePolicy): void {
    if (policy.transports.query === 'links') {
      throw invalidToken("It came in the query, where transports.query is 'links'.");
    }
    this.accessTokens.warnAboutQuery();
  }

  private policyOf(context: ExecutionContext): RoutePolicy {
    return this.policies.of(context, () =>
      routePolicy(this.options, routeOptions(this.reflector, context.getClass(), context.getHandler())),
    );
  }
}
