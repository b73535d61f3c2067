import { close } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { ByteInterval } from './byte-range.js';

export type FileStats = Pick<BigIntStats, 'size' | 'dev' | 'ino' | 'mtimeNs' | 'ctimeNs'>;

/** A regular file that was opened, and the bytes that were read with it. */
export interface FoundFile {
  /** Where a root was given, the real one. */
  readonly path: string;
  /** Undefined for a file that was read as a whole: it is closed again. */
  readonly fd?: number;
  readonly stats: FileStats;
  readonly start: number;
  readonly bytes: Uint8Array;
}

interface Waiting {
  readonly since: number;
  /** Undefined once the thread pool was asked instead. */
  settle?: (found?: FoundFile) => void;
}

/** Milliseconds in which two changes may get the same time stamp: kernel clocks tick every 1 to 10. */
export const TICK = 20;
/** Files within one second from which on a process is busy enough for the thread. */
const BUSY = 20;
/** How long the thread lives on without a file, ms. */
const IDLE = 30_000;
/** How long an answer may take before the thread pool is asked, ms. */
const PATIENCE = 25;
/** The most bytes that are read with opening a file. */
const READ_AHEAD = 64 * 1024;

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
  #jobs: object[] = [];
  /**
   * One for each job, in the order in which the thread answers. A Map that each request enters and leaves
   * would keep dead ones in memory until a full collection.
   */
  #waiting: Waiting[] = [];
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
      const length = Math.min(READ_AHEAD, wanted.end - wanted.start);
      this.#waiting.push({ since: performance.now(), settle });
      if (this.#jobs.push({ path, root, start: wanted.start, length }) === 1) {
        setImmediate(() => this.#post());
      }
    });
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
    try {
      worker = new Worker(PROGRAM, {
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
    const waiting = this.#waiting;
    worker.on('message', (found: (FoundFile | undefined)[]) => this.#answered(found, waiting));
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
  #answered(found: readonly (FoundFile | undefined)[], waiting: Waiting[]): void {
    for (const [index, file] of found.entries()) {
      const { settle } = waiting[index] as Waiting;
      if (settle) {
        settle(file);
      } else if (file?.fd !== undefined) {
        close(file.fd, () => {});
      }
    }
    waiting.splice(0, found.length);
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
      this.#jobs = [];
    }
  }
}

function giveUp(waiting: Waiting): void {
  waiting.settle?.();
  waiting.settle = undefined;
}

/** The one of this process. */
export const fileThread = new FileThread();

/**
 * What the thread runs; text, so that it works from source, from `dist` and from a bundle. A file that
 * changed within the last tick is not read, since the caller has to describe it again.
 */
const PROGRAM = `'use strict';
const fs = require('node:fs');
const { resolve, sep } = require('node:path');
const { parentPort } = require('node:worker_threads');

const { O_RDONLY, O_NONBLOCK = 0, O_NOFOLLOW = 0 } = fs.constants;

function demand(isPlain) {
  if (!isPlain) {
    throw new Error('left to the thread pool');
  }
}

function find({ path, root, start, length }) {
  const realRoot = root === undefined ? undefined : fs.realpathSync.native(root) + sep;
  if (realRoot) {
    path = fs.realpathSync.native(resolve(realRoot, path));
    demand(path.startsWith(realRoot));
  }
  demand(fs.statSync(path).isFile());
  const fd = fs.openSync(path, O_RDONLY | O_NONBLOCK | (realRoot ? O_NOFOLLOW : 0));
  try {
    demand(!realRoot || fs.readlinkSync('/proc/self/fd/' + fd).startsWith(realRoot));
    const stats = fs.fstatSync(fd, { bigint: true });
    demand(stats.isFile());
    const { size, dev, ino, mtimeNs, ctimeNs, mtimeMs, ctimeMs } = stats;
    const isSettled = Date.now() - Number(ctimeMs > mtimeMs ? ctimeMs : mtimeMs) > ${TICK};
    const wanted = isSettled ? Math.max(0, Math.min(length, Number(size) - start)) : 0;
    const buffer = Buffer.allocUnsafeSlow(wanted);
    const bytes = buffer.subarray(0, wanted && fs.readSync(fd, buffer, 0, wanted, start));
    return { path, fd, stats: { size, dev, ino, mtimeNs, ctimeNs }, start, bytes };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function close(fd) {
  try {
    fs.closeSync(fd);
  } catch {}
}

parentPort.on('message', (jobs) => {
  if (!jobs) {
    parentPort.close();
    return;
  }
  let replies = [];
  let read = [];
  let due = performance.now() + 1;
  const post = () => {
    parentPort.postMessage(replies, replies.flatMap((found) => found ? [found.bytes.buffer] : []));
    read.forEach(close);
    [replies, read, due] = [[], [], performance.now() + 1];
  };
  for (const job of jobs) {
    let found;
    try {
      found = find(job);
      if (found && found.bytes.length > 0 && found.bytes.length === Number(found.stats.size)) {
        read.push(found.fd);
        found.fd = undefined;
      }
    } catch {}
    replies.push(found);
    if (performance.now() > due) {
      post();
    }
  }
  post();
});
`;
