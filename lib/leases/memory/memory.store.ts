import { checkOptions, wholeNumber } from '../../shared/check-options.js';
import type { LeaseStore, LinkCommit, LinkQuery, LinkRecord } from '../lease-store.js';
import type { LinkState, RevocationListener } from '../lease-store.js';
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

/**
 * The store of a single process. It forgets everything when the process ends, so limited links that were
 * issued before it was opened are refused: their uses are not known.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: ExpiringLists<LinkRecord>;
  /** One for each name. */
  private readonly revocations: ExpiringLists<Revocation>;
  private readonly listeners = new Set<RevocationListener>();
  private since = Infinity;

  /** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
  constructor(options: MemoryLeaseStoreOptions = {}) {
    checkOptions(options, { capacity: wholeNumber(1) }, 'MemoryLeaseStore');
    this.links = new ExpiringLists(options.capacity);
    this.revocations = new ExpiringLists(options.capacity);
  }

  /** Records that are kept, including expired ones that were not yet found. */
  get size(): number {
    return this.links.size;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const known = this.links.get(linkId);
    const found = records === 'all' ? known : known.filter(({ id }) => records.includes(id));
    const moments = revocations.map((name) => this.revocations.get(name)[0]?.issuedBefore ?? 0);
    const revokedBefore = Math.max(0, ...moments);
    return Promise.resolve({ now, since: this.since, revokedBefore, records: found });
  }

  // `async`, so that what it throws is a rejection, as it is with every other store
  // eslint-disable-next-line @typescript-eslint/require-await
  async commit({ now, since, linkId, keepUntil, changes }: LinkCommit): Promise<boolean> {
    if (changes.some(({ was }) => was === undefined)) {
      this.links.makeRoom(now);
    }
    const known = this.links.get(linkId);
    const versionOf = (id: string) => known.find((record) => record.id === id)?.version;
    if (since !== this.since || changes.some(({ id, was }) => versionOf(id) !== was)) {
      return false;
    }
    const unchanged = known.filter((record) => !changes.some(({ id }) => id === record.id));
    const written = changes.flatMap(({ id, version, value }) => (value ? { id, version, value } : []));
    // concat() reserves no room for more, unlike a literal with spreads
    this.links.set(linkId, unchanged.concat(written), keepUntil);
    return true;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    const [known] = this.revocations.get(name);
    if (!known) {
      this.revocations.makeRoom(now);
    }
    const latest = Math.max(issuedBefore, known?.issuedBefore ?? 0);
    this.revocations.set(name, [{ ...revocation, issuedBefore: latest }], keepUntil);
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

/** Entries looked at when the store is full. */
const LOOKED_AT_WHEN_FULL = 10_000;

/** Few items under each key, and no timer: a few expired keys are forgotten with each insertion. */
class ExpiringLists<T> {
  /** Of items. */
  size = 0;
  private readonly lists = new Map<string, { items: readonly T[]; keepUntil: number }>();
  private unseen = this.lists.entries();

  constructor(private readonly capacity = 2_000_000) {}

  get(key: string): readonly T[] {
    return this.lists.get(key)?.items ?? [];
  }

  /** @throws Error if the store is full */
  makeRoom(now: number): void {
    const most = this.size < this.capacity ? LOOKED_AT : LOOKED_AT_WHEN_FULL;
    for (let looked = 0; looked < most; looked++) {
      const { done, value: entry } = this.unseen.next();
      if (done) {
        this.unseen = this.lists.entries();
        break;
      }
      const [key, { items, keepUntil }] = entry;
      if (keepUntil <= now) {
        this.lists.delete(key);
        this.size -= items.length;
      }
    }
    if (this.size >= this.capacity) {
      throw new Error(
        'The memory store is full. Give it a larger capacity, or use the SQLite, PostgreSQL or Redis store.',
      );
    }
  }

  set(key: string, items: readonly T[], keepUntil: number): void {
    const list = this.lists.get(key);
    this.size += items.length - (list?.items.length ?? 0);
    if (items.length === 0) {
      this.lists.delete(key);
    } else if (list) {
      list.items = items;
      list.keepUntil = Math.max(list.keepUntil, keepUntil);
    } else {
      // A copy: V8 keeps a key that was put together as its pieces, in up to ten times the memory
      this.lists.set(Buffer.from(key).toString(), { items, keepUntil });
    }
  }
}
