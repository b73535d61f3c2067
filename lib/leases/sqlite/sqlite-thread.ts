import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { SqlRow } from '../sql-rows.js';
import { FORMAT, PROGRAM, TABLES } from './sqlite-program.js';

export interface Statement {
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

interface Call {
  readonly job: Statement | readonly Statement[];
  readonly isWrite: boolean;
  readonly now: number;
  /** By `performance.now()`. */
  readonly giveUp: number;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Reply {
  /** One for each call; where something failed, only for the first ones. */
  readonly answers: readonly never[];
  readonly failure?: { readonly message: string; readonly isBusy: boolean };
}

/** How long closing waits for the disk, ms. */
const CLOSE_TIMEOUT = 2000;

/** The most writes that are handed over together: reads wait for no more than these. */
const BATCH = 100;

/**
 * An SQLite file, open in a thread of its own, because every call of `node:sqlite` may wait for a lock or for
 * the disk. Calls that come while others are under way are handed over together, and the writes among them
 * are one transaction.
 */
export class SqliteThread {
  private worker?: Worker;
  private waiting: Call[] = [];
  /** In the order of the answers. */
  private underWay: readonly Call[] = [];
  /** Undefined while nothing may be asked. */
  private patience?: number;

  /** @param synchronous what SQLite calls so: `NORMAL` or `FULL` */
  constructor(
    private readonly file: string,
    private readonly synchronous: string,
  ) {}

  /** @param patience milliseconds; a call that has not begun by then rejects without an effect */
  open(patience: number): void {
    this.patience = patience;
  }

  /** The rows of a statement. Makes the file, created `now`, if it is missing. */
  read(statement: Statement, now: number): Promise<SqlRow[]> {
    return this.ask(statement, false, now);
  }

  /** Runs all statements, or none if one of them has no row: answers whether they ran. */
  write(statements: readonly Statement[], now: number): Promise<boolean> {
    return this.ask(statements, true, now);
  }

  async close(): Promise<void> {
    const { worker } = this;
    this.patience = undefined;
    this.fail(new Error('The SQLite lease store is closed.'));
    worker?.unref();
    await Promise.race([worker?.terminate(), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
  }

  private ask<T>(job: Call['job'], isWrite: boolean, now: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.patience === undefined) {
        throw new Error('The SQLite lease store is not open: open() comes first, and close() last.');
      }
      const giveUp = performance.now() + this.patience;
      this.waiting.push({ job, isWrite, now, giveUp, resolve, reject });
      this.handOver();
    });
  }

  private handOver(): void {
    if (this.underWay.length > 0) {
      return;
    }
    const now = performance.now();
    const reads: Call[] = [];
    const writes: Call[] = [];
    for (const call of this.waiting) {
      if (call.giveUp <= now) {
        call.reject(new Error('The SQLite file was locked, or its disk too slow.'));
      } else {
        (call.isWrite ? writes : reads).push(call);
      }
    }
    this.waiting = writes.splice(BATCH);
    this.underWay = [...reads, ...writes];
    if (this.underWay.length > 0) {
      const worker = (this.worker ??= this.start());
      // Keeps the process alive for an answer, but not for an idle thread
      worker.ref();
      const jobs = (calls: readonly Call[]) => calls.map(({ job }) => job);
      worker.postMessage({ reads: jobs(reads), writes: jobs(writes), now: this.underWay.at(-1)!.now });
    }
  }

  private start(): Worker {
    const { file, synchronous } = this;
    const worker = new Worker(PROGRAM, {
      eval: true,
      name: 'download-auth:sqlite',
      workerData: { file, synchronous, tables: TABLES, format: FORMAT },
      // Keeps the application's loaders and inspectors out of this thread
      execArgv: [],
    });
    let why = new Error('The thread of the SQLite lease store has ended.');
    worker.on('message', (reply: Reply) => this.answered(reply));
    worker.on('error', (error: Error) => (why = error));
    worker.on('exit', () => this.fail(why));
    return worker;
  }

  private answered({ answers, failure }: Reply): void {
    const calls = this.underWay;
    this.underWay = [];
    this.worker?.unref();
    calls.slice(0, answers.length).forEach(({ resolve }, i) => resolve(answers[i]!));
    const failed = calls.slice(answers.length);
    if (failure?.isBusy) {
      this.waiting.push(...failed);
      setTimeout(() => this.handOver(), 1 + Math.random() * 10);
    } else {
      failed.forEach(({ reject }) => reject(new Error(failure?.message)));
      this.handOver();
    }
  }

  /** The thread has ended: a further call starts another one. */
  private fail(why: Error): void {
    const calls = [...this.underWay, ...this.waiting];
    this.worker = undefined;
    this.underWay = [];
    this.waiting = [];
    calls.forEach(({ reject }) => reject(why));
  }
}
