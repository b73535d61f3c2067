import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { exchangeOf, type HttpExchange, isSecure } from './http/http-exchange.js';
import { scrubRequest } from './http/scrub-request.js';
import { claimsToBeLink, describeLink } from './links/link-claims.js';
import { LinkOpener } from './links/link-opener.js';
import type { TransportOptions } from './options/download-auth-options.js';
import { PerRoute } from './options/per-route.js';
import { RESOLVED_OPTIONS, type ResolvedOptions, resolveTransports } from './options/resolve-options.js';
import { routeOptions } from './options/stream-download.metadata.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { parseCompactJws, type UnverifiedToken } from './tokens/compact-jws.js';
import { attachGrant, type DownloadGrant, grantOf } from './tokens/download-grant.js';
import { QueryWarning } from './tokens/query-warning.js';
import { decidingToken, type PresentedToken, readTokens } from './tokens/token-reader.js';

/** What one route decided: the module's options, with those of `@StreamDownload()` laid over them. */
export interface RoutePolicy {
  readonly transports: Required<TransportOptions>;
  readonly requireSecureConnection: boolean;
}

/**
 * Lets a request through to its handler once a token vouches for it: the application's access token, or a link token
 * made for this very resource. `@StreamDownload()` brings it along; its steps are protected methods, each of which a
 * subclass may override.
 */
@Injectable()
export class DownloadAuthGuard implements CanActivate {
  private readonly policies = new PerRoute<RoutePolicy>();

  constructor(
    @Inject(RESOLVED_OPTIONS) protected readonly options: ResolvedOptions,
    @Inject(Reflector) protected readonly reflector: Reflector,
    @Inject(AccessTokens) protected readonly accessTokens: AccessTokens,
    @Inject(LinkOpener) protected readonly linkOpener: LinkOpener,
    @Inject(QueryWarning) private readonly queryWarning: QueryWarning,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const exchange = exchangeOf(context);
    // a handler and its controller may both be marked
    if (grantOf(exchange.request)) return true;
    const policy = this.policyOf(context);
    const presented = this.takeToken(exchange, policy);
    this.requireSecureConnection(exchange, policy);
    const unverified = parseCompactJws(presented.token);
    if (!unverified) throw new DownloadRefusal('TOKEN_INVALID');
    const grant = claimsToBeLink(unverified)
      ? await this.openLink(unverified, presented, exchange, context)
      : await this.authenticate(unverified, presented, exchange, policy);
    attachGrant(exchange.request, grant);
    return true;
  }

  /** Reads the token and takes it out of the request, whatever becomes of the request. */
  protected takeToken(exchange: HttpExchange, policy: RoutePolicy): PresentedToken {
    try {
      return decidingToken(readTokens(exchange, this.options.tokenName, policy.transports));
    } finally {
      scrubRequest(exchange, this.options.tokenName);
    }
  }

  protected requireSecureConnection(exchange: HttpExchange, policy: RoutePolicy): void {
    if (policy.requireSecureConnection && !isSecure(exchange)) {
      throw new DownloadRefusal('INSECURE_CONNECTION');
    }
  }

  /** Verifies an access token and asks the application's `validate`. */
  protected async authenticate(
    unverified: UnverifiedToken,
    { transport }: PresentedToken,
    { request }: HttpExchange,
    policy: RoutePolicy,
  ): Promise<DownloadGrant> {
    if (transport === 'query') this.acceptInQuery(policy);
    const claims = await this.accessTokens.authenticate(unverified, request);
    request.user = await this.validated(this.options.validate, claims, request);
    return { kind: 'access', subject: claims.sub, claims, transport };
  }

  /** Checks that a link opens what is asked for. */
  protected async openLink(
    unverified: UnverifiedToken,
    { transport }: PresentedToken,
    { request }: HttpExchange,
    context: ExecutionContext,
  ): Promise<DownloadGrant> {
    const claims = await this.linkOpener.open(unverified, request, context);
    request.user = await this.validated(this.options.links.validate, claims, request);
    return { kind: 'link', subject: claims.sub, claims, transport, link: describeLink(claims) };
  }

  private async validated<Claims>(
    validate: ((claims: Claims, request: unknown) => unknown) | undefined,
    claims: Claims,
    request: unknown,
  ): Promise<unknown> {
    if (!validate) return claims;
    const user = await validate(claims, request);
    if (!user) throw new DownloadRefusal('ACCESS_DENIED');
    return user;
  }

  private acceptInQuery(policy: RoutePolicy): void {
    if (policy.transports.query === 'links') throw new DownloadRefusal('TOKEN_INVALID');
    this.queryWarning.give();
  }

  private policyOf(context: ExecutionContext): RoutePolicy {
    return this.policies.of(context, () => {
      const { controller, handler } = routeOptions(this.reflector, context);
      const requireSecureConnection = handler.requireSecureConnection ?? controller.requireSecureConnection;
      return {
        transports: resolveTransports(
          handler.transports,
          resolveTransports(controller.transports, this.options.transports),
        ),
        requireSecureConnection: requireSecureConnection ?? this.options.requireSecureConnection,
      };
    });
  }
}
