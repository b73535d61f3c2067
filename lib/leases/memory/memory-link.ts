import type { Lease } from '../lease-record.js';
import { LEASES_OF_KEY } from '../lease-store.js';
import type { LeaseChange, LeaseCommit, LeaseList, LeaseQuery, LeaseRecord } from '../lease-store.js';
import { joinKeys, splitKeys } from '../record-text.js';

/**
 * From this many leases on an index is faster than a search: joining one of 1,000 takes a sixth of the time.
 */
const INDEX_FROM = 16;

/** How many leases one that is added may make the store forget. */
const FORGOTTEN_AT_ONCE = 4;

interface StoredLease {
  readonly id: string;
  /** Joined, since an array takes 56 bytes more. */
  readonly keys: string;
  version: number;
  lease: Lease;
  until: number;
}

/** What is remembered of one link: how often it was used, and its leases. */
export class MemoryLink {
  version = 0;
  used = 0;
  keepUntil = 0;
  /** In the order in which they were added. */
  private leases: StoredLease[] = [];
  /** Leases by their id and by `key:` and each of their keys; only where there are many. */
  private index?: Map<string, StoredLease[]>;

  /** What the link counts against the capacity of the store. */
  get size(): number {
    return Math.max(1, this.leases.length);
  }

  get isEmpty(): boolean {
    return this.used === 0 && this.leases.length === 0;
  }

  /** Whether the leases are what they were when they were read. */
  holds(changes: readonly LeaseChange[]): boolean {
    return changes.every(({ id, was }) => this.get(id)?.version === was);
  }

  write(commit: LeaseCommit): void {
    for (const { id, was, version, keys, lease, until } of commit.leases) {
      const known = this.get(id);
      if (!lease) {
        this.remove(known);
      } else if (was === undefined || !known) {
        this.forgetOldest(commit);
        this.add({ id, keys: joinKeys(keys), version, lease, until });
      } else {
        Object.assign(known, { version, lease, until });
      }
    }
    this.version = commit.link?.version ?? this.version;
    this.used = commit.link?.used ?? this.used;
    this.keepUntil = Math.max(this.keepUntil, commit.keepUntil);
  }

  /** The latest leases of each key, and those that are asked for by their id; each once. */
  find({ leases, keys }: Pick<LeaseQuery, 'leases' | 'keys'>): LeaseRecord[] {
    const found = new Set<StoredLease>();
    for (const key of keys) {
      const ofKey = this.index
        ? (this.index.get(`key:${key}`) ?? [])
        : this.leases.filter((stored) => splitKeys(stored.keys).includes(key));
      ofKey
        .slice(-LEASES_OF_KEY)
        .reverse()
        .forEach((stored) => found.add(stored));
    }
    for (const id of leases) {
      const stored = this.get(id);
      if (stored) {
        found.add(stored);
      }
    }
    return [...found].map((stored) => ({
      ...stored,
      keys: splitKeys(stored.keys),
    }));
  }

  page(limit: number, after = '0'): LeaseList {
    const end = Math.max(0, this.leases.length - Number(after));
    const page = this.leases.slice(Math.max(0, end - limit), end).reverse();
    return {
      used: this.used,
      leases: page.map(({ lease }) => lease),
      next: end > limit ? String(Number(after) + limit) : undefined,
    };
  }

  private get(id: string): StoredLease | undefined {
    return this.index ? this.index.get(id)?.[0] : this.leases.find((stored) => stored.id === id);
  }

  private add(stored: StoredLease): void {
    if (this.leases.length === 0) {
      // Most links have one lease, and a first push() would reserve room for seventeen
      this.leases = [stored];
    } else {
      this.leases.push(stored);
    }
    if (this.index) {
      this.enlist(stored);
    } else if (this.leases.length > INDEX_FROM) {
      this.index = new Map();
      this.leases.forEach((lease) => this.enlist(lease));
    }
  }

  private enlist(stored: StoredLease): void {
    for (const name of namesOf(stored)) {
      const list = this.index!.get(name);
      if (list) {
        list.push(stored);
      } else {
        this.index!.set(name, [stored]);
      }
    }
  }

  private remove(stored: StoredLease | undefined): void {
    if (!stored) {
      return;
    }
    this.leases.splice(this.leases.indexOf(stored), 1);
    for (const name of this.index ? namesOf(stored) : []) {
      const others = this.index!.get(name)!.filter((other) => other !== stored);
      if (others.length > 0) {
        this.index!.set(name, others);
      } else {
        this.index!.delete(name);
      }
    }
  }

  private forgetOldest({ now, enough, most }: LeaseCommit): void {
    for (let i = 0; i < FORGOTTEN_AT_ONCE && this.leases.length > 0; i++) {
      const oldest = this.leases[0]!;
      const { length } = this.leases;
      if (length < most && (length <= enough || oldest.until > now)) {
        return;
      }
      this.remove(oldest);
    }
  }
}

function namesOf({ id, keys }: StoredLease): string[] {
  return [id, ...splitKeys(keys).map((key) => `key:${key}`)];
}
