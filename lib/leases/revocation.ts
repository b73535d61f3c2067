import { checkOptions, rule, text } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { fingerprint } from './client.js';

/**
 * A revocation as the stores keep it: it withdraws the links of this name that were issued before a moment.
 */
export interface Revocation {
  readonly kind: 'link' | 'resource' | 'subject' | 'all';
  /** A link's id, or the fingerprint of a resource or subject; empty for all links. */
  readonly name: string;
  /** Milliseconds since the epoch; links issued at this moment or later stay good. */
  readonly issuedBefore: number;
  /** Milliseconds since the epoch until which a link that it withdraws might still be used. */
  readonly keepUntil: number;
}

/** The names and the age of a link, by which it can be revoked. Resource and subject are fingerprints. */
export interface Revocable {
  readonly linkId: string;
  readonly resource: string;
  readonly subject?: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
}

/** Later than any link: withdraws a link whenever it was issued. */
export const WHENEVER_ISSUED = Number.MAX_SAFE_INTEGER;

export function revocable(link: {
  readonly id: string;
  readonly resource: string;
  readonly subject?: string;
  readonly issuedAt: number;
}): Revocable {
  return {
    linkId: link.id,
    resource: resourceKey(link.resource),
    subject: link.subject === undefined ? undefined : subjectKey(link.subject),
    issuedAt: link.issuedAt,
  };
}

/** Whether the revocation withdraws this link. */
export function concerns({ kind, name, issuedBefore }: Revocation, link: Revocable): boolean {
  return link.issuedAt < issuedBefore && revocationNames(link).some(([k, n]) => k === kind && n === name);
}

/** The names under which a link may have been revoked, in a fixed order. */
export function revocationNames(link: Omit<Revocable, 'issuedAt'>): [Revocation['kind'], string][] {
  const names: [Revocation['kind'], string][] = [
    ['all', ''],
    ['link', link.linkId],
    ['resource', link.resource],
  ];
  return link.subject === undefined ? names : [...names, ['subject', link.subject]];
}

const KINDS: readonly unknown[] = ['link', 'resource', 'subject', 'all'] satisfies Revocation['kind'][];

/** The revocation that another process wrote as JSON; undefined for anything else. */
export function parseRevocation(json: string): Revocation | undefined {
  try {
    const { kind, name, issuedBefore, keepUntil } = JSON.parse(json) as Record<string, unknown>;
    const isOne = KINDS.includes(kind) && typeof name === 'string' && typeof issuedBefore === 'number';
    return isOne ? ({ kind, name, issuedBefore, keepUntil } as Revocation) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What to revoke: one link, resource or subject, or `{ issuedBefore }` alone for every link issued before it.
 */
export interface RevocationTarget {
  /** The link's id: revoked for good, whenever it was issued. */
  readonly link?: string;
  /** All links to a resource, as the link spells it. */
  readonly resource?: string;
  /** All links made for a subject. */
  readonly subject?: string;
  /** Milliseconds since the epoch; links issued at this moment or later stay good. Default: now. */
  readonly issuedBefore?: number;
}

const RULES: OptionRules<RevocationTarget> = {
  link: text("the link's id"),
  resource: text('what links.resource() answers'),
  subject: text('such as String(user.id)'),
  issuedBefore: rule(Number.isFinite, 'give milliseconds since the epoch.'),
};

/** @throws DownloadAuthConfigurationError for no target, for several, and for a name that is not a string */
export function revocationOf(target: RevocationTarget, now: number, maxLinkLife: number): Revocation {
  checkOptions(target, RULES, 'links.revoke', 'links.revoke: ');
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
  // One later, as a link issued in this very millisecond may have been issued before the call
  const issuedBefore = target.issuedBefore ?? now + 1;
  const times = { issuedBefore, keepUntil: Math.max(now, issuedBefore) + maxLinkLife };
  if (resource !== undefined) {
    return { kind: 'resource', name: resourceKey(resource), ...times };
  }
  if (subject !== undefined) {
    return { kind: 'subject', name: subjectKey(subject), ...times };
  }
  return { kind: 'all', name: '', ...times };
}

function resourceKey(resource: string): string {
  return fingerprint('resource', resource);
}

function subjectKey(subject: string): string {
  return fingerprint('subject', subject);
}
