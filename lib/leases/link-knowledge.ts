import type { KnownLink } from './lease.js';
import { isOver, LEASES_OF_CLIENT } from './lease-record.js';
import type { Lease, LeaseName, LeaseTerms } from './lease-record.js';
import type { LinkState, RecordChange } from './lease-store.js';

/**
 * The id of the record that says how often a link was used. All others hold the leases of one client each,
 * the latest first.
 */
export const LINK = 'link';

/** The value of the record {@link LINK}. */
export interface LinkUse {
  /** Leases that were opened and not given back. */
  readonly used: number;
}

/** Records of a link that were asked for, and what the store answered. */
export interface Look {
  /** Looks and commits of this process, in their order. */
  readonly turn: number;
  readonly ids: readonly string[];
  readonly state: LinkState;
}

/** A record, or that there was none, and when that was so. */
interface KnownRecord {
  readonly turn: number;
  readonly version?: number;
  readonly value?: object;
}

/** Beyond so many records, what is known of a link is forgotten and read again when it is needed. */
const MOST_RECORDS = 4096;

/** Random, so that a record that was forgotten and made again is not taken for the one before. */
const firstVersion = () => Math.floor(Math.random() * 2 ** 48);

/** The records of one link as this process last saw them. If stale, a commit fails and they are reread. */
export class LinkKnowledge {
  private readonly records = new Map<string, KnownRecord>();

  get(id: string): KnownRecord | undefined {
    return this.records.get(id);
  }

  /** Those of the records that are still to be read. */
  missing(ids: Iterable<string>): string[] {
    return [...new Set(ids)].filter((id) => !this.records.has(id));
  }

  /** Takes in what was read, unless something later is known. */
  learn({ turn, ids, state }: Look): void {
    for (const id of ids) {
      if ((this.get(id)?.turn ?? -1) < turn) {
        const found = state.records.find((record) => record.id === id);
        this.records.set(id, { turn, version: found?.version, value: found?.value });
      }
    }
  }

  /** Takes in what was written. */
  apply(changes: readonly RecordChange[], turn: number): void {
    if (this.records.size > MOST_RECORDS) {
      this.forget();
      return;
    }
    for (const { id, version, value } of changes) {
      this.records.set(id, { turn, value, version: value && version });
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

  get used(): number {
    return (this.value(LINK) as LinkUse | undefined)?.used ?? 0;
  }

  set used(used: number) {
    this.values.set(LINK, used > 0 ? ({ used } satisfies LinkUse) : undefined);
  }

  /** The link with the leases in these records. */
  about(ids: readonly string[]): KnownLink {
    const clients = [...new Set(ids)].filter((id) => id !== LINK);
    return { now: this.now, used: this.used, leases: clients.flatMap((id) => this.leasesOf(id)) };
  }

  lease({ id, client }: LeaseName): Lease | undefined {
    return this.leasesOf(client).find((lease) => lease.id === id);
  }

  /** Adds a lease or replaces it. */
  put(lease: Lease, terms: LeaseTerms): void {
    const leases = this.leasesOf(lease.client);
    const at = leases.findIndex(({ id }) => id === lease.id);
    if (at >= 0) {
      this.values.set(lease.client, leases.with(at, lease));
      return;
    }
    const all = [lease, ...leases];
    const oldest = all.findLastIndex((other) => isOver(other, this.now, terms));
    const isFull = all.length > LEASES_OF_CLIENT && oldest > 0;
    this.values.set(lease.client, isFull ? all.toSpliced(oldest, 1) : all);
  }

  remove({ id, client }: LeaseName): void {
    const others = this.leasesOf(client).filter((lease) => lease.id !== id);
    this.values.set(client, others.length > 0 ? others : undefined);
  }

  changes(): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const [id, value] of this.values) {
      const was = this.known.get(id)?.version;
      if (was !== undefined || value) {
        changes.push({ id, was, version: was === undefined ? firstVersion() : was + 1, value });
      }
    }
    return changes;
  }

  private leasesOf(client: string): readonly Lease[] {
    return (this.value(client) ?? []) as readonly Lease[];
  }

  private value(id: string): object | undefined {
    return this.values.has(id) ? this.values.get(id) : this.known.get(id)?.value;
  }
}
