import { errorReason } from '../../shared/error-reason.js';
import type { ThrottledLogger } from '../../shared/throttled-logger.js';
import type { Script } from './redis-scripts.js';

/** What an adapter makes of a client, whichever package it comes from. */
export interface RedisConnection extends Watched {
  evalsha(sha: string, key: string, args: string[]): Promise<unknown>;
  eval(text: string, key: string, args: string[]): Promise<unknown>;
  /** The values of keys that are in one cluster slot. */
  mget(keys: string[]): Promise<(string | null)[]>;
  /** Another connection to the same server, which connects by itself. */
  renew(): RedisConnection;
  /** A further connection that subscribes to a channel, as often as it takes. */
  listen(channel: string, listener: ChannelListener): Watched;
  /** Ends the connection in order. */
  quit(): Promise<void>;
}

/** A connection that may go silent. */
export interface Watched {
  /** Always false for a cluster, whose client replaces the connections to its nodes itself. */
  isReady(): boolean;
  ping(): Promise<unknown>;
  /** Ends the connection at once. */
  drop(): void;
}

export interface ChannelListener {
  message(text: string): void;
  /** Called whenever the subscription stands, again after each reconnection. */
  ready(): void;
  /** Nothing can be heard until {@link ready}; may be called again. */
  lost(reason: unknown): void;
}

/** How often a connection is pinged, ms. */
const PING_EVERY = 1000;

/** How long a connection may take to answer a ping before it counts as dead, ms. */
const SILENT_AFTER = 2000;

/** What the store needs of a client, the same for both packages. */
export class RedisDriver {
  private unwatch: () => void;

  /** @param owned whether the store made the client, so may replace it and has to close it */
  constructor(
    private connection: RedisConnection,
    private readonly owned: boolean,
    private readonly logger: ThrottledLogger,
  ) {
    this.unwatch = this.watch();
  }

  /** Runs a script on one key: by its digest, or by its text where the server does not know the digest. */
  async run({ sha, text }: Script, key: string, ...args: string[]): Promise<unknown> {
    const { connection } = this;
    try {
      return await connection.evalsha(sha, key, args);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) {
        return connection.eval(text, key, args);
      }
      throw error;
    }
  }

  getAll(keys: string[]): Promise<(string | null)[]> {
    return this.connection.mget(keys);
  }

  /** Listens on a connection of its own. Returns the function that ends it. */
  subscribe(channel: string, listener: ChannelListener): () => void {
    let ended = false;
    const connection = this.connection.listen(channel, {
      message: (text) => listener.message(text),
      ready: () => listener.ready(),
      lost: (reason) => !ended && listener.lost(reason),
    });
    const unwatch = watchConnection(connection, () => {
      this.logger.error('silent', REPLACED);
      listener.lost(new Error('the connection for revocations went silent'));
      end();
      end = this.subscribe(channel, listener);
    });
    let end = () => {
      ended = true;
      unwatch();
      connection.drop();
    };
    return () => end();
  }

  async close(): Promise<void> {
    this.unwatch();
    if (this.owned) {
      await this.connection.quit();
    }
  }

  private watch(): () => void {
    return watchConnection(this.connection, () => {
      if (!this.owned) {
        this.logger.error('silent client', NOT_REPLACED);
        return;
      }
      this.logger.error('silent', REPLACED);
      this.unwatch();
      this.connection.drop();
      this.connection = this.connection.renew();
      this.unwatch = this.watch();
    });
  }
}

const REPLACED = 'A connection to Redis has gone silent, and is replaced.';
const NOT_REPLACED =
  "The application's own Redis client has gone silent. The lease store does not replace it: give the client " +
  'timeouts, or give the store a url instead (docs/stores.md).';

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  listenerCount?(event: string): number;
}

/**
 * Logs why a connection fails, and keeps its errors from ending the process. If the application listens to
 * the errors of its own client, they are left to it.
 */
export function reportErrors(client: object, logger: ThrottledLogger): void {
  const emitter = client as Emitter;
  if (!emitter.listenerCount?.('error')) {
    emitter.on('error', (error) =>
      logger.error('redis', `The connection to Redis fails: ${errorReason(error)}`),
    );
  }
}

/**
 * Pings a connection. Without pings, one that a firewall, a NAT or a failover dropped silently would stay
 * until the kernel gives up, which takes a quarter of an hour.
 *
 * @returns the function that ends the pings
 */
function watchConnection(connection: Watched, silent: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const later = (step: () => void, milliseconds: number) => {
    clearTimeout(timer);
    timer = ended ? undefined : setTimeout(step, milliseconds).unref();
  };
  const next = () => {
    if (!connection.isReady()) {
      later(next, PING_EVERY);
      return;
    }
    let answered = false;
    const judge = () => {
      if (!answered && !ended) {
        silent();
        later(next, PING_EVERY);
      }
    };
    // After a pause of the event loop the answer may have arrived but not been read yet.
    later(() => setImmediate(judge), SILENT_AFTER);
    const heard = () => {
      answered = true;
      later(next, PING_EVERY);
    };
    // An error is an answer, too: the client knows that the connection is gone.
    connection.ping().then(heard, heard);
  };
  later(next, PING_EVERY);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
