import type { KnownLink } from './lease.js';
import type { NamedLease } from './lease-record.js';
import { LEASES_OF_KEY } from './lease-store.js';
import type { LeaseChange, LeaseCommit, LeaseRecord, LinkRecord, LinkState } from './lease-store.js';

/**
 * What an operation has to know of a link: leases by id, those under some keys, and the link's own record.
 */
export interface Needs {
  readonly leases: readonly string[];
  readonly keys?: readonly string[];
  readonly link?: boolean;
}

/** What was asked about a link, and what the store answered. */
export interface Look {
  readonly needs: Needs;
  readonly state: LinkState;
}

/** Beyond so many records, what is known of a link is forgotten and read again when it is needed. */
const MOST_RECORDS = 4096;

/** Random, so that a link's record that was forgotten and made again is not taken for the one before. */
const firstVersion = () => Math.floor(Math.random() * 2 ** 48);

/** The records of one link as this process last saw them. If stale, a commit fails and they are reread. */
export class LinkKnowledge {
  private link: LinkRecord | 'absent' | undefined;
  private readonly leases = new Map<string, LeaseRecord | 'absent'>();
  /** Ids under each key, the latest first. */
  private readonly ids = new Map<string, readonly string[]>();

  get used(): number {
    return typeof this.link === 'object' ? this.link.used : 0;
  }

  get version(): number | undefined {
    return typeof this.link === 'object' ? this.link.version : undefined;
  }

  lease(id: string): LeaseRecord | undefined {
    const found = this.leases.get(id);
    return found === 'absent' ? undefined : found;
  }

  under(key: string): readonly string[] {
    return this.ids.get(key) ?? [];
  }

  /** Takes in what was read just now. */
  learn({ needs, state }: Look): void {
    if (this.link !== undefined && this.version !== state.link?.version) {
      this.forget();
    }
    this.link = state.link ?? 'absent';
    this.add(needs, state);
  }

  /** Takes in what was read some time ago, unless something newer is known. */
  recall(look: Look): void {
    const version = look.state.link?.version ?? -1;
    if (this.link === undefined || version >= (this.version ?? -1)) {
      this.learn(look);
    }
  }

  /** What is still to be read for these operations; undefined where all is known. */
  missing(all: readonly Needs[]): Needs | undefined {
    const leases = new Set<string>();
    const keys = new Set<string>();
    let link = false;
    for (const needs of all) {
      needs.leases.forEach((id) => this.leases.has(id) || leases.add(id));
      needs.keys?.forEach((key) => this.ids.has(key) || keys.add(key));
      link ||= needs.link === true && this.link === undefined;
    }
    return leases.size > 0 || keys.size > 0 || link
      ? { leases: [...leases], keys: [...keys], link }
      : undefined;
  }

  /** Takes in what was written just now. */
  apply({ link, leases }: LeaseCommit): void {
    if (this.leases.size + this.ids.size > MOST_RECORDS || link?.used === 0) {
      this.forget();
      return;
    }
    for (const { id, was, version, keys, lease } of leases) {
      this.leases.set(id, lease ? { id, version, keys, lease } : 'absent');
      if (was === undefined || !lease) {
        for (const key of keys) {
          this.relist(key, id, lease !== undefined);
        }
      }
    }
    if (link) {
      this.link = { version: link.version, used: link.used };
    }
  }

  forget(): void {
    this.link = undefined;
    this.leases.clear();
    this.ids.clear();
  }

  private add({ leases, keys = [] }: Needs, state: LinkState): void {
    for (const record of state.leases) {
      if (
        (this.lease(record.id)?.version ?? -1) < record.version &&
        this.leases.get(record.id) !== 'absent'
      ) {
        this.leases.set(record.id, record);
      }
    }
    for (const id of leases) {
      if (!this.leases.has(id)) {
        this.leases.set(id, 'absent');
      }
    }
    for (const key of keys) {
      if (!this.ids.has(key)) {
        this.ids.set(
          key,
          state.leases.filter((record) => record.keys.includes(key)).map(({ id }) => id),
        );
      }
    }
  }

  private relist(key: string, id: string, isThere: boolean): void {
    const listed = this.ids.get(key);
    if (listed) {
      const others = listed.filter((other) => other !== id);
      this.ids.set(key, (isThere ? [id, ...others] : others).slice(0, LEASES_OF_KEY));
    }
  }
}

type Change = Omit<LeaseChange, 'version'>;

/** Decisions on what is known of a link, one after the other, that are to be committed together. */
export class Draft {
  used: number;
  private readonly changes = new Map<string, Change>();
  private readonly added = new Map<string, string[]>();

  constructor(
    private readonly known: LinkKnowledge,
    readonly now: number,
  ) {
    this.used = known.used;
  }

  lease(id: string): NamedLease | undefined {
    const change = this.changes.get(id);
    return change ? change.lease && { id, keys: change.keys, lease: change.lease } : this.known.lease(id);
  }

  /** The link with the leases that are asked for. */
  about({ leases, keys = [] }: Needs): KnownLink {
    const ids = new Set(keys.flatMap((key) => [...(this.added.get(key) ?? []), ...this.known.under(key)]));
    leases.forEach((id) => ids.add(id));
    const found = [...ids].map((id) => this.lease(id)).filter((lease) => lease !== undefined);
    return { now: this.now, used: this.used, leases: found };
  }

  /** @param until see {@link LeaseChange.until} */
  put({ id, keys, lease }: NamedLease, until: number): void {
    const isNew = !this.changes.has(id) && !this.known.lease(id);
    this.changes.set(id, { id, was: this.known.lease(id)?.version, keys, lease, until });
    if (isNew) {
      keys.forEach((key) => this.added.set(key, [id, ...(this.added.get(key) ?? [])]));
    }
  }

  remove({ id, keys }: NamedLease): void {
    const was = this.known.lease(id)?.version;
    if (was === undefined) {
      this.changes.delete(id);
    } else {
      this.changes.set(id, { id, was, keys, until: 0 });
    }
  }

  /** Undefined where nothing is to be written. */
  commit(about: Omit<LeaseCommit, 'now' | 'link' | 'leases'>): LeaseCommit | undefined {
    if (this.changes.size === 0) {
      return undefined;
    }
    const leases: LeaseChange[] = [];
    let changesLink = false;
    for (const change of this.changes.values()) {
      changesLink ||= change.was === undefined || !change.lease;
      leases.push({ ...change, version: (change.was ?? 0) + 1 });
    }
    const was = this.known.version;
    const link = { was, version: was === undefined ? firstVersion() : was + 1, used: Math.max(0, this.used) };
    return { ...about, now: this.now, link: changesLink ? link : undefined, leases };
  }
}
