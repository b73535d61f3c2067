import { bytesLeft, extendLease, joinLease, leaseUsage, openLease, releaseLease } from '../lease.js';
import {
  type AcquireAnswer,
  type AcquireRequest,
  type ExtendAnswer,
  type ExtendRequest,
  type LeaseStore,
  type LinkQuery,
  type LinkState,
  type LinkUsage,
  type ReleaseAnswer,
  type ReleaseRequest,
  type RevocationListener,
} from '../lease-store.js';
import { type Revocation } from '../revocation.js';
import { LinkRecord } from './link-record.js';
import { MemoryRevocations } from './memory-revocations.js';
import { SweptMap } from './swept-map.js';

/** Bounds of a {@link MemoryLeaseStore}. */
export interface MemoryLeaseStoreOptions {
  /**
   * How many links may be remembered, a link with several leases counting once for each. When as
   * many are in use a further one is refused (503), since to forget one would let it be used twice.
   * Default 1,000,000, which takes some 630 MB.
   */
  readonly capacity?: number;
  /** How many revocations may be remembered; over it, revoking throws. Default 1,000,000. */
  readonly revocations?: number;
}

/**
 * The store of a single process. It forgets when the process ends; so links issued before it was
 * opened, whose uses it cannot know, are refused if they are limited.
 */
export class MemoryLeaseStore implements LeaseStore {
  private readonly links: SweptMap<LinkRecord>;
  private readonly revocations: MemoryRevocations;
  private readonly listeners = new Set<RevocationListener>();
  private since = Infinity;

  constructor(options: MemoryLeaseStoreOptions = {}) {
    const { capacity = 1_000_000, revocations = 1_000_000 } = options;
    this.links = new SweptMap(
      capacity,
      (record, now) => record.keepUntil <= now,
      (record) => record.size,
    );
    this.revocations = new MemoryRevocations(revocations);
  }

  /** Links and further leases remembered at the moment, what has expired and was not yet met included. */
  get size(): number {
    return this.links.size;
  }

  open(now: number): Promise<void> {
    this.since = Math.min(this.since, now);
    return Promise.resolve();
  }

  inspect(query: LinkQuery): Promise<LinkState> {
    const record = query.leased ? this.links.get(query.linkId) : undefined;
    return Promise.resolve({
      revokedBefore: this.revocations.before(query),
      since: this.since,
      used: record?.used ?? 0,
      joinable: record?.joinable(query.lease, query.client, query.now, query.terms) !== undefined,
    });
  }

  // The methods are `async` so that what they throw is a rejection, as it is with every other store.
  async acquire(request: AcquireRequest): Promise<AcquireAnswer> {
    const known = this.links.get(request.linkId);
    const repeated = known?.get(request.lease);
    const found = repeated
      ? { id: request.lease, lease: repeated }
      : known?.joinable(request.presented, request.client, request.now, request.terms);
    if (known && found && (!request.sameVersion || found.lease.version === request.version)) {
      this.keep(known, request);
      const granted = joinLease(found.lease, request);
      return Promise.resolve({
        kind: repeated ? 'opened' : 'joined',
        lease: found.id,
        granted,
        left: bytesLeft(found.lease),
        used: known.used,
      });
    }
    if (!request.mayOpen) {
      return Promise.resolve({ kind: 'closed' });
    }
    if (request.maxDownloads !== undefined && (known?.used ?? 0) >= request.maxDownloads) {
      return Promise.resolve({ kind: 'used-up' });
    }
    return Promise.resolve(this.openNew(known, request));
  }

  extend(report: ExtendRequest): Promise<ExtendAnswer> {
    const record = this.links.get(report.linkId);
    const lease = record?.get(report.lease);
    const granted = lease && extendLease(lease, report);
    if (record && granted !== undefined) {
      this.keep(record, report);
    }
    return Promise.resolve(
      lease && granted !== undefined
        ? { found: true, granted, left: bytesLeft(lease) }
        : { found: false, granted: 0 },
    );
  }

  release(report: ReleaseRequest): Promise<ReleaseAnswer> {
    const record = this.links.get(report.linkId);
    const lease = record?.get(report.lease);
    const ended = lease && releaseLease(lease, report);
    if (!record || !ended) {
      return Promise.resolve({ found: false, completed: false, givenBack: false });
    }
    this.keep(record, report);
    if (ended.givenBack) {
      this.giveBack(record, report);
    }
    return Promise.resolve({ found: true, ...ended });
  }

  usage(linkId: string): Promise<LinkUsage> {
    const record = this.links.get(linkId);
    return Promise.resolve({ used: record?.used ?? 0, leases: record?.values().map(leaseUsage) ?? [] });
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    this.revocations.add(revocation, now);
    for (const listener of this.listeners) {
      listener.revoked(revocation);
    }
    return Promise.resolve();
  }

  subscribe(listener: RevocationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private openNew(known: LinkRecord | undefined, request: AcquireRequest): AcquireAnswer {
    const lease = openLease(request);
    const record = known ?? new LinkRecord();
    const id = flat(request.lease);
    lease.client = flat(lease.client);
    lease.version = flat(lease.version);
    const add = () => record.add(id, lease, request.now, request.terms);
    this.keep(record, request);
    if (known) {
      this.links.update(record, request.now, add, true);
    } else {
      add();
      this.links.set(flat(request.linkId), record, request.now);
    }
    record.used += 1;
    const granted = joinLease(lease, request);
    return { kind: 'opened', lease: request.lease, granted, left: bytesLeft(lease), used: record.used };
  }

  private giveBack(record: LinkRecord, report: ReleaseRequest): void {
    this.links.update(record, report.now, () => record.remove(report.lease));
    record.used -= 1;
    if (record.used === 0) {
      this.links.delete(report.linkId);
    }
  }

  private keep(record: LinkRecord, request: { now: number; keep: number }): void {
    record.keepUntil = Math.max(record.keepUntil, request.now + request.keep);
  }
}

/** A copy of its own: V8 keeps the whole of a string from which a part was taken. */
function flat<T extends string | undefined>(text: T): T {
  return (text === undefined ? text : Buffer.from(text).toString()) as T;
}
