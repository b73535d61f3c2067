import { ThrottledLogger } from '../../shared/throttled-logger.js';
import {
  type ChannelListener,
  type RedisDriver,
  reportErrors,
  reportSilence,
  runScript,
  watchConnection,
} from './redis-driver.js';
import { type Script } from './redis-scripts.js';

/** The part of an `ioredis` client that is used: `Redis` and `Cluster` both have it. */
export interface IoredisClient {
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  readonly duplicate: unknown;
  quit(): Promise<unknown>;
  disconnect(reconnect?: boolean): void;
}

interface Connection extends IoredisClient {
  on(event: string, listener: (...details: string[]) => void): unknown;
  subscribe(channel: string): Promise<unknown>;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  readonly status: string;
  readonly isCluster?: boolean;
}

const FOR_SUBSCRIBER = {
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  lazyConnect: false,
  // One that went silent does not say goodbye.
  disconnectTimeout: 100,
};

/** How long to wait for QUIT, ms. */
const QUIT_TIMEOUT = 2000;

export class IoredisDriver implements RedisDriver {
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly unwatch: () => void;

  constructor(
    private readonly client: IoredisClient,
    private readonly owned: boolean,
  ) {
    reportErrors(client, this.logger);
    this.unwatch = watch(client as Connection, owned, this.logger);
  }

  run({ sha, text }: Script, key: string, ...args: string[]): Promise<unknown> {
    return runScript(
      () => this.client.evalsha(sha, 1, key, ...args),
      () => this.client.eval(text, 1, key, ...args),
    );
  }

  getAll(keys: string[]): Promise<(string | null)[]> {
    return this.client.mget(...keys);
  }

  subscribe(channel: string, listener: ChannelListener): () => void {
    const { isCluster } = this.client as Connection;
    // The two kinds of client take different arguments, and what each calls itself is all that tells.
    const { client } = this as unknown as { client: { duplicate(options?: object): Connection } };
    const subscriber = isCluster ? client.duplicate() : client.duplicate(FOR_SUBSCRIBER);
    let ended = false;
    const lost = (reason: unknown) => {
      if (!ended) {
        listener.lost(reason);
      }
    };
    reportErrors(subscriber, this.logger);
    subscriber.on('message', (from, text) => from === channel && listener.message(text));
    subscriber.on('ready', () => void subscriber.subscribe(channel).then(() => listener.ready(), lost));
    subscriber.on('close', () => lost(new Error('the connection for revocations was closed')));
    if (subscriber.status === 'wait') {
      subscriber.connect().catch(lost);
    }
    const unwatch = watch(subscriber, true, this.logger);
    return () => {
      ended = true;
      unwatch();
      subscriber.disconnect();
    };
  }

  async close(): Promise<void> {
    this.unwatch();
    if (!this.owned) {
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('The server does not say goodbye.')), QUIT_TIMEOUT);
    });
    await Promise.race([this.client.quit(), late]).catch(() => this.client.disconnect());
    clearTimeout(timer);
  }
}

/** A cluster has a connection to each node, and replaces them itself. */
function watch(client: Connection, owned: boolean, logger: ThrottledLogger): () => void {
  if (client.isCluster) {
    return () => {};
  }
  return watchConnection({
    isReady: () => client.status === 'ready',
    ping: () => client.ping(),
    silent: () => {
      reportSilence(owned, logger);
      if (owned) {
        client.disconnect(true);
      }
    },
  });
}
