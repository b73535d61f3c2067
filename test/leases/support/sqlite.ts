import { mkdtempSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteLeaseStore } from '../../../lib/leases/sqlite/index.js';
import type { StoreUnderTest } from '../../../lib/leases/testing/index.js';

export const hasSqlite = isBuiltin('node:sqlite');

/** The part of `node:sqlite` that tests use: its types are not those of the oldest Node supported. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): { get(...values: unknown[]): Record<string, unknown> | undefined };
  close(): void;
}

/** Another process's view of a file, as good as; waits for locks 5 seconds, unless told otherwise. */
export function openDatabase(file: string): Database {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite') as unknown as {
    DatabaseSync: new (file: string) => Database;
  };
  const db = new DatabaseSync(file);
  db.exec('PRAGMA busy_timeout = 5000');
  return db;
}

if (!hasSqlite) {
  console.warn(`SQLite store: skipped, since Node ${process.versions.node} has no node:sqlite (22.13 has).`);
}

export function temporaryFile(): { file: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'leases-'));
  return { file: join(folder, 'leases.db'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export function createSqlite(): StoreUnderTest {
  const { file, remove } = temporaryFile();
  return { store: new SqliteLeaseStore({ file }), other: new SqliteLeaseStore({ file }), cleanUp: remove };
}
