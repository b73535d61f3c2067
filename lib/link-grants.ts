import { HttpException } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { ApplicationGuards } from './application-guard.js';
import { admissionNote, watchNote } from './delivery/watch.js';
import { claimantNote, transportNote } from './events/claimant.js';
import type { Claimant } from './events/claimant.js';
import { requestPath } from './http/http-exchange.js';
import type { FrameworkRequest, HttpExchange } from './http/http-exchange.js';
import { grantedLink } from './links/link-claims.js';
import type { LeasedLink } from './leases/counted-delivery.js';
import type { LinkClaims } from './links/link-claims.js';
import type { LinkOpener } from './links/open-link.js';
import type { LinkPrompts } from './prompts/link-prompts.js';
import type { RequestReport } from './request-report.js';
import type { ResolvedOptions } from './resolve-options.js';
import type { RoutePolicy } from './route-options.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { asked } from './shared/hooks.js';
import type { AccessTokens } from './tokens/access-tokens.js';
import type { TokenClaims } from './tokens/compact-jws.js';
import { otherWayNote } from './tokens/grant.js';
import type { DownloadGrant, LinkGrant } from './tokens/grant.js';
import type { PresentedToken, RequestTokens } from './tokens/request-tokens.js';

/** One request, on its way to one handler. */
export interface Visit {
  readonly exchange: HttpExchange;
  readonly context: ExecutionContext;
  readonly policy: RoutePolicy;
  readonly tokens: RequestTokens;
}

/** Who is signed in beside a link. */
interface SignedIn {
  readonly subject: string | undefined;
  /** Of the access token; without one, a guard of the application has filled `request.user`. */
  readonly claims?: TokenClaims;
}

/** The first link that was made for what is asked, and does not open it. */
interface FailedLink {
  readonly refusal: DownloadRefusal;
  readonly claimant: Claimant | undefined;
}

/** Grants what links open, to whoever they are for. */
export class LinkGrants {
  constructor(
    private readonly options: ResolvedOptions,
    private readonly links: LinkOpener,
    private readonly prompts: LinkPrompts,
    private readonly accessTokens: AccessTokens,
    private readonly guards: ApplicationGuards,
    private readonly report: RequestReport,
  ) {}

  /**
   * Grants what the link in a companion cookie opens. One that does not open the request is as if it were not
   * there, unless nothing else lets the request in: then it says why.
   *
   * @param otherwise what else may let the request in
   */
  async byCompanion(
    visit: Visit,
    otherwise: () => Promise<DownloadGrant | undefined>,
    companions = visit.tokens.all('companion'),
    failed?: FailedLink,
  ): Promise<DownloadGrant | undefined> {
    const { tokens, policy } = visit;
    const { request } = visit.exchange;
    const { user } = request;
    const hasOtherWay = policy.auth === 'token' ? tokens.in('cookie') : policy.auth !== 'links';
    const isOnlyWay = companions.length === 1 && !hasOtherWay;
    for (const [index, token] of companions.entries()) {
      try {
        const grant = await this.open({ token, transport: 'companion' }, visit, isOnlyWay);
        if (grant.link.state !== undefined && !isOnlyWay) {
          const claimant = claimantNote.get(request);
          otherWayNote.set(request, (refusal) => {
            request.user = user;
            return this.byCompanion(visit, otherwise, companions.slice(index + 1), { refusal, claimant });
          });
        }
        return grant;
      } catch (refusal) {
        if (!(refusal instanceof DownloadRefusal)) {
          throw refusal;
        }
        const isForAnother = ['LINK_INVALID', 'LINK_SCOPE'].includes(refusal.code);
        failed ??= isForAnother ? undefined : { refusal, claimant: claimantNote.get(request) };
      }
    }
    request.user = user;
    transportNote.clear(request);
    claimantNote.clear(request);
    const grant = failed ? await orNo(otherwise) : await otherwise();
    if (failed && !grant) {
      transportNote.set(request, 'companion');
      claimantNote.set(request, failed.claimant);
      throw failed.refusal;
    }
    return grant;
  }

  /**
   * Checks that a link opens what is asked for, for who asks, and may be used now.
   * @param isOnlyWay nothing else lets the request in
   */
  async open(presented: PresentedToken, visit: Visit, isOnlyWay = true): Promise<LinkGrant> {
    const { exchange, context, policy } = visit;
    const { request } = exchange;
    const { transport } = presented;
    transportNote.set(request, transport);
    const claims = await this.links.verify(presented);
    const { sub: subject, res: resource, jti: linkId } = claims;
    claimantNote.set(request, { linkId, subject, resource, path: requestPath(exchange) });
    const signedIn = claims.bnd?.sub ? await this.signedIn(presented, visit) : undefined;
    const leased = this.links.open(claims, exchange, context, signedIn?.subject);
    if (isOnlyWay && this.dependsOnHandler(claims, context)) {
      admissionNote.set(request, () => this.admit(leased, exchange));
    } else {
      await this.admit(leased, exchange);
    }
    const user = await validated('links.validate', this.options.links.validate, claims, request);
    if (!signedIn) {
      request.user = user;
    } else if (signedIn.claims) {
      request.user = await validated('validate', this.options.validate, signedIn.claims, request);
    }
    const link = grantedLink(claims, this.options.links.maxAge);
    const grant: LinkGrant = { kind: 'link', subject, claims, transport, link };
    if (claims.ask) {
      const { challenge } = policy;
      const cookie = this.links.cookieScope(claims, exchange);
      await this.prompts.pass({ exchange, grant, asks: claims.ask, challenge, cookie });
    }
    this.report.decided(exchange, 'granted=link');
    if (policy.transports.companion && transport !== 'companion') {
      this.links.exchange(claims, presented, exchange);
    }
    return grant;
  }

  private async admit(link: LeasedLink, exchange: HttpExchange): Promise<void> {
    admissionNote.clear(exchange.request);
    watchNote.set(exchange.request, await this.links.admit(link, exchange));
  }

  /** The handler says whether the state is still that of the link, before any store is asked. */
  private dependsOnHandler({ st, ask }: LinkClaims, context: ExecutionContext): boolean {
    return st !== undefined && ask === undefined && !this.links.answersItself(context);
  }

  /** Who is signed in beside a link: by an access token, or as the application says. */
  private async signedIn(link: PresentedToken, visit: Visit): Promise<SignedIn | undefined> {
    const { context, policy, tokens } = visit;
    const { request } = visit.exchange;
    if (policy.auth !== 'token') {
      if (!policy.subject) {
        throw new DownloadAuthConfigurationError(
          'bindTo.signedIn: nothing says who is signed in. Write subject: (request) => request.user?.id in forRoot() ' +
            'or @StreamDownload().',
        );
      }
      const isIn = await orNo(() => this.guards.admit(policy.auth, context));
      return isIn ? { subject: await subjectOf(request, policy) } : undefined;
    }
    const token = tokens.beside(link);
    if (token === undefined) {
      return undefined;
    }
    const claims = await orNo(() => this.accessTokens.authenticate(token, request));
    return claims && { subject: claims.sub, claims };
  }
}

export async function validated<Claims>(
  option: string,
  validate: ((claims: Claims, request: unknown) => unknown) | undefined,
  claims: Claims,
  request: unknown,
): Promise<unknown> {
  if (!validate) {
    return claims;
  }
  const user = await asked(option, () => validate(claims, request));
  if (!user) {
    throw new DownloadRefusal('ACCESS_DENIED');
  }
  return user;
}

export async function subjectOf(
  request: FrameworkRequest,
  { subject }: RoutePolicy,
): Promise<string | undefined> {
  const answer: unknown = await asked('subject', () => subject?.(request));
  if (answer === undefined || answer === null || typeof answer === 'string') {
    return answer ?? undefined;
  }
  throw new DownloadAuthConfigurationError(
    'subject: return a string, such as String(request.user.id), or undefined.',
  );
}

/** `undefined` instead of a 401 or 403, which beside a link only means: not signed in. */
async function orNo<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof HttpException && [401, 403].includes(error.getStatus())) {
      return undefined;
    }
    throw error;
  }
}
