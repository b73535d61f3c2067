import { isBuiltin } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { WORKER_SOURCE } from './sqlite-worker.js';

export type SqliteDurability = 'process' | 'power';

export type Value = string | number | null;
export type Row = Record<string, Value>;

export interface Statement {
  readonly sql: string;
  readonly values?: readonly Value[];
}

/** How long SQLite itself waits for another process's lock, ms; readers of this process wait that long, too. */
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

/** What a transaction has read and is going to write. */
export class Transaction {
  readonly checks: Check[] = [];
  readonly writes: Statement[] = [];

  constructor(private readonly connection: SqliteConnection) {}

  async read(sql: string, ...values: Value[]): Promise<Row[]> {
    const statement = { sql, values };
    const [rows] = await this.connection.read([statement]);
    this.checks.push({ statement, rows: rows! });
    return rows!;
  }

  write(sql: string, ...values: Value[]): void {
    this.writes.push({ sql, values });
  }
}

/**
 * An SQLite file, open in a thread of its own. Reads are answered at once; transactions wait in one queue, whose head
 * alone tries for the lock that another process holds.
 */
export class SqliteConnection {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private last: Promise<unknown> = Promise.resolve();
  private gone?: Error;

  /** @throws Error saying what to do where Node has no `node:sqlite`, or the file cannot be used */
  static async open(file: string, durability: SqliteDurability): Promise<SqliteConnection> {
    if (!isBuiltin('node:sqlite')) {
      throw new Error(
        `The SQLite lease store needs node:sqlite, which Node ${process.versions.node} does not have. ` +
          'Run Node 22.13 or later, or use the Redis store (nestjs-download-auth/redis), ' +
          'or the memory store if there is one process only.',
      );
    }
    const connection = new SqliteConnection(file, durability);
    try {
      await connection.call('open', {});
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  private constructor(file: string, durability: SqliteDurability) {
    const synchronous = durability === 'power' ? 'FULL' : 'NORMAL';
    this.worker = new Worker(WORKER_SOURCE, {
      eval: true,
      name: 'download-auth:sqlite',
      workerData: { file, synchronous, busyTimeout: BUSY_TIMEOUT },
      // Loaders and inspectors of the application are not for this thread.
      execArgv: [],
    });
    this.worker.on('message', (reply: Reply) => this.answered(reply));
    this.worker.on('error', (error) => this.ended(error));
    this.worker.on('exit', () => this.ended(new Error('The thread of the SQLite lease store has ended.')));
    this.worker.unref();
  }

  /** Why the connection is of no use any more; undefined while it is. */
  get failure(): Error | undefined {
    return this.gone;
  }

  /** The rows of each statement, all as of one moment. */
  read(statements: readonly Statement[]): Promise<Row[][]> {
    return this.call('read', { statements });
  }

  /**
   * Commits what `work` writes, all or none, if what it read is still so; otherwise `work` is done again.
   *
   * @param giveUp by `performance.now()`; what has not begun by then is not done any more
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, giveUp: number): Promise<T> {
    return this.inTurn(giveUp, async () => {
      const transaction = new Transaction(this);
      const answer = await work(transaction);
      const { checks, writes } = transaction;
      const isDone = writes.length === 0 || (await this.call<boolean>('commit', { checks, writes }));
      return isDone ? { answer } : undefined;
    });
  }

  /**
   * Commits what is to be written, if every check finds what it should; nothing otherwise. Answers which of the two.
   *
   * @param giveUp by `performance.now()`; what has not begun by then is not done any more
   */
  commit(checks: readonly Check[], writes: readonly Statement[], giveUp: number): Promise<boolean> {
    return this.inTurn(giveUp, async () => ({
      answer: await this.call<boolean>('commit', { checks, writes }),
    }));
  }

  async close(): Promise<void> {
    if (!this.gone) {
      const closed = this.call('close', {}).catch(() => {});
      await Promise.race([closed, sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
      this.ended(new Error('The SQLite lease store is closed.'));
    }
    await Promise.race([this.worker.terminate(), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
  }

  /** Waits for what came before; repeats what answers undefined, and what finds the lock taken. */
  private inTurn<T>(giveUp: number, attempt: () => Promise<{ answer: T } | undefined>): Promise<T> {
    const result = this.last.then(() => this.patiently(giveUp, attempt));
    this.last = result.catch(() => {});
    return result;
  }

  private async patiently<T>(giveUp: number, attempt: () => Promise<{ answer: T } | undefined>): Promise<T> {
    for (;;) {
      if (performance.now() >= giveUp) {
        throw new Error('Another process holds the lock of the SQLite file.');
      }
      try {
        const done = await attempt();
        if (done) {
          return done.answer;
        }
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
      // The process stays alive for an answer, and not for an idle thread.
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
