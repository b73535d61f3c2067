import type { ThrottledLogger } from '../../shared/throttled-logger.js';
import { reportErrors } from './redis-driver.js';
import type { ChannelListener, RedisConnection } from './redis-driver.js';

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/**
 * The part of a `redis` (node-redis) client that is used: `createClient` and `createCluster` both give it.
 */
export interface NodeRedisClient {
  evalSha(sha: string, call: ScriptCall): Promise<unknown>;
  eval(script: string, call: ScriptCall): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  duplicate(): unknown;
  readonly isOpen?: boolean;
}

interface Client extends NodeRedisClient {
  on(event: string, listener: (reason: unknown) => void): unknown;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>;
  readonly isReady?: boolean;
  destroy?(): void;
  disconnect?(): Promise<void>;
}

/** How long after a failure it is tried again to subscribe, ms. */
const RETRY_EVERY = 500;

export class NodeRedisConnection implements RedisConnection {
  private readonly client: Client;
  private dropped = false;
  private retry?: NodeJS.Timeout;

  constructor(
    client: NodeRedisClient,
    private readonly logger: ThrottledLogger,
  ) {
    this.client = client as Client;
    reportErrors(client, logger);
  }

  isReady(): boolean {
    return this.client.isReady === true;
  }

  ping(): Promise<unknown> {
    return this.client.ping();
  }

  evalsha(sha: string, key: string, args: string[]): Promise<unknown> {
    return this.client.evalSha(sha, { keys: [key], arguments: args });
  }

  eval(text: string, key: string, args: string[]): Promise<unknown> {
    return this.client.eval(text, { keys: [key], arguments: args });
  }

  mget(keys: string[]): Promise<(string | null)[]> {
    return this.client.mGet(keys) as Promise<(string | null)[]>;
  }

  renew(): RedisConnection {
    const renewed = this.duplicate();
    // The client goes on trying by itself, and its errors are reported.
    renewed.client.connect().catch(() => {});
    return renewed;
  }

  listen(channel: string, listener: ChannelListener): RedisConnection {
    const connection = this.duplicate();
    connection.keepListening(channel, listener);
    return connection;
  }

  quit(): Promise<void> {
    this.drop();
    return Promise.resolve();
  }

  /** `destroy` since version 5, `disconnect` before; both complain about a connection that is gone. */
  drop(): void {
    this.dropped = true;
    clearTimeout(this.retry);
    try {
      if (this.client.destroy) {
        this.client.destroy();
      } else {
        this.client.disconnect?.().catch(() => {});
      }
    } catch {
      // The connection was closed already.
    }
  }

  private duplicate(): NodeRedisConnection {
    return new NodeRedisConnection(this.client.duplicate() as Client, this.logger);
  }

  private keepListening(channel: string, listener: ChannelListener): void {
    const { client } = this;
    let subscribed = false;
    client.on('error', (reason) => listener.lost(reason));
    // After a reconnection the client subscribes again by itself before it is `ready`.
    client.on('ready', () => subscribed && listener.ready());
    const start = async () => {
      if (!client.isOpen) {
        await client.connect();
      }
      if (this.dropped) {
        this.drop();
        return;
      }
      await client.subscribe(channel, (text) => listener.message(text));
      subscribed = true;
      listener.ready();
    };
    const attempt = () => {
      start().catch((error: unknown) => {
        if (!this.dropped) {
          listener.lost(error);
          this.retry = setTimeout(attempt, RETRY_EVERY).unref();
        }
      });
    };
    attempt();
  }
}
