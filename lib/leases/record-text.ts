import type { Lease } from './lease-record.js';
import type { LeaseRecord } from './lease-store.js';

/** A record as SQLite and Redis write it: the lease is JSON. */
export interface RecordText {
  readonly id: string;
  readonly version: number;
  readonly keys: string;
  readonly state: string;
}

export function readRecord({ id, version, keys, state }: RecordText): LeaseRecord {
  return { id, version, keys: splitKeys(keys), lease: readLease(state) };
}

export function readLease(state: string): Lease {
  return JSON.parse(state) as Lease;
}

/** Keys are fingerprints, which never contain a comma. */
export function joinKeys(keys: readonly string[]): string {
  return keys.join(',');
}

export function splitKeys(keys: string): string[] {
  return keys === '' ? [] : keys.split(',');
}
