import { LEASES_OF_CLIENT } from './lease.js';
import type { Belonging, Entering, KnownLink } from './lease.js';
import { isGivenBack, isOver } from './lease-record.js';
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

/** Records of a link that were asked for, and what the store answered. */
export interface Look {
  /** Looks and commits of this process, in their order. */
  readonly turn: number;
  readonly ids: readonly string[];
  readonly state: LinkState;
}

/** A record that was there or not, and when that was so. */
interface KnownRecord {
  readonly turn: number;
  readonly record?: LinkRecord;
}

/** Beyond so many records, what is known of a link is forgotten and read again when it is needed. */
const MOST_RECORDS = 4096;

/** The records of one link as this process last saw them. If stale, a commit fails and they are reread. */
export class LinkKnowledge {
  /** When the store was created, as of the latest look. */
  since = 0;
  private latest = -1;
  private readonly records = new Map<string, KnownRecord>();

  get(id: string): LinkRecord | undefined {
    return this.records.get(id)?.record;
  }

  /** Those of the records that are still to be read. */
  missing(ids: readonly string[]): string[] {
    return [...new Set(ids)].filter((id) => !this.records.has(id));
  }

  /** Takes in what was read, unless something later is known. */
  learn({ turn, ids, state }: Look): void {
    if (state.since !== this.since) {
      if (turn < this.latest) {
        return;
      }
      // The store was emptied
      this.forget();
      this.since = state.since;
    }
    this.latest = Math.max(this.latest, turn);
    for (const id of ids) {
      if ((this.records.get(id)?.turn ?? -1) < turn) {
        this.records.set(id, { turn, record: state.records.find((record) => record.id === id) });
      }
    }
  }

  /** Takes in what was written. */
  apply(changes: readonly RecordChange[], turn: number): void {
    if (this.records.size > MOST_RECORDS) {
      this.forget();
    }
    for (const { id, version, value } of changes) {
      this.records.set(id, { turn, record: value && { id, version, value } });
    }
  }

  forget(): void {
    this.records.clear();
  }
}

/** Decisions on what is known of a link, one after the other, that are to be committed together. */
export class Draft {
  private readonly values = new Map<string, object | undefined>();

  constructor(
    private readonly known: LinkKnowledge,
    readonly now: number,
  ) {}

  get(id: string): object | undefined {
    return this.values.has(id) ? this.values.get(id) : this.known.get(id)?.value;
  }

  set(id: string, value: object | undefined): void {
    this.values.set(id, value);
  }

  get used(): number {
    return (this.get(LINK) as LinkUse | undefined)?.used ?? 0;
  }

  /** The link with the leases in these records. */
  about(ids: readonly string[]): KnownLink {
    const clients = ids.filter((id) => id !== LINK);
    const { since } = this.known;
    return { now: this.now, since, used: this.used, leases: clients.flatMap((id) => this.leasesOf(id)) };
  }

  /** Adds a lease or replaces it, and removes it if it is given back. Keeps count of the link's uses. */
  put(lease: Lease, terms: LeaseTerms): void {
    const leases = this.leasesOf(lease.client);
    const at = leases.findIndex(({ id }) => id === lease.id);
    if (at < 0) {
      this.count(1);
      // concat() reserves no room for more, unlike a literal with spreads
      this.set(lease.client, this.withRoom([lease].concat(leases), terms));
    } else if (isGivenBack(lease)) {
      this.count(-1);
      this.set(lease.client, leases.length > 1 ? leases.toSpliced(at, 1) : undefined);
    } else {
      this.set(lease.client, leases.with(at, lease));
    }
  }

  changes(): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const [id, value] of this.values) {
      const { version: was, value: before } = this.known.get(id) ?? {};
      if (value !== before) {
        changes.push({ id, was, version: was === undefined ? firstVersion() : was + 1, value });
      }
    }
    return changes;
  }

  private count(more: 1 | -1): void {
    const used = this.used + more;
    this.set(LINK, used > 0 ? ({ used } satisfies LinkUse) : undefined);
  }

  /** Forgets the oldest lease that is over, where a client has many. */
  private withRoom(leases: readonly Lease[], terms: LeaseTerms): readonly Lease[] {
    const oldest = leases.findLastIndex((lease) => isOver(lease, this.now, terms));
    return leases.length > LEASES_OF_CLIENT && oldest >= 0 ? leases.toSpliced(oldest, 1) : leases;
  }

  private leasesOf(client: string): readonly Lease[] {
    return (this.get(client) ?? []) as readonly Lease[];
  }
}

/**
 * Random: a record that was forgotten and made again is not the one before. Below 2^30, which V8 keeps
 * without an object of its own.
 */
function firstVersion(): number {
  return Math.floor(Math.random() * 2 ** 30);
}
