import { Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { ApplicationGuards, authName } from './application-guard.js';
import { judgedIn } from './beside-links.js';
import { admissionNote, watchNote } from './delivery/watch.js';
import { claimantNote, transportNote } from './events/claimant.js';
import { exchangeOf, isSecure, requestPath } from './http/http-exchange.js';
import type { HttpExchange } from './http/http-exchange.js';
import { PerRoute } from './http/notes.js';
import { LeaseKeeper } from './leases/keeper.js';
import { claimsToBeLink } from './links/link-claims.js';
import { LinkOpener } from './links/open-link.js';
import { LinkGrants, orNo, subjectOf, validated } from './link-grants.js';
import type { Visit } from './link-grants.js';
import { LinkPrompts } from './prompts/link-prompts.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { routePolicy } from './route-options.js';
import type { RoutePolicy } from './route-options.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { AccessTokens, invalidToken } from './tokens/access-tokens.js';
import { typeOf } from './tokens/compact-jws.js';
import { grantNote } from './tokens/grant.js';
import type { AccessGrant, DownloadGrant } from './tokens/grant.js';
import { decidingToken, explicitToken, hasExplicitToken } from './tokens/deciding-token.js';
import type { PresentedToken } from './tokens/deciding-token.js';
import { findTokens, scrubTokens } from './tokens/transports.js';

/**
 * Lets a request through to its handler if it carries a link made for this very resource, or else as the
 * option `auth` says. `@StreamDownload()` brings it along.
 */
@Injectable()
export class DownloadAuthGuard implements CanActivate {
  private readonly policies = new PerRoute<RoutePolicy>();
  private readonly guards: ApplicationGuards;
  private readonly linkGrants: LinkGrants;

  constructor(
    @Inject(RESOLVED_OPTIONS) readonly options: ResolvedOptions,
    @Inject(AccessTokens) private readonly accessTokens: AccessTokens,
    @Inject(LinkOpener) private readonly links: LinkOpener,
    @Inject(LeaseKeeper) private readonly keeper: LeaseKeeper,
    @Inject(LinkPrompts) prompts: LinkPrompts,
    @Inject(RequestReport) private readonly report: RequestReport,
    @Inject(ModuleRef) moduleRef: ModuleRef,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    this.guards = new ApplicationGuards(moduleRef, modules);
    this.linkGrants = new LinkGrants(options, links, prompts, accessTokens, this.guards, report);
  }

  /**
   * Checks the options of a route when the application starts.
   * @throws DownloadAuthConfigurationError for what cannot work
   */
  async prepare(controller: Type, handler: object): Promise<void> {
    await this.guards.prepare(this.policyOf(controller, handler).auth);
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const exchange = exchangeOf(context);
    const { request } = exchange;
    // A handler and its controller may both be marked, which makes two guards; a request that is forwarded to
    // another handler is judged again.
    if (judgedIn.get(request) === context) {
      return true;
    }
    for (const note of [judgedIn, grantNote, watchNote, admissionNote, claimantNote, transportNote]) {
      note.clear(request);
    }
    this.report.begin(exchange, context);
    try {
      const grant = await this.judge(exchange, context);
      grantNote.set(request, grant);
      judgedIn.set(request, grant && context);
      return grant !== undefined;
    } catch (error) {
      this.report.failed(exchange, error);
      throw error;
    }
  }

  /** The grant of a request; `undefined` where a guard of the application says no without a reason. */
  private async judge(exchange: HttpExchange, context: ExecutionContext): Promise<DownloadGrant | undefined> {
    const { tokenNames } = this.options;
    const policy = this.policyOf(context.getClass(), context.getHandler());
    const looks = policy.auth !== false;
    const found = looks ? findTokens(exchange, tokenNames, policy.transports) : {};
    let isScrubbed = !looks;
    const scrub = (): void => {
      if (!isScrubbed) {
        isScrubbed = true;
        scrubTokens(exchange, tokenNames, found);
      }
    };
    try {
      if (policy.requireSecureConnection && !isSecure(exchange)) {
        throw new DownloadRefusal('INSECURE_CONNECTION');
      }
      return await this.decide({ exchange, context, policy, found, scrub });
    } finally {
      scrub();
    }
  }

  /**
   * A companion cookie comes before what else a browser sends unasked. One that does not open the request is
   * as if it were not there, unless nothing else lets the request in: then it says why.
   */
  private async decide(visit: Visit): Promise<DownloadGrant | undefined> {
    const { policy, found } = visit;
    const isExplicit = () =>
      policy.auth === 'token' ? hasExplicitToken(found) : explicitToken(found, isLink);
    const companion = found.companion && !isExplicit() && (await this.linkGrants.byCompanion(visit));
    if (!(companion instanceof DownloadRefusal)) {
      return companion || this.decideWithoutCompanion(visit);
    }
    const grant = await orNo(() => this.decideWithoutCompanion(visit));
    if (!grant) {
      transportNote.set(visit.exchange.request, 'companion');
      throw companion;
    }
    return grant;
  }

  private async decideWithoutCompanion(visit: Visit): Promise<DownloadGrant | undefined> {
    const { exchange, context, policy, found } = visit;
    const presented =
      policy.auth === 'token'
        ? await decidingToken(found, (token) => this.links.isGenuine(token))
        : explicitToken(found, isLink);
    transportNote.set(exchange.request, presented?.transport);
    if (presented && isLink(presented.token)) {
      visit.scrub();
      return this.linkGrants.open(presented, visit);
    }
    if (policy.auth === 'links') {
      throw new DownloadRefusal('LINK_MISSING');
    }
    const by = authName(policy.auth);
    this.report.decided(exchange, `refused by=${by}`);
    // Before anything is taken out of the request: a token in it may be theirs
    if (!(await this.guards.admit(policy.auth, context))) {
      return undefined;
    }
    if (presented) {
      return this.authenticate(presented, visit);
    }
    this.report.decided(exchange, `granted=other by=${by}`);
    const subject = await subjectOf(exchange.request, policy);
    this.watch(exchange, subject);
    return { kind: 'other', subject };
  }

  /** Verifies an access token and asks the application's `validate`. */
  private async authenticate(presented: PresentedToken, visit: Visit): Promise<AccessGrant> {
    const { exchange, policy } = visit;
    const { request } = exchange;
    const { token, transport } = presented;
    visit.scrub();
    if (transport === 'query' && policy.transports.query === 'links') {
      throw invalidToken("It came in the query, where transports.query is 'links'.");
    }
    const claims = await this.accessTokens.authenticate(token, request);
    if (transport === 'query') {
      this.accessTokens.warnAboutQuery();
    }
    this.watch(exchange, claims.sub);
    request.user = await validated(this.options.validate, claims, request);
    this.report.decided(exchange, 'granted=access');
    return { kind: 'access', subject: claims.sub, claims, transport };
  }

  /** Notes whose download it is, for its events and its revocation. */
  private watch(exchange: HttpExchange, subject: string | undefined): void {
    const claimant = { subject, path: requestPath(exchange) };
    claimantNote.set(exchange.request, claimant);
    watchNote.set(exchange.request, this.keeper.watch(claimant));
  }

  private policyOf(controller: Type, handler: object): RoutePolicy {
    return this.policies.get(controller, handler, () => routePolicy(this.options, controller, handler));
  }
}

function isLink(token: string): boolean {
  return claimsToBeLink(typeOf(token));
}
