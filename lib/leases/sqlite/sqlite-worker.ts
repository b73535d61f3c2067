/**
 * The program of the thread that has the database open, since every call of `node:sqlite` may wait: for another
 * process's lock, for the disk, for a checkpoint. It is text because that works from source, from `dist` and from a
 * bundle alike, without a file to be found. The first message opens the file; each is answered once.
 */
export const WORKER_SOURCE = `'use strict';
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const { file, synchronous, busyTimeout } = workerData;
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
    // Processes that start together wait for each other here.
    db.exec('PRAGMA busy_timeout = 5000');
    const mode = db.prepare('PRAGMA journal_mode = WAL').get().journal_mode;
    if (mode !== 'wal') {
      throw new Error(file + ' cannot be opened with a write-ahead log (journal_mode ' + mode +
        '). Give the SQLite lease store a file on a local disk.');
    }
    db.exec('PRAGMA synchronous = ' + synchronous);
    db.exec('PRAGMA busy_timeout = ' + busyTimeout);
    identity = identify();
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
