import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FORMAT, PROGRAM, TABLES } from './sqlite-program.js';

export type Row = Record<string, string | number | null>;

export interface Statement {
  readonly sql: string;
  readonly values: readonly (string | number)[];
  /** The transaction is only completed if the statement has a row. */
  readonly required?: boolean;
}

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: { readonly message: string; readonly errcode?: number };
}

/** How long SQLite itself waits for another process's lock, ms. Reads queue behind it. */
const BUSY_TIMEOUT = 2;

/** How long closing waits for the disk, ms. */
const CLOSE_TIMEOUT = 2000;

const SQLITE_BUSY = 5;

/**
 * An SQLite file, open in a thread of its own, because every call of `node:sqlite` may wait for a lock or for
 * the disk. Reads are answered at once; writes wait in a queue, and only the first of them tries to get a
 * lock that another process holds.
 */
export class SqliteThread {
  private worker?: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private lastWrite: Promise<unknown> = Promise.resolve();

  /** @param synchronous what SQLite calls so: `NORMAL` or `FULL` */
  constructor(
    private readonly file: string,
    private readonly synchronous: string,
  ) {}

  /**
   * The rows of each statement, all from one snapshot. Makes the file, created `now`, if it is missing. Where
   * another process is making it, SQLite does not always wait.
   */
  read(statements: readonly Statement[], now: number, patience: number): Promise<Row[][]> {
    return unlocked(() => this.call({ now, statements }), performance.now() + patience);
  }

  /**
   * Runs statements in one transaction. Answers whether each that is required had a row; otherwise nothing
   * was changed.
   *
   * @param patience milliseconds; a transaction that has not begun by then rejects without an effect
   */
  write(statements: readonly Statement[], now: number, patience: number): Promise<boolean> {
    const giveUp = performance.now() + patience;
    const write = () => unlocked(() => this.call({ now, statements, writes: true }), giveUp);
    const written = this.lastWrite.then(write).then((answer) => answer !== undefined);
    this.lastWrite = written.catch(() => {});
    return written;
  }

  async close(): Promise<void> {
    const { worker } = this;
    if (worker) {
      const late = sleep(CLOSE_TIMEOUT, undefined, { ref: false });
      await Promise.race([this.call({ close: true }).catch(() => {}), late]);
      this.ended(worker, new Error('The SQLite lease store is closed.'));
      await Promise.race([worker.terminate(), late]);
    }
  }

  private call<T>(message: object): Promise<T> {
    const worker = (this.worker ??= this.start());
    return new Promise<T>((resolve, reject) => {
      const id = ++this.calls;
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      // Keeps the process alive for an answer, but not for an idle thread
      worker.ref();
      worker.postMessage({ id, ...message });
    });
  }

  private start(): Worker {
    const { file, synchronous } = this;
    const worker = new Worker(PROGRAM, {
      eval: true,
      name: 'download-auth:sqlite',
      workerData: { file, synchronous, busyTimeout: BUSY_TIMEOUT, tables: TABLES, format: FORMAT },
      // Keeps the application's loaders and inspectors out of this thread
      execArgv: [],
    });
    worker.on('message', (reply: Reply) => this.answered(worker, reply));
    worker.on('error', (error) => this.ended(worker, error));
    worker.on('exit', () => this.ended(worker, new Error('The thread of the SQLite lease store has ended.')));
    return worker;
  }

  private answered(worker: Worker, { id, answer, error }: Reply): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (this.waiting.size === 0) {
      worker.unref();
    }
    if (error) {
      waiting?.reject(Object.assign(new Error(error.message), error));
    } else {
      waiting?.resolve(answer);
    }
  }

  /** A further call starts another thread. */
  private ended(worker: Worker, why: Error): void {
    if (this.worker === worker) {
      this.worker = undefined;
      this.waiting.forEach(({ reject }) => reject(why));
      this.waiting.clear();
      worker.unref();
    }
  }
}

/** Repeats a call, until `giveUp`, while another process holds the lock. */
async function unlocked<T>(call: () => Promise<T>, giveUp: number): Promise<T> {
  while (performance.now() < giveUp) {
    try {
      return await call();
    } catch (error) {
      if (!isBusy(error)) {
        throw error;
      }
      await sleep(1 + Math.random() * 10);
    }
  }
  throw new Error('Another process holds the lock of the SQLite file.');
}

/** The low byte: extended codes such as SQLITE_BUSY_SNAPSHOT carry more above it. */
function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY;
}
