import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import type { SqlRow } from '../sql-rows.js';

export interface Query {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** The part of a `Pool` of the package `pg` that is used. */
export interface PostgresPool {
  connect(): Promise<object>;
  readonly options: object;
  end(): Promise<unknown>;
}

interface Emitter {
  on(event: string, listener: (reason: unknown) => void): unknown;
  removeListener(event: string, listener: (reason: unknown) => void): unknown;
  listenerCount(event: string): number;
}

interface Connection extends Emitter {
  query(query: Query & { readonly query_timeout: number }): Promise<{ rows: SqlRow[] }>;
}

export interface Client extends Connection {
  connect(): Promise<unknown>;
  unref(): void;
  end(): Promise<unknown>;
}

interface PooledClient extends Connection {
  /** @param broken the pool replaces it */
  release(broken: boolean): void;
}

/** A pool, and what else it has that types do not show. */
export interface Pool extends PostgresPool, Emitter {
  readonly Client: new (options: object) => Client;
  connect(): Promise<PooledClient>;
}

/** How long to wait for a connection, ms. */
const CONNECT_TIMEOUT = 2000;

type Report = (error: unknown) => void;

/**
 * @param report is told of errors, unless the application listens to them
 * @throws DownloadAuthConfigurationError for anything but a pool of the package `pg`
 */
export function poolOf(pool: PostgresPool, report: Report): Pool {
  if (typeof pool?.connect !== 'function' || typeof (pool as Pool).Client !== 'function') {
    throw new DownloadAuthConfigurationError(
      'PostgresLeaseStore.pool: give a Pool of the package pg, or a url instead.',
    );
  }
  if ((pool as Pool).listenerCount('error') === 0) {
    // Without a listener, an idle connection that breaks would end the process
    (pool as Pool).on('error', report);
  }
  return pool as Pool;
}

/** A connection of its own to where the pool connects to. */
export function clientOf({ Client, options }: Pool): Client {
  // It is not enumerable
  const { password } = options as { password?: unknown };
  return new Client({ ...options, password, connectionTimeoutMillis: CONNECT_TIMEOUT });
}

/**
 * The rows of a query on a connection of the pool. One that does not answer within `patience` milliseconds is
 * replaced; where none becomes free in that time, nothing is asked.
 */
export async function rowsFrom(pool: Pool, query: Query, patience: number): Promise<SqlRow[]> {
  const giveUp = performance.now() + patience;
  const client = await pool.connect();
  if (performance.now() > giveUp) {
    client.release(false);
    throw new Error('no connection of the pool became free in time');
  }
  let isBroken = false;
  // Without a listener, a connection that breaks would end the process
  const ignore = () => {};
  client.on('error', ignore);
  try {
    return await rowsOf(client, query, patience);
  } catch (error) {
    isBroken = codeOf(error) === undefined;
    throw error;
  } finally {
    client.removeListener('error', ignore);
    client.release(isBroken);
  }
}

/** @throws Error where the answer takes longer than `patience` milliseconds */
export async function rowsOf(connection: Connection, query: Query, patience: number): Promise<SqlRow[]> {
  return (await connection.query({ ...query, query_timeout: patience })).rows;
}

interface Pg {
  readonly Pool: new (options: object) => Pool;
}

/** @throws Error if the package `pg` is not installed */
export function connect(url: string, report: Report): Pool {
  const pg = pgModule();
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    keepAlive: true,
    allowExitOnIdle: true,
    application_name: 'download-auth',
  });
  return poolOf(pool, report);
}

function pgModule(): Pg {
  try {
    // Not by `import()`, which Jest needs a flag for
    return require('pg') as Pg;
  } catch (error) {
    throw new Error('The PostgreSQL lease store needs the package pg: npm install pg.', { cause: error });
  }
}

/** Other transactions were in the way: what was read has changed, or may have. */
const CONFLICTS = ['40001', '40P01', '23505'];

/** Classes of errors that pass: connection, read-only, resources, shutdown and start. */
const PASSING = /^(08|25|53|57)/;

export function isConflict(error: unknown): boolean {
  return CONFLICTS.includes(codeOf(error) ?? '');
}

export function isPassing(error: unknown): boolean {
  return PASSING.test(codeOf(error) ?? '');
}

/** The SQLSTATE of what the server answered; undefined for other errors, such as a broken connection. */
export function codeOf(error: unknown): string | undefined {
  const { severity, code } = error as { severity?: string; code?: string };
  return severity === undefined ? undefined : code;
}
