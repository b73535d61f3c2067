import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { SqlRow } from '../sql-rows.js';
import { FORMAT, PROGRAM, TABLES } from './sqlite-program.js';

export interface Statement {
  readonly sql: string;
  readonly values: readonly (string | number)[];
  /** Without a row of it, nothing is written. */
  readonly required?: boolean;
}

interface Waiting<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: unknown) => void;
}

interface Call extends Waiting<unknown> {
  readonly job: unknown;
  readonly now: number;
  /** By `performance.now()`. */
  readonly giveUp: number;
}

interface Reply {
  readonly answers?: unknown[];
  readonly error?: { readonly message: string; readonly isBusy: boolean };
}

/** How long SQLite itself waits for another process's lock, ms. Reads queue behind it. */
const BUSY_TIMEOUT = 2;

/** How long closing waits for the disk, ms. */
const CLOSE_TIMEOUT = 2000;

/** The most calls that are handed over together: reads wait for no more writes than these. */
const BATCH = 100;

/**
 * An SQLite file, open in a thread of its own, because every call of `node:sqlite` may wait for a lock or for
 * the disk. Calls that come while others are under way are handed over together, and the writes among them
 * are one transaction.
 */
export class SqliteThread {
  private worker?: Worker;
  private closed = false;
  /** Messages without an answer; the thread answers them in order. */
  private readonly asked: Waiting<unknown[]>[] = [];
  private readonly reads = new Queue((jobs, now) => this.ask({ reads: jobs, now }));
  private readonly writes = new Queue((jobs, now) => this.ask({ writes: jobs, now }));

  /** @param synchronous what SQLite calls so: `NORMAL` or `FULL` */
  constructor(
    private readonly file: string,
    private readonly synchronous: string,
  ) {}

  /**
   * The rows of a statement. Makes the file, created `now`, if it is missing.
   *
   * @param patience how long to try again while another process has the lock, ms
   */
  read(statement: Statement, now: number, patience: number): Promise<SqlRow[]> {
    return this.reads.add<SqlRow[]>(statement, now, patience);
  }

  /**
   * Runs statements, all or none. Answers whether each that is required had a row; otherwise nothing was
   * changed.
   *
   * @param patience milliseconds; a write that has not begun by then rejects without an effect
   */
  write(statements: readonly Statement[], now: number, patience: number): Promise<boolean> {
    return this.writes.add<boolean>(statements, now, patience);
  }

  async close(): Promise<void> {
    this.closed = true;
    const { worker } = this;
    if (worker) {
      this.ended(worker, closed());
      await Promise.race([worker.terminate(), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
    }
  }

  private ask(message: object): Promise<unknown[]> {
    if (this.closed) {
      return Promise.reject(closed());
    }
    const worker = (this.worker ??= this.start());
    return new Promise((resolve, reject) => {
      this.asked.push({ resolve, reject });
      // Keeps the process alive for an answer, but not for an idle thread
      worker.ref();
      worker.postMessage(message);
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

  private answered(worker: Worker, { answers, error }: Reply): void {
    if (this.worker !== worker) {
      return;
    }
    const { resolve, reject } = this.asked.shift()!;
    if (this.asked.length === 0) {
      worker.unref();
    }
    if (error) {
      reject(Object.assign(new Error(error.message), error));
    } else {
      resolve(answers!);
    }
  }

  /** A further call starts another thread. */
  private ended(worker: Worker, why: Error): void {
    if (this.worker === worker) {
      this.worker = undefined;
      this.asked.splice(0).forEach(({ reject }) => reject(why));
      worker.unref();
    }
  }
}

/** Hands calls over together: those that come before the last ones are answered wait. */
class Queue {
  private waiting: Call[] = [];
  private working = false;

  constructor(private readonly handOver: (jobs: unknown[], now: number) => Promise<unknown[]>) {}

  add<T>(job: unknown, now: number, patience: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const giveUp = performance.now() + patience;
      this.waiting.push({ job, now, giveUp, resolve: resolve as Call['resolve'], reject });
      if (!this.working) {
        void this.work();
      }
    });
  }

  private async work(): Promise<void> {
    this.working = true;
    while (this.waiting.length > 0) {
      const calls = this.waiting.splice(0, BATCH);
      const late = calls.filter(({ giveUp }) => performance.now() >= giveUp);
      late.forEach(({ reject }) => reject(new Error('The SQLite file was locked, or its disk too slow.')));
      await this.settle(calls.filter((call) => !late.includes(call)));
    }
    this.working = false;
  }

  private async settle(calls: Call[]): Promise<void> {
    if (calls.length === 0) {
      return;
    }
    const jobs = calls.map(({ job }) => job);
    try {
      const answers = await this.handOver(jobs, calls.at(-1)!.now);
      calls.forEach(({ resolve }, i) => resolve(answers[i]));
    } catch (error) {
      if ((error as { isBusy?: boolean }).isBusy) {
        this.waiting.unshift(...calls);
        await sleep(1 + Math.random() * 10);
      } else {
        calls.forEach(({ reject }) => reject(error));
      }
    }
  }
}

const closed = () => new Error('The SQLite lease store is closed.');
