import { isBuiltin } from 'node:module';
import { checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RevocationListener } from '../lease-store.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { newsOf, stateOf } from '../sql-rows.js';
import { SqliteThread } from './sqlite-thread.js';

/** How long a write may wait for a lock if the caller does not say how long it waits, ms. */
const PATIENCE = 5000;

/** How often to look for what other processes revoked, ms. */
const LOOK_EVERY = 200;

// One statement, so one snapshot
const READ = `SELECT since, id, version, value, (
    SELECT max(issued_before) FROM revocations WHERE name IN (SELECT value FROM json_each(?1))
  ) AS revoked FROM store LEFT JOIN records ON link = ?2`;
const READ_SOME = `${READ} AND id IN (SELECT value FROM json_each(?3))`;

const SAME_STORE = 'SELECT 1 FROM store WHERE since = ?';
const ADD = `INSERT INTO records (link, id, version, value, keep_until) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING RETURNING 1`;
const REPLACE = `UPDATE records SET version = ?, value = ?, keep_until = max(keep_until, ?)
  WHERE link = ? AND id = ? AND version = ? RETURNING 1`;
const REMOVE = 'DELETE FROM records WHERE link = ? AND id = ? AND version = ? RETURNING 1';

// REPLACE gives the row a new number, by which the other processes notice it
const REVOKE = `REPLACE INTO revocations (name, issued_before, keep_until)
  SELECT ?1, max(?2, ifnull(max(issued_before), 0)), max(?3, ifnull(max(keep_until), 0))
  FROM revocations WHERE name = ?1 RETURNING 1`;
const NEWS = `SELECT last, name, issued_before AS issuedBefore, keep_until AS keepUntil FROM (
    SELECT ifnull(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'revocations'
  ) LEFT JOIN revocations ON number > ? ORDER BY number`;

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
  private readonly thread: SqliteThread;
  private readonly polling = new RevocationPolling((after) => this.news(after), LOOK_EVERY);

  /** @throws DownloadAuthConfigurationError for an unknown option, and without a file */
  constructor(options: SqliteLeaseStoreOptions) {
    const rules = { file: text("such as 'leases.db'"), durability: oneOf('process', 'power') };
    checkOptions(options, rules, 'SqliteLeaseStore');
    if (!options?.file) {
      throw new DownloadAuthConfigurationError("SqliteLeaseStore.file: give a path, such as 'leases.db'.");
    }
    this.thread = new SqliteThread(options.file, options.durability === 'power' ? 'FULL' : 'NORMAL');
  }

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  async open(now: number, timeout = PATIENCE): Promise<void> {
    if (!isBuiltin('node:sqlite')) {
      throw new Error(
        `The SQLite lease store needs node:sqlite, which Node ${process.versions.node} does not have. ` +
          'Run Node 22.13 or later, or use the PostgreSQL or Redis store, ' +
          'or the memory store if there is one process only.',
      );
    }
    this.thread.open(timeout);
    await this.news(undefined, now);
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const isAll = records === 'all';
    const values = [JSON.stringify(revocations), linkId, ...(isAll ? [] : [JSON.stringify(records)])];
    return stateOf(await this.thread.read({ sql: isAll ? READ : READ_SOME, values }, now), now);
  }

  commit({ linkId, now, since, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const keep = Math.ceil(keepUntil);
    const statements = changes.map(({ id, was, version, value }) => {
      if (was === undefined) {
        return { sql: ADD, values: [linkId, id, version, JSON.stringify(value), keep] };
      }
      return value
        ? { sql: REPLACE, values: [version, JSON.stringify(value), keep, linkId, id, was] }
        : { sql: REMOVE, values: [linkId, id, was] };
    });
    return this.thread.write([{ sql: SAME_STORE, values: [since] }, ...statements], now);
  }

  async revoke({ name, issuedBefore, keepUntil }: Revocation, now: number): Promise<void> {
    const values = [name, Math.ceil(issuedBefore), Math.ceil(keepUntil)];
    await this.thread.write([{ sql: REVOKE, values }], now);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  close(): Promise<void> {
    return this.thread.close();
  }

  private async news(after?: number, now = Date.now()): Promise<RevocationNews> {
    const statement = { sql: NEWS, values: [after ?? Number.MAX_SAFE_INTEGER] };
    return newsOf(await this.thread.read(statement, now));
  }
}
