import { checkOptions, date, rule, text } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { checkLinkId } from '../shared/link-id.js';
import { fingerprint } from './client.js';

/** Withdraws the links of one name that were issued before a moment; as the stores keep it. */
export interface Revocation {
  /** Names a link, a resource, a subject or all links ({@link revocationNames}). */
  readonly name: string;
  /** Milliseconds since the epoch; links issued at this moment or later stay good. */
  readonly issuedBefore: number;
  /** Milliseconds since the epoch until which a link that it withdraws might still be used. */
  readonly keepUntil: number;
}

/** What a link can be revoked by. */
export interface Revocable {
  readonly id: string;
  /** The digest of what it opens. */
  readonly resource: string;
  /** The digest of what a link to a collection opens now, which may be revoked alone. */
  readonly part?: string;
  readonly subject?: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
}

/** Later than any link: withdraws a link whenever it was issued. */
export const WHENEVER_ISSUED = Number.MAX_SAFE_INTEGER;

const ALL = 'all';
/** The name by which one link is revoked. */
export const ofLink = (id: string) => `link:${id}`;
/** A resource is named by its digest already. */
const ofResource = (resource: string) => `resource:${resource}`;
/** The name of a subject, by which its links and its other downloads are revoked. */
export const ofSubject = (subject: string) => `subject:${fingerprint('subject', subject)}`;

/** The names under which a link may have been revoked. */
export function revocationNames({ id, resource, part, subject }: Revocable): string[] {
  return [
    ALL,
    ofLink(id),
    ofResource(resource),
    ...(part === undefined ? [] : [ofResource(part)]),
    ...(subject === undefined ? [] : [ofSubject(subject)]),
  ];
}

/** What to revoke: one of a link, a resource, a subject; or `issuedBefore` alone for all links. */
export interface LinkRevocation {
  /** The link's id: it is revoked for good, whenever it was issued. */
  link?: string;
  /** The answer of `DownloadLinks.resource()`. */
  resource?: string;
  subject?: string;
  /** Links issued at this moment or later stay good. Default: those issued up to now are revoked. */
  issuedBefore?: Date;
}

const RULES: OptionRules<LinkRevocation> = {
  link: text("the link's id"),
  // A path would silently revoke nothing
  resource: rule(
    (digest) => typeof digest === 'string' && /^[\w-]{43}$/.test(digest),
    'give a string, what links.resource() answers.',
  ),
  subject: rule(
    (subject) => typeof subject === 'string' && subject !== '',
    'give a string, such as String(user.id).',
  ),
  issuedBefore: date('new Date()'),
};

/** @throws DownloadAuthConfigurationError for no target, for several, and for what cannot be one */
export function revocationOf(target: LinkRevocation, now: number, maxLinkLife: number): Revocation {
  checkOptions(target, RULES, 'links.revoke', 'links.revoke: ');
  const { issuedBefore: moment, ...names } = { ...target };
  const [missing] = Object.entries(names).find(([, value]) => value === undefined) ?? [];
  if (missing !== undefined) {
    // { subject: undefined, issuedBefore } would revoke all links
    throw new DownloadAuthConfigurationError(
      `links.revoke: ${missing} is undefined. Give its value, or leave it out.`,
    );
  }
  const { link, resource, subject } = names;
  const named = [link, resource, subject].filter((name) => name !== undefined);
  if (named.length > 1 || (named.length === 0 && moment === undefined)) {
    throw new DownloadAuthConfigurationError(
      'Revoke one of: { link }, { resource }, { subject }, { issuedBefore }.',
    );
  }
  if (link !== undefined) {
    checkLinkId(link, 'links.revoke: link');
    return { name: ofLink(link), issuedBefore: WHENEVER_ISSUED, keepUntil: now + maxLinkLife };
  }
  // One later, as a link issued in this very millisecond may have been issued before the call
  const issuedBefore = moment?.getTime() ?? now + 1;
  const times = { issuedBefore, keepUntil: Math.max(now, issuedBefore) + maxLinkLife };
  if (resource !== undefined) {
    return { name: ofResource(resource), ...times };
  }
  return { name: subject === undefined ? ALL : ofSubject(subject), ...times };
}
