import {
  type LeaseCommit,
  type LeaseList,
  type LeaseListQuery,
  type LeaseQuery,
  type LeaseStore,
  type LinkState,
  type RevocationListener,
} from '../lease-store.js';
import { type Revocation } from '../revocation.js';
import { MemoryLink } from './memory-link.js';
import { MemoryRevocations } from './memory-revocations.js';
import { SweptMap } from './swept-map.js';

/** Bounds of a {@link MemoryLeaseStore}. */
export interface MemoryLeaseStoreOptions {
  /**
   * How many links may be remembered, a link with several leases counting once for each. When as many are in use a
   * further one is refused (503), since to forget one would let it be used twice. Default 1,000,000, which takes some
   * 870 MB.
   */
  readonly capacity?: number;
  /** How many revocations may be remembered; over it, revoking throws. Default 1,000,000. */
  readonly revocations?: number;
}

/** The leases of one link take at most this part of the store; beyond, its oldest are forgotten, and still counted. */
const SHARE_OF_LINK = 1 / 16;

/**
 * The store of a single process. It forgets when the process ends; so links issued before it was opened, whose uses it
 * cannot know, are refused if they are limited.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: SweptMap<MemoryLink>;
  private readonly revocations: MemoryRevocations;
  private readonly listeners = new Set<RevocationListener>();
  private readonly mostOfLink: number;
  private since = Infinity;

  constructor(options: MemoryLeaseStoreOptions = {}) {
    const { capacity = 1_000_000, revocations = 1_000_000 } = options;
    this.links = new SweptMap(
      capacity,
      (link, now) => link.keepUntil <= now,
      (link) => link.size,
    );
    this.mostOfLink = Math.max(1, Math.floor(capacity * SHARE_OF_LINK));
    this.revocations = new MemoryRevocations(revocations);
  }

  /** Links and further leases remembered at the moment, what has expired and was not yet met included. */
  get size(): number {
    return this.links.size;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  read(query: LeaseQuery): Promise<LinkState> {
    const link = query.leased ? this.links.get(query.linkId) : undefined;
    return Promise.resolve({
      now: query.now,
      since: this.since,
      revokedBefore: this.revocations.before(query),
      link: link && { version: link.version, used: link.used },
      leases: link?.find(query.leases, query.keys) ?? [],
    });
  }

  // `async`, so that what it throws is a rejection, as it is with every other store
  // eslint-disable-next-line @typescript-eslint/require-await
  async commit(commit: LeaseCommit): Promise<boolean> {
    const { linkId, now, link: change } = commit;
    const known = this.links.get(linkId);
    if ((change && change.was !== known?.version) || !(known ?? new MemoryLink()).holds(commit.leases)) {
      return false;
    }
    if (!known) {
      if (change?.used) {
        const link = new MemoryLink();
        link.write(commit, this.mostOfLink);
        // A copy: an id that was put together from pieces is kept as those pieces, which may take ten times the memory
        this.links.set(Buffer.from(linkId).toString(), link, now);
      }
      return true;
    }
    const grows = commit.leases.some(({ was, lease }) => was === undefined && lease !== undefined);
    this.links.update(known, now, () => known.write(commit, this.mostOfLink), grows);
    if (known.isEmpty) {
      this.links.delete(linkId);
    }
    return true;
  }

  list({ linkId, limit, after }: LeaseListQuery): Promise<LeaseList> {
    const link = this.links.get(linkId);
    return Promise.resolve({ used: link?.used ?? 0, ...(link?.page(limit, after) ?? { leases: [] }) });
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    this.revocations.add(revocation, now);
    for (const listener of this.listeners) {
      listener.revoked(revocation);
    }
    return Promise.resolve();
  }

  subscribe(listener: RevocationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
