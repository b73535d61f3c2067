import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';

/** The commands that are used, as `ioredis` spells them. */
export interface RedisCommands {
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  hvals(key: string): Promise<string[]>;
}

/** The part of an `ioredis` or `iovalkey` client that is used: `Redis` and `Cluster` both have it. */
export interface IoredisClient extends RedisCommands {
  readonly duplicate: unknown;
  readonly status: string;
  disconnect(): void;
}

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/** The part of a `redis` client that is used: `createClient` and `createCluster` both give it. */
export interface NodeRedisClient {
  evalSha(sha: string, call: ScriptCall): Promise<unknown>;
  eval(script: string, call: ScriptCall): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  hmGet(key: string, fields: string[]): Promise<unknown>;
  hVals(key: string): Promise<unknown>;
  duplicate(): unknown;
}

/** A client of `ioredis` or `iovalkey`, or of `redis` (node-redis); of a cluster, too. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** The same for the clients of all packages. */
export interface RedisConnection {
  readonly commands: RedisCommands;
  /** Always false for a cluster, whose client replaces the connections to its nodes itself. */
  isReady(): boolean;
  /** Another connection to the same server, which connects by itself. */
  renew(): RedisConnection;
  drop(): void;
}

type Report = (error: unknown) => void;

/**
 * @param report is told of errors, unless the application listens to them
 * @throws DownloadAuthConfigurationError for what is a client of none of the packages
 */
export function connectionOf(client: RedisClient, report: Report): RedisConnection {
  if (typeof (client as NodeRedisClient).evalSha === 'function') {
    return ofNodeRedis(client as NodeRedis, report);
  }
  if (typeof (client as IoredisClient).evalsha === 'function') {
    return ofIoredis(client as Ioredis, report);
  }
  throw new DownloadAuthConfigurationError(
    'RedisLeaseStore.client: give a client of the package ioredis, iovalkey or redis, or a url instead.',
  );
}

interface Emitter {
  on(event: 'error', listener: Report): unknown;
  listenerCount(event: string): number;
}

type Ioredis = IoredisClient & Emitter & { duplicate(): Ioredis; readonly isCluster?: boolean };

function ofIoredis(client: Ioredis, report: Report): RedisConnection {
  listenTo(client, report);
  return {
    commands: client,
    isReady: () => !client.isCluster && client.status === 'ready',
    renew: () => ofIoredis(client.duplicate(), report),
    drop: () => client.disconnect(),
  };
}

type NodeRedis = Omit<NodeRedisClient, 'duplicate'> &
  Emitter & {
    connect(): Promise<unknown>;
    duplicate(): NodeRedis;
    readonly isReady?: boolean;
    destroy?(): void;
    disconnect?(): Promise<void>;
  };

function ofNodeRedis(client: NodeRedis, report: Report): RedisConnection {
  listenTo(client, report);
  const call = (keys: number, args: string[]) => ({ keys: args.slice(0, keys), arguments: args.slice(keys) });
  return {
    commands: {
      evalsha: (sha, keys, ...args) => client.evalSha(sha, call(keys, args)),
      eval: (text, keys, ...args) => client.eval(text, call(keys, args)),
      mget: (...keys) => client.mGet(keys) as Promise<(string | null)[]>,
      hmget: (key, ...fields) => client.hmGet(key, fields) as Promise<(string | null)[]>,
      hvals: (key) => client.hVals(key) as Promise<string[]>,
    },
    isReady: () => client.isReady === true,
    renew: () => connecting(client.duplicate(), report),
    // `destroy` since version 5, `disconnect` before; both complain about a connection that is gone
    drop: () => {
      void (async () => (client.destroy ? client.destroy() : client.disconnect?.()))().catch(() => {});
    },
  };
}

function connecting(client: NodeRedis, report: Report): RedisConnection {
  const connection = ofNodeRedis(client, report);
  // It goes on trying by itself, and its errors are reported
  client.connect().catch(() => {});
  return connection;
}

/** Without a listener, errors would end the process. */
function listenTo(client: Emitter, listener: Report): void {
  if (client.listenerCount('error') === 0) {
    client.on('error', listener);
  }
}

/** How long to wait for a connection, ms: callers are told that the server is away instead of waiting. */
const CONNECT_TIMEOUT = 2000;

interface IoredisModule {
  Redis: new (url: string, options: object) => Ioredis;
}

interface NodeRedisModule {
  createClient(options: object): NodeRedis;
}

/**
 * Connects by the first of the packages that is installed. The client neither keeps commands for later while
 * the server is away, nor repeats those whose outcome is unknown.
 *
 * @throws Error if none of the packages is installed
 */
export async function connect(url: string, report: Report): Promise<RedisConnection> {
  const retryStrategy = (attempts: number) => Math.min(attempts * 50, 1000);
  const ioredis = (await optional<IoredisModule>('ioredis')) ?? (await optional<IoredisModule>('iovalkey'));
  if (ioredis) {
    const client = new ioredis.Redis(url, {
      connectTimeout: CONNECT_TIMEOUT,
      disconnectTimeout: 100,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy,
    });
    return ofIoredis(client, report);
  }
  const redis = await optional<NodeRedisModule>('redis');
  if (redis) {
    const socket = { connectTimeout: CONNECT_TIMEOUT, reconnectStrategy: retryStrategy };
    return connecting(redis.createClient({ url, disableOfflineQueue: true, socket }), report);
  }
  throw new Error(
    'The Redis lease store was given a url but no client is installed: npm install ioredis (or redis).',
  );
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
