import type { Revocation } from './revocation.js';

/**
 * Where the uses of limited links are counted and revocations are kept.
 *
 * A store knows no policy. It keeps records, each with a version, and changes them on condition that they
 * still are what was read. Moments are milliseconds since the epoch. A store that does not answer rejects.
 * The suite in `nestjs-download-auth/testing` says what each method has to do.
 */
export interface LeaseStore {
  /**
   * Called once before anything else. Records when the store was created, the first time. Rejects only for
   * a programmer's mistake, such as a missing package; not where a server cannot be reached yet.
   *
   * @param timeout milliseconds for which callers wait for an answer: a call that has not begun to take
   *   effect by then should reject without any
   */
  open(now: number, timeout?: number): Promise<void>;

  /** Records of one link, and whether it was revoked. Changes nothing. */
  read(query: LinkQuery): Promise<LinkState>;

  /**
   * Makes all changes if each record still has the version that was read, in a store of the same age, and
   * otherwise none. Answers whether they were made. Two commits of one link never interleave.
   */
  commit(commit: LinkCommit): Promise<boolean>;

  /** Keeps a revocation, and tells every subscriber of every process. Never takes an earlier one back. */
  revoke(revocation: Revocation, now: number): Promise<void>;

  /** Tells about revocations made anywhere, within a second. Returns the function that stops it. */
  subscribe(listener: RevocationListener): () => void;

  /** Releases what the store itself opened: connections, files, timers. */
  close(): Promise<void>;
}

/** What is asked about a link. */
export interface LinkQuery {
  /** The moment by the caller's clock. */
  readonly now: number;
  readonly linkId: string;
  /** The ids of the records to read; `'all'` for every record of the link. */
  readonly records: readonly string[] | 'all';
  /** The names under which the link may have been revoked. */
  readonly revocations: readonly string[];
}

/** What a store knows of a link. */
export interface LinkState {
  /** The moment by the clock that counts: the store's own, or the caller's. */
  readonly now: number;
  /** When the store was created: it knows nothing of what happened to links before. */
  readonly since: number;
  /** The latest `issuedBefore` of the revocations that were asked for; 0 where there is none. */
  readonly revokedBefore: number;
  /** Those of the records that exist, in any order, each once. */
  readonly records: readonly LinkRecord[];
}

/** Something that is known of a link. */
export interface LinkRecord {
  /** Unique among the records of its link. */
  readonly id: string;
  readonly version: number;
  /** Plain JSON, to be kept as it is. It is never changed, only replaced. */
  readonly value: object;
}

/** Changes to the records of one link. */
export interface LinkCommit {
  readonly now: number;
  /** When the store was created, as it was read: one that was emptied meanwhile answers false. */
  readonly since: number;
  readonly linkId: string;
  /** Records that are written must be kept until this moment; they may be forgotten afterwards. */
  readonly keepUntil: number;
  /** At most one of each record, and at most 99: with the look at `since`, one transaction of DynamoDB. */
  readonly changes: readonly RecordChange[];
  /**
   * True where nothing is counted and only the progress of running downloads is reported: a store may answer
   * `true` and write it later, if its own `read` and `commit` see it at once. Any other commit has to be
   * written before it is answered.
   */
  readonly deferrable?: boolean;
}

/** What becomes of one record. */
export interface RecordChange {
  readonly id: string;
  /** The version that was read; undefined where the record must not exist yet. */
  readonly was: number | undefined;
  readonly version: number;
  /** Undefined: the record is removed. */
  readonly value?: object;
}

/** Is told of revocations, on whichever node they were made. */
export interface RevocationListener {
  revoked(revocation: Revocation): void;
  /**
   * Revocations may have been missed until now, and none will be from now on. Called when a subscription
   * stands, again after each interruption.
   */
  missed(): void;
  /** No revocation will be heard of until {@link missed} is called. May be called again while that lasts. */
  interrupted?(reason: unknown): void;
}
