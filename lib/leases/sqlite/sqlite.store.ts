import { bytesLeft, extendLease, joinLease, openLease, releaseLease } from '../lease.js';
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
import { LeaseRows } from './lease-rows.js';
import { type Database } from './node-sqlite.js';
import { RevocationRows } from './revocation-rows.js';
import { createTables } from './schema.js';
import {
  beImpatient,
  openConnection,
  patiently,
  type SqliteDurability,
  transaction,
} from './sqlite-connection.js';

/** Where a {@link SqliteLeaseStore} keeps its file, and what the file survives. */
export interface SqliteLeaseStoreOptions {
  /** Path of the file; made if it is missing. On a local disk, since SQLite's locks need one. */
  readonly file: string;
  /**
   * What nothing that was counted may be lost to: the end of the `process`, by `kill -9` too
   * (default), or also a failure of `power` or of the operating system, at the price of waiting for
   * the disk at every write.
   */
  readonly durability?: SqliteDurability;
}

/**
 * A store in a file, which several processes of one machine share and which survives their end.
 * Needs Node 22.13 or later, and no package.
 */
export class SqliteLeaseStore implements LeaseStore {
  private opened?: { db: Database; leases: LeaseRows; revocations: RevocationRows; since: number };

  constructor(private readonly options: SqliteLeaseStoreOptions) {}

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  async open(now: number): Promise<void> {
    const { file, durability = 'process' } = this.options;
    if (this.opened) {
      return;
    }
    const db = await patiently(() => openConnection(file, durability));
    try {
      const since = await patiently(() => transaction(db, () => prepareFile(db, file, now)));
      beImpatient(db);
      this.opened = { db, leases: new LeaseRows(db), revocations: new RevocationRows(db), since };
    } catch (error) {
      db.close();
      throw error;
    }
  }

  inspect(query: LinkQuery): Promise<LinkState> {
    const { now, linkId, lease, client, leased, terms } = query;
    return patiently(() => {
      const { leases, revocations, since } = this.file;
      return {
        revokedBefore: revocations.before(query),
        since,
        used: leased ? leases.used(linkId) : 0,
        joinable: leased && leases.joinable(linkId, lease, client, now, terms) !== undefined,
      };
    });
  }

  acquire(request: AcquireRequest): Promise<AcquireAnswer> {
    return this.write((leases) => {
      const { linkId, now } = request;
      const used = leases.used(linkId);
      const repeated = leases.lease(linkId, request.lease);
      const found = repeated
        ? { id: request.lease, lease: repeated }
        : leases.joinable(linkId, request.presented, request.client, now, request.terms);
      if (found && (!request.sameVersion || found.lease.version === request.version)) {
        const granted = joinLease(found.lease, request);
        leases.put(linkId, found.id, found.lease, now + request.keep);
        return {
          kind: repeated ? 'opened' : 'joined',
          lease: found.id,
          granted,
          left: bytesLeft(found.lease),
          used,
        };
      }
      if (!request.mayOpen) {
        return { kind: 'closed' };
      }
      if (request.maxDownloads !== undefined && used >= request.maxDownloads) {
        return { kind: 'used-up' };
      }
      const lease = openLease(request);
      const granted = joinLease(lease, request);
      leases.sweep(now);
      leases.add(linkId, request.lease, lease, now + request.keep, request.terms);
      return { kind: 'opened', lease: request.lease, granted, left: bytesLeft(lease), used: used + 1 };
    });
  }

  extend(report: ExtendRequest): Promise<ExtendAnswer> {
    return this.write((leases) => {
      const lease = leases.lease(report.linkId, report.lease);
      const granted = lease && extendLease(lease, report);
      if (!lease || granted === undefined) {
        return { found: false, granted: 0 };
      }
      leases.put(report.linkId, report.lease, lease, report.now + report.keep);
      return { found: true, granted, left: bytesLeft(lease) };
    });
  }

  release(report: ReleaseRequest): Promise<ReleaseAnswer> {
    return this.write((leases) => {
      const lease = leases.lease(report.linkId, report.lease);
      const ended = lease && releaseLease(lease, report);
      if (!lease || !ended) {
        return { found: false, completed: false, givenBack: false };
      }
      if (ended.givenBack) {
        leases.giveBack(report.linkId, report.lease, report.now + report.keep);
      } else {
        leases.put(report.linkId, report.lease, lease, report.now + report.keep);
      }
      return { found: true, ...ended };
    });
  }

  usage(linkId: string): Promise<LinkUsage> {
    return this.write((leases) => leases.usage(linkId));
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    await this.write(() => this.file.revocations.add(revocation, now));
    this.file.revocations.look();
  }

  subscribe(listener: RevocationListener): () => void {
    return this.file.revocations.subscribe(listener);
  }

  close(): Promise<void> {
    this.opened?.revocations.close();
    this.opened?.db.close();
    this.opened = undefined;
    return Promise.resolve();
  }

  private write<T>(change: (leases: LeaseRows) => T): Promise<T> {
    return patiently(() => transaction(this.file.db, () => change(this.file.leases)));
  }

  private get file() {
    if (!this.opened) {
      throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
    }
    return this.opened;
  }
}

/** Makes the tables of a new file. Answers since when the file remembers. */
function prepareFile(db: Database, file: string, now: number): number {
  createTables(db, file);
  const known = db.prepare('SELECT min(since) AS since FROM store').get()?.since ?? null;
  if (known === null) {
    db.prepare('INSERT INTO store (since) VALUES (?)').run(now);
  }
  return Number(known ?? now);
}
