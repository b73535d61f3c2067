import { isOpen, type Lease } from '../lease.js';
import { type LeaseTerms } from '../lease-store.js';

/** Below this, looking through a list costs less memory and no more time than an index. */
const INDEX_FROM = 16;

/** What is remembered of one link: how often it was used, and its leases. */
export class LinkRecord {
  used = 0;
  keepUntil = 0;
  private ids: string[] = [];
  private leases: Lease[] = [];
  private index?: { byId: Map<string, Lease>; byClient: Map<string, string> };
  private pruneAt = 4 * INDEX_FROM;

  get size(): number {
    return Math.max(1, this.ids.length);
  }

  get(id: string | undefined): Lease | undefined {
    if (id === undefined) {
      return undefined;
    }
    return this.index ? this.index.byId.get(id) : this.leases[this.ids.indexOf(id)];
  }

  /** The lease that the cookie names, else the client's latest, if a request may join it. */
  joinable(
    id: string | undefined,
    client: string | undefined,
    now: number,
    terms: LeaseTerms,
  ): { id: string; lease: Lease } | undefined {
    for (const candidate of [id, this.ofClient(client)]) {
      const lease = this.get(candidate);
      if (lease && isOpen(lease, now, terms)) {
        return { id: candidate!, lease };
      }
    }
    return undefined;
  }

  add(id: string, lease: Lease, now: number, terms: LeaseTerms): void {
    if (this.ids.length >= this.pruneAt) {
      this.prune(now, terms);
    }
    if (this.ids.length === 0) {
      // A literal has room for one, where a first push makes room for seventeen.
      this.ids = [id];
      this.leases = [lease];
    } else {
      this.ids.push(id);
      this.leases.push(lease);
    }
    if (this.index) {
      this.index.byId.set(id, lease);
      if (lease.client !== undefined) {
        this.index.byClient.set(lease.client, id);
      }
    } else if (this.ids.length > INDEX_FROM) {
      this.reindex();
    }
  }

  remove(id: string): void {
    const at = this.ids.indexOf(id);
    if (at >= 0) {
      this.ids.splice(at, 1);
      this.leases.splice(at, 1);
      this.reindex();
    }
  }

  values(): readonly Lease[] {
    return this.leases;
  }

  private ofClient(client: string | undefined): string | undefined {
    if (client === undefined) {
      return undefined;
    }
    if (this.index) {
      return this.index.byClient.get(client);
    }
    return this.ids[this.leases.findLastIndex((lease) => lease.client === client)];
  }

  /** Leases that are over matter only as a number; a link used without limit would collect them. */
  private prune(now: number, terms: LeaseTerms): void {
    const kept = this.ids.filter((_, i) => this.leases[i]!.running || isOpen(this.leases[i]!, now, terms));
    const keep = new Set(kept);
    this.leases = this.leases.filter((_, i) => keep.has(this.ids[i]!));
    this.ids = kept;
    this.pruneAt = 2 * kept.length + 4 * INDEX_FROM;
    this.reindex();
  }

  private reindex(): void {
    if (this.ids.length <= INDEX_FROM) {
      this.index = undefined;
      return;
    }
    const byId = new Map(this.ids.map((id, i) => [id, this.leases[i]!]));
    const byClient = new Map<string, string>();
    for (const [id, lease] of byId) {
      if (lease.client !== undefined) {
        byClient.set(lease.client, id);
      }
    }
    this.index = { byId, byClient };
  }
}
