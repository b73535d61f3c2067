import type {
  LeaseChange,
  LeaseCommit,
  LeaseList,
  LeaseListQuery,
  LeaseQuery,
  LeaseStore,
  LinkState,
  RevocationListener,
} from '../lease-store.js';
import { revocationNames } from '../revocation.js';
import type { Revocation } from '../revocation.js';
import { checkOptions, wholeNumber } from '../../shared/check-options.js';
import { ExpiringMap } from './expiring-map.js';
import { MemoryLink } from './memory-link.js';

/** Bounds of a {@link MemoryLeaseStore}. */
export interface MemoryLeaseStoreOptions {
  /**
   * How many links may be remembered; a link with several leases counts once for each. A further link is
   * refused (503) while all of them are in use, since a link that was forgotten could be used again. Default
   * 1,000,000, which takes some 690 MB.
   */
  readonly capacity?: number;
  /** How many revocations may be remembered; beyond it, revoking throws. Default 1,000,000. */
  readonly revocations?: number;
}

/** One link may fill this part of the store; beyond it, its oldest leases are forgotten but stay counted. */
const SHARE_OF_LINK = 1 / 16;

interface Cutoff {
  readonly issuedBefore: number;
  readonly keepUntil: number;
}

/**
 * The store of a single process. It forgets everything when the process ends, so limited links that were
 * issued before it was opened are refused: their uses are not known.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: ExpiringMap<MemoryLink>;
  private readonly cutoffs: ExpiringMap<Cutoff>;
  private readonly listeners = new Set<RevocationListener>();
  private readonly mostOfLink: number;
  private entries = 0;
  private since = Infinity;

  /** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
  constructor(options: MemoryLeaseStoreOptions = {}) {
    checkOptions(options, { capacity: wholeNumber(1), revocations: wholeNumber(1) }, 'MemoryLeaseStore');
    const { capacity = 1_000_000, revocations = 1_000_000 } = options;
    this.links = new ExpiringMap(capacity, (link) => (this.entries -= link.size));
    this.cutoffs = new ExpiringMap(revocations);
    this.mostOfLink = Math.max(1, Math.floor(capacity * SHARE_OF_LINK));
  }

  /** Links and further leases that are remembered, including expired ones that were not yet found. */
  get size(): number {
    return this.entries;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  read(query: LeaseQuery): Promise<LinkState> {
    const link = query.leased ? this.links.get(query.linkId) : undefined;
    const cutoffs = revocationNames(query).map((name) => this.cutoffs.get(name.join(':'))?.issuedBefore ?? 0);
    return Promise.resolve({
      now: query.now,
      since: this.since,
      revokedBefore: Math.max(...cutoffs),
      link: link && { version: link.version, used: link.used },
      leases: link?.find(query) ?? [],
    });
  }

  // `async`, so that what it throws is a rejection, as it is with every other store
  // eslint-disable-next-line @typescript-eslint/require-await
  async commit(commit: LeaseCommit): Promise<boolean> {
    const { linkId, link: change, leases, now } = commit;
    if (leases.some(isNew)) {
      this.links.makeRoom(now, () => this.entries);
    }
    const known = this.links.get(linkId);
    const link = known ?? new MemoryLink();
    if ((change && change.was !== known?.version) || !link.holds(leases)) {
      return false;
    }
    if (!known && !change?.used) {
      return true;
    }
    const before = known?.size ?? 0;
    link.write({ ...commit, most: Math.min(commit.most, this.mostOfLink) });
    if (link.isEmpty) {
      this.links.delete(linkId);
      this.entries -= before;
      return true;
    }
    this.entries += link.size - before;
    if (!known) {
      // A copy: V8 keeps an id that was put together from pieces as those pieces, in up to ten times the
      // memory
      this.links.set(Buffer.from(linkId).toString(), link);
    }
    return true;
  }

  list({ linkId, limit, after }: LeaseListQuery): Promise<LeaseList> {
    return Promise.resolve(this.links.get(linkId)?.page(limit, after) ?? { used: 0, leases: [] });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { kind, name, issuedBefore, keepUntil } = revocation;
    const key = `${kind}:${name}`;
    if (!this.cutoffs.get(key)) {
      this.cutoffs.makeRoom(now);
    }
    const known = this.cutoffs.get(key);
    this.cutoffs.set(key, {
      issuedBefore: Math.max(issuedBefore, known?.issuedBefore ?? 0),
      keepUntil: Math.max(keepUntil, known?.keepUntil ?? 0),
    });
    this.listeners.forEach((listener) => listener.revoked(revocation));
  }

  subscribe(listener: RevocationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function isNew({ was, lease }: LeaseChange): boolean {
  return was === undefined && lease !== undefined;
}
