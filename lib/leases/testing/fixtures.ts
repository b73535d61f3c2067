import type { LeaseStore, LinkCommit, LinkQuery, RecordChange } from '../lease-store.js';

/** A store under test, and a second store on the same data, as another process would have it. */
export interface StoreUnderTest {
  readonly store: LeaseStore;
  /** Absent for stores that processes cannot share. */
  readonly other?: LeaseStore;
  /** Removes what the test left behind, after the stores were closed. */
  cleanUp?(): Promise<void> | void;
}

/** One test that every store has to pass. */
export interface StoreCase {
  readonly name: string;
  run(subject: StoreUnderTest): Promise<void>;
}

/** When every case begins: the store is opened at this moment. */
export const START = 1_700_000_000_000;

export const SECOND = 1000;
export const HOUR = 3600 * SECOND;

export const LINK = 'link-1';

export function query(changes: Partial<LinkQuery> = {}): LinkQuery {
  return { now: START, linkId: LINK, records: 'all', revocations: [], ...changes };
}

/** A change that adds a record, unless said otherwise. */
export function added(id: string, changes: Partial<RecordChange> = {}): RecordChange {
  return { id, was: undefined, version: 1, value: { id }, ...changes };
}

export function commitOf(changes: readonly RecordChange[], more: Partial<LinkCommit> = {}): LinkCommit {
  return { now: START, since: START, linkId: LINK, keepUntil: START + HOUR, changes, ...more };
}
