import { type IntervalSet } from './interval-set.js';
import { type Revocation } from './revocation.js';

/**
 * Where the uses of limited links are counted and revocations are kept.
 *
 * Every method is one atomic operation of the store: no caller ever reads, decides and writes.
 * Every moment is passed in, as milliseconds since the epoch; a store that several machines share
 * may prefer its own clock to the caller's, and says so. A store that does not answer rejects; it
 * never guesses. The suite in `nestjs-download-auth/testing` says what each method has to do.
 */
export interface LeaseStore {
  /**
   * Called once before anything else. Establishes from when on the store remembers, if it does not
   * know yet. Rejects only for what a programmer has to mend (a missing package, an unusable file);
   * a server that cannot be reached yet is no reason.
   *
   * @param waits how long its callers wait for an answer: a call that has not begun to take effect by then should
   *   reject without any
   */
  open(now: number, waits?: StoreTimeout): Promise<void>;

  /** What the store knows of a link. Changes nothing. */
  inspect(query: LinkQuery): Promise<LinkState>;

  /** Joins an open lease of the link, or opens a new one, or says why neither may be. */
  acquire(request: AcquireRequest): Promise<AcquireAnswer>;

  /** Reports what a running request sent, and asks for the right to send more. */
  extend(report: ExtendRequest): Promise<ExtendAnswer>;

  /**
   * Ends a request: what it did not send goes back to the byte budget, and the lease goes back to
   * the link if nothing was sent under it at all. Repeating it changes nothing.
   */
  release(report: ReleaseRequest): Promise<ReleaseAnswer>;

  /** The leases of a link that are still known, for display. Changes nothing. */
  usage(linkId: string): Promise<LinkUsage>;

  /** Remembers a revocation and tells every subscriber of every process about it. */
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

/** Durations and bounds of a lease; the same for every node that shares a store. */
export interface LeaseTerms {
  /** Milliseconds without a byte sent after which nobody may join any more. */
  readonly idle: number;
  /** Milliseconds after its opening at which a lease is over, whatever it is doing. */
  readonly life: number;
  /** Milliseconds after its last byte was sent for which a complete lease may still be joined. */
  readonly grace: number;
  /** How many requests one lease serves where the length of the representation is not known. */
  readonly attempts: number;
}

/** What is asked about a link: by the guard, before anything is known of what will be sent. */
export interface LinkQuery {
  readonly now: number;
  readonly linkId: string;
  /** Fingerprint of what the link opens, under which it may have been revoked. */
  readonly resource: string;
  /** Fingerprint of whom the link was made for. */
  readonly subject?: string;
  /** The lease that the request's cookie belongs to. */
  readonly lease?: string;
  /** The client's key, unless only the cookie counts. */
  readonly client?: string;
  /** Whether leases are of interest; without, only revocations are looked up. */
  readonly leased: boolean;
  readonly terms: LeaseTerms;
}

/** What a store knows of a link. */
export interface LinkState {
  /** The link is revoked if it was issued before this moment; 0 where nothing was revoked. */
  readonly revokedBefore: number;
  /** The store knows nothing of what happened to links before this moment. */
  readonly since: number;
  /** Leases that were opened and not given back. */
  readonly used: number;
  /** There is an open lease that this client may join. */
  readonly joinable: boolean;
}

/** A request that is about to send bytes, and what it needs to know of the leases it may join. */
export interface AcquireRequest {
  readonly now: number;
  readonly linkId: string;
  /** The lease to open if there is none to join: new, and derived from an unguessable value. */
  readonly lease: string;
  /** Names this request; repeating the call with the same name and lease changes nothing. */
  readonly request: string;
  /** The lease that the request's cookie belongs to. */
  readonly presented?: string;
  /** The client's key, unless only the cookie counts. */
  readonly client?: string;
  /** How many leases the link has; unlimited if absent. */
  readonly maxDownloads?: number;
  /** False once the link has expired: then an open lease may be joined, and none opened. */
  readonly mayOpen: boolean;
  /** The lease may be joined only if it was opened for this {@link version}. */
  readonly sameVersion?: boolean;
  /** What is being downloaded, for instance its entity tag. */
  readonly version?: string;
  /** Length of the representation in bytes, where it is known. */
  readonly length?: number;
  /**
   * The first byte that is asked for. Where it lies within what an earlier request left
   * {@link ReleaseRequest.unconfirmed}, the client has what comes before it.
   */
  readonly from?: number;
  /** Bytes that all requests of the lease may send together; unlimited if absent. */
  readonly budget?: number;
  /** Bytes for which to charge the budget now, before they are sent. */
  readonly bytes: number;
  readonly terms: LeaseTerms;
  /** Milliseconds from now for which the link's record must be kept. */
  readonly keep: number;
}

/** Whether the request may send, under which lease, and how much. */
export type AcquireAnswer =
  | {
      readonly kind: 'opened' | 'joined';
      readonly lease: string;
      /** Bytes this request may send before it has to ask again; less than asked where the budget ends. */
      readonly granted: number;
      /** Bytes of the budget that are charged to nobody yet; undefined where there is no budget. */
      readonly left?: number;
      /** Leases that were opened and not given back, this one included. */
      readonly used: number;
    }
  | {
      /** `used-up`: no lease to join and none left. `closed`: none to join, and `mayOpen` was false. */
      readonly kind: 'used-up' | 'closed';
    };

/** The progress of a running request. */
export interface ExtendRequest {
  readonly now: number;
  readonly linkId: string;
  readonly lease: string;
  readonly request: string;
  /** Bytes the request wants to be allowed in all, those already granted included. */
  readonly total: number;
  /** Bytes it has sent so far. */
  readonly sent: number;
  /** What it sent since it last reported. */
  readonly covered: IntervalSet;
  readonly terms: LeaseTerms;
  readonly keep: number;
}

/** What a running request may go on to send. */
export interface ExtendAnswer {
  /** False where the store no longer knows the request. */
  readonly found: boolean;
  /** Bytes the request may send in all. */
  readonly granted: number;
  /** Bytes of the budget that are charged to nobody yet; undefined where there is no budget. */
  readonly left?: number;
}

/** The end of a request. */
export interface ReleaseRequest {
  readonly now: number;
  readonly linkId: string;
  readonly lease: string;
  readonly request: string;
  /** Bytes it has sent in all, the unconfirmed ones included. */
  readonly sent: number;
  readonly covered: IntervalSet;
  /** Bytes that were being written when the connection broke, so that the client has some of them, all or none. */
  readonly unconfirmed?: IntervalSet;
  /** Every byte was sent: what tells of completion where the length is not known. */
  readonly whole: boolean;
  readonly keep: number;
}

/** What the end of a request came to. */
export interface ReleaseAnswer {
  readonly found: boolean;
  /** By this report the lease became complete. */
  readonly completed: boolean;
  /** Nothing was sent under the lease, so the link has it back. */
  readonly givenBack: boolean;
}

/** How often a link has been used, on all nodes: the answer of `DownloadLinks.usage()`. */
export interface LinkUsage {
  /** Leases that were opened and not given back. */
  readonly used: number;
  readonly leases: readonly LeaseUsage[];
}

/** One download of a link. Moments are milliseconds since the epoch. */
export interface LeaseUsage {
  readonly openedAt: number;
  /** When it last sent something. */
  readonly seenAt: number;
  readonly completedAt?: number;
  /** Length of the representation in bytes, where it is known. */
  readonly length?: number;
  /** How many different bytes of the representation were sent. */
  readonly covered: number;
  /** Requests running under it. */
  readonly running: number;
}

/** Is told of revocations, on whichever node they were made. */
export interface RevocationListener {
  revoked(revocation: Revocation): void;
  /**
   * Revocations may have been missed, and none will be from now on: whatever runs has to be looked up again. Called
   * when a subscription stands, again after each interruption.
   */
  missed(): void;
  /** No revocation will be heard of until {@link missed} is called. May be called again while that lasts. */
  interrupted?(reason: unknown): void;
}
