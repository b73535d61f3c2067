import { contentType } from 'mime-types';
import { hash } from 'node:crypto';
import type { ReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { ByteInterval } from './byte-range.js';
import type { FileDownloadOptions } from './download-options.js';
import { logFailure } from './failure.js';
import { TICK } from './file-thread-program.js';
import type { FileStats } from './file-thread-program.js';
import { adoptFileStream } from './file-stream.js';
import type { OpeningStream } from './file-stream.js';
import { openFile } from './open-file.js';
import type { OpenFile } from './open-file.js';
import type { Validators } from './preconditions.js';
import type { Content } from './representation.js';

/**
 * A file of this machine, opened.
 *
 * @param wanted bytes that will probably be sent
 * @throws HttpException 404 for a directory and for what is outside `root`; what the system throws otherwise
 */
export async function fileContent(
  path: string,
  { root, deleteAfter = false }: FileDownloadOptions,
  wanted: ByteInterval,
): Promise<Content> {
  const file = await openFile(path, root, wanted);
  const whole = await describeFile(file, basename(path));
  if (!deleteAfter) {
    return whole;
  }
  file.deletesOnClose = true;
  return { ...whole, seekable: false, etag: undefined, lastModified: undefined, path: undefined };
}

/**
 * The file behind a stream that a handler made with `createReadStream(path, { start, end })`; the
 * representation is that slice. The stream itself is never read; it ends and closes with the answer.
 *
 * @returns undefined, the stream untouched, where it is a device or a FIFO
 */
export async function fileStreamContent(
  stream: OpeningStream,
  wanted: ByteInterval,
): Promise<Content | undefined> {
  const { path: given, start = given ? 0 : await positionOf(stream), end = Infinity } = stream;
  if (start === undefined) {
    return undefined;
  }
  // Node's types know no stream without a path
  const path = ((given as typeof given | null | undefined) ?? '').toString();
  try {
    const file = await adoptFileStream(stream, path, {
      start: start + wanted.start,
      end: Math.min(start + wanted.end, end + 1),
    });
    const slice = file && (await describeFile(file, basename(path), start, end + 1));
    return slice && { ...slice, ended: ({ completed }) => finishStream(stream, completed) };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Where a stream of a descriptor begins to read that was not told its start; undefined where the system does
 * not say.
 */
async function positionOf({ fd }: OpeningStream): Promise<number | undefined> {
  const text = await readFile(`/proc/self/fdinfo/${fd}`, 'latin1').catch(() => '');
  const [, position] = /^pos:\s*(\d+)/.exec(text) ?? [];
  return position === undefined ? undefined : Number(position);
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

/** @param end exclusive */
async function describeFile(file: OpenFile, filename: string, from = 0, end = Infinity): Promise<Content> {
  try {
    const slice = `${from}-${end === Infinity ? '' : end}`;
    if (sinceChange(file.stats) < TICK) {
      await setTimeout(TICK);
      await file.refresh();
    }
    const validators = validatorsOf(file.stats, slice);
    const size = Number(file.stats.size);
    const common = { filename: filename || undefined, type: typeOf(filename) };
    if (size === 0 && (await file.read(0, 1, 1, false)).length > 0) {
      // As those of /proc say: only reading tells the length
      return { ...common, seekable: false, source: file.slice(from, end) };
    }
    const start = Math.min(from, size);
    return {
      ...common,
      ...validators,
      length: Math.max(0, Math.min(end, size) - start),
      seekable: true,
      path: slice === '0-' ? file.path || undefined : undefined,
      source: file.slice(start, end),
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

/** As {@link TICK}, for a file system that stores whole seconds, FAT two of them. */
const COARSE = 2000;

/**
 * The entity tag is a digest, which keeps inode numbers private. The change time moves also when a file is
 * overwritten in place and its modification time set back, as rsync and archivers do.
 *
 * The tag is strong (RFC 9110 §8.8.1) if a later change is sure to move a time stamp. A file that changed
 * within the last clock tick is looked at again a tick later; if it is still changing, or its file system
 * stores whole seconds only, the tag is weak.
 */
function validatorsOf(stats: FileStats, slice: string): Validators {
  const { size, dev, ino, mtimeNs, ctimeNs } = stats;
  const identity = `${size} ${dev} ${ino} ${mtimeNs} ${ctimeNs} ${slice}`;
  const digest = hash('sha256', identity, 'base64url').slice(0, 22);
  const isCoarse = ctimeNs % 1_000_000_000n === 0n && mtimeNs % 1_000_000_000n === 0n;
  const isStrong = sinceChange(stats) >= (isCoarse ? COARSE : TICK);
  return {
    etag: isStrong ? `"${digest}"` : `W/"${digest}"`,
    lastModified: Number(mtimeNs / 1_000_000n),
  };
}

/** Milliseconds since content or metadata changed; many where the clock is ahead, which proves nothing. */
function sinceChange({ ctimeNs, mtimeNs }: FileStats): number {
  const age = Date.now() - Number((ctimeNs > mtimeNs ? ctimeNs : mtimeNs) / 1_000_000n);
  return age < 0 ? COARSE : age;
}
