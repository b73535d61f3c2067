import type { BigIntStats } from 'node:fs';

export type FileStats = Pick<BigIntStats, 'size' | 'dev' | 'ino' | 'mtimeNs' | 'ctimeNs'>;

/** A file to open, or a descriptor to close. */
export type Job =
  | { path: string; root: string | undefined; start: number; length: number; place: number | undefined }
  | number;

/** Undefined where the thread pool should be asked. */
export type Reply = { path: string; fd?: number; stats: FileStats; count: number } | undefined;

/** Milliseconds in which two changes may get the same time stamp: kernel clocks tick every 1 to 10. */
export const TICK = 20;

/**
 * What the thread runs; text, so that it works from source, from `dist` and from a bundle. A file that
 * changed within the last tick is not read, since the caller has to describe it again.
 */
export const PROGRAM = `'use strict';
const fs = require('node:fs');
const { resolve, sep } = require('node:path');
const { parentPort, workerData } = require('node:worker_threads');

const { O_RDONLY, O_NONBLOCK = 0, O_NOFOLLOW = 0 } = fs.constants;

function demand(isPlain) {
  if (!isPlain) {
    throw new Error('left to the thread pool');
  }
}

function find({ path, root, start, length, place }) {
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
    const count = wanted && fs.readSync(fd, new Uint8Array(workerData, place, wanted), 0, wanted, start);
    const isWhole = count > 0 && count === Number(size);
    if (isWhole) {
      toClose.push(fd);
    }
    return { path, fd: isWhole ? undefined : fd, stats: { size, dev, ino, mtimeNs, ctimeNs }, count };
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

/** Once the answers are on their way. */
const toClose = [];

parentPort.on('message', (jobs) => {
  if (!jobs) {
    parentPort.close();
    return;
  }
  let replies = [];
  let due = performance.now() + 1;
  const post = () => {
    if (replies.length > 0) {
      parentPort.postMessage(replies);
    }
    toClose.splice(0).forEach(close);
    [replies, due] = [[], performance.now() + 1];
  };
  for (const job of jobs) {
    if (typeof job === 'number') {
      toClose.push(job);
      continue;
    }
    let reply;
    try {
      reply = find(job);
    } catch {}
    replies.push(reply);
    if (performance.now() > due) {
      post();
    }
  }
  post();
});
`;
