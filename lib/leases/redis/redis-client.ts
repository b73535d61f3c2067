import { type IoredisClient, IoredisDriver } from './ioredis.driver.js';
import { type NodeRedisClient, NodeRedisDriver } from './node-redis.driver.js';
import { type RedisDriver } from './redis-driver.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';

/** A client of `ioredis` (`Redis`, `Cluster`) or of `redis` (`createClient`, `createCluster`). */
export type RedisClient = IoredisClient | NodeRedisClient;

/** Milliseconds; a server that cannot be reached is for the caller to hear of, not to wait for. */
const CONNECT_TIMEOUT = 2000;

/** Milliseconds for a connection that is given up to end in order. */
const DISCONNECT_TIMEOUT = 100;

/** @throws DownloadAuthConfigurationError for what is a client of neither package */
export function driverFor(client: RedisClient, owned = false): RedisDriver {
  if (typeof (client as NodeRedisClient).evalSha === 'function') {
    return new NodeRedisDriver(client as NodeRedisClient, owned);
  }
  if (typeof (client as IoredisClient).evalsha === 'function') {
    return new IoredisDriver(client as IoredisClient, owned);
  }
  throw new DownloadAuthConfigurationError(
    'The Redis lease store needs a client of the package ioredis or redis, or a url.',
  );
}

/**
 * A client of its own, by whichever package is installed: `ioredis` before `redis`. It does not
 * keep commands for later while the server is away, nor repeat those whose fate is unknown.
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
