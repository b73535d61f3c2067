import { type Transaction } from './sqlite-connection.js';

/** Written to `user_version`; a file of another version is refused. */
const VERSION = 2;

// STRICT, since SQLite would take a text for a number otherwise. Moments are milliseconds since the epoch.
const TABLES = [
  `CREATE TABLE IF NOT EXISTS store (
  since INTEGER NOT NULL
) STRICT`,
  `CREATE TABLE IF NOT EXISTS links (
  link TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  used INTEGER NOT NULL,
  leases INTEGER NOT NULL DEFAULT 0,
  keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS links_by_age ON links (keep_until)`,
  `CREATE TABLE IF NOT EXISTS leases (
  link TEXT NOT NULL,
  lease TEXT NOT NULL,
  seq INTEGER NOT NULL,
  version INTEGER NOT NULL,
  keys TEXT NOT NULL,
  until INTEGER NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (link, lease)
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS leases_in_order ON leases (link, seq)`,
  `CREATE TABLE IF NOT EXISTS lease_keys (
  link TEXT NOT NULL,
  lease TEXT NOT NULL,
  key TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (link, lease, key)
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS lease_keys_in_order ON lease_keys (link, key, seq)`,
  `CREATE TRIGGER IF NOT EXISTS lease_added AFTER INSERT ON leases BEGIN
  UPDATE links SET leases = leases + 1 WHERE link = new.link;
END`,
  `CREATE TRIGGER IF NOT EXISTS lease_dropped AFTER DELETE ON leases BEGIN
  DELETE FROM lease_keys WHERE link = old.link AND lease = old.lease;
  UPDATE links SET leases = leases - 1 WHERE link = old.link;
END`,
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
