import { randomBytes } from 'node:crypto';
import type { Storage } from './storage.js';

export const HTTP_ADAPTERS = ['express', 'fastify'] as const;
export type HttpAdapterName = (typeof HTTP_ADAPTERS)[number];

/** Names and passwords. */
export const DEMO_USERS: ReadonlyMap<string, string> = new Map([
  ['ada', 'demo'],
  ['grace', 'demo'],
]);

export interface DemoSettings {
  readonly adapter: HttpAdapterName;
  readonly filesDir: string;
  /** Pictures, a film and a document for the page. */
  readonly mediaDir: string;
  /** Signs and verifies access tokens; at least 32 bytes. */
  readonly jwtSecret: string;
  readonly storage: Storage;
  /** Host names that are served besides `localhost` and IP addresses. */
  readonly hostNames: readonly string[];
}

/** The settings in the environment; without `filesDir` the samples are served. */
export interface EnvironmentSettings extends Omit<DemoSettings, 'filesDir' | 'mediaDir'> {
  readonly filesDir: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Sentences for the person who starts the application. */
  readonly warnings: readonly string[];
}

/** A mistake in the environment; the message says what to write instead. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

/**
 * Reads PORT, HOST, PUBLIC_URL, FILES_DIR, JWT_SECRET, HTTP_ADAPTER, and one of DATABASE_URL, REDIS_URL and
 * SQLITE_FILE. A blank value is unset.
 * @throws SettingsError for a value that cannot work
 */
export function readSettings(environment: NodeJS.ProcessEnv): EnvironmentSettings {
  const read = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const warnings: string[] = [];
  const storage = storageOf(read('DATABASE_URL'), read('REDIS_URL'), read('SQLITE_FILE'));
  if (!read('JWT_SECRET')) {
    warnings.push('JWT_SECRET is not set. A random one is used, so a restart ends all sessions and links.');
    if (storage.kind !== 'memory') {
      warnings.push('Other instances can share these links only with the same JWT_SECRET: set it for all.');
    }
  }
  return {
    // The demo passwords are public, so by default only this computer is served.
    host: read('HOST') ?? '127.0.0.1',
    port: portOf(read('PORT') ?? '3000'),
    filesDir: read('FILES_DIR'),
    jwtSecret: read('JWT_SECRET') ?? randomBytes(32).toString('base64url'),
    adapter: adapterOf(read('HTTP_ADAPTER') ?? 'express'),
    storage,
    hostNames: hostNamesOf(read('HOST'), read('PUBLIC_URL')),
    warnings,
  };
}

function hostNamesOf(host: string | undefined, publicUrl: string | undefined): string[] {
  if (publicUrl !== undefined && (!URL.canParse(publicUrl) || !/^https?:/i.test(publicUrl))) {
    throw new SettingsError('PUBLIC_URL: not a URL. Write one such as https://files.example.');
  }
  const names = [host?.toLowerCase(), publicUrl && new URL(publicUrl).hostname];
  return names.filter((name) => name !== undefined);
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) {
    throw new SettingsError(
      `PORT: "${text}" is not a port. Write a number from 0 to 65535; 0 takes any free port.`,
    );
  }
  return port;
}

function adapterOf(name: string): HttpAdapterName {
  const adapter = HTTP_ADAPTERS.find((known) => known === name.toLowerCase());
  if (!adapter) {
    throw new SettingsError(`HTTP_ADAPTER: "${name}" is unknown. Write express or fastify.`);
  }
  return adapter;
}

function storageOf(
  database: string | undefined,
  redis: string | undefined,
  file: string | undefined,
): Storage {
  if ([database, redis, file].filter(Boolean).length > 1) {
    throw new SettingsError(
      'DATABASE_URL, REDIS_URL and SQLITE_FILE: links are stored in one place. Write one of the three.',
    );
  }
  if (database) {
    requireUrl('DATABASE_URL', database, /^postgres(ql)?:\/\/./, 'postgres://127.0.0.1/files');
    return { kind: 'postgres', url: database };
  }
  if (redis) {
    requireUrl('REDIS_URL', redis, /^rediss?:\/\/./, 'redis://127.0.0.1:6379');
    return { kind: 'redis', url: redis };
  }
  return file ? { kind: 'sqlite', file } : { kind: 'memory' };
}

/** The message does not repeat the value, which may contain a password. */
function requireUrl(name: string, url: string, pattern: RegExp, example: string): void {
  if (!pattern.test(url) || !URL.canParse(url)) {
    throw new SettingsError(`${name}: not a URL of this kind. Write one such as ${example}.`);
  }
}
