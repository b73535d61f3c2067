import type { Lease } from '../lease-record.js';
import type { LeaseChange, LeaseCommit, LeaseQuery, LeaseStore } from '../lease-store.js';

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

export function query(changes: Partial<LeaseQuery> = {}): LeaseQuery {
  return {
    now: START,
    linkId: LINK,
    resource: 'resource-1',
    leased: true,
    leases: [],
    keys: [],
    ...changes,
  };
}

/** A lease as the state machine writes it. */
export function leaseOf(changes: Partial<Lease> = {}): Lease {
  return { openedAt: START, seenAt: START, charged: 0, served: 1, used: false, covered: [], ...changes };
}

/** A change that adds a lease. */
export function added(id: string, changes: Partial<LeaseChange> = {}): LeaseChange {
  return { id, was: undefined, version: 1, keys: [], lease: leaseOf(), until: START + HOUR, ...changes };
}

/** A commit that makes the link known and adds `leases` to it, unless said otherwise. */
export function commitOf(leases: readonly LeaseChange[], changes: Partial<LeaseCommit> = {}): LeaseCommit {
  return {
    now: START,
    linkId: LINK,
    keepUntil: START + HOUR,
    link: { was: undefined, version: 1, used: leases.length },
    leases,
    enough: 32,
    most: 1000,
    ...changes,
  };
}
