import { Injectable } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { DownloadEvents } from '../events/download-events.js';
import { LeaseKeeper } from '../leases/keeper.js';
import type { LinkUsage, UsagePage } from '../leases/link-usage.js';
import type { LinkRevocation } from '../leases/revocation.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { checkOptions } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { MAX_TOKEN_LENGTH } from '../tokens/compact-jws.js';
import type { DownloadGrant, GrantedLink } from '../tokens/grant.js';
import { checkCompanion } from './companion-cookie.js';
import { checkTogether, CREATE_RULES, stateRule, TARGET_RULES } from './create-options.js';
import type {
  CreateLinkOptions,
  DownloadLink,
  HandlerName,
  LinkedState,
  LinkInspection,
  LinkTarget,
  OptionsOfRoute,
  RouteName,
} from './link.js';
import { grantedLink, leasedLink, linkClaims, milliseconds } from './link-claims.js';
import type { LinkSettings } from './options.js';
import { TargetLocator } from './link-target.js';
import type { LocatedTarget } from './link-target.js';
import { LinkTokens } from './link-tokens.js';
import type { RouteRegistry } from './route-registry.js';
import { queryString } from './route-template.js';

/** Handlers by their class and methods, or by the names of their routes. */
type RouteCall<Options> = [Type, Names, Options?] | [Names, Options?];
type Names = string | readonly string[];

/** Mints, inspects and revokes links that open one resource for a limited time, and nothing else. */
@Injectable()
export class DownloadLinks {
  private readonly targets: TargetLocator;

  constructor(
    private readonly options: LinkSettings,
    private readonly tokens: LinkTokens,
    routes: RouteRegistry,
    private readonly keeper: LeaseKeeper,
    private readonly events: DownloadEvents,
  ) {
    this.targets = new TargetLocator(options, routes);
  }

  /**
   * Mints a link to one handler with one set of parameters. Whoever holds it may download, so check first
   * that the person who asks may.
   *
   * The handler is given by its controller and the name of the method, which the compiler checks, or by the
   * name of its route: `@StreamDownload({ name })`, or `links.routes` where another process serves it. With
   * `free`, or a list of handlers, the link opens a collection; its URL is that of the first handler.
   *
   * @throws DownloadAuthConfigurationError for an unknown handler, option or parameter, a missing parameter,
   *   values that router or query parser would not hand over as they are given, a life of more than 7 days or
   *   none at all, a reserved claim, an application that is not initialised yet
   * @example
   * ```ts
   * links.create(FilesController, 'download', { params: { id }, expiresIn: '5m', subject: user.sub }).url;
   * links.create('file', { params: { id } }).url;
   * links.create(VideosController, 'file', { params: { id, file: 'index.m3u8' }, free: ['file'] }).url;
   * ```
   */
  create<Controller>(
    controller: Type<Controller>,
    handler: HandlerName<Controller> | readonly HandlerName<Controller>[],
    options?: CreateLinkOptions,
  ): DownloadLink;
  create<Name extends RouteName>(
    route: Name,
    ...options: OptionsOfRoute<Name, CreateLinkOptions>
  ): DownloadLink;
  create(routes: readonly RouteName[], options?: CreateLinkOptions): DownloadLink;
  create(...call: RouteCall<CreateLinkOptions>): DownloadLink {
    const { options, target } = this.located(call, CREATE_RULES, 'links.create');
    checkTogether(options, target, this.options);
    const { route, path, query, resource } = target;
    const { links } = this.options;
    const now = this.options.clock() / 1000;
    const [st] = options.state === undefined ? [] : this.tokens.stateDigests(options.state, resource);
    const { claims, token } = this.tokens.sign({ ...linkClaims(options, target, now, links), st });
    this.keeper.checkLife(leasedLink(claims));
    if (token.length > MAX_TOKEN_LENGTH) {
      throw new DownloadAuthConfigurationError(
        `The link's token is too long: ${token.length} characters, ${MAX_TOKEN_LENGTH} are read at most. Put less into claims.`,
      );
    }
    checkCompanion(claims, token);
    const expiresAt = new Date(milliseconds(claims.exp));
    this.events.emit({
      type: 'minted',
      at: milliseconds(now),
      linkId: claims.jti,
      subject: claims.sub,
      resource,
      path,
      expiresAt: expiresAt.getTime(),
      maxDownloads: options.maxDownloads,
    });
    const withToken = route.method === 'GET' ? { ...query, [this.options.tokenNames.query]: token } : query;
    return { url: links.publicUrl + path + queryString(withToken), token, id: claims.jti, expiresAt };
  }

  /**
   * The digest that stands for a resource in `grant.link.resource` and in events.
   * @throws DownloadAuthConfigurationError as {@link create} does
   */
  resource<Controller>(
    controller: Type<Controller>,
    handler: HandlerName<Controller> | readonly HandlerName<Controller>[],
    target?: LinkTarget,
  ): string;
  resource<Name extends RouteName>(route: Name, ...target: OptionsOfRoute<Name, LinkTarget>): string;
  resource(routes: readonly RouteName[], target?: LinkTarget): string;
  resource(...call: RouteCall<LinkTarget>): string {
    return this.located(call, TARGET_RULES, 'links.resource').target.resource;
  }

  private located<Options extends LinkTarget>(
    [first, second, third]: RouteCall<Options>,
    rules: OptionRules<Options>,
    place: string,
  ): { options: Options; target: LocatedTarget } {
    const [controller, names, given] =
      typeof first === 'function' ? [first, second as Names, third] : [undefined, first, second as Options];
    const options = given ?? ({} as Options);
    checkOptions(options, rules, place, '');
    return { options, target: this.targets.locate(controller, names, options) };
  }

  /**
   * Refuses a link that was made while something was different: `share.updatedAt`, which is what it was made
   * with as {@link CreateLinkOptions.state}. A request without a link passes. A handler that serves links
   * with a state must call this, or they are not answered.
   *
   * @param state what it is now; `undefined` where there is nothing any more
   * @throws DownloadRefusal `LINK_REVOKED`, for links without a state too
   * @example
   * ```ts
   * this.links.requireState(grant, share?.updatedAt);
   * ```
   */
  requireState({ link }: DownloadGrant, state: LinkedState | undefined): void {
    if (!link) {
      return;
    }
    asked.add(link);
    checkOptions({ state }, { state: stateRule }, 'links.requireState', 'links.requireState: ');
    const digests = state === undefined ? [] : this.tokens.stateDigests(state, link.resource);
    if (link.state === undefined || !digests.includes(link.state)) {
      throw new DownloadRefusal('LINK_REVOKED', {
        reason: link.state === undefined ? 'the link was made without a state' : 'the state is another one',
      });
    }
  }

  /**
   * Says what a link token is for and whether it has begun and not ended, without asking the store.
   * @throws DownloadRefusal `LINK_INVALID` for a token that is not a genuine link
   */
  async inspect(token: string): Promise<LinkInspection> {
    const claims = await this.tokens.verify(token);
    const { sub: subject, nbf } = claims;
    const now = this.options.clock();
    const notBefore = nbf === undefined ? undefined : new Date(milliseconds(nbf));
    const inspection = { ...grantedLink(claims, this.options.links.maxAge), subject, notBefore };
    if (now >= inspection.expiresAt.getTime()) {
      return { ...inspection, refusal: 'LINK_EXPIRED' };
    }
    return notBefore && now < notBefore.getTime()
      ? { ...inspection, refusal: 'LINK_NOT_YET_VALID' }
      : inspection;
  }

  /**
   * Revokes links: one by its id, all of a resource ({@link resource}), all of a subject, or all that were
   * issued before a moment. Their running downloads are cut, on this node at once, on others within a second;
   * with a subject, also those without a link.
   *
   * @throws DownloadRefusal `STORE_UNAVAILABLE`: downloads of this node were cut, but nothing is recorded
   * @throws DownloadAuthConfigurationError for none or several targets, and for values that cannot be one
   * @example
   * ```ts
   * await links.revoke({ link: id });
   * await links.revoke({ subject: user.sub });
   * await links.revoke({ resource: links.resource(FilesController, 'download', { params: { id } }) });
   * await links.revoke({ issuedBefore: new Date() });
   * ```
   */
  revoke(target: LinkRevocation): Promise<void> {
    return this.keeper.revoke(target);
  }

  /**
   * How often a limited link has been used, on all nodes, and its latest downloads.
   *
   * @param page which of its downloads, the latest first; 100 by default
   * @throws DownloadRefusal `STORE_UNAVAILABLE`
   * @throws DownloadAuthConfigurationError for an impossible id or limit, and an unknown option
   */
  usage(id: string, page?: UsagePage): Promise<LinkUsage> {
    return this.keeper.usage(id, page);
  }
}

/** Links whose handler said what they depend on, as requests have them. */
const asked = new WeakSet<GrantedLink>();

/** Whether the handler of a link with a state has forgotten {@link DownloadLinks.requireState}. */
export function isUnasked(link: GrantedLink): boolean {
  return link.state !== undefined && !asked.has(link);
}
