import { type ReadStream } from 'node:fs';
import { basename, extname } from 'node:path';
import { contentType } from 'mime-types';
import { FileSource } from '../file.source.js';
import { missingFile } from '../delivery-failure.js';
import { type FileDownloadOptions } from '../download.js';
import { adoptFileStream, openFile, type OpenFile } from './open-file.js';
import { fileValidators } from './file-validators.js';
import { type Representation } from './representation.js';

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
  { root, offload }: Pick<FileDownloadOptions, 'root' | 'offload'>,
): Promise<Representation> {
  const file = await openFile(path, root);
  const whole = await describeFile(file, basename(path), { start: 0 });
  return { ...whole, ...(whole.length !== undefined && { path: file.path }), offload };
}

/**
 * The file behind a stream that a handler made with `createReadStream(path, { start, end })`; the
 * representation is that slice. The stream is destroyed.
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
  const slice = await describeFile(file, basename(path), {
    start,
    end: end === Infinity ? undefined : end + 1,
  });
  return { ...slice, ...(slice.length !== undefined && isWhole && { path }) };
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
