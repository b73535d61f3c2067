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

/**
 * What the thread runs that has the file open. It is text so that it works from source, from `dist` and from
 * a bundle. Each message is answered once; the first one opens the file, and so does the first one after the
 * file was replaced.
 */
export const PROGRAM = `'use strict';
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const { file, synchronous, tables, format } = workerData;
const SQLITE_BUSY = 5;
let db, identity;
const prepared = new Map();

function identify() {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found && found.dev + ':' + found.ino;
}

function open(now) {
  const opened = new DatabaseSync(file);
  try {
    // For processes that start together
    opened.exec('PRAGMA busy_timeout = 5000');
    const mode = opened.prepare('PRAGMA journal_mode = WAL').get().journal_mode;
    if (mode !== 'wal') {
      throw new Error(file + ' cannot be opened with a write-ahead log (journal_mode ' + mode +
        '). Give the SQLite lease store a file on a local disk.');
    }
    const found = () => opened.prepare('PRAGMA user_version').get().user_version;
    if (found() === 0) {
      opened.exec('BEGIN IMMEDIATE');
      // Another process may have been faster
      if (found() === 0) {
        opened.exec(tables);
        opened.prepare('INSERT INTO store (since) VALUES (?)').run(now);
      }
      opened.exec('COMMIT');
    }
    if (found() !== format) {
      throw new Error(file + ' was written by another version of nestjs-download-auth (format ' + found() +
        ', not ' + format + '). Use another file, or that version.');
    }
    opened.exec('PRAGMA synchronous = ' + synchronous);
    opened.exec('PRAGMA busy_timeout = ${BUSY_TIMEOUT}');
    identity = identify();
    db = opened;
  } catch (error) {
    opened.close();
    throw error;
  }
}

function close() {
  prepared.clear();
  db?.close();
  db = undefined;
}

function run({ sql, values }) {
  if (!prepared.has(sql)) prepared.set(sql, db.prepare(sql));
  return prepared.get(sql).all(...values);
}

/** Whether each required statement had a row; otherwise nothing is changed. */
function change(statements) {
  db.exec('SAVEPOINT one');
  const done = statements.every((statement) => run(statement).length > 0 || !statement.required);
  if (!done) db.exec('ROLLBACK TO one');
  db.exec('RELEASE one');
  return done;
}

function transaction(changes) {
  db.exec('BEGIN IMMEDIATE');
  const answers = changes.map(change);
  db.exec('COMMIT');
  return answers;
}

function settle(calls, now, work) {
  if (calls.length === 0) return { answers: [] };
  try {
    if (!db) open(now);
    if (identify() !== identity) {
      throw new Error(file + ' was removed or replaced while it was in use. It is opened again, and links that it ' +
        'does not know of are refused');
    }
    return { answers: work(calls) };
  } catch ({ message, errcode = 0 }) {
    // The low byte: extended codes such as SQLITE_BUSY_SNAPSHOT carry more above it
    const isBusy = errcode % 256 === SQLITE_BUSY;
    // Nothing of a transaction stays; the next call opens the file again, which may be writable by then
    if (!isBusy) close();
    return { answers: [], error: { message, isBusy } };
  }
}

parentPort.on('message', ({ reads, writes, now }) => {
  const readAll = (statements) => statements.map(run);
  parentPort.postMessage({ reads: settle(reads, now, readAll), writes: settle(writes, now, transaction) });
});
`;
