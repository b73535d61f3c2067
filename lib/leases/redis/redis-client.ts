import type { EventEmitter } from 'node:events';
import { logErrors } from '../client-errors.js';

/** The commands that are used, as `ioredis` and `iovalkey` have them: `Redis` and `Cluster` both do. */
export interface IoredisClient {
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  hvals(key: string): Promise<string[]>;
  info(section: string): Promise<string>;
}

/** The same commands of a `redis` client: `createClient` and `createCluster` both give it. */
export type NodeRedisClient = Readonly<
  Record<'eval' | 'mGet' | 'hmGet' | 'hVals' | 'info', (...args: never[]) => Promise<unknown>>
>;

/** A client of `ioredis` or `iovalkey`, or of `redis` (node-redis); of a cluster, too. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** @returns whether it is a client of one of the packages */
export function isClient(client: unknown): client is RedisClient {
  return typeof client === 'object' && client !== null && ('mget' in client || 'mGet' in client);
}

export function commandsOf(client: RedisClient): IoredisClient {
  logErrors(client as unknown as EventEmitter, 'Redis');
  return 'mget' in client ? client : ofNodeRedis(client);
}

function ofNodeRedis(client: NodeRedisClient): IoredisClient {
  const redis = client as unknown as Record<keyof NodeRedisClient, (...args: unknown[]) => Promise<never>>;
  return {
    eval: (script, keys, ...args) =>
      redis.eval(script, { keys: args.slice(0, keys), arguments: args.slice(keys) }),
    mget: (...keys) => redis.mGet(keys),
    hmget: (key, ...fields) => redis.hmGet(key, fields),
    hvals: (key) => redis.hVals(key),
    info: (section) => redis.info(section),
  };
}

/** Callers are told that the server is away, instead of waiting: nothing is queued, and nothing repeated. */
const OPTIONS = {
  connectTimeout: 2000,
  disconnectTimeout: 100,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: (attempts: number) => Math.min(attempts * 50, 1000),
  // The server has become a replica: the name or address may lead to another one by now
  reconnectOnError: ({ message }: Error) => message.includes('READONLY'),
  // A connection that a firewall dropped without a word would stay for a quarter of an hour
  socketTimeout: 3000,
};

/** A client that the store makes itself. */
export type OwnClient = IoredisClient & { disconnect(): void };

/** Makes a client of the first of the packages that is installed. @throws Error if neither is */
export function connect(url: string): OwnClient {
  const { Redis } = installedPackage();
  return new Redis(url, OPTIONS);
}

// Not by `import()`: Jest needs a flag for it. What is required in a `try` block, bundlers take for optional
function installedPackage(): { readonly Redis: new (url: string, options: object) => OwnClient } {
  try {
    return require('ioredis') as ReturnType<typeof installedPackage>;
  } catch (cause) {
    try {
      return require('iovalkey') as ReturnType<typeof installedPackage>;
    } catch {
      throw new Error(
        'The Redis lease store was given a url, for which it needs the package ioredis or iovalkey: npm install ioredis. ' +
          'Or give it a client of the package redis.',
        { cause },
      );
    }
  }
}
