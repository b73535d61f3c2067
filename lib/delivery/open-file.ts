import { close, constants, fstat, open, read } from 'node:fs';
import type { BigIntStats, ReadStream } from 'node:fs';
import { readlink, realpath, rm, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { missingFile } from './failure.js';

const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);

// A FIFO without a writer must not block a thread of the pool. Absent on Windows
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

const DESTROYED = 'The file stream was destroyed before it could be sent.';

/** In the thread pool: a network file system may ask its server. */
function describe(fd: number): Promise<BigIntStats> {
  return fstatAsync(fd, { bigint: true });
}

/** A descriptor that this package owns, and what it said of itself when it was opened. */
export class OpenFile {
  #fd: number;
  #reads = 0;
  #closing: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  /** The file is deleted once it is closed. */
  deletesOnClose = false;

  /** @param path as it was asked for */
  constructor(
    fd: number,
    readonly path: string,
    public stats: BigIntStats,
  ) {
    this.#fd = fd;
  }

  /** The link under which Linux shows where the descriptor really leads. */
  get selfLink(): string {
    return `/proc/self/fd/${this.#fd}`;
  }

  /** Asks the descriptor again. */
  async refresh(): Promise<void> {
    this.stats = await describe(this.#fd);
  }

  /** Reads up to `length` bytes at `position` into the buffer; resolves with how many, 0 at the end. */
  read(buffer: Buffer, length: number, position: number): Promise<number> {
    if (this.#closed) {
      return Promise.resolve(0);
    }
    return new Promise((resolve, reject) => {
      this.#reads++;
      read(this.#fd, buffer, 0, length, position, (error, count) => {
        this.#reads--;
        this.#closing?.();
        if (error) {
          reject(error);
        } else {
          resolve(count);
        }
      });
    });
  }

  /** Frees the descriptor once no read is under way: its number may belong to another file from then on. */
  close(): Promise<void> {
    this.#closed ??= new Promise<void>((resolve, reject) => {
      this.#closing = () => {
        if (this.#reads === 0) {
          this.#closing = undefined;
          this.#free().then(resolve, reject);
        }
      };
      this.#closing();
    });
    return this.#closed;
  }

  async #free(): Promise<void> {
    try {
      await closeAsync(this.#fd);
    } finally {
      if (this.deletesOnClose) {
        await rm(this.path, { force: true });
      }
    }
  }
}

/**
 * Opens a file for reading.
 *
 * With a root, the real path must lie inside the real root; so must what was opened, since a link may be
 * swapped in between the two. On Linux its descriptor tells where it is. Elsewhere it is compared, by device
 * and inode, with what lies there afterwards: somebody who can write to the root and wins that race three
 * times in one request is not kept out.
 *
 * @throws HttpException 404 outside the root; what the system throws otherwise
 */
export async function openFile(path: string, root?: string): Promise<OpenFile> {
  if (root === undefined) {
    return own(await openAsync(path, READ_ONLY), path);
  }
  const realRoot = await realpath(root);
  const real = await realpath(resolve(realRoot, resolveInside(root, path)));
  if (!isInside(realRoot, real)) {
    throw missingFile();
  }
  const file = await own(await openAsync(real, READ_ONLY | NO_FOLLOW), real);
  try {
    const place = await placeOf(file);
    if (!(place === undefined ? await liesAt(real, file) : isInside(realRoot, place))) {
      throw missingFile();
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** An absolute path may name the root as the caller wrote it; a relative one starts at the root. */
function resolveInside(root: string, path: string): string {
  return isAbsolute(path) ? relative(resolve(root), path) : path;
}

function isInside(root: string, path: string): boolean {
  const inside = relative(root, path);
  return inside !== '' && !isAbsolute(inside) && inside.split(sep)[0] !== '..';
}

/** Where the descriptor really is, if the system tells. */
async function placeOf(file: OpenFile): Promise<string | undefined> {
  try {
    return process.platform === 'linux' ? await readlink(file.selfLink) : undefined;
  } catch {
    return undefined;
  }
}

async function liesAt(real: string, { stats }: OpenFile): Promise<boolean> {
  const [now, again] = await Promise.all([stat(real, { bigint: true }), realpath(real)]);
  return now.ino === stats.ino && now.dev === stats.dev && again === real;
}

/**
 * Takes the descriptor out of a file stream that a handler made, once it is open: what it opened is sent,
 * also where the name was unlinked since. The caller destroys the stream in the end, which has nothing to
 * close.
 *
 * @returns undefined, the stream untouched, for a device or a FIFO
 * @throws what kept the stream from opening
 */
export async function adoptFileStream(stream: ReadStream, path: string): Promise<OpenFile | undefined> {
  const fd = await descriptorOf(stream);
  const stats = await describe(fd);
  if (!stats.isFile() && !stats.isDirectory()) {
    return undefined;
  }
  if (stream.destroyed) {
    throw new Error(DESTROYED);
  }
  (stream as unknown as { fd: number | null }).fd = null;
  return new OpenFile(fd, path, stats);
}

function descriptorOf(stream: ReadStream): Promise<number> {
  return new Promise((resolve, reject) => {
    const { fd } = stream as unknown as { fd: number | null };
    const fail = (error?: Error) => reject(error ?? stream.errored ?? new Error(DESTROYED));
    if (stream.errored || stream.destroyed) {
      fail();
    } else if (typeof fd === 'number') {
      resolve(fd);
    } else {
      const closed = () => fail();
      stream.once('error', fail);
      stream.once('close', closed);
      stream.once('open', (opened) => {
        // Avoids allocating an error on a normal close
        stream.off('error', fail).off('close', closed);
        resolve(opened);
      });
    }
  });
}

async function own(fd: number, path: string): Promise<OpenFile> {
  try {
    return new OpenFile(fd, path, await describe(fd));
  } catch (error) {
    await closeAsync(fd);
    throw error;
  }
}
