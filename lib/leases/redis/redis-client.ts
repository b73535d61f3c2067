import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';

/** The commands that are used, as `ioredis` and `iovalkey` have them: `Redis` and `Cluster` both do. */
export interface IoredisClient {
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  hvals(key: string): Promise<string[]>;
  info(section: string): Promise<string>;
}

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/** The same commands of a `redis` client: `createClient` and `createCluster` both give it. */
export interface NodeRedisClient {
  evalSha(sha: string, call: ScriptCall): Promise<unknown>;
  eval(script: string, call: ScriptCall): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  hmGet(key: string, fields: string[]): Promise<unknown>;
  hVals(key: string): Promise<unknown>;
  info(section: string): Promise<unknown>;
}

/** A client of `ioredis` or `iovalkey`, or of `redis` (node-redis); of a cluster, too. */
export type RedisClient = IoredisClient | NodeRedisClient;

interface Emitter {
  on(event: 'error', listener: Report): unknown;
  listenerCount(event: string): number;
}

type Report = (error: unknown) => void;

/**
 * @param report is told of errors, unless the application listens to them
 * @throws DownloadAuthConfigurationError for what is a client of none of the packages
 */
export function commandsOf(client: RedisClient, report: Report): IoredisClient {
  const isIoredis = typeof (client as IoredisClient).evalsha === 'function';
  if (!isIoredis && typeof (client as NodeRedisClient).evalSha !== 'function') {
    throw new DownloadAuthConfigurationError(
      'RedisLeaseStore.client: give a client of the package ioredis, iovalkey or redis, or a url instead.',
    );
  }
  if ((client as unknown as Emitter).listenerCount('error') === 0) {
    // Without a listener, errors would end the process
    (client as unknown as Emitter).on('error', report);
  }
  return isIoredis ? (client as IoredisClient) : ofNodeRedis(client as NodeRedisClient);
}

function ofNodeRedis(client: NodeRedisClient): IoredisClient {
  const call = (keys: number, args: string[]) => ({ keys: args.slice(0, keys), arguments: args.slice(keys) });
  return {
    evalsha: (sha, keys, ...args) => client.evalSha(sha, call(keys, args)),
    eval: (text, keys, ...args) => client.eval(text, call(keys, args)),
    mget: (...keys) => client.mGet(keys) as Promise<(string | null)[]>,
    hmget: (key, ...fields) => client.hmGet(key, fields) as Promise<(string | null)[]>,
    hvals: (key) => client.hVals(key) as Promise<string[]>,
    info: (section) => client.info(section) as Promise<string>,
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

interface Package {
  readonly Redis: new (url: string, options: object) => OwnClient;
}

/** Makes a client of the first of the packages that is installed. @throws Error if neither is */
export function connect(url: string): OwnClient {
  const { Redis } = installedPackage();
  return new Redis(url, OPTIONS);
}

// Not by `import()`: Jest needs a flag for it. What is required in a `try` block, bundlers take for optional
function installedPackage(): Package {
  try {
    return require('ioredis') as Package;
  } catch (error) {
    assertMissing(error);
  }
  try {
    return require('iovalkey') as Package;
  } catch (error) {
    assertMissing(error);
  }
  throw new Error(
    'The Redis lease store was given a url, for which it needs the package ioredis or iovalkey: npm install ioredis. ' +
      'Or give it a client of the package redis.',
  );
}

function assertMissing(error: unknown): void {
  if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') {
    throw error;
  }
}
