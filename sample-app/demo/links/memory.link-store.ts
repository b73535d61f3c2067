import { Subject } from 'rxjs';
import { HAPPENINGS_KEPT, LinkStore, listedUntil } from './link-store.js';
import type { Happening, LinkChange, LinkEntry, LinkRecord } from './link-store.js';

/** For one process, until it exits. */
export class MemoryLinkStore extends LinkStore {
  readonly changes = new Subject<LinkChange>();
  private readonly records = new Map<string, LinkRecord>();

  put(entry: LinkEntry): Promise<void> {
    this.forgetOld();
    this.records.set(entry.id, { ...entry, happenings: this.records.get(entry.id)?.happenings ?? [] });
    this.changes.next(entry);
    return Promise.resolve();
  }

  note({ id }: LinkEntry, happening: Happening): Promise<void> {
    const record = this.records.get(id);
    if (record) {
      const happenings = [...record.happenings, happening].slice(-HAPPENINGS_KEPT);
      this.records.set(id, { ...record, happenings });
      this.changes.next(record);
    }
    return Promise.resolve();
  }

  find(id: string): Promise<LinkRecord | undefined> {
    return Promise.resolve(this.records.get(id));
  }

  idsOf(owner: string): Promise<string[]> {
    this.forgetOld();
    const own = [...this.records.values()].filter((record) => record.owner === owner);
    return Promise.resolve(own.map(({ id }) => id).reverse());
  }

  private forgetOld(): void {
    const now = Date.now();
    for (const [id, record] of this.records) {
      if (listedUntil(record) < now) {
        this.records.delete(id);
      }
    }
  }
}
