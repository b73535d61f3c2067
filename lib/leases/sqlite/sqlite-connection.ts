import { isBuiltin } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FORMAT, TABLES, WORKER_SOURCE } from './sqlite-worker.js';

export type SqliteDurability = 'process' | 'power';

export type Value = string | number | null;
export type Row = Record<string, Value>;

export interface Statement {
  readonly sql: string;
  readonly values?: readonly Value[];
}

/** How long SQLite itself waits for another process's lock, ms. Reads queue behind it. */
const BUSY_TIMEOUT = 2;

/** How long closing waits for the disk, ms. */
const CLOSE_TIMEOUT = 2000;

const SQLITE_BUSY = 5;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: { message: string; code?: string; errcode?: number };
}

/** The rows that a statement must find. */
export interface Check {
  readonly statement: Statement;
  readonly rows: readonly Row[];
}

/**
 * An SQLite file, open in a thread of its own. Reads are answered at once; commits wait in a queue, and only
 * the first of them tries to get a lock that another process holds.
 */
export class SqliteConnection {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private last: Promise<unknown> = Promise.resolve();
  private gone?: Error;
  /** Since when the file remembers. */
  since = Infinity;

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  static async open(file: string, durability: SqliteDurability, now: number): Promise<SqliteConnection> {
    if (!isBuiltin('node:sqlite')) {
      throw new Error(
        `The SQLite lease store needs node:sqlite, which Node ${process.versions.node} does not have. ` +
          'Run Node 22.13 or later, or use the Redis store (nestjs-download-auth/redis), ' +
          'or the memory store if there is one process only.',
      );
    }
    const connection = new SqliteConnection(file, durability, now);
    try {
      connection.since = await connection.call<number>('open', {});
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  private constructor(file: string, durability: SqliteDurability, now: number) {
    const synchronous = durability === 'power' ? 'FULL' : 'NORMAL';
    this.worker = new Worker(WORKER_SOURCE, {
      eval: true,
      name: 'download-auth:sqlite',
      workerData: { file, synchronous, busyTimeout: BUSY_TIMEOUT, tables: TABLES, format: FORMAT, now },
      // Keeps the application's loaders and inspectors out of this thread.
      execArgv: [],
    });
    this.worker.on('message', (reply: Reply) => this.answered(reply));
    this.worker.on('error', (error) => this.ended(error));
    this.worker.on('exit', () => this.ended(new Error('The thread of the SQLite lease store has ended.')));
    this.worker.unref();
  }

  /** Why the connection can no longer be used; undefined while it can. */
  get failure(): Error | undefined {
    return this.gone;
  }

  /** The rows of each statement, all from one snapshot. */
  read(statements: readonly Statement[]): Promise<Row[][]> {
    return this.call('read', { statements });
  }

  /**
   * Writes, if every check finds the rows that it should; nothing otherwise. Answers which of the two.
   *
   * @param giveUp by `performance.now()`; a commit that has not begun by then rejects without an effect
   */
  commit(checks: readonly Check[], writes: readonly Statement[], giveUp: number): Promise<boolean> {
    const result = this.last.then(() => this.patiently({ checks, writes }, giveUp));
    this.last = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    if (!this.gone) {
      const closed = this.call('close', {}).catch(() => {});
      await Promise.race([closed, sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
      this.ended(new Error('The SQLite lease store is closed.'));
    }
    await Promise.race([this.worker.terminate(), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
  }

  /** Tries again while another process holds the lock. */
  private async patiently(commit: object, giveUp: number): Promise<boolean> {
    for (;;) {
      if (performance.now() >= giveUp) {
        throw new Error('Another process holds the lock of the SQLite file.');
      }
      try {
        return await this.call<boolean>('commit', commit);
      } catch (error) {
        if (!isBusy(error)) {
          throw error;
        }
        await sleep(1 + Math.random() * 10);
      }
    }
  }

  private call<T>(call: string, input: object): Promise<T> {
    if (this.gone) {
      return Promise.reject(this.gone);
    }
    return new Promise<T>((resolve, reject) => {
      const id = ++this.calls;
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      // Keeps the process alive for an answer, but not for an idle thread.
      this.worker.ref();
      this.worker.postMessage({ id, call, ...input });
    });
  }

  private answered({ id, answer, error }: Reply): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (this.waiting.size === 0) {
      this.worker.unref();
    }
    if (!error) {
      waiting?.resolve(answer);
      return;
    }
    const failure = Object.assign(new Error(error.message), error);
    waiting?.reject(failure);
    if (error.code === 'FILE_REPLACED') {
      this.ended(failure);
    }
  }

  private ended(why: Error): void {
    this.gone ??= why;
    for (const { reject } of this.waiting.values()) {
      reject(this.gone);
    }
    this.waiting.clear();
    this.worker.unref();
  }
}

/** The low byte: extended codes such as SQLITE_BUSY_SNAPSHOT carry more above it. */
function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY;
}
