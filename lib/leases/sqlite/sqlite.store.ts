import { isBuiltin } from 'node:module';
import { checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkState,
  RecordChange,
  RevocationListener,
  StoreTimeout,
} from '../lease-store.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { SqliteThread } from './sqlite-thread.js';
import type { Statement } from './sqlite-thread.js';

/** How long a write may wait for a lock if the caller does not say how long it waits, ms. */
const PATIENCE = 5000;

/** How often to look for what other processes revoked, ms. */
const LOOK_EVERY = 200;

const SINCE = 'SELECT since FROM store';
const REVOKED = `SELECT ifnull(max(issued_before), 0) AS moment FROM revocations
  WHERE name IN (SELECT value FROM json_each(?))`;
const RECORDS = 'SELECT id, version, value FROM records WHERE link = ?';
const SOME_RECORDS = `${RECORDS} AND id IN (SELECT value FROM json_each(?))`;

const ADD = `INSERT INTO records (link, id, version, value, keep_until) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING RETURNING 1`;
const REPLACE = `UPDATE records SET version = ?, value = ?, keep_until = max(keep_until, ?)
  WHERE link = ? AND id = ? AND version = ? RETURNING 1`;
const REMOVE = 'DELETE FROM records WHERE link = ? AND id = ? AND version = ? RETURNING 1';
/** A few at a time, so that no commit takes long. */
const SWEEP = `DELETE FROM records WHERE (link, id) IN
  (SELECT link, id FROM records WHERE keep_until <= ? ORDER BY keep_until LIMIT 16)`;

// REPLACE gives the row a new number, by which the other processes notice it
const REVOKE = `REPLACE INTO revocations (name, issued_before, keep_until)
  SELECT ?1, max(?2, ifnull(max(issued_before), 0)), max(?3, ifnull(max(keep_until), 0))
  FROM revocations WHERE name = ?1`;
const SWEEP_REVOCATIONS = 'DELETE FROM revocations WHERE keep_until <= ?';
const LAST = "SELECT ifnull(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'revocations'";
const NEW = 'SELECT * FROM revocations WHERE number > ? ORDER BY number';

/** Where a {@link SqliteLeaseStore} keeps its file, and what the file survives. */
export interface SqliteLeaseStoreOptions {
  /** Path of the file, which is made if it is missing. It must be on a local disk, for SQLite's locks. */
  readonly file: string;
  /**
   * What the counts survive: the end of the `process`, `kill -9` included (default); or also a failure of
   * `power` or of the operating system, for which every write waits for the disk.
   */
  readonly durability?: 'process' | 'power';
}

/**
 * A store in a file that several processes of one machine share and that survives their end. Needs Node 22.13
 * or later, and no other package.
 */
export class SqliteLeaseStore implements LeaseStore {
  private readonly file: string;
  private readonly thread: SqliteThread;
  private isOpen = false;
  private patience = PATIENCE;
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly polling = new RevocationPolling((after) => this.news(after), LOOK_EVERY);

  /** @throws DownloadAuthConfigurationError for an unknown option, and without a file */
  constructor(options: SqliteLeaseStoreOptions) {
    checkOptions(
      options,
      { file: text("such as 'leases.db'"), durability: oneOf('process', 'power') },
      'SqliteLeaseStore',
    );
    if (!options?.file) {
      throw new DownloadAuthConfigurationError("SqliteLeaseStore.file: give a path, such as 'leases.db'.");
    }
    this.file = options.file;
    this.thread = new SqliteThread(options.file, options.durability === 'power' ? 'FULL' : 'NORMAL');
  }

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  async open(now: number, { timeout }: StoreTimeout = { timeout: PATIENCE }): Promise<void> {
    if (!isBuiltin('node:sqlite')) {
      throw new Error(
        `The SQLite lease store needs node:sqlite, which Node ${process.versions.node} does not have. ` +
          'Run Node 22.13 or later, or use the PostgreSQL or Redis store, ' +
          'or the memory store if there is one process only.',
      );
    }
    this.patience = timeout;
    this.isOpen = true;
    try {
      await this.thread.read([], now);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const [since, revoked, found] = await this.use((thread) =>
      thread.read(
        [
          { sql: SINCE, values: [] },
          { sql: REVOKED, values: [JSON.stringify(revocations)] },
          records === 'all'
            ? { sql: RECORDS, values: [linkId] }
            : { sql: SOME_RECORDS, values: [linkId, JSON.stringify(records)] },
        ],
        now,
      ),
    );
    return {
      now,
      since: Number(since![0]!.since),
      revokedBefore: Number(revoked![0]!.moment),
      records: found!.map(({ id, version, value }) => ({
        id: String(id),
        version: Number(version),
        value: JSON.parse(String(value)) as object,
      })),
    };
  }

  commit({ linkId, now, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const statements = changes.map((change) => statementFor(linkId, Math.ceil(keepUntil), change));
    if (changes.some(({ was }) => was === undefined)) {
      statements.push({ sql: SWEEP, values: [now] });
    }
    return this.use((thread) => thread.write(statements, now, this.patience));
  }

  async revoke({ name, issuedBefore, keepUntil }: Revocation, now: number): Promise<void> {
    const statements = [
      { sql: SWEEP_REVOCATIONS, values: [now] },
      { sql: REVOKE, values: [name, Math.ceil(issuedBefore), Math.ceil(keepUntil)] },
    ];
    await this.use((thread) => thread.write(statements, now, this.patience));
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  async close(): Promise<void> {
    this.isOpen = false;
    await this.thread.close();
  }

  private async news(after?: number): Promise<RevocationNews> {
    const statements = [
      { sql: LAST, values: [] },
      { sql: NEW, values: [after ?? Number.MAX_SAFE_INTEGER] },
    ];
    const [last, rows] = await this.use((thread) => thread.read(statements, Date.now()));
    return {
      last: Number(last![0]!.last),
      revocations: rows!.map((row) => ({
        name: String(row.name),
        issuedBefore: Number(row.issued_before),
        keepUntil: Number(row.keep_until),
      })),
    };
  }

  private async use<T>(call: (thread: SqliteThread) => Promise<T>): Promise<T> {
    if (!this.isOpen) {
      throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
    }
    try {
      return await call(this.thread);
    } catch (error) {
      if ((error as { code?: string }).code === 'FILE_REPLACED') {
        this.logger.error(
          'file',
          `${this.file} was removed or replaced while it was in use. ` +
            'It is opened again; links that the file does not know of are refused from now on.',
        );
      }
      throw error;
    }
  }
}

function statementFor(
  linkId: string,
  keepUntil: number,
  { id, was, version, value }: RecordChange,
): Statement {
  if (was === undefined) {
    return { sql: ADD, values: [linkId, id, version, JSON.stringify(value), keepUntil], required: true };
  }
  if (value) {
    const values = [version, JSON.stringify(value), keepUntil, linkId, id, was];
    return { sql: REPLACE, values, required: true };
  }
  return { sql: REMOVE, values: [linkId, id, was], required: true };
}
