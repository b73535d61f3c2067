import { resourceKey, subjectKey } from './lease-link.js';
import { type Revocation, WHENEVER_ISSUED } from './revocation.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { refuseUnknown } from '../shared/unknown-option.js';

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

/** What to write for each name, where something else than a string is given: it would revoke nothing. */
const NAMES = {
  link: "the link's id",
  resource: 'what links.resource() answers',
  subject: 'such as String(user.id)',
} as const;

/** @throws DownloadAuthConfigurationError for none or several targets, and for what can be none */
export function revocationOf(target: RevocationTarget, now: number, maxLinkLife: number): Revocation {
  refuseUnknown(target, [...Object.keys(NAMES), 'issuedBefore'], 'links.revoke');
  for (const [name, advice] of Object.entries(NAMES)) {
    const value: unknown = target[name as keyof typeof NAMES];
    if (value !== undefined && typeof value !== 'string') {
      throw new DownloadAuthConfigurationError(`links.revoke: ${name}: give a string, ${advice}.`);
    }
  }
  const { link, resource, subject } = target;
  const named = [link, resource, subject].filter((name) => name !== undefined);
  if (named.length > 1 || (named.length === 0 && target.issuedBefore === undefined)) {
    throw new DownloadAuthConfigurationError(
      'Revoke one of: { link }, { resource }, { subject }, { issuedBefore }.',
    );
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
