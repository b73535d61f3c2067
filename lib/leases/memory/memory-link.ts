import { type Lease } from '../lease-record.js';
import { type LeaseChange, type LeaseCommit, type LeaseList, type LeaseRecord } from '../lease-store.js';
import { LEASES_OF_KEY } from '../lease-store.js';

/** Below this, looking through the leases costs less memory and no more time than an index. */
const INDEX_FROM = 16;

/** Leases that one commit may forget beside those that it adds. */
const FORGOTTEN_AT_ONCE = 4;

type Stored = Omit<LeaseRecord, 'lease'> & { readonly lease: Lease; readonly until: number };

/** What is remembered of one link: how often it was used, and its leases. */
export class MemoryLink {
  version = 0;
  used = 0;
  keepUntil = 0;
  /** In the order in which they were opened; a list while they are few, as most links have one. */
  private few: Stored[] = [];
  private many?: Map<string, Stored>;
  /** Ids under each key, the earliest first; undefined while there are few leases. */
  private byKey?: Map<string, Set<string>>;

  get size(): number {
    return Math.max(1, this.count);
  }

  get isEmpty(): boolean {
    return this.used === 0 && this.count === 0;
  }

  private get count(): number {
    return this.many?.size ?? this.few.length;
  }

  private get leases(): Iterable<Stored> {
    return this.many?.values() ?? this.few;
  }

  private get(id: string): Stored | undefined {
    return this.many ? this.many.get(id) : this.few.find((stored) => stored.id === id);
  }

  /** Whether these records are what they were when they were read. */
  holds(changes: readonly LeaseChange[]): boolean {
    return changes.every(({ id, was }) => this.get(id)?.version === was);
  }

  /** @param most as {@link LeaseCommit.most}, of the store */
  write({ link, leases, keepUntil, ...about }: LeaseCommit, most: number): void {
    for (const { id, was, version, keys, lease, until } of leases) {
      if (!lease) {
        this.remove(id);
        continue;
      }
      if (was === undefined) {
        this.forgetOldest({ ...about, most: Math.min(most, about.most) });
        keys.forEach((key) => this.index(key, id));
      }
      this.put({ id, version, keys, lease, until });
    }
    if (link) {
      this.version = link.version;
      this.used = link.used;
    }
    this.keepUntil = Math.max(this.keepUntil, keepUntil);
    if (!this.many && this.few.length > INDEX_FROM) {
      this.many = new Map(this.few.map((stored) => [stored.id, stored]));
      this.byKey = new Map();
      this.few.forEach(({ id, keys }) => keys.forEach((key) => this.index(key, id)));
      this.few = [];
    }
  }

  find(ids: readonly string[], keys: readonly string[]): LeaseRecord[] {
    const found = new Set<string>();
    for (const key of keys) {
      const under = this.byKey
        ? [...(this.byKey.get(key) ?? [])]
        : [...this.leases].filter((stored) => stored.keys.includes(key)).map(({ id }) => id);
      under
        .slice(-LEASES_OF_KEY)
        .reverse()
        .forEach((id) => found.add(id));
    }
    ids.forEach((id) => found.add(id));
    return [...found].map((id) => this.get(id)).filter((stored) => stored !== undefined);
  }

  page(limit: number, after: string | undefined): Omit<LeaseList, 'used'> {
    const latestFirst = [...this.leases].reverse();
    const from = after === undefined ? 0 : Number(after);
    const leases = latestFirst.slice(from, from + limit).map(({ lease }) => lease);
    const next = from + limit < latestFirst.length ? String(from + limit) : undefined;
    return { leases, next };
  }

  private put(stored: Stored): void {
    const at = this.few.findIndex(({ id }) => id === stored.id);
    if (this.many) {
      this.many.set(stored.id, stored);
    } else if (at >= 0) {
      this.few[at] = stored;
    } else {
      // A literal has room for one, where a first push makes room for seventeen
      this.few = this.few.length === 0 ? [stored] : [...this.few, stored];
    }
  }

  private remove(id: string): void {
    const stored = this.get(id);
    this.many?.delete(id);
    this.few = this.few.filter((other) => other.id !== id);
    for (const key of stored?.keys ?? []) {
      const ids = this.byKey?.get(key);
      ids?.delete(id);
      if (ids?.size === 0) {
        this.byKey!.delete(key);
      }
    }
  }

  private index(key: string, id: string): void {
    if (this.byKey) {
      const ids = this.byKey.get(key);
      if (ids) {
        ids.add(id);
      } else {
        this.byKey.set(key, new Set([id]));
      }
    }
  }

  private forgetOldest({ now, enough, most }: Pick<LeaseCommit, 'now' | 'enough' | 'most'>): void {
    for (const stored of this.oldest()) {
      const size = this.count;
      const isEnough = size < most && (size <= enough || stored.until > now);
      if (isEnough) {
        return;
      }
      this.remove(stored.id);
    }
  }

  private oldest(): Stored[] {
    const oldest: Stored[] = [];
    for (const stored of this.leases) {
      if (oldest.push(stored) === FORGOTTEN_AT_ONCE) {
        break;
      }
    }
    return oldest;
  }
}
