import { RevocationPolling } from 'nestjs-download-auth';
import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkState,
  Revocation,
  RevocationListener,
  RevocationNews,
} from 'nestjs-download-auth';

/** What the store needs of a database: items of two keys, as DynamoDB has them. */
export interface Table {
  get(key: string, sortKeys: readonly string[]): Promise<Item[]>;
  /** All items of a key, or those after a sort key, in the order of sort keys. */
  query(key: string, after?: string): Promise<Item[]>;
  /** Writes all items if each still has the version `was`; otherwise none, and answers false. */
  write(items: readonly ItemChange[]): Promise<boolean>;
}

export interface Item {
  readonly sortKey: string;
  readonly version: number;
  readonly value: object;
}

export interface ItemChange {
  readonly key: string;
  readonly sortKey: string;
  /** Undefined: the item must not exist yet. */
  readonly was: number | undefined;
  readonly version: number;
  /** Undefined: the item is removed. */
  readonly value?: object;
  /** The table may forget the item after this moment. */
  readonly expires?: number;
}

export class TableLeaseStore implements LeaseStore {
  private readonly polling = new RevocationPolling((after) => this.news(after), 500);

  constructor(private readonly table: Table) {}

  async open(now: number): Promise<void> {
    // Does nothing from the second time on
    await this.table.write([{ key: 'store', sortKey: 'since', was: undefined, version: now, value: {} }]);
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const key = `link ${linkId}`;
    const [found, revoked, since] = await Promise.all([
      records === 'all' ? this.table.query(key) : this.table.get(key, records),
      this.table.get('revoked', revocations),
      this.table.get('store', ['since']),
    ]);
    return {
      now,
      since: since[0]!.version,
      revokedBefore: Math.max(0, ...revoked.map(momentOf)),
      records: found.map(({ sortKey, version, value }) => ({ id: sortKey, version, value })),
    };
  }

  commit({ linkId, since, keepUntil, changes }: LinkCommit): Promise<boolean> {
    return this.table.write([
      // Written again as it is: only a condition (in DynamoDB a `ConditionCheck`)
      { key: 'store', sortKey: 'since', was: since, version: since, value: {} },
      ...changes.map(({ id, ...change }) => ({
        key: `link ${linkId}`,
        sortKey: id,
        expires: keepUntil,
        ...change,
      })),
    ]);
  }

  async revoke(revocation: Revocation): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    let written: boolean;
    do {
      const [known, last] = await Promise.all([
        this.table.get('revoked', [name]),
        this.table.get('store', ['revocations']),
      ]);
      const version = (last[0]?.version ?? 0) + 1;
      const value = { issuedBefore: Math.max(issuedBefore, momentOf(known[0])) };
      const log = { key: 'log', sortKey: numbered(version), was: undefined, version, value: revocation };
      written = await this.table.write([
        { key: 'revoked', sortKey: name, was: known[0]?.version, version, value, expires: keepUntil },
        { ...log, expires: keepUntil },
        { key: 'store', sortKey: 'revocations', was: last[0]?.version, version, value: {} },
      ]);
    } while (!written);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private async news(after?: number): Promise<RevocationNews> {
    const [last] = await this.table.get('store', ['revocations']);
    const found = after === undefined ? [] : await this.table.query('log', numbered(after));
    return { last: last?.version ?? 0, revocations: found.map(({ value }) => value as Revocation) };
  }
}

function momentOf(item: Item | undefined): number {
  return (item?.value as { issuedBefore: number } | undefined)?.issuedBefore ?? 0;
}

/** Sorted as text as by number. */
function numbered(version: number): string {
  return String(version).padStart(16, '0');
}
