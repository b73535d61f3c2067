import { type RedisDriver, runScript, tolerateErrors } from './redis-driver.js';
import { type Script } from './redis-scripts.js';

/** The part of an `ioredis` client that is used: `Redis` and `Cluster` both have it. */
export interface IoredisClient {
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<(string | null)[]>;
  hgetall(key: string): Promise<Record<string, string>>;
  readonly duplicate: unknown;
  quit(): Promise<unknown>;
  disconnect(): void;
}

interface Subscriber extends IoredisClient {
  on(event: string, listener: (channel: string, text: string) => void): unknown;
  subscribe(channel: string): Promise<unknown>;
  connect(): Promise<unknown>;
  readonly status: string;
}

const FOR_SUBSCRIBER = { enableOfflineQueue: true, maxRetriesPerRequest: null, lazyConnect: false };

/** Milliseconds in which a server that still answers takes leave: one that does not must not keep the process. */
const QUIT_TIMEOUT = 2000;

export class IoredisDriver implements RedisDriver {
  constructor(
    private readonly client: IoredisClient,
    private readonly owned: boolean,
  ) {
    tolerateErrors(client);
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

  hash(key: string): Promise<Record<string, string>> {
    return this.client.hgetall(key);
  }

  subscribe(channel: string, message: (text: string) => void, ready: () => void): () => void {
    const isCluster = (this.client as { isCluster?: boolean }).isCluster === true;
    // The two kinds of client take different arguments, and what each calls itself is all that tells.
    const { client } = this as unknown as { client: { duplicate(options?: object): Subscriber } };
    const subscriber = isCluster ? client.duplicate() : client.duplicate(FOR_SUBSCRIBER);
    tolerateErrors(subscriber);
    subscriber.on('message', (from, text) => from === channel && message(text));
    subscriber.on('ready', () => void subscriber.subscribe(channel).then(ready, () => {}));
    if (subscriber.status === 'wait') {
      subscriber.connect().catch(() => {});
    }
    return () => subscriber.disconnect();
  }

  async close(): Promise<void> {
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
