import { close, constants, fstat, open, read, stat } from 'node:fs';
import { readlink, realpath, rm } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { WHOLE } from './byte-range.js';
import type { ByteSource } from './body-reader.js';
import { missingFile } from './failure.js';
import { fileThread } from './file-thread.js';
import type { FileStats } from './file-thread-program.js';
import type { FoundFile } from './file-thread.js';

const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);
const readAsync = promisify(read);
const statAsync = promisify(stat);

// A FIFO without a writer must not block a thread of the pool. Absent on Windows
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

const NOTHING = new Uint8Array(0);

/** A descriptor that this package owns, what it said of itself, and the bytes of it that are to be sent. */
export class OpenFile implements ByteSource {
  /** The file is deleted once it is closed. */
  deletesOnClose = false;
  /** A `FileHandle` has the descriptor, and closes it. */
  isBorrowed = false;
  #start = 0;
  #end = Infinity;
  /** Read into again and again: the body's reader has written its bytes before it asks for more. */
  #buffer: Buffer | undefined;
  #reading: Promise<unknown> | undefined;
  /** What was read ahead is being written. */
  #isLent = false;
  #closed: Promise<void> | undefined;

  /**
   * @param path as it was opened: the real one below a root
   * @param fd undefined where everything was read ahead
   * @param ahead bytes that were read when the file was opened
   */
  constructor(
    readonly path: string,
    public stats: FileStats,
    private readonly fd: number | undefined,
    private ahead?: Pick<FoundFile, 'start' | 'bytes' | 'free'>,
  ) {}

  get inPool(): boolean {
    return this.ahead === undefined;
  }

  /** Asks the descriptor again. */
  async refresh(): Promise<void> {
    if (this.fd !== undefined) {
      this.stats = await fstatAsync(this.fd, { bigint: true });
    }
  }

  /** From now on positions count from `start`, and nothing from `end` on is read. */
  slice(start: number, end: number): this {
    this.#start = start;
    this.#end = end;
    return this;
  }

  async read(position: number, end: number, size: number, reuse: boolean): Promise<Uint8Array> {
    const start = this.#start + position;
    const length = Math.min(size, Math.min(this.#start + end, this.#end) - start);
    const ahead = this.#ahead(start, length);
    if (ahead) {
      this.#isLent ||= reuse;
      return reuse ? ahead : Buffer.from(ahead);
    }
    if (this.#closed || this.fd === undefined) {
      return NOTHING;
    }
    this.free();
    const buffer = reuse ? this.#fitting(length) : Buffer.allocUnsafe(length);
    const reading = readAsync(this.fd, buffer, 0, length, start);
    this.#reading = reading;
    return buffer.subarray(0, (await reading).bytesRead);
  }

  #ahead(position: number, length: number): Uint8Array | undefined {
    const { start, bytes } = this.ahead ?? { start: 0, bytes: NOTHING };
    const from = position - start;
    return from >= 0 && from < bytes.length ? bytes.subarray(from, from + length) : undefined;
  }

  /** The buffer at hand, or another where it is too small, or so large that a slow client would waste it. */
  #fitting(length: number): Buffer {
    if (!this.#buffer || this.#buffer.length < length || this.#buffer.length > length * 2) {
      this.#buffer = Buffer.allocUnsafe(length);
    }
    return this.#buffer;
  }

  free(): void {
    this.ahead?.free();
    this.ahead = undefined;
  }

  /** Where the descriptor really is, if the system tells. */
  async place(): Promise<string | undefined> {
    try {
      return process.platform === 'linux' ? await readlink(`/proc/self/fd/${this.fd}`) : undefined;
    } catch {
      return undefined;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (!this.#isLent) {
      this.free();
    }
    // The number may belong to another file from the moment it is free
    await this.#reading?.catch(() => {});
    try {
      if (this.fd !== undefined && !this.isBorrowed && (this.deletesOnClose || !fileThread.close(this.fd))) {
        await closeAsync(this.fd);
      }
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
 * @param wanted bytes that will probably be read
 * @throws HttpException 404 outside the root, and for anything but a file; else the system's own error
 */
export async function openFile(path: string, root?: string, wanted = WHOLE): Promise<OpenFile> {
  const inside = root === undefined ? path : pathInside(root, path);
  const found = await fileThread.open(inside, root, wanted);
  if (found) {
    return new OpenFile(found.path, found.stats, found.fd, found);
  }
  if (root === undefined) {
    return openAs(path, READ_ONLY);
  }
  const realRoot = await realpath(root);
  const real = await realpath(resolve(realRoot, inside));
  if (!isInside(realRoot, real)) {
    throw missingFile();
  }
  const file = await openAs(real, READ_ONLY | NO_FOLLOW);
  try {
    const place = await file.place();
    if (!(place === undefined ? await liesAt(real, file) : isInside(realRoot, place))) {
      throw missingFile();
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The path as it is seen from the root. */
function pathInside(root: string, path: string): string {
  // Where a name is put together, `..` leaves the part of the root that was meant
  if (path.split(/[/\\]/).includes('..')) {
    throw missingFile();
  }
  // An absolute path may name the root as the caller wrote it
  return isAbsolute(path) ? relative(resolve(root), path) : path;
}

async function openAs(path: string, flags: number): Promise<OpenFile> {
  const fd = await openAsync(path, flags);
  try {
    const stats = await fstatAsync(fd, { bigint: true });
    if (!stats.isFile()) {
      throw missingFile();
    }
    return new OpenFile(path, stats, fd);
  } catch (error) {
    await closeAsync(fd);
    throw error;
  }
}

export function isInside(root: string, path: string): boolean {
  const inside = relative(root, path);
  return inside !== '' && !isAbsolute(inside) && inside.split(sep)[0] !== '..';
}

async function liesAt(real: string, { stats }: OpenFile): Promise<boolean> {
  const [now, again] = await Promise.all([statAsync(real, { bigint: true }), realpath(real)]);
  return now.ino === stats.ino && now.dev === stats.dev && again === real;
}
