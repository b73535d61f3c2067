import type { Lease } from './lease-record.js';
import type { Revocation } from './revocation.js';

/**
 * Where the uses of limited links are counted and revocations are kept.
 *
 * A store knows no policy. It keeps records, each with a version, and changes them on condition that they
 * still are what was read: all changes of a commit or none. What a record means is decided elsewhere
 * (`lease.ts`), so a store is little more than a conditional write. Moments are milliseconds since the epoch.
 * A store that does not answer rejects; it never guesses. The suite in `nestjs-download-auth/testing` says
 * what each method has to do.
 */
export interface LeaseStore {
  /**
   * Called once before anything else. Establishes from when on the store remembers, if it does not know yet.
   * Rejects only for what a programmer has to mend (a missing package, an unusable file); a server that
   * cannot be reached yet is no reason.
   *
   * @param waits how long its callers wait for an answer: a call that has not begun to take effect by then
   *   should reject without any
   */
  open(now: number, waits?: StoreTimeout): Promise<void>;

  /** The records of a link that are asked for, and whether it was revoked. Changes nothing. */
  read(query: LeaseQuery): Promise<LinkState>;

  /**
   * Writes changes, if every record they concern still has the version that was read. Answers whether they
   * were written; where not, nothing was. Two commits of one link never interleave.
   */
  commit(commit: LeaseCommit): Promise<boolean>;

  /** The leases of a link that are still known, the latest first, a page at a time. Changes nothing. */
  list(query: LeaseListQuery): Promise<LeaseList>;

  /**
   * Remembers a revocation and tells every subscriber of every process about it. Never takes an earlier one
   * back.
   */
  revoke(revocation: Revocation, now: number): Promise<void>;

  /** Tells about revocations made anywhere, within a second. Returns the function that stops it. */
  subscribe(listener: RevocationListener): () => void;

  /** Gives back what the store itself opened: connections, files, timers. */
  close(): Promise<void>;
}

/** Milliseconds for which the callers of a store wait for an answer. */
export interface StoreTimeout {
  readonly timeout: number;
}

/** The names by which a link may have been revoked. Resource and subject are fingerprints. */
export interface LinkNames {
  readonly linkId: string;
  readonly resource: string;
  readonly subject?: string;
}

/** What is asked about a link. */
export interface LeaseQuery extends LinkNames {
  /** The moment by the caller's clock. */
  readonly now: number;
  /** Whether leases are of interest; without, only revocations are looked up. */
  readonly leased: boolean;
  /** Leases to read, by their id. */
  readonly leases: readonly string[];
  /**
   * Also the leases written under one of these keys: of each key the latest {@link LEASES_OF_KEY} that are
   * known.
   */
  readonly keys: readonly string[];
}

/** How many leases of one key {@link LeaseStore.read} answers at most. */
export const LEASES_OF_KEY = 8;

/** What a store knows of a link. */
export interface LinkState {
  /** The moment by the clock that counts: the store's own, or the caller's. */
  readonly now: number;
  /** The store knows nothing of what happened to links before this moment. */
  readonly since: number;
  /** The link is revoked if it was issued before this moment; 0 where nothing was revoked. */
  readonly revokedBefore: number;
  /** Undefined where the link is not known. */
  readonly link?: LinkRecord;
  /** Those that are known of what was asked for, the latest first; each once. */
  readonly leases: readonly LeaseRecord[];
}

/** How often a link was used. Its version changes whenever a lease is added or removed. */
export interface LinkRecord {
  readonly version: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
}

/** One lease as it was written. */
export interface LeaseRecord {
  readonly id: string;
  readonly version: number;
  readonly keys: readonly string[];
  /** To be kept as it is: plain JSON. */
  readonly lease: Lease;
}

/** Changes to the records of one link. */
export interface LeaseCommit {
  readonly now: number;
  readonly linkId: string;
  /** The link's records must be kept until this moment, or longer where an earlier commit said so. */
  readonly keepUntil: number;
  /**
   * Absent where the link's own record stays as it is. With `used: 0` and no lease left, the link may be
   * forgotten.
   */
  readonly link?: LinkRecord & { readonly was: number | undefined };
  readonly leases: readonly LeaseChange[];
  /**
   * When a lease is added, the store forgets some of the oldest: those that are over (`until`) while there
   * are more than `enough`, and any while there are more than `most`. A few at a time, so that no commit
   * takes long.
   */
  readonly enough: number;
  readonly most: number;
}

/** What becomes of one lease. */
export interface LeaseChange extends Omit<LeaseRecord, 'lease'> {
  /** The version that was read; undefined where the lease must not be there yet. */
  readonly was: number | undefined;
  /** Undefined: it is removed. */
  readonly lease?: Lease;
  /** From this moment on the lease matters only for display. */
  readonly until: number;
}

/** Which leases of a link are listed. */
export interface LeaseListQuery {
  readonly linkId: string;
  readonly limit: number;
  /** Where the last page ended: {@link LeaseList.next}. */
  readonly after?: string;
}

/** A page of the leases of a link. */
export interface LeaseList {
  readonly used: number;
  readonly leases: readonly Lease[];
  /** Present where there may be more. */
  readonly next?: string;
}

/** Is told of revocations, on whichever node they were made. */
export interface RevocationListener {
  revoked(revocation: Revocation): void;
  /**
   * Revocations may have been missed, and none will be from now on: whatever runs has to be looked up again.
   * Called when a subscription stands, again after each interruption.
   */
  missed(): void;
  /** No revocation will be heard of until {@link missed} is called. May be called again while that lasts. */
  interrupted?(reason: unknown): void;
}
