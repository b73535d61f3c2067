import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkRecord,
  LinkState,
  RevocationListener,
} from '../lease-store.js';
import type { Revocation } from '../revocation.js';
import { checkOptions, wholeNumber } from '../../shared/check-options.js';
import { ExpiringMap } from './expiring-map.js';

/** Bounds of a {@link MemoryLeaseStore}. */
export interface MemoryLeaseStoreOptions {
  /**
   * How many links may be remembered; a link with several clients counts once for each. A further link is
   * refused (503) while all of them are in use, since a link that was forgotten could be used again. Default
   * 1,000,000, which takes some 690 MB.
   */
  readonly capacity?: number;
  /** How many revocations may be remembered; beyond it, revoking throws. Default 1,000,000. */
  readonly revocations?: number;
}

interface StoredLink {
  readonly records: Map<string, LinkRecord>;
  keepUntil: number;
}

interface Cutoff {
  readonly issuedBefore: number;
  readonly keepUntil: number;
}

/**
 * The store of a single process. It forgets everything when the process ends, so limited links that were
 * issued before it was opened are refused: their uses are not known.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: ExpiringMap<StoredLink>;
  private readonly cutoffs: ExpiringMap<Cutoff>;
  private readonly listeners = new Set<RevocationListener>();
  private entries = 0;
  private since = Infinity;

  /** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
  constructor(options: MemoryLeaseStoreOptions = {}) {
    checkOptions(options, { capacity: wholeNumber(1), revocations: wholeNumber(1) }, 'MemoryLeaseStore');
    const { capacity = 1_000_000, revocations = 1_000_000 } = options;
    this.links = new ExpiringMap(capacity, (link) => (this.entries -= sizeOf(link)));
    this.cutoffs = new ExpiringMap(revocations);
  }

  /** Links and further clients that are remembered, including expired ones that were not yet found. */
  get size(): number {
    return this.entries;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const known = this.links.get(linkId)?.records ?? new Map<string, LinkRecord>();
    const cutoffs = revocations.map((name) => this.cutoffs.get(name)?.issuedBefore ?? 0);
    return Promise.resolve({
      now,
      since: this.since,
      revokedBefore: Math.max(0, ...cutoffs),
      records:
        records === 'all'
          ? [...known.values()]
          : records.map((id) => known.get(id)).filter((record) => record !== undefined),
    });
  }

  // `async`, so that what it throws is a rejection, as it is with every other store
  // eslint-disable-next-line @typescript-eslint/require-await
  async commit({ now, linkId, keepUntil, changes }: LinkCommit): Promise<boolean> {
    if (changes.some(({ was }) => was === undefined)) {
      this.links.makeRoom(now, () => this.entries);
    }
    const known = this.links.get(linkId);
    const link = known ?? { records: new Map<string, LinkRecord>(), keepUntil: 0 };
    if (changes.some(({ id, was }) => link.records.get(id)?.version !== was)) {
      return false;
    }
    const before = sizeOf(link);
    for (const { id, version, value } of changes) {
      if (value) {
        link.records.set(id, { id, version, value });
      } else {
        link.records.delete(id);
      }
    }
    link.keepUntil = Math.max(link.keepUntil, keepUntil);
    this.entries += sizeOf(link) - before;
    if (link.records.size === 0) {
      this.links.delete(linkId);
    } else if (!known) {
      // A copy: V8 keeps an id that was put together from pieces as those pieces, in up to ten times the
      // memory
      this.links.set(Buffer.from(linkId).toString(), link);
    }
    return true;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    if (!this.cutoffs.get(name)) {
      this.cutoffs.makeRoom(now);
    }
    const known = this.cutoffs.get(name);
    this.cutoffs.set(name, {
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

/** What a link counts against the capacity: one for each client, beside its own record. */
function sizeOf({ records }: StoredLink): number {
  return records.size === 0 ? 0 : Math.max(1, records.size - 1);
}
