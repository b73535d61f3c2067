/** Written to `user_version`; a file of another format is refused. */
export const FORMAT = 4;

/** STRICT, since SQLite would accept text as a number otherwise. Moments are milliseconds since the epoch. */
export const TABLES = [
  `CREATE TABLE IF NOT EXISTS store (
  since INTEGER NOT NULL
) STRICT`,
  `CREATE TABLE IF NOT EXISTS records (
  link TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  value TEXT NOT NULL,
  keep_until INTEGER NOT NULL,
  PRIMARY KEY (link, id)
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS records_by_age ON records (keep_until)`,
  `CREATE TABLE IF NOT EXISTS revocations (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  issued_before INTEGER NOT NULL,
  keep_until INTEGER NOT NULL
) STRICT`,
  `CREATE INDEX IF NOT EXISTS revocations_by_age ON revocations (keep_until)`,
  `PRAGMA user_version = ${FORMAT}`,
];

/**
 * The program of the thread that has the database open: every call of `node:sqlite` may wait for another
 * process's lock, for the disk or for a checkpoint. It is text so that it works from source, from `dist` and
 * from a bundle. The first message opens the file; each message is answered once.
 */
export const WORKER_SOURCE = `'use strict';
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const { file, synchronous, busyTimeout, tables, format, now } = workerData;
const prepared = new Map();
let db, identity;

function identify() {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found && found.dev + ':' + found.ino;
}

function run({ sql, values = [] }) {
  if (!prepared.has(sql)) prepared.set(sql, db.prepare(sql));
  return prepared.get(sql).all(...values);
}

function transaction(begin, work) {
  if (identify() !== identity) {
    throw Object.assign(new Error(file + ' was removed or replaced while it was in use'), { code: 'FILE_REPLACED' });
  }
  db.exec(begin);
  try {
    const answer = work();
    db.exec('COMMIT');
    return answer;
  } catch (error) {
    // SQLite itself has rolled back after some errors, such as a full disk.
    try { db.exec('ROLLBACK'); } catch {}
    if (error === CONFLICT) return false;
    throw error;
  }
}

const CONFLICT = new Error('What was read has changed.');

const calls = {
  open() {
    db = new DatabaseSync(file);
    // For processes that start together.
    db.exec('PRAGMA busy_timeout = 5000');
    const mode = db.prepare('PRAGMA journal_mode = WAL').get().journal_mode;
    if (mode !== 'wal') {
      throw new Error(file + ' cannot be opened with a write-ahead log (journal_mode ' + mode +
        '). Give the SQLite lease store a file on a local disk.');
    }
    identity = identify();
    const found = () => db.prepare('PRAGMA user_version').get().user_version;
    if (found() === 0) {
      transaction('BEGIN IMMEDIATE', () => {
        // Another process may have been faster.
        if (found() !== 0) return;
        tables.forEach((sql) => db.exec(sql));
        run({ sql: 'INSERT INTO store (since) VALUES (?)', values: [now] });
      });
    }
    if (found() !== format) {
      throw new Error(file + ' was written by another version of nestjs-download-auth (format ' + found() +
        ', not ' + format + '). Use another file, or that version.');
    }
    db.exec('PRAGMA synchronous = ' + synchronous);
    db.exec('PRAGMA busy_timeout = ' + busyTimeout);
    return run({ sql: 'SELECT min(since) AS since FROM store' })[0].since;
  },
  read: ({ statements }) => transaction('BEGIN', () => statements.map(run)),
  commit: ({ checks, writes }) =>
    transaction('BEGIN IMMEDIATE', () => {
      for (const { statement, rows } of checks) {
        if (JSON.stringify(run(statement)) !== JSON.stringify(rows)) throw CONFLICT;
      }
      writes.forEach(run);
      return true;
    }),
  close() {
    db?.close();
    db = undefined;
  },
};

parentPort.on('message', ({ id, call, ...input }) => {
  try {
    parentPort.postMessage({ id, answer: calls[call](input) });
  } catch ({ message, code, errcode }) {
    parentPort.postMessage({ id, error: { message, code, errcode } });
  }
});
`;
