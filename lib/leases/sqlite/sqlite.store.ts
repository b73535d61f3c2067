import { isBuiltin } from 'node:module';
import { checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
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

const STATE = `SELECT since, (
    SELECT max(issued_before) FROM revocations WHERE name IN (SELECT value FROM json_each(?))
  ) AS revoked FROM store`;
const RECORDS = 'SELECT id, version, value FROM records WHERE link = ?';
const SOME_RECORDS = `${RECORDS} AND id IN (SELECT value FROM json_each(?))`;

const ADD = `INSERT INTO records (link, id, version, value, keep_until) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING RETURNING 1`;
const REPLACE = `UPDATE records SET version = ?, value = ?, keep_until = max(keep_until, ?)
  WHERE link = ? AND id = ? AND version = ? RETURNING 1`;
const REMOVE = 'DELETE FROM records WHERE link = ? AND id = ? AND version = ? RETURNING 1';
/** A few at a time, to keep commits short. */
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
  private thread?: SqliteThread;
  private patience = PATIENCE;
  private readonly polling = new RevocationPolling((after) => this.news(after), LOOK_EVERY);

  /** @throws DownloadAuthConfigurationError for an unknown option, and without a file */
  constructor(private readonly options: SqliteLeaseStoreOptions) {
    const rules = { file: text("such as 'leases.db'"), durability: oneOf('process', 'power') };
    checkOptions(options, rules, 'SqliteLeaseStore');
    if (!options?.file) {
      throw new DownloadAuthConfigurationError("SqliteLeaseStore.file: give a path, such as 'leases.db'.");
    }
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
    const { file, durability } = this.options;
    this.patience = timeout;
    this.thread ??= new SqliteThread(file, durability === 'power' ? 'FULL' : 'NORMAL');
    try {
      await this.thread.read([], now, timeout);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const statements: Statement[] = [{ sql: STATE, values: [JSON.stringify(revocations)] }];
    if (records === 'all') {
      statements.push({ sql: RECORDS, values: [linkId] });
    } else if (records.length > 0) {
      statements.push({ sql: SOME_RECORDS, values: [linkId, JSON.stringify(records)] });
    }
    const [[state] = [], found = []] = await this.opened.read(statements, now, this.patience);
    return {
      now,
      since: Number(state!.since),
      revokedBefore: Number(state!.revoked),
      records: found.map(({ id, version, value }) => ({
        id: String(id),
        version: Number(version),
        value: JSON.parse(String(value)) as object,
      })),
    };
  }

  // `async`, so that what it throws is a rejection
  async commit({ linkId, now, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const statements = changes.map((change) => statementFor(linkId, Math.ceil(keepUntil), change));
    if (changes.some(({ was }) => was === undefined)) {
      statements.push({ sql: SWEEP, values: [now] });
    }
    return await this.opened.write(statements, now, this.patience);
  }

  async revoke({ name, issuedBefore, keepUntil }: Revocation, now: number): Promise<void> {
    const statements = [
      { sql: SWEEP_REVOCATIONS, values: [now] },
      { sql: REVOKE, values: [name, Math.ceil(issuedBefore), Math.ceil(keepUntil)] },
    ];
    await this.opened.write(statements, now, this.patience);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  async close(): Promise<void> {
    const { thread } = this;
    this.thread = undefined;
    await thread?.close();
  }

  private async news(after?: number): Promise<RevocationNews> {
    const statements = [
      { sql: LAST, values: [] },
      { sql: NEW, values: [after ?? Number.MAX_SAFE_INTEGER] },
    ];
    const [last, rows] = await this.opened.read(statements, Date.now(), this.patience);
    return {
      last: Number(last![0]!.last),
      revocations: rows!.map((row) => ({
        name: String(row.name),
        issuedBefore: Number(row.issued_before),
        keepUntil: Number(row.keep_until),
      })),
    };
  }

  private get opened(): SqliteThread {
    if (!this.thread) {
      throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
    }
    return this.thread;
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
