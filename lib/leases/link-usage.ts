import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { type LeaseUsage, leaseUsage } from './lease-record.js';
import { type LeaseList } from './lease-store.js';

/** Leases of one page, unless said otherwise, and at most. */
const PAGE = 100;
const LARGEST_PAGE = 1000;

/** Which part of a link's downloads to list. */
export interface UsagePage {
  /** How many downloads at most: 1 to 1000. Default 100. */
  readonly limit?: number;
  /** Where the last page ended: its {@link LinkUsage.next}. */
  readonly after?: string;
}

/** How often a link has been used, on all nodes: the answer of `DownloadLinks.usage()`. */
export interface LinkUsage {
  /** Downloads that were begun and not given back. */
  readonly used: number;
  /** Those that are still known, the latest first; at most a page of them. */
  readonly leases: readonly LeaseUsage[];
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

/** @throws DownloadAuthConfigurationError for a page that cannot be meant */
export async function usagePage(
  page: UsagePage,
  list: (query: { limit: number; after?: string }) => Promise<LeaseList>,
): Promise<LinkUsage> {
  refuseUnknown(page, ['limit', 'after'], 'links.usage');
  const { limit = PAGE, after } = page;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LARGEST_PAGE) {
    throw new DownloadAuthConfigurationError(
      `links.usage: limit: give a whole number from 1 to ${LARGEST_PAGE}.`,
    );
  }
  if (after !== undefined && typeof after !== 'string') {
    throw new DownloadAuthConfigurationError("links.usage: after: give the last page's next.");
  }
  const { used, leases, next } = await list({ limit, after });
  return { used, leases: leases.map(leaseUsage), ...(next !== undefined && { next }) };
}
