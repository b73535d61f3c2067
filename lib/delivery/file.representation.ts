import { contentType } from 'mime-types';
import { hash } from 'node:crypto';
import type { ReadStream } from 'node:fs';
import { basename, extname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { DownloadEnd, FileDownloadOptions } from './download.js';
import { logFailure, missingFile } from './failure.js';
import { FileSource } from './file.source.js';
import { adoptFileStream, openFile } from './open-file.js';
import type { OpenFile } from './open-file.js';
import type { Validators } from './preconditions.js';
import type { Representation } from './representation.js';

/** Bytes of a file, `end` exclusive, undefined to its end. */
interface FileSlice {
  readonly start: number;
  readonly end?: number;
}

/**
 * A file of this machine, opened.
 *
 * @throws HttpException 404 for a directory and for what is outside `root`; what the system throws otherwise
 */
export async function fileRepresentation(
  path: string,
  { root, offload, deleteAfter = false }: Pick<FileDownloadOptions, 'root' | 'offload' | 'deleteAfter'>,
): Promise<Representation> {
  const file = await openFile(path, root);
  const whole = await describeFile(file, basename(path), { start: 0 });
  if (deleteAfter) {
    file.deleteOnClose();
    return { ...whole, seekable: false, etag: undefined, lastModified: undefined };
  }
  return { ...whole, ...(whole.length !== undefined && { path: file.path }), offload };
}

/**
 * The file behind a stream that a handler made with `createReadStream(path, { start, end })`; the
 * representation is that slice. The stream itself is never read; it ends and closes with the answer.
 *
 * @returns undefined, the stream untouched, where it is a device or a FIFO
 */
export async function fileStreamRepresentation(stream: ReadStream): Promise<Representation | undefined> {
  const path = stream.path.toString();
  const { start = 0, end = Infinity } = stream as unknown as { start?: number; end?: number };
  const file = await adoptFileStream(stream, path);
  if (!file) {
    return undefined;
  }
  const isWhole = start === 0 && end === Infinity;
  try {
    const slice = await describeFile(file, basename(path), {
      start,
      end: end === Infinity ? undefined : end + 1,
    });
    const ended = ({ completed }: DownloadEnd) => finishStream(stream, completed);
    return { ...slice, ...(slice.length !== undefined && isWhole && { path }), ended };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** What the handler listens for on its stream happens, though its bytes went another way. */
function finishStream(stream: ReadStream, completed: boolean): void {
  try {
    if (completed) {
      stream.emit('end');
    }
  } catch (error) {
    logFailure(error);
  }
  stream.destroy();
}

async function describeFile(file: OpenFile, name: string, slice: FileSlice): Promise<Representation> {
  try {
    if (!file.stats.isFile()) {
      throw missingFile();
    }
    const validators = await fileValidators(file, `${slice.start}-${slice.end ?? ''}`);
    const size = Number(file.stats.size);
    const common = { filename: name, type: typeOf(name), close: () => file.close() };
    if (size === 0 && (await file.read(Buffer.alloc(1), 1, 0)) > 0) {
      // As those of /proc say: only reading tells the length
      return { ...common, seekable: false, bytes: () => new FileSource(file, slice.start, slice.end) };
    }
    const start = Math.min(slice.start, size);
    return {
      ...common,
      ...validators,
      length: Math.max(0, Math.min(slice.end ?? size, size) - start),
      seekable: true,
      bytes: () => new FileSource(file, start),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What the extension suggests. */
export function typeOf(name: string): string | undefined {
  return contentType(extname(name)) || undefined;
}

/**
 * Milliseconds in which two changes of a file may get the same time stamp: kernels stamp with a clock that
 * moves once per tick, 1 to 10 ms.
 */
const TICK = 20;
/** The same for a file system that stores whole seconds, FAT two of them. */
const COARSE = 2000;

/**
 * The validators of a file, from the descriptor that is read.
 *
 * The entity tag is a digest (inode numbers stay private) of size, device, inode, modification
 * and change time in nanoseconds, and the slice. The change time is what moves when a file is overwritten in
 * place and its modification time set back, as rsync and archivers do.
 *
 * It is strong (RFC 9110 §8.8.1) as long as a later change is sure to move a time stamp. For a file that
 * changed within the last clock tick that is not yet so: such a file is looked at again a tick later, and
 * if it is still changing, or its file system stores whole seconds only, the tag is weak.
 */
export async function fileValidators(file: OpenFile, slice: string): Promise<Required<Validators>> {
  if (sinceChange(file) < TICK) {
    await setTimeout(TICK);
    await file.refresh();
  }
  const { size, dev, ino, mtimeNs, ctimeNs } = file.stats;
  const identity = `${size} ${dev} ${ino} ${mtimeNs} ${ctimeNs} ${slice}`;
  const digest = hash('sha256', identity, 'base64url').slice(0, 22);
  const isCoarse = ctimeNs % 1_000_000_000n === 0n && mtimeNs % 1_000_000_000n === 0n;
  const isStrong = sinceChange(file) >= (isCoarse ? COARSE : TICK);
  return {
    etag: isStrong ? `"${digest}"` : `W/"${digest}"`,
    lastModified: Number(mtimeNs / 1_000_000n),
  };
}

/**
 * Milliseconds since content or metadata last changed; never negative, since a clock that is ahead proves
 * nothing.
 */
function sinceChange({ stats: { ctimeMs, mtimeMs } }: OpenFile): number {
  const age = Date.now() - Number(ctimeMs > mtimeMs ? ctimeMs : mtimeMs);
  return age < 0 ? COARSE : age;
}
