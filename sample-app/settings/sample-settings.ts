import { randomBytes } from 'node:crypto';
import type { Storage } from '../storage/storage.js';

export const HTTP_ADAPTERS = ['express', 'fastify'] as const;
export type HttpAdapterName = (typeof HTTP_ADAPTERS)[number];

/** What can be chosen about the sample application; an abstract class, so that it is its own injection token. */
export abstract class SampleSettings {
  /** The folder whose files are offered. */
  abstract readonly filesDir: string;
  /** Signs and verifies access tokens; at least 32 bytes. */
  abstract readonly jwtSecret: string;
  abstract readonly adapter: HttpAdapterName;
  abstract readonly storage: Storage;
  /** Names under which the application may be asked, beside `localhost` and IP addresses. */
  abstract readonly hostNames: readonly string[];
}

/** What the environment says; `filesDir` is missing where the samples are to be used. */
export interface EnvironmentSettings {
  readonly host: string;
  readonly port: number;
  readonly filesDir: string | undefined;
  readonly jwtSecret: string;
  readonly adapter: HttpAdapterName;
  readonly storage: Storage;
  readonly hostNames: readonly string[];
  /** Sentences for the person who starts the application. */
  readonly warnings: readonly string[];
}

/** A mistake in the environment; the message says what to write instead. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

/**
 * Reads PORT, HOST, PUBLIC_URL, FILES_DIR, JWT_SECRET, HTTP_ADAPTER and REDIS_URL or SQLITE_FILE; what is unset or blank gets its default.
 * @throws SettingsError for a value that cannot work
 */
export function readSettings(environment: NodeJS.ProcessEnv): EnvironmentSettings {
  const read = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const warnings: string[] = [];

  const jwtSecret = read('JWT_SECRET') ?? randomBytes(32).toString('base64url');
  if (!read('JWT_SECRET')) {
    warnings.push('JWT_SECRET is not set: a random one is used, and a restart ends every session and link.');
  }
  const storage = storageOf(read('REDIS_URL'), read('SQLITE_FILE'));
  if (storage.kind !== 'memory' && !read('JWT_SECRET')) {
    warnings.push(
      'Further instances that share these links need the same JWT_SECRET: set one for all of them.',
    );
  }
  return {
    // the passwords of the demo users are public, so nobody but this computer is served unless someone says so
    host: read('HOST') ?? '127.0.0.1',
    port: portOf(read('PORT') ?? '3000'),
    filesDir: read('FILES_DIR'),
    jwtSecret,
    adapter: adapterOf(read('HTTP_ADAPTER') ?? 'express'),
    storage,
    hostNames: hostNamesOf(read('HOST'), read('PUBLIC_URL')),
    warnings,
  };
}

function hostNamesOf(host: string | undefined, publicUrl: string | undefined): string[] {
  if (publicUrl !== undefined && (!URL.canParse(publicUrl) || !/^https?:/i.test(publicUrl))) {
    throw new SettingsError('PUBLIC_URL: this is no address. Write one such as https://files.example.');
  }
  const names = [host?.toLowerCase(), publicUrl && new URL(publicUrl).hostname];
  return names.filter((name) => name !== undefined);
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) {
    throw new SettingsError(
      `PORT: "${text}" is no port. Write a number from 0 to 65535; 0 takes any free port.`,
    );
  }
  return port;
}

function adapterOf(name: string): HttpAdapterName {
  const adapter = HTTP_ADAPTERS.find((known) => known === name.toLowerCase());
  if (!adapter) throw new SettingsError(`HTTP_ADAPTER: "${name}" is unknown. Write express or fastify.`);
  return adapter;
}

function storageOf(url: string | undefined, file: string | undefined): Storage {
  if (url && file) {
    throw new SettingsError('REDIS_URL and SQLITE_FILE: links are kept in one place. Write one of the two.');
  }
  if (file) return { kind: 'sqlite', file };
  if (!url) return { kind: 'memory' };
  if (!/^rediss?:\/\/./.test(url) || !URL.canParse(url)) {
    // not repeated in the message, because it may have a password in it
    throw new SettingsError('REDIS_URL: this is no address. Write one such as redis://127.0.0.1:6379.');
  }
  return { kind: 'redis', url };
}
