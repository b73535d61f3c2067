import { type Database, nodeSqlite } from './node-sqlite.js';

/** Milliseconds for which SQLite itself waits for another process: it blocks this one meanwhile. */
const BUSY_TIMEOUT = 20;

/** Milliseconds for which a transaction is tried again; the caller's patience may end before. */
const PATIENCE = 5000;

const SQLITE_BUSY = 5;

export type SqliteDurability = 'process' | 'power';

/**
 * Opens the file for several processes: write-ahead log, so that readers and the writer do not wait
 * for each other.
 */
export function openConnection(file: string, durability: SqliteDurability): Database {
  const { DatabaseSync } = nodeSqlite();
  const db = new DatabaseSync(file);
  try {
    // Longer at first: making the log is when processes that start together do wait for each other.
    db.exec('PRAGMA busy_timeout = 5000');
    const mode = db.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode;
    if (mode !== 'wal') {
      throw new Error(
        `${file} cannot be opened with a write-ahead log (journal_mode ${mode}). Give the SQLite lease store a file on a local disk.`,
      );
    }
    db.exec(`PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** From now on, wait for others without blocking the event loop for long. */
export function beImpatient(db: Database): void {
  db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
}

/** Runs `change` as one transaction that holds the write lock from its first statement on. */
export function transaction<T>(db: Database, change: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = change();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    rollBack(db);
    throw error;
  }
}

function rollBack(db: Database): void {
  try {
    db.exec('ROLLBACK');
  } catch {
    // SQLite itself has rolled back, as it does after a full disk; what led here says more.
  }
}

/** Tries again while another process holds the lock. */
export async function patiently<T>(work: () => T): Promise<T> {
  const giveUp = performance.now() + PATIENCE;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUp) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 10));
  }
}

function isBusy(error: unknown): boolean {
  // The low byte: extended codes such as SQLITE_BUSY_SNAPSHOT carry more above it.
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY;
}
