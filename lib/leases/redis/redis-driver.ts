import { errorReason } from '../../shared/error-reason.js';
import { type ThrottledLogger } from '../../shared/throttled-logger.js';
import { type Script } from './redis-scripts.js';

/** What the store needs of a client, whichever package it comes from. */
export interface RedisDriver {
  /** Runs a script on one key, by its digest where the server knows it. */
  run(script: Script, key: string, ...args: string[]): Promise<unknown>;
  /** The values of keys that are in one cluster slot. */
  getAll(keys: string[]): Promise<(string | null)[]>;
  /** Listens on a connection of its own. */
  subscribe(channel: string, listener: ChannelListener): () => void;
  /** Ends the connections that the store made itself. */
  close(): Promise<void>;
}

export interface ChannelListener {
  message(text: string): void;
  /** Called whenever the subscription stands, again after each reconnection. */
  ready(): void;
  /** Called when nothing can be heard until {@link ready}; may be called again. */
  lost(reason: unknown): void;
}

/** Runs by digest, and by text where the server lost or never had it. */
export async function runScript<T>(byDigest: () => Promise<T>, byText: () => Promise<T>): Promise<T> {
  try {
    return await byDigest();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) {
      return byText();
    }
    throw error;
  }
}

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  listenerCount?(event: string): number;
}

/**
 * Keeps a connection that fails from ending the process, and logs why it fails: the calls that need it are told less.
 * An application that listens to the errors of its own client is left to do so.
 */
export function reportErrors(client: object, logger: ThrottledLogger): void {
  const emitter = client as Emitter;
  if (!emitter.listenerCount?.('error')) {
    emitter.on('error', (error) =>
      logger.error('redis', `The connection to Redis fails: ${errorReason(error)}`),
    );
  }
}

/** Milliseconds between two pings of a connection. */
const PING_EVERY = 1000;

/** A connection that does not answer a ping for so long is taken for dead, ms. */
const SILENT_AFTER = 2000;

export interface WatchedConnection {
  /** Whether it stands; one that is about to reconnect is left alone. */
  isReady(): boolean;
  ping(): Promise<unknown>;
  /** Called when a ping was not answered. */
  silent(): void;
}

/**
 * Pings a connection as long as it stands: one that a firewall, a NAT or a failover dropped without a word would
 * otherwise stay until the kernel gives up, which takes a quarter of an hour.
 *
 * @returns what ends the pings
 */
export function watchConnection(connection: WatchedConnection): () => void {
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
    // After a pause of the event loop the answer may be there but not yet read.
    const judge = () => {
      if (!answered && !ended) {
        connection.silent();
        later(next, PING_EVERY);
      }
    };
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

/** A connection that the store made itself is replaced; an application's own client is for the application to mend. */
export function reportSilence(owned: boolean, logger: ThrottledLogger): void {
  const what = owned
    ? 'A connection to Redis has gone silent, and is replaced.'
    : "The application's own Redis client has gone silent. The lease store does not replace it: give the client " +
      'timeouts, or give the store a url instead (docs/stores.md).';
  logger.error(owned ? 'silent' : 'silent client', what);
}
