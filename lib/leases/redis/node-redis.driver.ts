import { type RedisDriver, runScript, tolerateErrors } from './redis-driver.js';
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
  hGetAll(key: string): Promise<unknown>;
  duplicate(): unknown;
  readonly isOpen?: boolean;
}

interface Subscriber {
  on(event: string, listener: () => void): unknown;
  connect(): Promise<unknown>;
  readonly isOpen?: boolean;
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>;
  destroy?(): void;
  disconnect?(): Promise<void>;
}

/** Milliseconds between attempts to subscribe where the server cannot be reached at all. */
const RETRY_EVERY = 500;

export class NodeRedisDriver implements RedisDriver {
  constructor(
    private readonly client: NodeRedisClient,
    private readonly owned: boolean,
  ) {
    tolerateErrors(client);
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

  async hash(key: string): Promise<Record<string, string>> {
    return { ...((await this.client.hGetAll(key)) as Record<string, string>) };
  }

  subscribe(channel: string, message: (text: string) => void, ready: () => void): () => void {
    const subscriber = this.client.duplicate() as Subscriber;
    let closed = false;
    let subscribed = false;
    tolerateErrors(subscriber);
    // A client of this package takes its subscriptions up again by itself before it is `ready`.
    subscriber.on('ready', () => subscribed && ready());
    const start = async () => {
      if (!subscriber.isOpen) {
        await subscriber.connect();
      }
      if (closed) {
        disconnect(subscriber);
        return;
      }
      await subscriber.subscribe(channel, message);
      subscribed = true;
      ready();
    };
    let retry: NodeJS.Timeout | undefined;
    const attempt = () => {
      start().catch(() => {
        if (!closed) {
          retry = setTimeout(attempt, RETRY_EVERY).unref();
        }
      });
    };
    attempt();
    return () => {
      closed = true;
      clearTimeout(retry);
      disconnect(subscriber);
    };
  }

  close(): Promise<void> {
    if (this.owned) {
      disconnect(this.client as unknown as Subscriber);
    }
    return Promise.resolve();
  }
}

/** `destroy` since version 5, `disconnect` before; both complain about a connection that is gone. */
function disconnect(client: Subscriber): void {
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
