import {
  type AcquireRequest,
  type ExtendRequest,
  type LeaseStore,
  type LinkQuery,
  type ReleaseRequest,
} from '../lease-store.js';

/** A store under test, and a second view of the same data, as another process would have it. */
export interface StoreUnderTest {
  readonly store: LeaseStore;
  /** Left out by stores of one process only. */
  readonly other?: LeaseStore;
  /** Removes what the test left behind; the stores are closed already. */
  cleanUp?(): Promise<void> | void;
}

/** One thing that every store has to do. */
export interface StoreCase {
  readonly name: string;
  run(subject: StoreUnderTest): Promise<void>;
}

/** The moment at which every case begins: the store is opened at it. */
export const START = 1_700_000_000_000;

export const SECOND = 1000;
export const HOUR = 3600 * SECOND;

export const TERMS = { idle: HOUR, life: 24 * HOUR, grace: 10 * SECOND, attempts: 3 };

export const LINK = 'link-1';

let names = 0;

/** A request for 100 of 100 bytes, for a link of one download, by a client of its own. */
export function acquisition(changes: Partial<AcquireRequest> = {}): AcquireRequest {
  names += 1;
  return {
    now: START,
    linkId: LINK,
    lease: `lease-${names}`,
    request: `request-${names}`,
    client: `client-${names}`,
    maxDownloads: 1,
    mayOpen: true,
    version: 'v1',
    length: 100,
    budget: 200,
    bytes: 100,
    terms: TERMS,
    keep: HOUR,
    ...changes,
  };
}

/** The report that a request ended; by default it sent all of its 100 bytes. */
export function ending(of: AcquireRequest, changes: Partial<ReleaseRequest> = {}): ReleaseRequest {
  const { linkId, lease, request, keep } = of;
  return { now: of.now, linkId, lease, request, sent: 100, covered: [0, 100], whole: true, keep, ...changes };
}

export function extension(of: AcquireRequest, changes: Partial<ExtendRequest> = {}): ExtendRequest {
  const { linkId, lease, request, keep, terms } = of;
  return { now: of.now, linkId, lease, request, total: 100, sent: 0, covered: [], terms, keep, ...changes };
}

export function query(changes: Partial<LinkQuery> = {}): LinkQuery {
  return { now: START, linkId: LINK, resource: 'resource-1', leased: true, terms: TERMS, ...changes };
}
