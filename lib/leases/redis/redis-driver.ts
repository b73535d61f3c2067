import { type Script } from './redis-scripts.js';

/** What the store needs of a client, whichever package it comes from. */
export interface RedisDriver {
  /** Runs a script on one key, by its digest where the server knows it. */
  run(script: Script, key: string, ...args: string[]): Promise<unknown>;
  /** The values of keys that are in one cluster slot. */
  getAll(keys: string[]): Promise<(string | null)[]>;
  hash(key: string): Promise<Record<string, string>>;
  /**
   * Listens on a connection of its own.
   *
   * @param ready called whenever the subscription stands, again after each reconnection
   */
  subscribe(channel: string, message: (text: string) => void, ready: () => void): () => void;
  /** Ends the connections that the store made itself. */
  close(): Promise<void>;
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

/** A connection that fails must not end the process; each call that needed it fails on its own. */
export function tolerateErrors(client: object): void {
  const emitter = client as Emitter;
  if (!emitter.listenerCount?.('error')) {
    emitter.on('error', () => {});
  }
}
