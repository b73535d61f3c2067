import { close, constants, fstat, open, read, stat } from 'node:fs';
import type { BigIntStats, ReadStream } from 'node:fs';
import { readlink, realpath, rm } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { missingFile } from './failure.js';

const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);
const readAsync = promisify(read);
const statAsync = promisify(stat);

// A FIFO without a writer must not block a thread of the pool. Absent on Windows
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

const DESTROYED = 'The file stream was destroyed before it could be sent.';

/** What Node documents and its types leave out. */
type OpeningStream = ReadStream & { fd?: number | null };

/** A descriptor that this package owns, and what it said of itself when it was opened. */
export class OpenFile {
  /** The file is deleted once it is closed. */
  deletesOnClose = false;
  #reading: Promise<unknown> | undefined;
  #closed: Promise<void> | undefined;

  /** @param path as it was asked for */
  constructor(
    readonly fd: number,
    readonly path: string,
    public stats: BigIntStats,
  ) {}

  /** Asks the descriptor again. */
  async refresh(): Promise<void> {
    this.stats = await fstatAsync(this.fd, { bigint: true });
  }

  /** Resolves with how many bytes were read, 0 at the end. Reads must not overlap. */
  async read(buffer: Buffer, length: number, position: number): Promise<number> {
    if (this.#closed) {
      return 0;
    }
    const reading = readAsync(this.fd, buffer, 0, length, position);
    this.#reading = reading;
    return (await reading).bytesRead;
  }

  /** Safe to call more than once, and while a read is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#free();
    return this.#closed;
  }

  async #free(): Promise<void> {
    // The number may belong to another file from the moment it is free
    await this.#reading?.catch(() => {});
    try {
      await closeAsync(this.fd);
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
    return openAs(path, READ_ONLY);
  }
  const { real, realRoot } = await realPathIn(root, path);
  const file = await openAs(real, READ_ONLY | NO_FOLLOW);
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

/** What a file says of itself without being opened; {@link openFile} has the last word on where it lies. */
export async function statFile(path: string, root?: string): Promise<BigIntStats> {
  const place = root === undefined ? path : (await realPathIn(root, path)).real;
  return statAsync(place, { bigint: true });
}

async function realPathIn(root: string, path: string): Promise<{ real: string; realRoot: string }> {
  // Where a name is put together, `..` leaves the part of the root that was meant
  if (path.split(/[/\\]/).includes('..')) {
    throw missingFile();
  }
  const realRoot = await realpath(root);
  // An absolute path may name the root as the caller wrote it
  const inside = isAbsolute(path) ? relative(resolve(root), path) : path;
  const real = await realpath(resolve(realRoot, inside));
  if (!isInside(realRoot, real)) {
    throw missingFile();
  }
  return { real, realRoot };
}

async function openAs(path: string, flags: number): Promise<OpenFile> {
  const fd = await openAsync(path, flags);
  try {
    return new OpenFile(fd, path, await fstatAsync(fd, { bigint: true }));
  } catch (error) {
    await closeAsync(fd);
    throw error;
  }
}

export function isInside(root: string, path: string): boolean {
  const inside = relative(root, path);
  return inside !== '' && !isAbsolute(inside) && inside.split(sep)[0] !== '..';
}

/** Where the descriptor really is, if the system tells. */
async function placeOf({ fd }: OpenFile): Promise<string | undefined> {
  try {
    return process.platform === 'linux' ? await readlink(`/proc/self/fd/${fd}`) : undefined;
  } catch {
    return undefined;
  }
}

async function liesAt(real: string, { stats }: OpenFile): Promise<boolean> {
  const [now, again] = await Promise.all([statAsync(real, { bigint: true }), realpath(real)]);
  return now.ino === stats.ino && now.dev === stats.dev && again === real;
}

/**
 * Takes the descriptor out of a file stream that a handler made: what it opened is sent, also where the name
 * was unlinked since. The caller destroys the stream in the end, which has nothing to close.
 *
 * @returns undefined, the stream untouched, for a device or a FIFO
 * @throws what kept the stream from opening
 */
export async function adoptFileStream(stream: ReadStream, path: string): Promise<OpenFile | undefined> {
  const fd = await descriptorOf(stream);
  const stats = await fstatAsync(fd, { bigint: true });
  if (!stats.isFile() && !stats.isDirectory()) {
    return undefined;
  }
  if (stream.destroyed) {
    throw new Error(DESTROYED);
  }
  (stream as OpeningStream).fd = null;
  return new OpenFile(fd, path, stats);
}

function descriptorOf(stream: OpeningStream): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(stream.errored ?? new Error(DESTROYED));
    if (stream.errored || stream.destroyed) {
      fail();
    } else if (typeof stream.fd === 'number') {
      resolve(stream.fd);
    } else {
      stream.once('error', fail).once('close', fail);
      stream.once('open', (fd: number) => {
        // Avoids allocating an error on a normal close
        stream.off('error', fail).off('close', fail);
        resolve(fd);
      });
    }
  });
}
