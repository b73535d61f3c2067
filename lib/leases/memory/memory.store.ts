import { checkOptions, wholeNumber } from '../../shared/check-options.js';
import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkRecord,
  LinkState,
  RevocationListener,
} from '../lease-store.js';
import type { Revocation } from '../revocation.js';

/** Bounds of a {@link MemoryLeaseStore}. */
export interface MemoryLeaseStoreOptions {
  /**
   * How many records may be kept, one for each link and each of its clients, and how many revocations
   * beside them. Beyond it, what needs a further one is refused (503), as a link that was forgotten could be
   * used again. Default 2,000,000.
   */
  readonly capacity?: number;
}

interface KnownLink {
  keepUntil: number;
  /** Few, as a rule: a Map for each link would take a third more memory. */
  records: readonly LinkRecord[];
}

/**
 * The store of a single process. It forgets everything when the process ends, so limited links that were
 * issued before it was opened are refused: their uses are not known.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: ExpiringMap<KnownLink>;
  private readonly revocations: ExpiringMap<Revocation>;
  private readonly listeners = new Set<RevocationListener>();
  private records = 0;
  private since = Infinity;

  /** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
  constructor(options: MemoryLeaseStoreOptions = {}) {
    checkOptions(options, { capacity: wholeNumber(1) }, 'MemoryLeaseStore');
    const { capacity = 2_000_000 } = options;
    this.links = new ExpiringMap(
      () => this.records < capacity,
      ({ records }) => (this.records -= records.length),
    );
    this.revocations = new ExpiringMap(() => this.revocations.size < capacity);
  }

  /** Records that are kept, including expired ones that were not yet found. */
  get size(): number {
    return this.records;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const known = this.links.get(linkId)?.records ?? [];
    const found = records === 'all' ? known : known.filter(({ id }) => records.includes(id));
    const moments = revocations.map((name) => this.revocations.get(name)?.issuedBefore ?? 0);
    return Promise.resolve({
      now,
      since: this.since,
      revokedBefore: Math.max(0, ...moments),
      records: found,
    });
  }

  // `async`, so that what it throws is a rejection, as it is with every other store
  // eslint-disable-next-line @typescript-eslint/require-await
  async commit({ now, since, linkId, keepUntil, changes }: LinkCommit): Promise<boolean> {
    if (changes.some(({ was }) => was === undefined)) {
      this.links.makeRoom(now);
    }
    const known = this.links.get(linkId);
    const link = known ?? { keepUntil, records: [] };
    const versions = new Map(link.records.map(({ id, version }) => [id, version]));
    if (since !== this.since || changes.some(({ id, was }) => versions.get(id) !== was)) {
      return false;
    }
    const unchanged = link.records.filter((record) => !changes.some(({ id }) => id === record.id));
    const written = changes.flatMap(({ id, version, value }) => (value ? { id, version, value } : []));
    this.records -= link.records.length;
    // concat() reserves no room for more, unlike a literal with spreads
    link.records = unchanged.concat(written);
    link.keepUntil = Math.max(link.keepUntil, keepUntil);
    this.records += link.records.length;
    if (link.records.length === 0) {
      this.links.delete(linkId);
    } else if (!known) {
      // A copy: V8 keeps an id that was put together as its pieces, in up to ten times the memory
      this.links.set(Buffer.from(linkId).toString(), link);
    }
    return true;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    const known = this.revocations.get(name);
    if (!known) {
      this.revocations.makeRoom(now);
    }
    this.revocations.set(name, {
      name,
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

/** Entries looked at per insertion: more than one, so that what expires is found faster than it is added. */
const LOOKED_AT = 4;

/** Entries looked at when the map is full. */
const LOOKED_AT_WHEN_FULL = 10_000;

/** A map that forgets a few expired entries with each insertion, so that it needs no timer. */
class ExpiringMap<V extends { readonly keepUntil: number }> extends Map<string, V> {
  private unseen = this.entries();

  constructor(
    private readonly hasRoom: () => boolean,
    private readonly dropped: (value: V) => void = () => {},
  ) {
    super();
  }

  /** @throws Error if the map is full */
  makeRoom(now: number): void {
    const most = this.hasRoom() ? LOOKED_AT : LOOKED_AT_WHEN_FULL;
    for (let looked = 0; looked < most; looked++) {
      const { done, value: entry } = this.unseen.next();
      if (done) {
        this.unseen = this.entries();
        break;
      }
      const [key, value] = entry;
      if (value.keepUntil <= now) {
        this.delete(key);
        this.dropped(value);
      }
    }
    if (!this.hasRoom()) {
      throw new Error(
        'The memory store is full. Give it a larger capacity, or use the SQLite, PostgreSQL or Redis store.',
      );
    }
  }
}
