import { close } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { ByteInterval } from './byte-range.js';
import { PROGRAM } from './file-thread-program.js';
import type { FileStats, Job, Reply } from './file-thread-program.js';

/** A regular file that was opened, and the bytes that were read with it. */
export interface FoundFile {
  /** Where a root was given, the real one. */
  readonly path: string;
  /** Undefined for a file that was read as a whole: it is closed again. */
  readonly fd?: number;
  readonly stats: FileStats;
  readonly start: number;
  /** In memory that is used again after {@link free}. */
  readonly bytes: Uint8Array;
  /** Call it once. */
  free(): void;
}

interface Waiting {
  readonly since: number;
  readonly start: number;
  /** Where in the memory the bytes will be. */
  readonly place: number | undefined;
  /** Undefined once the thread pool was asked instead. */
  settle?: (found?: FoundFile) => void;
}

/** Files within one second from which on a process is busy enough for the thread. */
const BUSY = 20;
/** How long the thread lives on without a file, ms. */
const IDLE = 30_000;
/** How long an answer may take before the thread pool is asked, ms. */
const PATIENCE = 25;
/** The most bytes that are read with opening a file. */
const READ_AHEAD = 64 * 1024;
/** Files whose bytes may wait to be written; beyond them the thread opens and does not read. */
const PLACES = 64;

/**
 * Opens, describes, reads and closes small files in a thread of its own. The thread pool would take four
 * hand-overs for that, which cost more than anything else in a small answer; here all requests of one turn of
 * the event loop share one.
 *
 * It answers in the plain case only. Where a file is missing, irregular or not to be opened, where a disk
 * hangs, and in a process that is not busy, the caller goes through the thread pool, which has the last word.
 */
export class FileThread {
  #worker: Worker | undefined;
  #started: Promise<void> | undefined;
  #isReady = false;
  #jobs: Job[] = [];
  /** One for each file, in the order in which the thread answers. */
  #waiting: Waiting[] = [];
  #memory: Memory | undefined;
  /** Too slow: gets no jobs until it has answered those it has. */
  #isBehind = false;
  #patience: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #recent = 0;
  #recentSince = 0;

  /**
   * @param root the real path must lie inside the root's, as {@link openFile} says
   * @param wanted bytes that will probably be read
   * @returns undefined where the thread pool should be asked; never rejects
   */
  open(path: string, root: string | undefined, wanted: ByteInterval): Promise<FoundFile | undefined> {
    if (!this.#isReady || this.#isBehind) {
      this.#startIfBusy();
      return Promise.resolve(undefined);
    }
    return new Promise((settle) => {
      const { start, end } = wanted;
      const place = this.#memory?.take();
      const length = place === undefined ? 0 : Math.min(READ_AHEAD, end - start);
      this.#waiting.push({ since: performance.now(), start, place, settle });
      this.#add({ path, root, start, length, place });
    });
  }

  /** @returns false where the thread pool should close it */
  close(fd: number): boolean {
    const takesJobs = this.#isReady && !this.#isBehind;
    if (takesJobs) {
      this.#add(fd);
    }
    return takesJobs;
  }

  /** Resolves when the thread is ready, or cannot be started. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Lets the thread finish what it was asked for; the callers do not wait for it. */
  stop(): void {
    const worker = this.#worker;
    if (worker) {
      this.#ended(worker);
      worker.postMessage(undefined);
    }
  }

  async #start(): Promise<void> {
    let worker: Worker;
    const memory = new Memory();
    try {
      worker = new Worker(PROGRAM, {
        workerData: memory.shared,
        eval: true,
        name: 'download-auth:files',
        // Keeps the application's loaders and inspectors out of this thread
        execArgv: [],
        env: {},
        // Descriptors are handed over
        trackUnmanagedFds: false,
      });
    } catch {
      // Node's permission model, and runtimes without threads: not tried again
      return;
    }
    this.#worker = worker;
    this.#memory = memory;
    const waiting = this.#waiting;
    worker.on('message', (replies: Reply[]) => this.#answered(replies, waiting, memory));
    worker.on('error', () => {});
    const ready = new Promise<void>((resolve) => {
      worker.once('online', resolve).once('exit', () => {
        this.#ended(worker);
        resolve();
      });
    });
    worker.unref();
    await ready;
    if (this.#worker === worker) {
      this.#isReady = true;
      this.#idle = setTimeout(() => this.stop(), IDLE).unref();
    }
  }

  #startIfBusy(): void {
    const now = performance.now();
    if (now - this.#recentSince > 1000) {
      this.#recentSince = now;
      this.#recent = 0;
    }
    if (++this.#recent === BUSY) {
      void this.start();
    }
  }

  #add(job: Job): void {
    if (this.#jobs.push(job) === 1) {
      setImmediate(() => this.#post());
    }
  }

  #post(): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    if (this.#worker) {
      this.#worker.postMessage(jobs);
      this.#idle?.refresh();
      if (!this.#patience) {
        this.#watch();
      }
    }
  }

  /** @param waiting those that wait for this thread, which may have been stopped since */
  #answered(replies: readonly Reply[], waiting: Waiting[], memory: Memory): void {
    for (const [index, reply] of replies.entries()) {
      const { settle, start, place } = waiting[index] as Waiting;
      const free = () => memory.give(place);
      if (settle && reply) {
        settle({ ...reply, start, bytes: memory.bytes(place, reply.count), free });
        continue;
      }
      settle?.();
      free();
      if (reply?.fd !== undefined) {
        close(reply.fd, () => {});
      }
    }
    waiting.splice(0, replies.length);
    this.#isBehind &&= this.#waiting.length > 0;
  }

  #watch(): void {
    // After the loop has polled: where it was busy for long, the answers are there already
    this.#patience = setTimeout(() => setImmediate(() => this.#judge()), PATIENCE).unref();
  }

  #judge(): void {
    const late = performance.now() - PATIENCE;
    for (const waiting of this.#waiting) {
      if (waiting.since > late) {
        break;
      }
      this.#isBehind = true;
      giveUp(waiting);
    }
    this.#patience = undefined;
    if (this.#waiting.at(-1)?.settle) {
      this.#watch();
    }
  }

  #ended(worker: Worker): void {
    if (this.#worker === worker) {
      this.#worker = this.#started = undefined;
      this.#isReady = this.#isBehind = false;
      clearTimeout(this.#idle);
      this.#waiting.forEach(giveUp);
      this.#waiting = [];
      for (const job of this.#jobs.splice(0)) {
        if (typeof job === 'number') {
          close(job, () => {});
        }
      }
    }
  }
}

/** Buffers the thread reads into and answers are written from; reused to spare the garbage collector. */
class Memory {
  readonly shared = new SharedArrayBuffer(PLACES * READ_AHEAD);
  /** The last one first: it is in the processor's cache. */
  readonly #free = Array.from({ length: PLACES }, (_, index) => index * READ_AHEAD);

  take(): number | undefined {
    return this.#free.pop();
  }

  bytes(place = 0, length: number): Uint8Array {
    return new Uint8Array(this.shared, place, length);
  }

  give(place: number | undefined): void {
    if (place !== undefined) {
      this.#free.push(place);
    }
  }
}

function giveUp(waiting: Waiting): void {
  waiting.settle?.();
  waiting.settle = undefined;
}

/** The one of this process. */
export const fileThread = new FileThread();
