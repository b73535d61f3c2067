import { setTimeout as sleep } from 'node:timers/promises';
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
import { errorReason } from '../../shared/error-reason.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import { LeaseRows } from './lease-rows.js';
import { addRevocation, findRevocations, RevocationPolling, revokedBefore } from './revocation-rows.js';
import { prepareFile } from './schema.js';
import { SqliteConnection, type SqliteDurability, Transaction } from './sqlite-connection.js';

/** How long a call is tried where the caller does not say how long it waits, ms. */
const PATIENCE = 5000;

/** How long after a failure to open the file it is tried again, ms. */
const REOPEN_AFTER = 1000;

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
  private opened?: { connection: SqliteConnection; since: number };
  private opening?: Promise<void>;
  private closed = true;
  private patience = PATIENCE;
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly revocations = new RevocationPolling((statements) => this.connection.read(statements));

  constructor(private readonly options: SqliteLeaseStoreOptions) {}

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  async open(now: number, { timeout = PATIENCE }: { timeout?: number } = {}): Promise<void> {
    if (this.closed) {
      this.closed = false;
      this.patience = timeout;
      try {
        await this.openFile(now);
      } catch (error) {
        this.closed = true;
        throw error;
      }
    }
  }

  async inspect(query: LinkQuery): Promise<LinkState> {
    const { now, linkId, lease, client, leased, terms } = query;
    const { connection, since } = this.file(now);
    const rows = new LeaseRows(new Transaction(connection));
    const [found, used, joinable] = await Promise.all([
      connection.read(findRevocations(query)),
      leased ? rows.used(linkId) : 0,
      leased && rows.joinable(linkId, lease, client, now, terms),
    ]);
    return { revokedBefore: revokedBefore(found), since, used, joinable: !!joinable };
  }

  async acquire(request: AcquireRequest): Promise<AcquireAnswer> {
    return this.write<AcquireAnswer>(request.now, async (leases) => {
      const { linkId, now } = request;
      const used = await leases.used(linkId);
      const repeated = await leases.lease(linkId, request.lease);
      const found = repeated
        ? { id: request.lease, lease: repeated }
        : await leases.joinable(linkId, request.presented, request.client, now, request.terms);
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

  async extend(report: ExtendRequest): Promise<ExtendAnswer> {
    return this.write<ExtendAnswer>(report.now, async (leases) => {
      const lease = await leases.lease(report.linkId, report.lease);
      const granted = lease && extendLease(lease, report);
      if (!lease || granted === undefined) {
        return { found: false, granted: 0 };
      }
      leases.put(report.linkId, report.lease, lease, report.now + report.keep);
      return { found: true, granted, left: bytesLeft(lease) };
    });
  }

  async release(report: ReleaseRequest): Promise<ReleaseAnswer> {
    return this.write<ReleaseAnswer>(report.now, async (leases) => {
      const lease = await leases.lease(report.linkId, report.lease);
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

  async usage(linkId: string): Promise<LinkUsage> {
    return new LeaseRows(new Transaction(this.connection)).usage(linkId);
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    await this.write(now, (_, tx) => {
      addRevocation(revocation, now).forEach(({ sql, values = [] }) => tx.write(sql, ...values));
      return Promise.resolve();
    });
    await this.revocations.look();
  }

  subscribe(listener: RevocationListener): () => void {
    return this.revocations.subscribe(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.revocations.close();
    await this.opening?.catch(() => {});
    await this.opened?.connection.close();
    this.opened = undefined;
  }

  private write<T>(now: number, change: (leases: LeaseRows, tx: Transaction) => Promise<T>): Promise<T> {
    const giveUp = performance.now() + this.patience;
    return this.file(now).connection.transaction((tx) => change(new LeaseRows(tx), tx), giveUp);
  }

  private async openFile(now: number): Promise<void> {
    const { file, durability = 'process' } = this.options;
    const connection = await SqliteConnection.open(file, durability);
    try {
      const giveUp = performance.now() + PATIENCE;
      const since = await connection.transaction((tx) => prepareFile(tx, file, now), giveUp);
      this.opened = { connection, since };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** A file that was removed or replaced is left; what the new one does not remember, it refuses. */
  private reopen(now: number, failure: Error): void {
    const { file } = this.options;
    this.logger.error(
      'file',
      `${failure.message}. It is opened again; links that the file does not know of are refused from now on.`,
    );
    const left = this.opened;
    this.opening ??= (async () => {
      await left?.connection.close();
      await this.openFile(now);
      this.revocations.startOver();
    })()
      .catch((error: unknown) => {
        this.logger.error('file', `${file} cannot be opened again: ${errorReason(error)}`);
        return sleep(REOPEN_AFTER, undefined, { ref: false });
      })
      .finally(() => (this.opening = undefined));
  }

  private get connection(): SqliteConnection {
    return this.file().connection;
  }

  /** @throws Error where the file is not open, or not any more */
  private file(now?: number): { connection: SqliteConnection; since: number } {
    if (this.closed || !this.opened) {
      throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
    }
    const { failure } = this.opened.connection;
    if (!failure) {
      return this.opened;
    }
    this.reopen(now ?? Date.now(), failure);
    throw failure;
  }
}
