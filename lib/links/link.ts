import type { Duration } from '../shared/duration.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import type { GrantedLink } from '../tokens/grant.js';
import type { LinkTarget } from './link-target.js';

/** The names of a controller's methods. */
export type HandlerName<Controller> = {
  [Name in keyof Controller]: Controller[Name] extends (...args: never[]) => unknown ? Name : never;
}[keyof Controller] &
  string;

/** How often and how a link may be used. */
export interface LinkLimitOptions {
  /**
   * How many downloads the link is good for. A download is not a request: what resumes it, what a download
   * manager fetches in parallel and what only looks belongs to it. Default: unlimited.
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
   * Bytes that one download may send, of a link that is limited or may be resumed after its end. Default:
   * twice the length of what is downloaded (`leases.byteBudget`).
   */
  byteBudget?: number;
  /**
   * Whether the link is refused while the store cannot say that it was not revoked. Default `false`; limited
   * links are.
   */
  revocable?: boolean;
}

/** Whom a link is bound to, beside its resource. */
export interface LinkBindingOptions {
  /**
   * Only for the person it was made for: header or cookie must hold an access token of the link's `subject`.
   */
  signedIn?: boolean;
  /** Only from these networks: CIDR blocks or single addresses, such as `192.0.2.0/24` or `2001:db8::/32`. */
  addresses?: string | readonly string[];
}

/**
 * What a link opens, for how long, for whom, and how often: {@link DownloadLinks.create}. An unknown member
 * throws.
 */
export interface CreateLinkOptions extends LinkTarget, LinkLimitOptions {
  /** How long the link lives. Default: the module's `links.expiresIn`, 5 minutes; at most 7 days. */
  expiresIn?: Duration;
  /** When the link ends, in place of `expiresIn`. */
  expiresAt?: Date;
  /** When the link begins to work. Default: at once. */
  notBefore?: Date;
  /** Whom the link is for: the `sub` claim, `grant.subject`. Default: none. */
  subject?: string;
  /** The name under which the file is saved, whatever the handler says. */
  filename?: string;
  /** Whether the file is saved or shown, whatever the handler says. */
  disposition?: 'attachment' | 'inline';
  /**
   * Whom the link is bound to: the person it was made for, signed in, or a network. Default: whoever has it.
   */
  bindTo?: LinkBindingOptions;
  /**
   * Further claims; everyone who sees the link can read them. Registered names and those of this package are
   * refused.
   */
  claims?: Readonly<Record<string, unknown>>;
}

/** A link that was minted. */
export interface DownloadLink {
  /**
   * Absolute where `links.publicUrl` is set, otherwise from the path on. It carries the token, unless the
   * handler is a
   * `@Post()`: then the token goes into the form field of that name (`transports: { form: true }`).
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
  /**
   * The refusal that its times earn it now, `undefined` where they earn none. Whether it was revoked or used
   * up is not looked up.
   */
  readonly refusal?: RefusalCode;
}

/** What to revoke: one of a link, a resource, a subject; or `issuedBefore` alone for all links. */
export interface LinkRevocation {
  /** The link's id. */
  link?: string;
  /** As {@link DownloadLinks.resource} tells it. */
  resource?: string;
  subject?: string;
  /** Links issued at this moment or later stay good. Default: those issued up to now are revoked. */
  issuedBefore?: Date;
}
