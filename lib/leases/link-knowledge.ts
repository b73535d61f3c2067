import { LEASES_OF_CLIENT } from './lease.js';
import type { Belonging, Entering, KnownLink } from './lease.js';
import { isOver } from './lease-record.js';
import type { Lease, LeaseTerms } from './lease-record.js';
import type { LinkRecord, LinkState, RecordChange } from './lease-store.js';

/**
 * The id of the record that says how often a link was used. A record that is a list holds the leases of one
 * client, the latest first; others are not about leases.
 */
export const LINK = 'link';

/** The value of the record {@link LINK}: how many downloads were begun and not given back. */
interface LinkUse {
  readonly used: number;
}

/** What records say about a link. */
export function linkOf({ now, since, records }: Omit<LinkState, 'revokedBefore'>): KnownLink {
  const link = records.find(({ id }) => id === LINK)?.value as LinkUse | undefined;
  return { now, since, used: link?.used ?? 0, leases: records.flatMap(leasesIn) };
}

/** The records in which a lease that a request belongs to may be found, and the link's own. */
export function recordsOf({ presented, client, request }: Belonging & Partial<Entering>): string[] {
  const ids = [LINK];
  for (const id of [presented?.client, client, request]) {
    if (id !== undefined && !ids.includes(id)) {
      ids.push(id);
    }
  }
  return ids;
}

export function leasesIn({ value }: LinkRecord): readonly Lease[] {
  return holdsLeases(value) ? value : [];
}

export function holdsLeases(value: object): value is readonly Lease[] {
  return Array.isArray(value);
}

/**
 * The records of one link as this process last saw them, and what was decided on them since. If they are
 * stale, the commit fails, and they are read again.
 */
export class LinkKnowledge {
  /** When the store was created. */
  since = 0;
  /** Undefined: there is none. */
  private readonly records = new Map<string, LinkRecord | undefined>();
  /** The versions that changed records had when they were read. */
  private readonly changed = new Map<string, number | undefined>();

  get size(): number {
    return this.records.size;
  }

  has(id: string): boolean {
    return this.records.has(id);
  }

  /** Takes in what was read, unless something later is known. */
  learn(ids: readonly string[], { since, records }: LinkState): void {
    if (since !== this.since) {
      // The store was emptied
      this.records.clear();
      this.since = since;
    }
    for (const id of ids) {
      const read = records.find((record) => record.id === id);
      const known = this.records.get(id);
      if (!known || (read && read.version > known.version)) {
        this.records.set(id, read);
      }
    }
  }

  /** What was decided and is to be committed. */
  takeChanges(): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const [id, was] of this.changed) {
      const { version = (was ?? 0) + 1, value } = this.records.get(id) ?? {};
      if (value ?? was !== undefined) {
        changes.push({ id, was, version, value });
      }
    }
    this.changed.clear();
    return changes;
  }

  get(id: string): object | undefined {
    return this.records.get(id)?.value;
  }

  set(id: string, value: object | undefined): void {
    const known = this.records.get(id);
    if (value === known?.value) {
      return;
    }
    if (!this.changed.has(id)) {
      this.changed.set(id, known?.version);
    }
    const was = this.changed.get(id);
    // Random: a record that was forgotten and made again is not the one before. Below 2^30, which V8 keeps
    // without an object of its own
    const version = was === undefined ? Math.floor(Math.random() * 2 ** 30) : was + 1;
    this.records.set(id, value && { id, version, value });
  }

  /** The link with the leases in these records. */
  about(ids: readonly string[], now: number): KnownLink {
    const records = ids.flatMap((id) => this.records.get(id) ?? []);
    return linkOf({ now, since: this.since, records });
  }

  /** Adds a lease or replaces it, and removes it if it is given back. Keeps count of the link's uses. */
  put(lease: Lease, { now, used }: KnownLink, terms: LeaseTerms): void {
    const { client } = lease;
    const leases = (this.get(client) ?? []) as readonly Lease[];
    const at = leases.findIndex(({ id }) => id === lease.id);
    const uses = used + lease.uses - (leases[at]?.uses ?? 0);
    if (uses !== used) {
      this.set(LINK, uses > 0 ? ({ used: uses } satisfies LinkUse) : undefined);
    }
    if (at < 0) {
      // concat() reserves no room for more, unlike a literal with spreads
      this.set(client, withRoom([lease].concat(leases), terms, now));
    } else if (lease.uses > 0) {
      this.set(client, leases.with(at, lease));
    } else {
      this.set(client, leases.length > 1 ? leases.toSpliced(at, 1) : undefined);
    }
  }
}

/** Forgets the oldest lease that is over, where a client has many. */
function withRoom(leases: readonly Lease[], terms: LeaseTerms, now: number): readonly Lease[] {
  const oldest = leases.findLastIndex((lease) => isOver(lease, now, terms));
  return leases.length > LEASES_OF_CLIENT && oldest >= 0 ? leases.toSpliced(oldest, 1) : leases;
}
