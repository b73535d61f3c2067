/** Written to `user_version`; a file of another format is refused. */
export const FORMAT = 4;

/** STRICT, since SQLite would accept text as a number otherwise. Moments are milliseconds since the epoch. */
export const TABLES = `
CREATE TABLE store (
  since INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
  link TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  value TEXT NOT NULL,
  keep_until INTEGER NOT NULL,
  PRIMARY KEY (link, id)
) STRICT;
CREATE INDEX records_by_age ON records (keep_until);
CREATE TABLE revocations (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  issued_before INTEGER NOT NULL,
  keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_by_age ON revocations (keep_until);
PRAGMA user_version = ${FORMAT};
`;

/** How long SQLite itself waits for another process's lock, ms. Reads queue behind it. */
const BUSY_TIMEOUT = 2;

/** After how many writes expired records and revocations are deleted, which costs as much as a write. */
const SWEEP_EVERY = 16;

/** How many are deleted at once: few enough to keep transactions short, and more than are added meanwhile. */
const SWEPT = 256;

/**
 * What the thread runs that has the file open. It is text so that it works from source, from `dist` and from
 * a bundle. Each message is answered once; the first one opens the file, and so does the next one after a
 * failure.
 */
export const PROGRAM = `'use strict';
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const { file, synchronous, tables, format } = workerData;
const SQLITE_BUSY = 5;
const prepared = new Map();
let db;
/** Of the file that is open; undefined if none is. */
let identity;
/** Writes since the last sweep; at first, there may be much to sweep. */
let unswept = Infinity;

function identify() {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found && found.dev + ':' + found.ino;
}

function open(now) {
  close();
  db = new DatabaseSync(file);
  // For processes that start together
  db.exec('PRAGMA busy_timeout = 5000');
  const mode = db.prepare('PRAGMA journal_mode = WAL').get().journal_mode;
  if (mode !== 'wal') {
    throw new Error(file + ' cannot be opened with a write-ahead log (journal_mode ' + mode +
      '). Give the SQLite lease store a file on a local disk.');
  }
  const found = () => db.prepare('PRAGMA user_version').get().user_version;
  if (found() === 0) {
    db.exec('BEGIN IMMEDIATE');
    // Another process may have been faster
    if (found() === 0) {
      db.exec(tables);
      db.prepare('INSERT INTO store (since) VALUES (?)').run(now);
    }
    db.exec('COMMIT');
  }
  if (found() !== format) {
    throw new Error(file + ' was written by another version of nestjs-download-auth (format ' + found() +
      ', not ' + format + '). Use another file, or that version.');
  }
  db.exec('PRAGMA synchronous = ' + synchronous);
  db.exec('PRAGMA busy_timeout = ${BUSY_TIMEOUT}');
  identity = identify();
}

function close() {
  identity = undefined;
  prepared.clear();
  db?.close();
  db = undefined;
}

function run({ sql, values }) {
  if (!prepared.has(sql)) prepared.set(sql, db.prepare(sql));
  return prepared.get(sql).all(...values);
}

function write(statements) {
  db.exec('SAVEPOINT one');
  const fits = statements.every((statement) => run(statement).length > 0);
  if (!fits) db.exec('ROLLBACK TO one');
  db.exec('RELEASE one');
  return fits;
}

function sweep(table, now) {
  const over = 'SELECT rowid FROM ' + table + ' WHERE keep_until <= ? ORDER BY keep_until LIMIT ${SWEPT}';
  run({ sql: 'DELETE FROM ' + table + ' WHERE rowid IN (' + over + ')', values: [now] });
}

parentPort.on('message', ({ reads, writes, now }) => {
  const answers = [];
  try {
    if (!identity) open(now);
    if (identify() !== identity) {
      throw new Error(file + ' was removed or replaced while it was in use. It is opened again, and links that it ' +
        'does not know of are refused');
    }
    answers.push(...reads.map(run));
    if (writes.length > 0) {
      db.exec('BEGIN IMMEDIATE');
      const written = writes.map(write);
      unswept += writes.length;
      if (unswept >= ${SWEEP_EVERY}) {
        unswept = 0;
        sweep('records', now);
        sweep('revocations', now);
      }
      db.exec('COMMIT');
      answers.push(...written);
    }
    parentPort.postMessage({ answers });
  } catch ({ message, errcode = 0 }) {
    // The low byte: extended codes such as SQLITE_BUSY_SNAPSHOT carry more above it
    const isBusy = errcode % 256 === SQLITE_BUSY;
    // Nothing of a transaction stays; the next call opens the file again, which may be writable by then
    if (!isBusy) close();
    parentPort.postMessage({ answers, failure: { message, isBusy } });
  }
});
`;
