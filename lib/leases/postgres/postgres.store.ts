import { checkOptions, oneOf, rule, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { errorReason } from '../../shared/error-reason.js';
import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RevocationListener } from '../lease-store.js';
import { logErrors } from '../client-errors.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { newsOf, stateOf } from '../sql-rows.js';
import type { SqlRow } from '../sql-rows.js';
import { clientOf, codeOf, connect, isConflict, isFatal, isPool, rowsFrom } from './postgres-connection.js';
import type { Connection, Pool, PostgresPool } from './postgres-connection.js';
import { FORMAT, schema } from './schema.js';

/** How long to wait for an answer if the caller does not say how long it waits, ms. */
const PATIENCE = 2000;

/**
 * How often to ask for revocations, ms; notifications come sooner. This is also how a connection that went
 * silent is noticed, and how revocations are heard of through PgBouncer, which passes no notifications on.
 */
const LOOK_EVERY = 500;

const READ = `SELECT store.since, record.id, record.version, record.value,
    (SELECT max(issued_before) FROM download_auth_revocations WHERE name = ANY($1)) AS revoked
  FROM download_auth_store AS store LEFT JOIN download_auth_records AS record
  ON record.link = $2 AND ($3::text[] IS NULL OR record.id = ANY($3))`;

const COMMIT = 'SELECT download_auth_commit($1, $2, $3, $4, $5) AS done';

// The row of the store is locked until the end, so revocations become visible in the order of their numbers
const REVOKE = `WITH number AS (UPDATE download_auth_store SET revoked = revoked + 1 RETURNING revoked),
    swept AS (DELETE FROM download_auth_revocations WHERE keep_until <= $4 AND name <> $1)
  INSERT INTO download_auth_revocations AS known SELECT $1, $2::float8, $3::float8, revoked FROM number
  ON CONFLICT (name) DO UPDATE SET number = excluded.number,
    issued_before = greatest(known.issued_before, excluded.issued_before),
    keep_until = greatest(known.keep_until, excluded.keep_until)
  RETURNING pg_notify('download_auth', '')`;
// Answers nothing on a standby, such as a server that another one has taken over from
const NEWS = `SELECT store.revoked AS last, known.name,
    known.issued_before AS "issuedBefore", known.keep_until AS "keepUntil",
    (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now
  FROM download_auth_store AS store LEFT JOIN download_auth_revocations AS known ON known.number > $1
  WHERE NOT pg_is_in_recovery() ORDER BY known.number`;

/** Answers the format of the tables. */
const REMEMBER = `WITH made AS (
    INSERT INTO download_auth_store (format, since)
    SELECT ${FORMAT}, coalesce($1, floor(extract(epoch FROM clock_timestamp()) * 1000)::float8)
    WHERE NOT EXISTS (SELECT FROM download_auth_store) ON CONFLICT DO NOTHING RETURNING format
  ) SELECT format FROM made UNION ALL SELECT format FROM download_auth_store`;

/** One statement for the server, so one transaction; processes that start together take turns. */
const MAKE_TABLES = `SELECT pg_advisory_xact_lock(hashtextextended('download_auth', 0)); ${schema}`;

const UNDEFINED_TABLE = '42P01';
/** The role may not create in the schema, or may use none. */
const MAY_NOT_CREATE = ['42501', '3F000'];

/** How a {@link PostgresLeaseStore} reaches its server. Give `pool` or `url`. */
export interface PostgresLeaseStoreOptions {
  /** The application's own `Pool` of the package `pg`, which the application closes. */
  readonly pool?: PostgresPool;
  /** `postgres://…`: the store makes its own pool, and closes it. */
  readonly url?: string;
  /**
   * Whose clock tells when a lease is over. `server` (default), so that machines whose clocks differ agree;
   * or `caller`, the moments that the application gives, for tests that inject a clock.
   */
  readonly clock?: 'server' | 'caller';
}

const RULES = {
  pool: rule(isPool, 'give a Pool of the package pg, or a url instead.'),
  url: text('such as postgres://localhost/shop'),
  clock: oneOf('server', 'caller'),
};

/**
 * A store in PostgreSQL 13 or later, for several machines. It makes its tables, unless a migration has
 * ({@link schema}). Works through PgBouncer, in transaction mode, too.
 */
export class PostgresLeaseStore implements LeaseStore {
  private pool?: Pool;
  private readonly usesServerClock: boolean;
  private patience = PATIENCE;
  /** The store's own connection, on which it is notified. */
  private listening?: Promise<Connection>;
  private readonly polling = new RevocationPolling((after, now) => this.news(after, now), LOOK_EVERY);

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, and unless given either a pool or a url
   */
  constructor(private readonly options: PostgresLeaseStoreOptions) {
    checkOptions(options, RULES, 'PostgresLeaseStore');
    if ((options.pool === undefined) === (options.url === undefined)) {
      throw new DownloadAuthConfigurationError('PostgresLeaseStore: give a pool or a url, one of the two.');
    }
    this.usesServerClock = options.clock !== 'caller';
  }

  /** @throws Error where the server refuses the store, such as for want of the right to make tables */
  async open(now: number, timeout = PATIENCE): Promise<void> {
    this.patience = timeout;
    if (!this.pool) {
      this.pool = (this.options.pool as Pool | undefined) ?? connect(this.options.url!);
      logErrors(this.pool, 'PostgreSQL');
    }
    await this.polling.first(now, timeout, isFatal);
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const values = [revocations, linkId, records === 'all' ? null : records];
    return stateOf(await this.query(READ, values), this.polling.moment(now));
  }

  async commit({ linkId, now, since, keepUntil, changes }: LinkCommit): Promise<boolean> {
    // Values are JSON within JSON: PostgreSQL would refuse some of their escapes
    const rows = changes.map((change) => ({
      ...change,
      value: change.value && JSON.stringify(change.value),
    }));
    const [row] = await this.query(COMMIT, [linkId, now, since, keepUntil, JSON.stringify(rows)]);
    return row!.done as boolean;
  }

  async revoke({ name, issuedBefore, keepUntil }: Revocation, now: number): Promise<void> {
    await this.query(REVOKE, [name, issuedBefore, keepUntil, now]);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  async close(): Promise<void> {
    this.stopListening();
    if (!this.options.pool) {
      await this.pool?.end();
      this.pool = undefined;
    }
  }

  private async news(after: number | undefined, callers: number): Promise<RevocationNews> {
    try {
      this.listening ??= this.listen(callers);
      const rows = await this.ask(await this.listening, NEWS, [after ?? Infinity]);
      if (!rows[0]) {
        throw new Error('the server is a standby');
      }
      const now = this.usesServerClock ? (rows[0].now as number) : undefined;
      return { ...newsOf(rows), now };
    } catch (error) {
      this.stopListening();
      throw error;
    }
  }

  private async listen(now: number): Promise<Connection> {
    const connection = clientOf(this.connected);
    connection.on('notification', () => this.polling.look());
    try {
      await connection.connect();
      connection.unref();
      await this.prepare(connection, now);
      await this.ask(connection, 'LISTEN download_auth');
      return connection;
    } catch (error) {
      connection.end().catch(() => {});
      throw error;
    }
  }

  /** Makes the tables if they are missing, and remembers since when. */
  private async prepare(connection: Connection, now: number): Promise<void> {
    const remember = () => this.ask(connection, REMEMBER, [this.usesServerClock ? null : now]);
    const [store] = await remember().catch(async (error: unknown) => {
      if (codeOf(error) !== UNDEFINED_TABLE) {
        throw error;
      }
      await this.ask(connection, MAKE_TABLES).catch(explainRights);
      return remember();
    });
    if (store && store.format !== FORMAT) {
      throw new DownloadAuthConfigurationError(
        `The tables of the PostgreSQL lease store are of format ${String(store.format)}, not ${FORMAT}: ` +
          'another version of nestjs-download-auth made them.',
      );
    }
  }

  private stopListening(): void {
    this.listening?.then((connection) => connection.end()).catch(() => {});
    this.listening = undefined;
  }

  /** Repeats what conflicts with another transaction, which has then been committed. */
  private async query(sql: string, values: readonly unknown[]): Promise<SqlRow[]> {
    const giveUp = performance.now() + this.patience;
    for (;;) {
      try {
        return await rowsFrom(this.connected, sql, values, this.patience);
      } catch (error) {
        if (!isConflict(error) || performance.now() > giveUp) {
          throw error;
        }
      }
    }
  }

  private async ask(connection: Connection, sql: string, values?: readonly unknown[]): Promise<SqlRow[]> {
    return (await connection.query({ text: sql, values, query_timeout: this.patience })).rows;
  }

  private get connected(): Pool {
    if (!this.pool) {
      throw new Error('The PostgreSQL lease store is not open: open() comes first, and close() last.');
    }
    return this.pool;
  }
}

/** @throws DownloadAuthConfigurationError where the role may not make the tables */
function explainRights(error: unknown): never {
  if (MAY_NOT_CREATE.includes(codeOf(error) ?? '')) {
    throw new DownloadAuthConfigurationError(
      `The PostgreSQL lease store may not make its tables (${errorReason(error)}). Put the text "schema", which ` +
        'nestjs-download-auth/postgres exports, into a migration, or let the role create in a schema of its search_path.',
    );
  }
  throw error;
}
