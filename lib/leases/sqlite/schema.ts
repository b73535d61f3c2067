import { type Transaction } from './sqlite-connection.js';

/** Written to `user_version`; a file of another version is refused. */
const VERSION = 1;

// STRICT, since SQLite would take a text for a number otherwise. Moments are milliseconds since the epoch.
const TABLES = [
  `CREATE TABLE IF NOT EXISTS store (
  since INTEGER NOT NULL
) STRICT`,
  `CREATE TABLE IF NOT EXISTS links (
  link TEXT PRIMARY KEY,
  used INTEGER NOT NULL,
  keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS links_by_age ON links (keep_until)`,
  `CREATE TABLE IF NOT EXISTS leases (
  link TEXT NOT NULL,
  lease TEXT NOT NULL,
  client TEXT,
  opened_at INTEGER NOT NULL,
  keep_until INTEGER NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (link, lease)
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS leases_by_client ON leases (link, client, opened_at)`,
  `CREATE INDEX IF NOT EXISTS leases_by_age ON leases (keep_until)`,
  `CREATE TABLE IF NOT EXISTS revocations (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  issued_before INTEGER NOT NULL,
  keep_until INTEGER NOT NULL,
  UNIQUE (kind, name)
) STRICT`,
  `CREATE INDEX IF NOT EXISTS revocations_by_age ON revocations (keep_until)`,
  `PRAGMA user_version = ${VERSION}`,
];

/**
 * Makes the tables of a new file. Answers since when the file remembers.
 *
 * @throws Error for a file that another version of the package wrote
 */
export async function prepareFile(tx: Transaction, file: string, now: number): Promise<number> {
  const [row] = await tx.read('PRAGMA user_version');
  const version = row?.user_version ?? 0;
  if (version === VERSION) {
    const [known] = await tx.read('SELECT min(since) AS since FROM store');
    return Number(known!.since);
  }
  if (version !== 0) {
    throw new Error(
      `${file} was written by another version of nestjs-download-auth (format ${version}, not ${VERSION}). Use another file, or that version.`,
    );
  }
  TABLES.forEach((sql) => tx.write(sql));
  tx.write('INSERT INTO store (since) VALUES (?)', now);
  return now;
}
