import { afterAll, afterEach, beforeAll } from 'vitest';
import { CompiledLibrary } from './processes.js';
import type { StoreDescription, Worker } from './processes.js';
import { hasRedis, RedisServer } from './redis-server.js';
import { hasSqlite, temporaryFile } from './sqlite.js';

type Step = () => unknown;

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
  let library: CompiledLibrary;
  const cleanUps: Step[] = [];
  beforeAll(() => {
    library = new CompiledLibrary();
  }, 60_000);
  afterEach(() => undo(cleanUps));
  afterAll(() => library?.remove());

  function sqlite(): StoreDescription {
    const { file, remove } = temporaryFile();
    cleanUps.push(remove);
    return { sqlite: { file } };
  }

  async function redisServer(): Promise<RedisServer> {
    const server = await RedisServer.start();
    cleanUps.push(() => server.remove());
    return server;
  }

  /** @param script of the process; a keeper of leases by default */
  async function worker(
    description: StoreDescription & Record<string, unknown>,
    script?: string,
  ): Promise<Worker> {
    const started = await library.worker(description, script);
    cleanUps.push(() => started.kill());
    return started;
  }

  const redis = async () => ({ redis: { url: (await redisServer()).url, prefix } });
  const stores: { store: string; available: boolean; describe: () => Promise<StoreDescription> }[] = [
    { store: 'SQLite', available: hasSqlite, describe: async () => sqlite() },
    { store: 'Redis', available: hasRedis, describe: redis },
  ];
  return { cleanUps, sqlite, redisServer, worker, stores };
}
