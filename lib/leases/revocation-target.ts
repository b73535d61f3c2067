import { resourceKey, subjectKey } from './lease-link.js';
import { type Revocation, WHENEVER_ISSUED } from './revocation.js';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';

/**
 * What to revoke: exactly one of a link, a resource, a subject, or `{ issuedBefore }` alone for
 * every link issued before that moment.
 */
export interface RevocationTarget {
  /** The link's id: revoked for good, whenever it was issued. */
  readonly link?: string;
  /** All links to a resource, as {@link LeasedLink.resource} spells it. */
  readonly resource?: string;
  /** All links made for a subject. */
  readonly subject?: string;
  /**
   * Milliseconds since the epoch; links issued at this moment or later stay good. Default: those
   * issued up to now are revoked.
   */
  readonly issuedBefore?: number;
}

/** @throws DownloadAuthConfigurationError for none or several targets, and for one that is no text */
export function revocationOf(target: RevocationTarget, now: number, maxLinkLife: number): Revocation {
  const { link, resource, subject } = target;
  const named = Object.entries({ link, resource, subject }).filter(([, name]) => name !== undefined);
  if (named.length > 1 || (named.length === 0 && target.issuedBefore === undefined)) {
    throw new DownloadAuthConfigurationError(
      'Revoke one of: { link }, { resource }, { subject }, { issuedBefore }.',
    );
  }
  const [[kind, name] = []] = named;
  if (kind !== undefined && typeof name !== 'string') {
    throw new DownloadAuthConfigurationError(`${kind}: give a string, as the link carries it.`);
  }
  if (link !== undefined) {
    return { kind: 'link', name: link, issuedBefore: WHENEVER_ISSUED, keepUntil: now + maxLinkLife };
  }
  // One further, as a link issued in this very millisecond may have been issued before the call.
  const issuedBefore = target.issuedBefore ?? now + 1;
  const keepUntil = Math.max(now, issuedBefore) + maxLinkLife;
  if (resource !== undefined) {
    return { kind: 'resource', name: resourceKey(resource), issuedBefore, keepUntil };
  }
  if (subject !== undefined) {
    return { kind: 'subject', name: subjectKey(subject), issuedBefore, keepUntil };
  }
  return { kind: 'all', name: '', issuedBefore, keepUntil };
}
