import { Injectable, type Type } from '@nestjs/common';
import { DownloadEvents } from '../events/download-events.js';
import { LeaseKeeper } from '../leases/lease-keeper.js';
import type { LinkUsage, UsagePage } from '../leases/link-usage.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { isValidDate } from '../shared/valid-date.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { MAX_TOKEN_LENGTH, parseCompactJws } from '../tokens/compact-jws.js';
import type { TokenNames } from '../tokens/token-options.js';
import type { CreateLinkOptions, DownloadLink, HandlerName, LinkInspection, LinkRevocation } from './link.js';
import type { OptionsOfRoute, RouteName } from './named-routes.js';
import type { ResolvedLinkOptions } from './link-options.js';
import { claimsToBeLink, describeLink, linkClaims } from './link-claims.js';
import { queryString } from './link-query.js';
import { type LinkTarget, type LocatedTarget, TargetLocator } from './link-target.js';
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

interface DownloadLinksSettings {
  readonly links: ResolvedLinkOptions;
  readonly tokenNames: TokenNames;
  readonly clock: () => number;
}

/** Mints, inspects and revokes links that open one resource for a limited time, and nothing else. */
@Injectable()
export class DownloadLinks {
  constructor(
    private readonly options: DownloadLinksSettings,
    private readonly tokens: LinkTokens,
    private readonly targets: TargetLocator,
    private readonly keeper: LeaseKeeper,
    private readonly events: DownloadEvents,
  ) {}

  /**
   * Mints a link to one handler with one set of parameters. Whoever holds it may download: check before that
   * the person who asks may.
   *
   * The handler is given by its controller and the name of the method, which the compiler checks, or by the
   * name of its route: `@StreamDownload({ name })`, or `links.routes` where another process serves it.
   *
   * @throws DownloadAuthConfigurationError for an unknown handler, option or parameter, a missing parameter,
   *   values that router or query parser would not hand over as they are given, a life of more than 7 days or
   *   none at all, a reserved claim, an application that is not initialised yet
   * @example
   * ```ts
   * const { url } = links.create(FilesController, 'download', { params: { id }, expiresIn: '5m', subject:
   * user.id }); const { url } = links.create('file', { params: { id } });
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
    const claims = linkClaims(options, resource, now, this.options.links.expiresIn);
    const resume = claims.lim?.resume;
    this.keeper.checkLife((claims.exp - now) * 1000, resume === undefined ? undefined : resume * 1000);
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
    if (!claims) {
      throw new DownloadRefusal('LINK_INVALID');
    }
    return {
      ...describeLink(claims),
      subject: claims.sub,
      notBefore: claims.nbf === undefined ? undefined : new Date(Math.round(claims.nbf * 1000)),
      refusal: checkLinkTimes(claims, this.options.clock() / 1000, this.options.links.maxAge),
    };
  }

  /**
   * Withdraws links that are out: one by its id, all of a resource ({@link resource}), all of a subject, or
   * all that were issued before a moment. Downloads that run on them are cut, here at once, on other nodes
   * within a second.
   *
   * @throws DownloadRefusal `STORE_UNAVAILABLE`; downloads of this node were cut then, but nothing is
   *   recorded
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
    if (typeof call[0] === 'string') {
      return this.targets.byName(call[0], target);
    }
    return this.targets.byHandler(call[0], call[1] as string, target);
  }
}

/** Milliseconds since 1970. @throws DownloadAuthConfigurationError for anything but a valid Date */
function momentOf(date: unknown, option: string): number {
  if (isValidDate(date)) {
    return date.getTime();
  }
  throw new DownloadAuthConfigurationError(`${option}: give a valid Date, such as new Date().`);
}
