import type { StreamableFile } from '@nestjs/common';
import { createHash } from 'node:crypto';
import fs, { ReadStream } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { nextTurn } from './body-reader.js';
import type { ByteSource } from './body-reader.js';
import { isByteStream } from './download.js';
import type {
  ByteStream,
  DownloadContent,
  DownloadEnd,
  DownloadOptions,
  DownloadSource,
} from './download.js';
import { toEntityTag } from './entity-tag.js';
import { logFailure } from './failure.js';
import { fileRepresentation, fileStreamRepresentation, typeOf } from './file.representation.js';
import { isFieldValue } from './options.js';
import { announced } from './representation.js';
import type { Representation } from './representation.js';
import { StreamSource } from './stream.source.js';

/** How an answer ended that never began to send its content. */
export const NOTHING_SENT: DownloadEnd = Object.freeze({ completed: false, bytes: 0 });

const DEFAULT_TYPE = 'application/octet-stream';
/** Bytes that are hashed, or written, before the event loop may poll. */
const SLICE = 256 * 1024;

/** Everything of a `Download` but a redirect. */
export type DeliverableContent = Exclude<DownloadContent, { kind: 'redirect' }>;

/**
 * The representation of what a `Download` describes.
 *
 * @throws what the system throws for a file that cannot be opened
 */
export async function representDownload(content: DeliverableContent): Promise<Representation> {
  const { options } = content;
  const ended = options.onEnd && safely(options.onEnd);
  try {
    const representation = await representContent(content);
    const type = options.type ?? (options.filename && typeOf(options.filename)) ?? representation.type;
    return { ...representation, ...described(options, representation), type, ended };
  } catch (error) {
    ended?.(NOTHING_SENT);
    throw error;
  }
}

/** Calls the application once; what it throws, at once or later, must not end the process. */
function safely(onEnd: (end: DownloadEnd) => unknown): (end: DownloadEnd) => void {
  let isOver = false;
  return (end) => {
    if (!isOver) {
      isOver = true;
      Promise.resolve(end).then(onEnd).catch(logFailure);
    }
  };
}

async function representContent(content: DeliverableContent): Promise<Representation> {
  switch (content.kind) {
    case 'file':
      return fileRepresentation(content.path, content.options);
    case 'buffer':
      return bytesRepresentation(content.bytes, content.options.etag === undefined);
    case 'source':
      return sourceRepresentation(content.source);
    case 'stream':
      return opaqueRepresentation(content.stream, content.options.length);
  }
}

function described(options: DownloadOptions, found: Representation): Partial<Representation> {
  const { etag, lastModified, filename, disposition } = options;
  return {
    filename: filename ?? found.filename,
    dispositionType: disposition,
    etag: etag === undefined ? found.etag : etag === false ? undefined : toEntityTag(etag),
    lastModified:
      lastModified === undefined
        ? found.lastModified
        : lastModified === false
          ? undefined
          : lastModified.getTime(),
  };
}

/**
 * The representation of Nest's own `StreamableFile`: a file stream and bytes can be read from an offset, any
 * other stream is opaque. Its options count: the disposition as the handler wrote it, the type, the length.
 *
 * @throws HttpException 500 where the announced length is more than there is
 */
export async function representStreamable(file: StreamableFile): Promise<Representation> {
  const { type, disposition, length } = file.getHeaders();
  const content = await representStream(file.getStream());
  const isExplicit = file.options?.type !== undefined || type !== DEFAULT_TYPE;
  const representation: Representation = {
    ...content,
    type: isExplicit && isFieldValue(type) ? type : content.type,
    disposition: Array.isArray(disposition) ? disposition.join(',') : disposition,
  };
  try {
    return length === undefined ? representation : await announced(representation, Number(length));
  } catch (error) {
    representation.ended?.(NOTHING_SENT);
    throw error;
  }
}

async function representStream(stream: Readable): Promise<Representation> {
  if (isFileStream(stream)) {
    return (await fileStreamRepresentation(stream)) ?? opaqueRepresentation(stream, undefined);
  }
  const bytes = takeBytes(stream);
  if (bytes) {
    return bytesRepresentation(bytes);
  }
  // A stream of the old style has `pipe` and nothing else
  return opaqueRepresentation(
    isByteStream(stream) ? stream : (stream as Readable).pipe(new PassThrough()),
    undefined,
  );
}

/** Whether the stream gives the bytes of a path as they are, and nobody has read from it. */
function isFileStream(stream: Readable): stream is ReadStream {
  if (!(stream instanceof ReadStream) || !isUntouched(stream)) {
    return false;
  }
  const { path, flags } = stream as ReadStream & { flags?: string };
  const isPath = typeof path === 'string' || Buffer.isBuffer(path);
  return isPath && (flags === undefined || String(flags).startsWith('r')) && readsFromDisk(stream);
}

/** `createReadStream(path, { fs })` may read from anywhere. */
function readsFromDisk(stream: ReadStream): boolean {
  const key = Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kFs');
  const used = key && (stream as unknown as Record<symbol, { read?: unknown; open?: unknown }>)[key];
  return !used || (used.read === fs.read && used.open === fs.open);
}

function isUntouched(stream: Readable): boolean {
  const encoding = stream.readableEncoding;
  return (
    !stream.readableDidRead &&
    stream.readableFlowing === null &&
    (encoding === null || /^utf-?8$/i.test(encoding))
  );
}

/**
 * The bytes a `StreamableFile` was made of. Nest keeps them in a plain Readable that has all it will ever
 * give; anything else has a `_read` of its own.
 */
function takeBytes(stream: Readable): Uint8Array | undefined {
  const state = (stream as unknown as { _readableState?: { ended?: boolean } })._readableState;
  const isMadeOfBytes =
    Object.getPrototypeOf(stream) === Readable.prototype &&
    !Object.hasOwn(stream, '_read') &&
    state?.ended === true &&
    !stream.destroyed &&
    !stream.readableObjectMode &&
    stream.readableEncoding === null &&
    isUntouched(stream);
  return isMadeOfBytes ? ((stream.read() as Buffer | null) ?? Buffer.alloc(0)) : undefined;
}

/** Bytes in memory. The entity tag is a digest of them, so it is as strong as can be. */
async function bytesRepresentation(bytes: Uint8Array, withEtag = true): Promise<Representation> {
  return {
    length: bytes.length,
    seekable: true,
    etag: withEtag ? `"${await digestOf(bytes)}"` : undefined,
    bytes: () => bytesSource(bytes),
    close: () => Promise.resolve(),
  };
}

async function digestOf(bytes: Uint8Array): Promise<string> {
  const digest = createHash('sha256');
  for (let start = 0; start < bytes.length; start += SLICE) {
    if (start > 0) {
      await nextTurn();
    }
    digest.update(bytes.subarray(start, start + SLICE));
  }
  return digest.digest('base64url').slice(0, 22);
}

/**
 * Handed on without a copy, in slices that keep the write callbacks, and what they count, close to what was
 * sent.
 */
function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    read: (position, end, size) =>
      Promise.resolve(bytes.subarray(position, Math.min(end, position + Math.max(size, SLICE)))),
    close: () => Promise.resolve(),
  };
}

/** Content that the application opens at an offset. */
function sourceRepresentation(source: DownloadSource): Representation {
  return {
    length: source.length,
    seekable: true,
    etag: source.etag === undefined ? undefined : toEntityTag(source.etag),
    lastModified: source.lastModified?.getTime(),
    missing: source.missing?.bind(source),
    bytes: () => new StreamSource((start, end, signal) => source.open({ start, end, signal })),
    close: () => Promise.resolve(),
  };
}

/**
 * A stream that can be read once, from its start: no ranges.
 *
 * @param length bytes it will give, where somebody said
 */
function opaqueRepresentation(stream: ByteStream, length: number | undefined): Representation {
  if (stream instanceof Readable) {
    stream.on('error', () => {});
  }
  return {
    length,
    seekable: false,
    bytes: () => new StreamSource(() => stream),
    close: async () => {
      if (stream instanceof Readable) {
        stream.destroy();
      } else {
        await stream[Symbol.asyncIterator]().return?.();
      }
    },
  };
}
