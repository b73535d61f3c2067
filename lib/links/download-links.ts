import { Inject, Injectable, type Type } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import { DownloadEvents } from '../events/download-events.js';
import { LeaseKeeper } from '../leases/lease-keeper.js';
import type { LinkUsage, UsagePage } from '../leases/link-usage.js';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { durationInSeconds } from '../options/duration.js';
import { MAX_LINK_LIFETIME, RESOLVED_OPTIONS, type ResolvedOptions } from '../options/resolve-options.js';
import { refuseUnknown } from '../options/unknown-option.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { MAX_TOKEN_LENGTH, parseCompactJws } from '../tokens/compact-jws.js';
import type {
  CreateLinkOptions,
  DownloadLink,
  HandlerName,
  LinkInspection,
  LinkRevocation,
} from './download-link.js';
import type { OptionsOfRoute, RouteName } from './named-routes.js';
import { bindingOf } from './link-binding.js';
import { limitsOf } from './link-limits.js';
import { claimsToBeLink, describeLink, LINK_AUDIENCE, type LinkClaims } from './link-claims.js';
import { queryString } from './link-query.js';
import { type LinkTarget, type LocatedTarget, TargetLocator } from './link-target.js';
import { checkedClaims, momentOf, optionalClaims, secondsOf } from './link-terms.js';
import { checkLinkTimes, LinkTokens } from './link-tokens.js';

const CREATE_OPTIONS = [
  'params', 'query', 'hosts', 'path', 'expiresIn', 'expiresAt', 'notBefore', 'subject', 'filename', 'disposition', 'bindTo',
  'claims', 'maxDownloads', 'strict', 'resumeWithin', 'byteBudget', 'revocable',
] as const satisfies readonly (keyof CreateLinkOptions)[]; // prettier-ignore

const TARGET_OPTIONS = ['params', 'query', 'hosts', 'path'] as const satisfies readonly (keyof LinkTarget)[];

/** A handler by its class and method, or by the name of its route. */
type RouteCall<Options> = [Type, string, Options?] | [string, Options?];

function optionsOf<Options extends object>(call: RouteCall<Options>): Options | Record<string, never> {
  return (typeof call[0] === 'string' ? (call[1] as Options | undefined) : call[2]) ?? {};
}

/** Mints, inspects and revokes links that open one resource for a limited time, and nothing else. */
@Injectable()
export class DownloadLinks {
  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(LinkTokens) private readonly tokens: LinkTokens,
    @Inject(TargetLocator) private readonly targets: TargetLocator,
    @Inject(LeaseKeeper) private readonly keeper: LeaseKeeper,
    @Inject(DownloadEvents) private readonly events: DownloadEvents,
  ) {}

  /**
   * Mints a link to one handler with one set of parameters. Whoever holds it may download: check before that
   * the person who asks may.
   *
   * The handler is given by its controller and the name of the method, which the compiler checks, or by the name of its
   * route: `@StreamDownload({ name })`, or `links.routes` where another process serves it.
   *
   * @throws DownloadAuthConfigurationError for an unknown handler, option or parameter, a missing parameter, values that
   *   router or query parser would not hand over as they are given, a life of more than 7 days or none at all, a reserved
   *   claim, an application that is not initialised yet
   * @example
   * ```ts
   * const { url } = links.create(FilesController, 'download', { params: { id }, expiresIn: '5m', subject: user.id });
   * const { url } = links.create('file', { params: { id } });
   * ```
   */
  create<Controller>(
    controller: Type<Controller>,
    handler: HandlerName<Controller>,
    options?: CreateLinkOptions,
  ): DownloadLink;
  create<Name extends RouteName>(
    route: Name,
    ...options: OptionsOfRoute<Name, CreateLinkOptions>
  ): DownloadLink;
  create(...call: RouteCall<CreateLinkOptions>): DownloadLink {
    const options = optionsOf(call);
    refuseUnknown(options, CREATE_OPTIONS, 'links.create');
    const now = this.options.clock() / 1000;
    const { route, method, path, resource } = this.locate(call);
    if (options.maxDownloads !== undefined && route.answersItself) {
      throw new DownloadAuthConfigurationError(
        `${route.label} sends its answer itself, where no download can be counted, so no link to it can have ` +
          'maxDownloads. Write @Res({ passthrough: true }), and return a StreamableFile or a Download.',
      );
    }
    const limits = limitsOf(options);
    const exp = this.expiry(options, now);
    this.keeper.checkLife(
      (exp - now) * 1000,
      limits?.resume === undefined ? undefined : limits.resume * 1000,
    );
    const claims: LinkClaims = {
      ...checkedClaims(options.claims),
      aud: LINK_AUDIENCE,
      jti: randomBytes(16).toString('base64url'),
      iat: now,
      exp,
      res: resource,
      ...optionalClaims(options),
      lim: limits,
      bnd: bindingOf(options.bindTo, options.subject),
    };
    if (claims.nbf !== undefined && claims.nbf >= claims.exp) {
      throw new DownloadAuthConfigurationError('notBefore: the link would end before it begins.');
    }
    const token = this.tokens.sign(claims);
    if (token.length > MAX_TOKEN_LENGTH) {
      throw new DownloadAuthConfigurationError(
        `The link's token is too long: ${token.length} characters, ${MAX_TOKEN_LENGTH} are read at most. Put less into claims.`,
      );
    }
    const expiresAt = new Date(Math.round(claims.exp * 1000));
    this.events.emit({
      type: 'minted',
      at: Math.round(now * 1000),
      linkId: claims.jti,
      subject: claims.sub,
      resource,
      path,
      expiresAt: expiresAt.getTime(),
      maxDownloads: options.maxDownloads,
    });
    const query =
      method === 'GET' ? { ...options.query, [this.options.tokenNames.query]: token } : { ...options.query };
    return {
      url: this.options.links.publicUrl + path + queryString(query),
      token,
      id: claims.jti,
      expiresAt,
    };
  }

  /**
   * The digest that stands for a resource in `grant.link.resource` and in events.
   * @throws DownloadAuthConfigurationError as {@link create} does
   */
  resource<Controller>(
    controller: Type<Controller>,
    handler: HandlerName<Controller>,
    target?: LinkTarget,
  ): string;
  resource<Name extends RouteName>(route: Name, ...target: OptionsOfRoute<Name, LinkTarget>): string;
  resource(...call: RouteCall<LinkTarget>): string {
    refuseUnknown(optionsOf(call), TARGET_OPTIONS, 'links.resource');
    return this.locate(call).resource;
  }

  /**
   * Says what a link token is for and whether it has begun and not ended; it asks no store.
   * @throws DownloadRefusal `LINK_INVALID` for a token that is no genuine link
   */
  async inspect(token: string): Promise<LinkInspection> {
    const unverified = parseCompactJws(token);
    const claims =
      unverified && claimsToBeLink(unverified.header.typ) ? await this.tokens.open(unverified) : undefined;
    if (!claims) throw new DownloadRefusal('LINK_INVALID');
    return {
      ...describeLink(claims),
      subject: claims.sub,
      notBefore: claims.nbf === undefined ? undefined : new Date(Math.round(claims.nbf * 1000)),
      refusal: checkLinkTimes(claims, this.options.clock() / 1000, this.options.links.maxAge),
    };
  }

  /**
   * Withdraws links that are out: one by its id, all of a resource ({@link resource}), all of a subject, or all that were
   * issued before a moment. Downloads that run on them are cut, here at once, on other nodes within a second.
   *
   * @throws DownloadRefusal `STORE_UNAVAILABLE`; downloads of this node were cut then, but nothing is recorded
   * @throws DownloadAuthConfigurationError for none or several targets, and for what can be none
   * @example
   * ```ts
   * await links.revoke({ link: id });
   * await links.revoke({ subject: user.id });
   * await links.revoke({ resource: links.resource(FilesController, 'download', { params: { id } }) });
   * await links.revoke({ issuedBefore: new Date() });
   * ```
   */
  async revoke({ issuedBefore, ...target }: LinkRevocation): Promise<void> {
    for (const [name, value] of Object.entries(target)) {
      if (value === undefined) {
        // { subject: undefined, issuedBefore } would revoke the links of everybody
        throw new DownloadAuthConfigurationError(
          `links.revoke: ${name} is undefined. Give its value, or leave it out.`,
        );
      }
    }
    await this.keeper.revoke({
      ...target,
      issuedBefore:
        issuedBefore === undefined ? undefined : momentOf(issuedBefore, 'links.revoke: issuedBefore'),
    });
  }

  /**
   * How often a limited link has been used so far, on all nodes, and its latest downloads.
   *
   * @param page which of its downloads, the latest first; 100 by default
   * @throws DownloadRefusal `STORE_UNAVAILABLE`
   * @throws DownloadAuthConfigurationError for a page that cannot be meant
   */
  usage(id: string, page?: UsagePage): Promise<LinkUsage> {
    return this.keeper.usage(id, page);
  }

  private locate(call: RouteCall<LinkTarget>): LocatedTarget {
    const target = optionsOf(call);
    if (typeof call[0] === 'string') return this.targets.byName(call[0], target);
    return this.targets.byHandler(call[0], call[1] as string, target);
  }

  private expiry({ expiresIn, expiresAt }: CreateLinkOptions, now: number): number {
    if (expiresIn !== undefined && expiresAt !== undefined) {
      throw new DownloadAuthConfigurationError('Give expiresIn or expiresAt, not both.');
    }
    const exp =
      expiresAt !== undefined
        ? secondsOf(expiresAt, 'expiresAt')
        : now +
          (expiresIn === undefined
            ? this.options.links.expiresIn
            : durationInSeconds(expiresIn, 'expiresIn'));
    if (!(exp > now)) {
      throw new DownloadAuthConfigurationError(
        'The link would have expired already. Give an expiry in the future.',
      );
    }
    if (exp - now > MAX_LINK_LIFETIME) {
      throw new DownloadAuthConfigurationError(
        "A link lives 7 days at most. Give a shorter expiresIn, such as '7d', and mint a new link when it is needed.",
      );
    }
    return exp;
  }
}
