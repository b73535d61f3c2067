import { close, constants, fstat, open, read, ReadStream, stat } from 'node:fs';
import { readlink, realpath, rm } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { WHOLE } from './byte-range.js';
import type { ByteInterval } from './byte-range.js';
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

const DESTROYED = 'The file stream was destroyed before it could be sent.';

/** What Node documents and its types leave out. */
type OpeningStream = ReadStream & { fd?: number | null; flags?: string };

const NOTHING = new Uint8Array(0);

/** A descriptor that this package owns, and what it said of itself when it was opened. */
export class OpenFile {
  /** The file is deleted once it is closed. */
  deletesOnClose = false;
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
    readonly fd: number | undefined,
    private ahead?: Pick<FoundFile, 'start' | 'bytes' | 'free'>,
  ) {}

  /** The next read may be answered with bytes that were read ahead. */
  get isAhead(): boolean {
    return this.ahead !== undefined;
  }

  /** Asks the descriptor again. */
  async refresh(): Promise<void> {
    if (this.fd !== undefined) {
      this.stats = await fstatAsync(this.fd, { bigint: true });
    }
  }

  /**
   * Resolves with the next bytes at `position`, at most `length`, none at the end. Reads must not overlap.
   *
   * @param reuse makes the buffer in which the bytes stay until the next read or {@link free}; without it
   *   they are the caller's
   */
  async read(length: number, position: number, reuse?: (length: number) => Buffer): Promise<Uint8Array> {
    const ahead = this.#ahead(length, position);
    if (ahead) {
      this.#isLent ||= reuse !== undefined;
      return reuse ? ahead : Buffer.from(ahead);
    }
    if (this.#closed || this.fd === undefined) {
      return NOTHING;
    }
    this.free();
    const buffer = reuse ? reuse(length) : Buffer.allocUnsafe(length);
    const reading = readAsync(this.fd, buffer, 0, length, position);
    this.#reading = reading;
    return buffer.subarray(0, (await reading).bytesRead);
  }

  #ahead(length: number, position: number): Uint8Array | undefined {
    const { start, bytes } = this.ahead ?? { start: 0, bytes: NOTHING };
    const from = position - start;
    return from >= 0 && from < bytes.length ? bytes.subarray(from, from + length) : undefined;
  }

  /** What was read with `reuse` is written, or will not be. */
  free(): void {
    this.ahead?.free();
    this.ahead = undefined;
  }

  /** Safe to call more than once, and while a read is under way. */
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
      if (this.fd !== undefined && (this.deletesOnClose || !fileThread.close(this.fd))) {
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
 * The file of a stream that a handler made with `createReadStream`. Where the stream opened it, its
 * descriptor is taken out of the stream: what it opened is sent, also where the name was unlinked since. The
 * caller destroys the stream in the end, which has nothing to close.
 *
 * @returns undefined, the stream untouched, for a device or a FIFO
 * @throws HttpException 404 for a directory; what kept the stream from opening
 */
export async function adoptFileStream(
  stream: ReadStream,
  path: string,
  wanted: ByteInterval,
): Promise<OpenFile | undefined> {
  const opened = await openingOf(stream, wanted);
  if (typeof opened !== 'number') {
    const file = new OpenFile(path, opened.stats, opened.fd, opened);
    if (stream.destroyed) {
      await file.close();
      throw new Error(DESTROYED);
    }
    return file;
  }
  const stats = await fstatAsync(opened, { bigint: true });
  if (stats.isDirectory()) {
    stream.destroy();
    throw missingFile();
  }
  if (!stats.isFile()) {
    return undefined;
  }
  if (stream.destroyed) {
    throw new Error(DESTROYED);
  }
  (stream as OpeningStream).fd = null;
  return new OpenFile(path, stats, opened);
}

/** The stream's descriptor, or the file that the thread opened in its place. */
function openingOf(stream: OpeningStream, wanted: ByteInterval): Promise<number | FoundFile> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(stream.errored ?? new Error(DESTROYED));
    if (stream.errored || stream.destroyed) {
      fail();
    } else if (typeof stream.fd === 'number') {
      resolve(stream.fd);
    } else {
      const settle = (opened: number | FoundFile) => {
        // Avoids allocating an error on a normal close
        stream.off('error', fail).off('close', fail);
        resolve(opened);
      };
      stream.once('error', fail).once('close', fail);
      if (mayOpenFor(stream)) {
        openFor(stream, wanted, settle);
      }
      stream.once('open', settle);
    }
  });
}

/** Whether the stream is Node's own, without listeners for the opening of its file. */
function mayOpenFor(stream: OpeningStream): boolean {
  return (
    Object.getPrototypeOf(stream) === ReadStream.prototype &&
    stream.flags === 'r' &&
    stream.listenerCount('open') === 0 &&
    stream.listenerCount('ready') === 0
  );
}

/** Has the thread open the file of a stream that has not begun to, which it does in the next tick. */
function openFor(stream: OpeningStream, wanted: ByteInterval, settle: (found: FoundFile) => void): void {
  const construct = Reflect.get(stream, '_construct') as NonNullable<ReadStream['_construct']>;
  stream._construct = (callback) => {
    void fileThread.open(String(stream.path), undefined, wanted).then((found) => {
      if (found) {
        settle(found);
        callback();
      } else {
        construct.call(stream, callback);
      }
    });
  };
}
