import type { LinkState } from './lease-store.js';
import type { RevocationNews } from './revocation-polling.js';
import type { Revocation } from './revocation.js';

/** What SQLite and PostgreSQL answer: the names of the columns are the same. */
export type SqlRow = Record<string, unknown>;

/** @param rows of the store joined with the records of a link, at least one */
export function stateOf(rows: readonly SqlRow[], now: number): LinkState {
  const [store] = rows;
  if (!store) {
    throw new Error('The table of the lease store is empty: it was changed by something else.');
  }
  return {
    now,
    since: store.since as number,
    revokedBefore: (store.revoked as number | null) ?? 0,
    records: rows
      .filter(({ id }) => id !== null)
      .map(({ id, version, value }) => ({
        id: id as string,
        version: version as number,
        value: JSON.parse(value as string) as object,
      })),
  };
}

/** @param rows of the store joined with its new revocations, at least one */
export function newsOf(rows: readonly SqlRow[]): RevocationNews {
  const revocations = rows.filter(({ name }) => name !== null) as unknown as Revocation[];
  return { last: rows[0]!.last as number, revocations };
}
