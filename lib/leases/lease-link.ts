import { type ClientDescription } from './client-key.js';
import { fingerprint } from './fingerprint.js';
import { type LeaseCookie } from './lease-cookie.js';
import { type Revocable } from './revocation.js';

/** What the keeper needs to know of a link whose signature was found good. */
export interface LeasedLink {
  /** The link's `jti`. */
  readonly id: string;
  readonly subject?: string;
  /** What the link opens, in a spelling that is always the same. */
  readonly resource: string;
  /**
   * Milliseconds since the epoch. To the millisecond if possible: a link issued in the same second
   * as, but after, a revocation or the start of a store counts as issued before it otherwise.
   */
  readonly issuedAt: number;
  /** Milliseconds since the epoch; the link is expired from this moment on. */
  readonly expiresAt: number;
  /** How many downloads it is good for; unlimited if absent. */
  readonly maxDownloads?: number;
  /**
   * It must not be used unless it is certain that it was not revoked. Other unlimited links are
   * looked up as well, but go on where the store does not answer.
   */
  readonly revocable?: boolean;
  /** Only the lease cookie makes a request part of a download, not the client's address. */
  readonly strict?: boolean;
  /** Milliseconds after its expiry within which a download that had begun may go on. */
  readonly resumeWithin?: number;
  /** Bytes that one download may send, instead of a multiple of the length. */
  readonly byteBudget?: number;
}

/** What the keeper needs to know of a request. */
export interface LeaseClient extends ClientDescription {
  /** The value of the cookie named `leaseCookieName(link.id)`. */
  readonly leaseCookie?: string;
  /** The path as the client knows it, to which the cookie will be confined. Default `/`. */
  readonly path?: string;
  /** The browser fetches ahead of its user (`isPrefetch`). */
  readonly prefetch?: boolean;
  /** Adds a cookie to the answer; called before any header is written. */
  readonly setCookie?: (cookie: LeaseCookie) => void;
}

/** The names under which the stores know a link. */
export function linkKeys(link: Pick<LeasedLink, 'id' | 'resource' | 'subject' | 'issuedAt'>): Revocable {
  return {
    linkId: link.id,
    resource: resourceKey(link.resource),
    subject: link.subject === undefined ? undefined : subjectKey(link.subject),
    issuedAt: link.issuedAt,
  };
}

export function resourceKey(resource: string): string {
  return fingerprint('resource', resource);
}

export function subjectKey(subject: string): string {
  return fingerprint('subject', subject);
}
