import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteLeaseStore } from '../../../lib/leases/sqlite/index.js';
import { type StoreUnderTest } from '../../../lib/leases/testing/index.js';

export const hasSqlite = process.getBuiltinModule('node:sqlite') !== undefined;

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
