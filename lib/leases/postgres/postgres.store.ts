import { anything, checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { errorReason } from '../../shared/error-reason.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RevocationListener } from '../lease-store.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { newsOf, stateOf } from '../sql-rows.js';
import type { SqlRow } from '../sql-rows.js';
import {
  clientOf,
  codeOf,
  connect,
  isConflict,
  isPassing,
  poolOf,
  rowsFrom,
  rowsOf,
} from './postgres-connection.js';
import type { Client, Pool, PostgresPool, Query } from './postgres-connection.js';
import { FORMAT, schema } from './schema.js';

/** How long to wait for an answer if the caller does not say how long it waits, ms. */
const PATIENCE = 2000;

/**
 * How often to ask for revocations, ms; notifications come sooner. This is also how a connection that went
 * silent is noticed, and how revocations are heard of through PgBouncer, which passes no notifications on.
 */
const LOOK_EVERY = 500;

const CHANNEL = 'download_auth';

const READ = `SELECT store.since, record.id, record.version, record.value,
    (SELECT max(issued_before) FROM download_auth_revocations WHERE name = ANY($1)) AS revoked
  FROM download_auth_store AS store LEFT JOIN download_auth_records AS record ON record.link = $2`;
const READ_SOME = `${READ} AND record.id = ANY($3)`;

const COMMIT = 'SELECT download_auth_commit($1, $2, $3, $4, $5, $6, $7, $8) AS done';

// The row of the store is locked until the end, so revocations become visible in the order of their numbers
const REVOKE = `WITH number AS (UPDATE download_auth_store SET revoked = revoked + 1 RETURNING revoked)
  INSERT INTO download_auth_revocations AS known SELECT $1, $2::float8, $3::float8, revoked FROM number
  ON CONFLICT (name) DO UPDATE SET number = excluded.number,
    issued_before = greatest(known.issued_before, excluded.issued_before),
    keep_until = greatest(known.keep_until, excluded.keep_until)
  RETURNING pg_notify('${CHANNEL}', '')`;
const SWEEP_REVOCATIONS = `DELETE FROM download_auth_revocations WHERE name IN (
  SELECT name FROM download_auth_revocations WHERE keep_until <= $1 LIMIT 16 FOR UPDATE SKIP LOCKED)`;
// Answers nothing on a standby, such as a server that another one has taken over from
const NEWS = `SELECT store.revoked AS last, known.name, known.issued_before, known.keep_until,
    (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now
  FROM download_auth_store AS store LEFT JOIN download_auth_revocations AS known ON known.number > $1
  WHERE NOT pg_is_in_recovery() ORDER BY known.number`;

const REMEMBER = `INSERT INTO download_auth_store (format, since)
  SELECT ${FORMAT}, coalesce($1, floor(extract(epoch FROM clock_timestamp()) * 1000)::float8)
  WHERE NOT EXISTS (SELECT FROM download_auth_store) ON CONFLICT DO NOTHING`;

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

/**
 * A store in PostgreSQL 13 or later, for several machines. It makes its tables, unless a migration has
 * ({@link schema}). Works through PgBouncer, in transaction mode, too.
 */
export class PostgresLeaseStore implements LeaseStore {
  private pool?: Pool;
  private readonly usesServerClock: boolean;
  private patience = PATIENCE;
  /** The latest moment that a caller gave. */
  private latest = 0;
  /** The store's own connection, on which it is notified. */
  private listening?: Promise<Client>;
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly report = (error: unknown): void => {
    this.logger.error('postgres', `A connection to PostgreSQL broke: ${errorReason(error)}`);
  };
  private readonly polling = new RevocationPolling((after) => this.news(after), LOOK_EVERY);

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, and unless given either a pool or a url
   */
  constructor(private readonly options: PostgresLeaseStoreOptions) {
    const rules = {
      pool: anything,
      url: text('such as postgres://localhost/shop'),
      clock: oneOf('server', 'caller'),
    };
    checkOptions(options, rules, 'PostgresLeaseStore');
    if ((options.pool === undefined) === (options.url === undefined)) {
      throw new DownloadAuthConfigurationError(
        'The PostgreSQL lease store needs a pool or a url, one of the two.',
      );
    }
    this.pool = options.pool && poolOf(options.pool, this.report);
    this.usesServerClock = options.clock !== 'caller';
  }

  /** @throws Error where the server refuses the store, such as for want of the right to make tables */
  async open(now: number, timeout = PATIENCE): Promise<void> {
    this.latest = now;
    this.patience = timeout;
    this.pool ??= connect(this.options.url!, this.report);
    try {
      await this.listen();
    } catch (error) {
      if (error instanceof DownloadAuthConfigurationError || (codeOf(error) && !isPassing(error))) {
        await this.close();
        throw error;
      }
    }
    await this.polling.first(timeout);
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    const rows = await this.query(
      records === 'all'
        ? { text: READ, values: [revocations, linkId] }
        : { text: READ_SOME, values: [revocations, linkId, records] },
      now,
    );
    return stateOf(rows, this.polling.moment(now));
  }

  async commit({ linkId, now, since, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const values = [
      ...[linkId, now, since, keepUntil],
      changes.map(({ id }) => id),
      changes.map(({ was }) => was),
      changes.map(({ version }) => version),
      changes.map(({ value }) => value && JSON.stringify(value)),
    ];
    try {
      return (await this.query({ text: COMMIT, values }, now))[0]!.done as boolean;
    } catch (error) {
      if (isConflict(error)) {
        return false;
      }
      throw error;
    }
  }

  async revoke({ name, issuedBefore, keepUntil }: Revocation, now: number): Promise<void> {
    await this.repeated({ text: REVOKE, values: [name, issuedBefore, keepUntil] }, now);
    await this.repeated({ text: SWEEP_REVOCATIONS, values: [now] }, now);
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

  private async news(after?: number): Promise<RevocationNews> {
    const listening = this.listen();
    try {
      const rows = await this.ask(await listening, { text: NEWS, values: [after ?? Infinity] });
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

  /** Connects, makes the tables if they are missing, and listens; or answers the connection that stands. */
  private listen(): Promise<Client> {
    this.listening ??= this.startListening();
    return this.listening;
  }

  private async startListening(): Promise<Client> {
    const client = clientOf(this.connected);
    // The next question fails, and starts over
    client.on('error', () => {});
    client.on('notification', () => this.polling.look());
    try {
      await client.connect();
      client.unref();
      await this.prepare(client);
      await this.ask(client, { text: `LISTEN ${CHANNEL}` });
      return client;
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
  }

  private stopListening(): void {
    this.listening?.then((client) => client.end()).catch(() => {});
    this.listening = undefined;
  }

  private async prepare(client: Client): Promise<void> {
    const find = { text: 'SELECT format FROM download_auth_store' };
    const found = await this.ask(client, find).catch(async (error: unknown) => {
      if (codeOf(error) !== UNDEFINED_TABLE) {
        throw error;
      }
      await this.makeTables(client);
      return [];
    });
    if (found.length === 0) {
      await this.ask(client, { text: REMEMBER, values: [this.usesServerClock ? null : this.latest] });
    } else if (found[0]!.format !== FORMAT) {
      throw new DownloadAuthConfigurationError(
        `The tables of the PostgreSQL lease store are of format ${String(found[0]!.format)}, not ${FORMAT}: ` +
          'another version of nestjs-download-auth made them.',
      );
    }
  }

  private async makeTables(client: Client): Promise<void> {
    // One statement for the server, so one transaction; processes that start together take turns
    const text = `SELECT pg_advisory_xact_lock(hashtextextended('download_auth', 0)); ${schema}`;
    try {
      await this.ask(client, { text });
    } catch (error) {
      if (MAY_NOT_CREATE.includes(codeOf(error) ?? '')) {
        throw new DownloadAuthConfigurationError(
          `The PostgreSQL lease store may not make its tables (${errorReason(error)}). Put the text "schema", which ` +
            'nestjs-download-auth/postgres exports, into a migration, or let the role create in a schema of its search_path.',
        );
      }
      throw error;
    }
  }

  /** Repeats what conflicts with another transaction, which has then been committed. */
  private async repeated(query: Query, now: number): Promise<void> {
    const deadline = performance.now() + this.patience;
    for (;;) {
      try {
        await this.query(query, now);
        return;
      } catch (error) {
        if (!isConflict(error) || performance.now() > deadline) {
          throw error;
        }
      }
    }
  }

  private async query(query: Query, now: number): Promise<SqlRow[]> {
    this.latest = Math.max(this.latest, now);
    return rowsFrom(this.connected, query, this.patience);
  }

  private ask(client: Client, query: Query): Promise<SqlRow[]> {
    return rowsOf(client, query, this.patience);
  }

  private get connected(): Pool {
    if (!this.pool) {
      throw new Error('The PostgreSQL lease store is not open: open() comes first, and close() last.');
    }
    return this.pool;
  }
}
