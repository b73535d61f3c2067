import { afterAll, afterEach, beforeAll } from 'vitest';
import { compiledLibrary } from '../../support/compiled-library.js';
import { startWorker } from './processes.js';
import { hasPostgres, PostgresServer } from './postgres-server.js';
import type { StoreDescription, Worker } from './processes.js';
import { hasRedis, RedisServer } from './redis-server.js';
import { hasSqlite, openDatabase, temporaryFile } from './sqlite.js';
import type { Database } from './sqlite.js';

type Step = () => unknown;

interface ServerUnderTest {
  /** Without a signal it ends as in a crash; SIGINT ends it in order. */
  readonly server: { stop(signal?: NodeJS.Signals): Promise<void>; run(): Promise<void> };
  readonly description: StoreDescription;
}

/** Takes the steps, the last first, and forgets them. */
export async function undo(steps: Step[]): Promise<void> {
  for (const step of steps.splice(0).reverse()) {
    await step();
  }
}

/**
 * The stores that several processes share, and processes that share them. What a test makes of them is gone
 * when it ends: `cleanUps` says how.
 *
 * @param prefix of the keys in Redis
 */
export function sharedStores(prefix: string) {
  let postgres: PostgresServer | undefined;
  const cleanUps: Step[] = [];
  beforeAll(() => void compiledLibrary(), 60_000);
  afterEach(() => undo(cleanUps));
  afterAll(() => postgres?.remove());

  function sqlite() {
    const { file, remove } = temporaryFile();
    cleanUps.push(remove);
    return { sqlite: { file } };
  }

  async function redisServer(): Promise<RedisServer> {
    const server = await RedisServer.start();
    cleanUps.push(() => server.remove());
    return server;
  }

  async function postgresServer(): Promise<PostgresServer> {
    const server = await PostgresServer.start();
    cleanUps.push(() => server.remove());
    return server;
  }

  /** @param script of the process; a keeper of leases by default */
  async function worker(
    description: StoreDescription & Record<string, unknown>,
    script?: string,
  ): Promise<Worker> {
    const started = await startWorker(description, script);
    cleanUps.push(() => started.kill());
    return started;
  }

  const redis = async () => ({ redis: { url: (await redisServer()).url, prefix } });
  /** One server for all tests, and a database for each. */
  const database = async () => {
    postgres ??= await PostgresServer.start();
    return { postgres: { url: await postgres.database() } };
  };
  const stores: { store: string; available: boolean; describe: () => Promise<StoreDescription> }[] = [
    { store: 'SQLite', available: hasSqlite, describe: async () => sqlite() },
    { store: 'Redis', available: hasRedis, describe: redis },
    { store: 'PostgreSQL', available: hasPostgres, describe: database },
  ];
  /** Servers of a test's own, which it may stop. */
  const servers: { store: string; available: boolean; start: () => Promise<ServerUnderTest> }[] = [
    {
      store: 'Redis',
      available: hasRedis,
      start: async () => {
        const server = await redisServer();
        return { server, description: { redis: { url: server.url, prefix } } };
      },
    },
    {
      store: 'PostgreSQL',
      available: hasPostgres,
      start: async () => {
        const server = await postgresServer();
        return { server, description: { postgres: { url: server.url() } } };
      },
    },
  ];
  /** An SQLite file has no server; what takes it away is another process that keeps the lock. */
  const lockable: (typeof servers)[number] = {
    store: 'SQLite',
    available: hasSqlite,
    start: () => {
      const description = sqlite();
      const { file } = description.sqlite;
      let other: Database | undefined;
      const run = () => {
        other?.close();
        other = undefined;
        return Promise.resolve();
      };
      const stop = () => {
        other = openDatabase(file);
        other.exec('BEGIN EXCLUSIVE');
        return Promise.resolve();
      };
      cleanUps.push(run);
      return Promise.resolve({ server: { run, stop }, description });
    },
  };
  return { cleanUps, sqlite, redisServer, worker, stores, servers, lockable };
}
