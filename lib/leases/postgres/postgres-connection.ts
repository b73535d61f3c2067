import type { EventEmitter } from 'node:events';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import type { SqlRow } from '../sql-rows.js';

/** The part of a `Pool` of the package `pg` that is used. */
export interface PostgresPool {
  connect(): Promise<object>;
  readonly options: object;
  end(): Promise<unknown>;
}

/** A pool, and what its types do not show. */
export interface Pool extends PostgresPool, EventEmitter {
  readonly Client: new (options: object) => Connection;
  connect(): Promise<Connection>;
}

/** One of a pool, which takes it back, or one of the store's own. */
export interface Connection extends EventEmitter {
  connect(): Promise<unknown>;
  query(query: object): Promise<{ rows: SqlRow[] }>;
  unref(): void;
  end(): Promise<unknown>;
  /** @param isBroken the pool replaces it */
  release(isBroken: boolean): void;
}

/** How long to wait for a connection, ms. */
const CONNECT_TIMEOUT = 2000;

/** @returns whether it is a pool of the package `pg` */
export function isPool(pool: unknown): pool is Pool {
  return typeof pool === 'object' && pool !== null && 'connect' in pool && 'Client' in pool;
}

/** @throws Error if the package `pg` is not installed */
export function connect(url: string): Pool {
  return new (pgModule().Pool)({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    keepAlive: true,
    allowExitOnIdle: true,
    application_name: 'download-auth',
  });
}

function pgModule(): { readonly Pool: new (options: object) => Pool } {
  try {
    // Not by `import()`, which Jest needs a flag for
    return require('pg') as ReturnType<typeof pgModule>;
  } catch (error) {
    throw new Error('The PostgreSQL lease store needs the package pg: npm install pg.', { cause: error });
  }
}

/** A connection of its own to where the pool connects to. */
export function clientOf({ Client, options }: Pool): Connection {
  // It is not enumerable
  const { password } = options as { password?: unknown };
  const client = new Client({ ...options, password, connectionTimeoutMillis: CONNECT_TIMEOUT });
  return client.on('error', ignore);
}

/**
 * The rows of a query on a connection of the pool. One that does not answer within `patience` milliseconds is
 * replaced; where none becomes free in that time, nothing is asked.
 */
export async function rowsFrom(
  pool: Pool,
  text: string,
  values: readonly unknown[],
  patience: number,
): Promise<SqlRow[]> {
  const giveUp = performance.now() + patience;
  const connection = await pool.connect();
  if (performance.now() > giveUp) {
    connection.release(false);
    throw new Error('no connection of the pool became free in time');
  }
  let isBroken = false;
  connection.on('error', ignore);
  try {
    return (await connection.query({ text, values, query_timeout: patience })).rows;
  } catch (error) {
    isBroken = codeOf(error) === undefined;
    throw error;
  } finally {
    connection.removeListener('error', ignore);
    connection.release(isBroken);
  }
}

/** Without a listener, a connection that breaks would end the process; its queries are rejected anyway. */
function ignore(): void {}

/** Other transactions were in the way: what was read has changed, or may have. */
const CONFLICTS = ['40001', '40P01', '23505'];

/** Classes of errors that pass: connection, read-only, resources, shutdown and start. */
const PASSING = /^(08|25|53|57)/;

export function isConflict(error: unknown): boolean {
  return CONFLICTS.includes(codeOf(error) ?? '');
}

/** The server has refused something, and will again: nothing that passes, such as a restart. */
export function isFatal(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof DownloadAuthConfigurationError || (code !== undefined && !PASSING.test(code));
}

/** The SQLSTATE of what the server answered; undefined for other errors, such as a broken connection. */
export function codeOf(error: unknown): string | undefined {
  const { severity, code } = error as { severity?: string; code?: string };
  return severity === undefined ? undefined : code;
}
