import { setTimeout as sleep } from 'node:timers/promises';
import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RevocationListener } from '../lease-store.js';
import type { Revocation } from '../revocation.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { errorReason } from '../../shared/error-reason.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import { checkOptions, oneOf, text } from '../../shared/check-options.js';
import { RevocationPolling } from './revocation-polling.js';
import { SqliteConnection } from './sqlite-connection.js';
import type { SqliteDurability } from './sqlite-connection.js';
import { commitStatements, linkState, linkStatements, revocationStatements } from './sqlite-rows.js';

/** How long to try a call if the caller does not say how long it waits, ms. */
const PATIENCE = 5000;

/** How long to wait after a failure to open the file again, ms. */
const REOPEN_AFTER = 1000;

const RULES = { file: text("such as 'leases.db'"), durability: oneOf('process', 'power') };

/** Where a {@link SqliteLeaseStore} keeps its file, and what the file survives. */
export interface SqliteLeaseStoreOptions {
  /** Path of the file, which is made if it is missing. It must be on a local disk, for SQLite's locks. */
  readonly file: string;
  /**
   * What the counts survive: the end of the `process`, `kill -9` included (default); or also a failure of
   * `power` or of the operating system, for which every write waits for the disk.
   */
  readonly durability?: SqliteDurability;
}

/**
 * A store in a file that several processes of one machine share and that survives their end. Needs Node 22.13
 * or later, and no other package.
 */
export class SqliteLeaseStore implements LeaseStore {
  private opened?: SqliteConnection;
  private opening?: Promise<void>;
  private closed = true;
  private patience = PATIENCE;
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly revocations = new RevocationPolling((statements) => this.connection().read(statements));

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, a value that cannot work, and without a
   * file
   */
  constructor(private readonly options: SqliteLeaseStoreOptions) {
    checkOptions(options, RULES, 'SqliteLeaseStore');
    if (!options?.file) {
      throw new DownloadAuthConfigurationError("SqliteLeaseStore.file: give a path, such as 'leases.db'.");
    }
  }

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

  async read(query: LinkQuery): Promise<LinkState> {
    const connection = this.connection(query.now);
    const rows = await connection.read(linkStatements(query));
    return { now: query.now, since: connection.since, ...linkState(query, rows) };
  }

  // `async`, so that what it throws is a rejection
  async commit(commit: LinkCommit): Promise<boolean> {
    const { checks, writes } = commitStatements(commit);
    return await this.connection(commit.now).commit(checks, writes, performance.now() + this.patience);
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const giveUp = performance.now() + this.patience;
    await this.connection(now).commit([], revocationStatements(revocation, now), giveUp);
    await this.revocations.look();
  }

  subscribe(listener: RevocationListener): () => void {
    return this.revocations.subscribe(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.revocations.close();
    await this.opening?.catch(() => {});
    await this.opened?.close();
    this.opened = undefined;
  }

  private async openFile(now: number): Promise<void> {
    const { file, durability = 'process' } = this.options;
    this.opened = await SqliteConnection.open(file, durability, now);
  }

  /** Opens a file again that was removed or replaced. */
  private reopen(now: number, failure: Error): void {
    const { file } = this.options;
    this.logger.error(
      'file',
      `${failure.message}. It is opened again; links that the file does not know of are refused from now on.`,
    );
    const left = this.opened;
    this.opening ??= (async () => {
      await left?.close();
      await this.openFile(now);
      this.revocations.startOver();
    })()
      .catch((error: unknown) => {
        this.logger.error('file', `${file} cannot be opened again: ${errorReason(error)}`);
        return sleep(REOPEN_AFTER, undefined, { ref: false });
      })
      .finally(() => (this.opening = undefined));
  }

  /** @throws Error if the file is not open */
  private connection(now = Date.now()): SqliteConnection {
    if (this.closed || !this.opened) {
      throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
    }
    const { failure } = this.opened;
    if (failure) {
      this.reopen(now, failure);
      throw failure;
    }
    return this.opened;
  }
}
