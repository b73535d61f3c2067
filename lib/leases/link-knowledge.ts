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

/** The value of the record {@link LINK}: how many leases were opened and not given back. */
interface LinkUse {
  readonly used: number;
}

/** What records say about a link. */
export function linkOf({ now, since, records }: LinkState): KnownLink {
  const link = records.find(({ id }) => id === LINK)?.value as LinkUse | undefined;
  return { now, since, used: link?.used ?? 0, leases: records.flatMap(leasesIn) };
}

/** The records in which a lease that a request belongs to may be found, and the link's own. */
export function recordsOf({ presented, client, request }: Belonging & Partial<Entering>): string[] {
  const clients = [presented?.client, client, request].filter((id) => id !== undefined);
  return [LINK, ...new Set(clients)];
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
  private since = 0;
  /** Undefined: there is none. */
  private readonly records = new Map<string, LinkRecord | undefined>();
  private readonly changed = new Map<string, RecordChange>();

  get size(): number {
    return this.records.size;
  }

  /** Those of the records that are still to be read. */
  missing(ids: readonly string[]): string[] {
    return [...new Set(ids)].filter((id) => !this.records.has(id));
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

  /** What was decided and is to be committed, to a store of the same age. */
  takeChanges(): { since: number; changes: RecordChange[] } {
    const changes = [...this.changed.values()].filter(({ was, value }) => value ?? was !== undefined);
    this.changed.clear();
    return { since: this.since, changes };
  }

  get(id: string): object | undefined {
    return this.records.get(id)?.value;
  }

  set(id: string, value: object | undefined): void {
    const known = this.records.get(id);
    if (value === known?.value) {
      return;
    }
    const { was } = this.changed.get(id) ?? { was: known?.version };
    const version = was === undefined ? firstVersion() : was + 1;
    this.changed.set(id, { id, was, version, value });
    this.records.set(id, value && { id, version, value });
  }

  get used(): number {
    return (this.get(LINK) as LinkUse | undefined)?.used ?? 0;
  }

  /** The link with the leases in these records. */
  about(ids: readonly string[], now: number): KnownLink {
    const leases = ids.filter((id) => id !== LINK).flatMap((id) => this.leasesOf(id));
    return { now, since: this.since, used: this.used, leases };
  }

  /** Adds a lease or replaces it, and removes it if it is given back. Keeps count of the link's uses. */
  put(lease: Lease, terms: LeaseTerms, now: number): void {
    const leases = this.leasesOf(lease.client);
    const at = leases.findIndex(({ id }) => id === lease.id);
    this.count(lease.uses - (leases[at]?.uses ?? 0));
    if (at < 0) {
      // concat() reserves no room for more, unlike a literal with spreads
      this.set(lease.client, withRoom([lease].concat(leases), terms, now));
    } else if (lease.uses === 0) {
      this.set(lease.client, leases.length > 1 ? leases.toSpliced(at, 1) : undefined);
    } else {
      this.set(lease.client, leases.with(at, lease));
    }
  }

  private count(more: number): void {
    if (more === 0) {
      return;
    }
    const used = this.used + more;
    this.set(LINK, used > 0 ? ({ used } satisfies LinkUse) : undefined);
  }

  private leasesOf(client: string): readonly Lease[] {
    return (this.get(client) ?? []) as readonly Lease[];
  }
}

/** Forgets the oldest lease that is over, where a client has many. */
function withRoom(leases: readonly Lease[], terms: LeaseTerms, now: number): readonly Lease[] {
  const oldest = leases.findLastIndex((lease) => isOver(lease, now, terms));
  return leases.length > LEASES_OF_CLIENT && oldest >= 0 ? leases.toSpliced(oldest, 1) : leases;
}

/**
 * Random: a record that was forgotten and made again is not the one before. Below 2^30, which V8 keeps
 * without an object of its own.
 */
function firstVersion(): number {
  return Math.floor(Math.random() * 2 ** 30);
}
