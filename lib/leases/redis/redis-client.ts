import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import { IoredisConnection } from './ioredis.js';
import type { IoredisClient } from './ioredis.js';
import { NodeRedisConnection } from './node-redis.js';
import type { NodeRedisClient } from './node-redis.js';
import { RedisDriver } from './redis-driver.js';

/** A client of `ioredis` (`Redis`, `Cluster`) or of `redis` (`createClient`, `createCluster`). */
export type RedisClient = IoredisClient | NodeRedisClient;

/**
 * How long to wait for a connection, ms: callers are told that the server is away instead of waiting for it.
 */
const CONNECT_TIMEOUT = 2000;

/** How long a connection that is given up may take to end in order, ms. */
const DISCONNECT_TIMEOUT = 100;

/** @throws DownloadAuthConfigurationError for what is a client of neither package */
export function driverFor(client: RedisClient, owned = false): RedisDriver {
  const logger = new ThrottledLogger('DownloadAuth');
  if (typeof (client as NodeRedisClient).evalSha === 'function') {
    return new RedisDriver(new NodeRedisConnection(client as NodeRedisClient, logger), owned, logger);
  }
  if (typeof (client as IoredisClient).evalsha === 'function') {
    return new RedisDriver(new IoredisConnection(client as IoredisClient, logger), owned, logger);
  }
  throw new DownloadAuthConfigurationError(
    'RedisLeaseStore.client: give a client of the package ioredis or redis, or a url instead.',
  );
}

/**
 * Makes a client, of `ioredis` if it is installed and of `redis` otherwise. It neither keeps commands for
 * later while the server is away, nor repeats those whose outcome is unknown.
 *
 * @throws Error if neither package is installed
 */
export async function connect(url: string): Promise<RedisDriver> {
  const ioredis = await optional<IoredisModule>('ioredis');
  if (ioredis) {
    const client = new ioredis.Redis(url, {
      connectTimeout: CONNECT_TIMEOUT,
      disconnectTimeout: DISCONNECT_TIMEOUT,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy,
    });
    return driverFor(client, true);
  }
  const redis = await optional<NodeRedisModule>('redis');
  if (redis) {
    const client = redis.createClient({
      url,
      disableOfflineQueue: true,
      socket: { connectTimeout: CONNECT_TIMEOUT, reconnectStrategy: retryStrategy },
    });
    const driver = driverFor(client, true);
    client.connect().catch(() => {});
    return driver;
  }
  throw new Error(
    'The Redis lease store was given a url but no client is installed: npm install ioredis (or redis).',
  );
}

interface IoredisModule {
  Redis: new (url: string, options: object) => IoredisClient;
}

interface NodeRedisModule {
  createClient(options: object): NodeRedisClient & { connect(): Promise<unknown> };
}

function retryStrategy(attempts: number): number {
  return Math.min(attempts * 50, 1000);
}

async function optional<T>(name: string): Promise<T | undefined> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') {
      return undefined;
    }
    throw error;
  }
}
