import type { LinkUsage } from 'nestjs-download-auth';
import type { Happening, LinkRecord } from '../ledger/link-ledger.js';

/** A link as its owner sees it. */
export interface LinkSummary {
  readonly id: string;
  readonly file: string;
  readonly url: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly state: 'active' | 'expired' | 'revoked';
  /** Downloads it was made for; any number if absent. */
  readonly maxDownloads?: number;
  /** Downloads that were begun. */
  readonly used: number;
  /** The latest download; absent before the first. */
  readonly progress?: Progress;
  readonly happenings: readonly Happening[];
}

export interface Progress {
  /** Different bytes that were sent. */
  readonly bytes: number;
  /** Bytes of the file. */
  readonly length: number;
  readonly running: boolean;
  readonly complete: boolean;
  /** Downloads of the link that run now, this one included. */
  readonly downloads: number;
}

export function summaryOf(record: LinkRecord, url: string, usage: LinkUsage): LinkSummary {
  const { id, file, createdAt, expiresAt, revokedAt, maxDownloads, happenings } = record;
  return {
    id,
    file,
    url,
    createdAt: new Date(createdAt),
    expiresAt: new Date(expiresAt),
    state: revokedAt !== undefined ? 'revoked' : Date.now() >= expiresAt ? 'expired' : 'active',
    maxDownloads,
    used: usage.used,
    progress: progressOf(usage),
    happenings,
  };
}

/** Of the download that runs, else of the one that began last. */
function progressOf({ leases }: LinkUsage): Progress | undefined {
  const latest = [...leases].sort(
    (a, b) => Number(b.running > 0) - Number(a.running > 0) || b.openedAt - a.openedAt,
  )[0];
  if (!latest?.length) return undefined;
  return {
    bytes: latest.covered,
    length: latest.length,
    running: latest.running > 0,
    complete: latest.completedAt !== undefined,
    downloads: leases.filter(({ running }) => running > 0).length,
  };
}
