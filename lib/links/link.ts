import type { RefusalCode } from '../refusals/download-refusal.js';
import type { Duration } from '../shared/duration.js';
import type { GrantedLink } from '../tokens/grant.js';

// Everything here is public: the package root exports this file with `export *`, the only way in which
// TypeScript lets an application add its own members to DownloadRoutes.

/** The names of a controller's methods. */
export type HandlerName<Controller> = {
  [Name in keyof Controller]: Controller[Name] extends (...args: never[]) => unknown ? Name : never;
}[keyof Controller] &
  string;

/** The values of a route's parameters, decoded; a wildcard takes its segments, or one string with slashes. */
export type RouteParams = Readonly<Record<string, string | number | readonly string[]>>;

/** Query parameters as the handler receives them. */
export type QueryParams = Readonly<Record<string, unknown>>;

/**
 * The names of routes and their parameters, for `links.create('file', …)`. While it is empty, any name is
 * accepted; declare yours to have the compiler check them:
 *
 * @example
 * ```ts
 * declare module 'nestjs-download-auth' {
 *   interface DownloadRoutes {
 *     file: { id: string };
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- applications add its members
export interface DownloadRoutes {}

/** The name of a route: one of {@link DownloadRoutes}, or any while that is empty. */
// eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- not once members are added
export type RouteName = keyof DownloadRoutes extends never ? string : keyof DownloadRoutes & string;

type ParamsOf<Name> = Name extends keyof DownloadRoutes
  ? FreeOf<DownloadRoutes[Name]> &
      (object extends DownloadRoutes[Name]
        ? { params?: DownloadRoutes[Name] }
        : { params: DownloadRoutes[Name] })
  : FreeOf<RouteParams> & { params?: RouteParams };

interface FreeOf<Params> {
  free?: readonly (keyof Params & string)[];
}

/** The last argument of a call that names a route; optional where the route has no parameters. */
export type OptionsOfRoute<Name, Options extends LinkTarget> =
  object extends ParamsOf<Name>
    ? [options?: Omit<Options, 'params' | 'free'> & ParamsOf<Name>]
    : [options: Omit<Options, 'params' | 'free'> & ParamsOf<Name>];

/** What a link opens, beside the handler. */
export interface LinkTarget {
  /** The parameters of the route, decoded. Default: none. */
  params?: RouteParams;
  /**
   * The names of parameters that may have any value: the link opens a collection, such as every file of a
   * folder. The URL starts at what `params` say. Default: none.
   */
  free?: readonly string[];
  /** The query parameters, decoded, in the shape in which the handler receives them. Default: none. */
  query?: QueryParams;
  /** The host parameters, for a controller bound to a host such as `:tenant.example.com`. Default: none. */
  hosts?: Readonly<Record<string, string>>;
  /** Which of the handler's paths, where it has several: the whole path or its end. Default: the first. */
  path?: string;
}

/** What a link may depend on: what JSON can hold, and dates. */
export type LinkedState = string | number | boolean | Date | null | readonly LinkedState[];

/** Whom a link is bound to, beside its resource. */
export interface LinkBindingOptions {
  /** Header or cookie must also hold an access token of the link's `subject`. */
  signedIn?: boolean;
  /** Only from these networks: CIDR blocks or single addresses, such as `192.0.2.0/24` or `2001:db8::/32`. */
  addresses?: string | readonly string[];
}

/**
 * What a link opens, for how long, for whom, and how often: {@link DownloadLinks.create}. An unknown member
 * throws.
 */
export interface CreateLinkOptions extends LinkTarget {
  /** How long the link lives. Default: the module's `links.expiresIn`, 5 minutes; at most 7 days. */
  expiresIn?: Duration;
  /** When the link ends, in place of `expiresIn`. */
  expiresAt?: Date;
  /** When the link begins to work. Default: at once. */
  notBefore?: Date;
  /**
   * Gives the same link, to the letter, to all who ask for this resource, subject and terms within this time,
   * on every node, so that browsers can cache what it opens. It lives between `expiresIn` and `expiresIn`
   * plus this. Not for links that are counted or bound to a network. Default: a new link each time.
   */
  reuseWithin?: Duration;
  /**
   * How a collection goes on at URLs without the token. Its first answer sets a cookie for them (`'cookie'`);
   * with `'redirect'`, a person who opens the link in a browser is also led to its URL without the token.
   * Default `'cookie'`.
   */
  exchange?: 'cookie' | 'redirect';
  /**
   * What the link depends on, such as `share.updatedAt`: once it is something else, the link is revoked. The
   * handler says what it is now: {@link DownloadLinks.requireState}. Default: nothing.
   */
  state?: LinkedState;
  /** Whom the link is for: the `sub` claim, `grant.subject`. Default: none. */
  subject?: string;
  /** The name under which the file is saved, whatever the handler says. */
  filename?: string;
  /** Whether the file is saved or shown, whatever the handler says. */
  disposition?: 'attachment' | 'inline';
  /** Whom the link is bound to: its subject, signed in, or a network. Default: whoever has it. */
  bindTo?: LinkBindingOptions;
  /**
   * Further claims; everyone who sees the link can read them. The registered names (RFC 7519 §4.1) and those
   * of this package are refused.
   */
  claims?: Readonly<Record<string, unknown>>;
  /**
   * How many downloads the link is good for. Resumes and parallel connections belong to one download; HEAD,
   * 304 and prefetches never count. Default: unlimited.
   */
  maxDownloads?: number;
  /**
   * Only the lease cookie makes a request part of a download, not the client's address. Default: the module's
   * `leases.strict`.
   */
  strict?: boolean;
  /**
   * How long after the link's end a download that had begun may be resumed; at most 24 hours. Default: the
   * module's `leases.resumeWithin`.
   */
  resumeWithin?: Duration;
  /**
   * Bytes that one download may send, for a link that is limited or may be resumed after its end. Default:
   * twice the length of the file (`leases.byteBudget`).
   */
  byteBudget?: number;
  /** Refuse the link, 503, while the store is unreachable. Default `false`; limited links always are. */
  revocable?: boolean;
  /**
   * A page with a button comes first, so that scanners of mail and previews of chats, which look like
   * browsers, use nothing up. Programs are refused with 403 `LINK_UNCONFIRMED`; with `'browsers'` those pass
   * that are not like a browser, such as wget. Default `false`.
   */
  confirm?: boolean | 'browsers';
  /**
   * A page asks for a password or a code first. The option `challenge` of the module or of the route decides
   * whether it is right. Default `false`.
   */
  challenge?: boolean;
}

/** A link that was minted. */
export interface DownloadLink {
  /**
   * Path and query, behind `links.publicUrl` where it is set. It carries the token, unless the
   * handler is a `@Post()`: then the token goes into the form field of that name (`transports.form`).
   */
  readonly url: string;
  readonly token: string;
  /** The link's `jti`. */
  readonly id: string;
  readonly expiresAt: Date;
}

/** What a link token says, and whether its times let it open its resource now. */
export interface LinkInspection extends GrantedLink {
  readonly subject?: string;
  readonly notBefore?: Date;
  /** Why it would be refused now because of its times; whether it was revoked or used up is not looked up. */
  readonly refusal?: RefusalCode;
}
