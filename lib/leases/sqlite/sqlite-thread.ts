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

interface Call {
  readonly isWrite: boolean;
  readonly job: unknown;
  readonly now: number;
  /** By `performance.now()`. */
  readonly giveUp: number;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

/** An answer to each call, or what went wrong with all of them. */
interface Outcome {
  readonly answers: readonly unknown[];
  readonly error?: { readonly message: string; readonly isBusy: boolean };
}

interface Reply {
  readonly reads: Outcome;
  readonly writes: Outcome;
}

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
  private waiting: Call[] = [];
  private underWay: readonly Call[] = [];

  /**
   * @param synchronous what SQLite calls so: `NORMAL` or `FULL`
   * @param patience milliseconds; a call that has not begun by then rejects without an effect
   */
  constructor(
    private readonly file: string,
    private readonly synchronous: string,
    private readonly patience: number,
  ) {}

  /** The rows of a statement. Makes the file, created `now`, if it is missing. */
  read(job: Statement, now: number): Promise<SqlRow[]> {
    return this.ask({ isWrite: false, job, now });
  }

  /** Runs statements, all or none: answers whether each that is required had a row. */
  write(job: readonly Statement[], now: number): Promise<boolean> {
    return this.ask({ isWrite: true, job, now });
  }

  async close(): Promise<void> {
    const { worker } = this;
    this.closed = true;
    this.fail(closed());
    worker?.unref();
    await Promise.race([worker?.terminate(), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
  }

  private ask<T>(call: Pick<Call, 'isWrite' | 'job' | 'now'>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.add([{ ...call, giveUp: performance.now() + this.patience, resolve, reject }]);
    });
  }

  private add(calls: readonly Call[]): void {
    this.waiting.push(...calls);
    if (this.closed) {
      this.fail(closed());
    } else if (this.underWay.length === 0) {
      this.handOver();
    }
  }

  private handOver(): void {
    const now = performance.now();
    const late = this.waiting.filter(({ giveUp }) => giveUp <= now);
    late.forEach(({ reject }) => reject(new Error('The SQLite file was locked, or its disk too slow.')));
    const due = this.waiting.filter(({ giveUp }) => giveUp > now);
    this.waiting = due.splice(BATCH);
    this.underWay = due;
    if (due.length > 0) {
      const worker = (this.worker ??= this.start());
      // Keeps the process alive for an answer, but not for an idle thread
      worker.ref();
      const jobs = (writes: boolean) => due.filter(({ isWrite }) => isWrite === writes).map(({ job }) => job);
      worker.postMessage({ reads: jobs(false), writes: jobs(true), now: due.at(-1)!.now });
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

  private answered({ reads, writes }: Reply): void {
    const calls = this.underWay;
    this.worker?.unref();
    this.settle(
      calls.filter(({ isWrite }) => !isWrite),
      reads,
    );
    this.settle(
      calls.filter(({ isWrite }) => isWrite),
      writes,
    );
    this.handOver();
  }

  private settle(calls: readonly Call[], { answers, error }: Outcome): void {
    if (error?.isBusy) {
      setTimeout(() => this.add(calls), 1 + Math.random() * 10);
    } else if (error) {
      calls.forEach(({ reject }) => reject(new Error(error.message)));
    } else {
      calls.forEach(({ resolve }, i) => resolve(answers[i] as never));
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

const closed = () => new Error('The SQLite lease store is closed.');
