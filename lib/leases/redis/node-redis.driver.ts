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

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/** The part of a `redis` (node-redis) client that is used: `createClient` and `createCluster` both give it. */
export interface NodeRedisClient {
  evalSha(sha: string, call: ScriptCall): Promise<unknown>;
  eval(script: string, call: ScriptCall): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  duplicate(): unknown;
  readonly isOpen?: boolean;
}

interface Connection extends NodeRedisClient {
  on(event: string, listener: (reason: unknown) => void): unknown;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>;
  readonly isReady?: boolean;
  destroy?(): void;
  disconnect?(): Promise<void>;
}

/** Milliseconds between attempts to subscribe where the server cannot be reached at all. */
const RETRY_EVERY = 500;

export class NodeRedisDriver implements RedisDriver {
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private client: Connection;
  private unwatch: () => void;

  constructor(
    client: NodeRedisClient,
    private readonly owned: boolean,
  ) {
    this.client = client as Connection;
    this.unwatch = this.watch();
  }

  run({ sha, text }: Script, key: string, ...args: string[]): Promise<unknown> {
    const call = { keys: [key], arguments: args };
    return runScript(
      () => this.client.evalSha(sha, call),
      () => this.client.eval(text, call),
    );
  }

  getAll(keys: string[]): Promise<(string | null)[]> {
    return this.client.mGet(keys) as Promise<(string | null)[]>;
  }

  subscribe(channel: string, listener: ChannelListener): () => void {
    let ended = false;
    let end = () => {};
    const listen = () => {
      const replace = () => {
        end();
        listen();
      };
      end = this.listen(channel, listener, () => !ended && replace());
    };
    listen();
    return () => {
      ended = true;
      end();
    };
  }

  close(): Promise<void> {
    this.unwatch();
    if (this.owned) {
      disconnect(this.client);
    }
    return Promise.resolve();
  }

  /** Subscribes on one connection, for as long as it is not silent. */
  private listen(channel: string, listener: ChannelListener, silent: () => void): () => void {
    const subscriber = this.client.duplicate() as Connection;
    let closed = false;
    let subscribed = false;
    const lost = (reason: unknown) => {
      if (!closed) {
        listener.lost(reason);
      }
    };
    reportErrors(subscriber, this.logger);
    subscriber.on('error', lost);
    // A client of this package takes its subscriptions up again by itself before it is `ready`.
    subscriber.on('ready', () => subscribed && listener.ready());
    const start = async () => {
      if (!subscriber.isOpen) {
        await subscriber.connect();
      }
      if (closed) {
        disconnect(subscriber);
        return;
      }
      await subscriber.subscribe(channel, (text) => listener.message(text));
      subscribed = true;
      listener.ready();
    };
    let retry: NodeJS.Timeout | undefined;
    const attempt = () => {
      start().catch((error: unknown) => {
        if (!closed) {
          listener.lost(error);
          retry = setTimeout(attempt, RETRY_EVERY).unref();
        }
      });
    };
    attempt();
    const unwatch = watchConnection({
      isReady: () => subscriber.isReady === true,
      ping: () => subscriber.ping(),
      silent: () => {
        reportSilence(true, this.logger);
        lost(new Error('the connection for revocations went silent'));
        silent();
      },
    });
    return () => {
      closed = true;
      unwatch();
      clearTimeout(retry);
      disconnect(subscriber);
    };
  }

  /** A cluster has a connection to each node, and replaces them itself: it is never `isReady`. */
  private watch(): () => void {
    const { client, owned } = this;
    reportErrors(client, this.logger);
    return watchConnection({
      isReady: () => client.isReady === true,
      ping: () => client.ping(),
      silent: () => {
        reportSilence(owned, this.logger);
        if (owned) {
          this.unwatch();
          disconnect(client);
          this.client = client.duplicate() as Connection;
          this.unwatch = this.watch();
          // It goes on trying by itself, and its errors are reported.
          this.client.connect().catch(() => {});
        }
      },
    });
  }
}

/** `destroy` since version 5, `disconnect` before; both complain about a connection that is gone. */
function disconnect(client: Connection): void {
  try {
    if (client.destroy) {
      client.destroy();
    } else {
      client.disconnect?.().catch(() => {});
    }
  } catch {
    // It is closed, which is all that was wanted.
  }
}
