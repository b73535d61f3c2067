import { text, wholeNumber } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { bytesIn } from './interval-set.js';
import type { KnownLink } from './lease.js';
import type { Lease } from './lease-record.js';

/** Which part of a link's downloads to list. */
export interface UsagePage {
  /** How many downloads at most: 1 to 1000. Default 100. */
  readonly limit?: number;
  /** Where the last page ended: its {@link LinkUsage.next}. */
  readonly after?: string;
}

export const PAGE_RULES: OptionRules<UsagePage> = {
  limit: wholeNumber(1, 1000),
  after: text("the last page's next"),
};

/** How often a link has been used, on all nodes: the answer of `DownloadLinks.usage()`. */
export interface LinkUsage {
  /** Downloads that were begun and not given back. */
  readonly used: number;
  /** Those that are still known, the latest first; at most a page of them. */
  readonly leases: readonly LeaseUsage[];
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

/**
 * One download of a link, as `DownloadLinks.usage()` answers it. Moments are milliseconds since the epoch.
 */
export interface LeaseUsage {
  readonly openedAt: number;
  /** When it last sent something. */
  readonly seenAt: number;
  readonly completedAt?: number;
  /** Length of the representation in bytes, where it is known. */
  readonly length?: number;
  /** How many different bytes of the representation were sent. */
  readonly covered: number;
  /** Requests running under it. */
  readonly running: number;
}

/** A page of how a link was used. */
export function usageOf({ used, leases }: KnownLink, { limit = 100, after }: UsagePage): LinkUsage {
  const rest = leases
    .map((lease) => ({ lease, place: `${lease.openedAt} ${lease.id}` }))
    .filter(({ place }) => after === undefined || place < after)
    .sort((a, b) => (a.place < b.place ? 1 : -1));
  const next = rest.length > limit ? rest[limit - 1]!.place : undefined;
  const latest = rest.slice(0, limit).map(({ lease }) => leaseUsage(lease));
  return { used, leases: latest, ...(next !== undefined && { next }) };
}

export function leaseUsage({ openedAt, seenAt, completedAt, length, covered, running }: Lease): LeaseUsage {
  return { openedAt, seenAt, completedAt, length, covered: bytesIn(covered), running: running?.length ?? 0 };
}
