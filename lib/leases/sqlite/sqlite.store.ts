import { setTimeout as sleep } from 'node:timers/promises';
import {
  type LeaseCommit,
  type LeaseList,
  type LeaseListQuery,
  type LeaseQuery,
  type LeaseStore,
  type LinkState,
  type RevocationListener,
} from '../lease-store.js';
import { type Revocation } from '../revocation.js';
import { errorReason } from '../../shared/error-reason.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import { commitStatements, found, page, pageStatements, readStatements } from './lease-rows.js';
import { addRevocation, findRevocations, RevocationPolling, revokedBefore } from './revocation-rows.js';
import { prepareFile } from './schema.js';
import { SqliteConnection, type SqliteDurability } from './sqlite-connection.js';

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

  async read(query: LeaseQuery): Promise<LinkState> {
    const { connection, since } = this.file(query.now);
    const revocations = findRevocations(query);
    const statements = query.leased ? [...revocations, ...readStatements(query)] : revocations;
    const rows = await connection.read(statements);
    const revoked = revokedBefore(rows.slice(0, revocations.length));
    return { now: query.now, since, revokedBefore: revoked, ...found(rows.slice(revocations.length)) };
  }

  // `async`, so that what it throws is a rejection
  async commit(commit: LeaseCommit): Promise<boolean> {
    const { checks, writes } = commitStatements(commit);
    return await this.file(commit.now).connection.commit(checks, writes, performance.now() + this.patience);
  }

  async list(query: LeaseListQuery): Promise<LeaseList> {
    return page(await this.connection.read(pageStatements(query)), query.limit);
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const giveUp = performance.now() + this.patience;
    await this.file(now).connection.commit([], addRevocation(revocation, now), giveUp);
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
