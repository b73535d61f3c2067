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
import { LinkOpener } from './links/open-link.js';
import { LinkGrants, subjectOf, validated } from './link-grants.js';
import type { Visit } from './link-grants.js';
import { LinkPrompts } from './prompts/link-prompts.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { routePolicy } from './route-options.js';
import type { RoutePolicy } from './route-options.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { AccessTokens, invalidToken } from './tokens/access-tokens.js';
import { claimsToBeLink, typeOf } from './tokens/compact-jws.js';
import { grantNote, otherWayNote } from './tokens/grant.js';
import type { AccessGrant, DownloadGrant, OtherGrant } from './tokens/grant.js';
import { RequestTokens } from './tokens/request-tokens.js';
import type { PresentedToken } from './tokens/request-tokens.js';

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
    const notes = [judgedIn, grantNote, otherWayNote, watchNote, admissionNote, claimantNote, transportNote];
    for (const note of notes) {
      note.clear(request);
    }
    this.report.begin(exchange, context);
    const policy = this.policyOf(context.getClass(), context.getHandler());
    const transports = policy.auth === false ? undefined : policy.transports;
    const tokens = new RequestTokens(exchange, this.options.tokenNames, transports);
    try {
      if (policy.requireSecureConnection && !isSecure(exchange)) {
        throw new DownloadRefusal('INSECURE_CONNECTION');
      }
      const grant = await this.decide({ exchange, context, policy, tokens });
      grantNote.set(request, grant);
      judgedIn.set(request, grant && context);
      return grant !== undefined;
    } catch (error) {
      this.report.failed(exchange, error);
      throw error;
    } finally {
      tokens.scrub();
    }
  }

  /**
   * The grant of a request; `undefined` where a guard of the application says no without a reason. A token
   * that was put into this very request comes first, then what browsers send unasked: companion cookies, and
   * after them the access token's and those of the application.
   */
  private async decide(visit: Visit): Promise<DownloadGrant | undefined> {
    const { policy, tokens } = visit;
    const explicit =
      policy.auth === 'token'
        ? await tokens.explicit((token) => this.links.isGenuine(token))
        : tokens.explicitOf(isLink);
    if (explicit) {
      return this.byToken(explicit, visit);
    }
    const otherwise = () =>
      policy.auth === 'token' ? this.byToken(tokens.ambient(), visit) : this.byApplication(visit);
    return tokens.in('companion') ? this.linkGrants.byCompanion(visit, otherwise) : otherwise();
  }

  private async byToken(presented: PresentedToken, visit: Visit): Promise<DownloadGrant | undefined> {
    const { exchange, tokens } = visit;
    if (isLink(presented.token)) {
      tokens.scrub();
      return this.linkGrants.open(presented, visit);
    }
    transportNote.set(exchange.request, presented.transport);
    return (await this.isAdmitted(visit)) ? this.authenticate(presented, visit) : undefined;
  }

  private async byApplication(visit: Visit): Promise<OtherGrant | undefined> {
    const { exchange, policy } = visit;
    if (policy.auth === 'links') {
      throw new DownloadRefusal('LINK_MISSING');
    }
    if (!(await this.isAdmitted(visit))) {
      return undefined;
    }
    this.report.decided(exchange, `granted=other by=${authName(policy.auth)}`);
    const subject = await subjectOf(exchange.request, policy);
    this.watch(exchange, subject);
    return { kind: 'other', subject };
  }

  /** Asks the guards of the application, before a token that may be theirs is taken out of the request. */
  private isAdmitted({ exchange, context, policy }: Visit): Promise<boolean> {
    this.report.decided(exchange, `refused by=${authName(policy.auth)}`);
    return this.guards.admit(policy.auth, context);
  }

  /** Verifies an access token and asks the application's `validate`. */
  private async authenticate(presented: PresentedToken, visit: Visit): Promise<AccessGrant> {
    const { exchange, policy } = visit;
    const { request } = exchange;
    const { token, transport } = presented;
    visit.tokens.scrub();
    if (transport === 'query' && policy.transports.query === 'links') {
      throw invalidToken("It came in the query, where transports.query is 'links'.");
    }
    const claims = await this.accessTokens.authenticate(token, request);
    if (transport === 'query') {
      this.accessTokens.warnAboutQuery();
    }
    this.watch(exchange, claims.sub);
    request.user = await validated('validate', this.options.validate, claims, request);
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
