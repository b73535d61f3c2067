import type { ThrottledLogger } from '../../shared/throttled-logger.js';
import { reportErrors } from './redis-driver.js';
import type { ChannelListener, RedisConnection } from './redis-driver.js';

/** The part of an `ioredis` client that is used: `Redis` and `Cluster` both have it. */
export interface IoredisClient {
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  readonly duplicate: unknown;
  quit(): Promise<unknown>;
  disconnect(reconnect?: boolean): void;
}

interface Client extends IoredisClient {
  on(event: string, listener: (...details: string[]) => void): unknown;
  subscribe(channel: string): Promise<unknown>;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  duplicate(options?: object): Client;
  readonly status: string;
  readonly isCluster?: boolean;
}

/** A subscription waits for the server; if it went silent, it does not wait for an answer to its end. */
const FOR_SUBSCRIBER = {
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  lazyConnect: false,
  disconnectTimeout: 100,
};

/** How long to wait for QUIT, ms. */
const QUIT_TIMEOUT = 2000;

export class IoredisConnection implements RedisConnection {
  private readonly client: Client;

  constructor(
    client: IoredisClient,
    private readonly logger: ThrottledLogger,
  ) {
    this.client = client as Client;
    reportErrors(client, logger);
  }

  isReady(): boolean {
    return !this.client.isCluster && this.client.status === 'ready';
  }

  ping(): Promise<unknown> {
    return this.client.ping();
  }

  evalsha(sha: string, key: string, args: string[]): Promise<unknown> {
    return this.client.evalsha(sha, 1, key, ...args);
  }

  eval(text: string, key: string, args: string[]): Promise<unknown> {
    return this.client.eval(text, 1, key, ...args);
  }

  mget(keys: string[]): Promise<(string | null)[]> {
    return this.client.mget(...keys);
  }

  renew(): RedisConnection {
    return new IoredisConnection(this.client.duplicate(), this.logger);
  }

  listen(channel: string, listener: ChannelListener): RedisConnection {
    // duplicate() of a cluster takes other arguments.
    const client = this.client.isCluster ? this.client.duplicate() : this.client.duplicate(FOR_SUBSCRIBER);
    const connection = new IoredisConnection(client, this.logger);
    client.on('message', (from, text) => from === channel && listener.message(text));
    client.on(
      'ready',
      () =>
        void client.subscribe(channel).then(
          () => listener.ready(),
          (error: unknown) => listener.lost(error),
        ),
    );
    client.on('close', () => listener.lost(new Error('the connection for revocations was closed')));
    if (client.status === 'wait') {
      client.connect().catch((error: unknown) => listener.lost(error));
    }
    return connection;
  }

  async quit(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('The server did not answer QUIT.')), QUIT_TIMEOUT);
    });
    await Promise.race([this.client.quit(), late]).catch(() => this.drop());
    clearTimeout(timer);
  }

  drop(): void {
    this.client.disconnect();
  }
}
