import { StreamableFile } from '@nestjs/common';
import { createHash } from 'node:crypto';
import fs, { ReadStream } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import type { ResponsePort } from '../http/response-port.js';
import { askedAtOnce } from '../shared/hooks.js';
import type { ByteSource } from './body-reader.js';
import type { ByteInterval } from './byte-range.js';
import { isByteStream } from './download-options.js';
import type { ByteStream, DeliverableContent, DownloadEnd, DownloadSource } from './download-options.js';
import { toEntityTag } from './entity-tag.js';
import { logFailure } from './failure.js';
import { fileContent, fileStreamContent, typeOf } from './file.content.js';
import { isOfHandle } from './file-stream.js';
import type { OpeningStream } from './file-stream.js';
import { isFieldValue } from './options.js';
import { discard, NOTHING_SENT, withHandlerFields } from './representation.js';
import type { Content, Representation } from './representation.js';
import { StreamSource } from './stream.source.js';
import { nextTurn } from './turns.js';

/** What Nest says of a `StreamableFile` without a type. */
const UNKNOWN_TYPE = 'application/octet-stream';
/** Bytes that are hashed, or written, before the event loop may poll. */
const SLICE = 256 * 1024;

/**
 * The representation of what a handler returned, as its options and headers describe it.
 *
 * @param wantsRanges the option of the route
 * @param wanted bytes that will probably be sent
 * @throws HttpException 500 where the content is shorter than announced; what the system throws for a file
 *   that cannot be opened
 */
export async function represent(
  content: StreamableFile | DeliverableContent,
  port: ResponsePort,
  wantsRanges: boolean,
  wanted: ByteInterval,
): Promise<Representation> {
  const found = await (content instanceof StreamableFile
    ? streamableContent(content, wanted)
    : downloadContent(content, wanted));
  try {
    return withHandlerFields(found, port, wantsRanges);
  } catch (error) {
    await discard(found);
    throw error;
  }
}

async function downloadContent(content: DeliverableContent, wanted: ByteInterval): Promise<Content> {
  const { options } = content;
  const ended = options.onEnd && safely(options.onEnd);
  try {
    const found = await contentOf(content, wanted);
    return {
      ...found,
      options,
      type: options.type ?? typeOf(options.filename ?? '') ?? found.type,
      filename: options.filename ?? found.filename,
      etag: chosen(options.etag, toEntityTag, found.etag),
      lastModified: chosen(options.lastModified, (date) => date.getTime(), found.lastModified),
      ended,
    };
  } catch (error) {
    ended?.(NOTHING_SENT);
    throw error;
  }
}

/** Frees content that is not sent: closes its stream, deletes its file, tells `onEnd`. */
export async function discardContent(content: DeliverableContent): Promise<void> {
  await downloadContent(content, { start: 0, end: 0 }).then(discard, () => {});
}

/** Calls the application; what it throws, at once or later, must not end the process. */
function safely(onEnd: (end: DownloadEnd) => unknown): (end: DownloadEnd) => void {
  return (end) => void Promise.resolve(end).then(onEnd).catch(logFailure);
}

function chosen<Option, Value>(
  option: Option | false | undefined,
  convert: (option: Option) => Value,
  found: Value | undefined,
): Value | undefined {
  if (option === undefined) {
    return found;
  }
  return option === false ? undefined : convert(option);
}

async function contentOf(content: DeliverableContent, wanted: ByteInterval): Promise<Content> {
  switch (content.kind) {
    case 'file':
      return fileContent(content.path, content.options, wanted);
    case 'buffer':
      return bytesContent(content.bytes, content.options.etag === undefined);
    case 'source':
      return sourceContent(content.source);
    case 'stream':
      return opaqueContent(content.stream, content.options.length);
  }
}

/**
 * A file stream and bytes can be read from an offset, any other stream cannot. Nest's own options count: the
 * disposition as the handler wrote it, the type, the length.
 */
async function streamableContent(file: StreamableFile, wanted: ByteInterval): Promise<Content> {
  const { type, disposition, length } = file.getHeaders();
  const found = await streamContent(file.getStream(), wanted);
  const isExplicit = file.options?.type !== undefined || type !== UNKNOWN_TYPE;
  return {
    ...found,
    type: isExplicit && isFieldValue(type) ? type : found.type,
    disposition: Array.isArray(disposition) ? disposition.join(',') : disposition,
    announced: length === undefined ? undefined : Number(length),
  };
}

async function streamContent(stream: Readable, wanted: ByteInterval): Promise<Content> {
  if (isFileStream(stream)) {
    return (await fileStreamContent(stream, wanted)) ?? opaqueContent(stream);
  }
  const bytes = takeBytes(stream);
  if (bytes) {
    return bytesContent(bytes, true);
  }
  // A stream of the old style has `pipe` and nothing else
  return opaqueContent(isByteStream(stream) ? stream : (stream as Readable).pipe(new PassThrough()));
}

/** Whether the stream gives the bytes of a path or descriptor as they are, and nothing was read from it. */
function isFileStream(stream: Readable): stream is ReadStream {
  if (!(stream instanceof ReadStream) || !isUntouched(stream)) {
    return false;
  }
  const { path, fd, flags, autoClose } = stream as OpeningStream;
  const isFound =
    typeof path === 'string' || Buffer.isBuffer(path) || (typeof fd === 'number' && autoClose === true);
  return isFound && (flags === undefined || String(flags).startsWith('r')) && readsFromDisk(stream);
}

/** `createReadStream(path, { fs })` may read from anywhere. */
function readsFromDisk(stream: ReadStream): boolean {
  if (isOfHandle(stream)) {
    return true;
  }
  const key = Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kFs');
  const used = key && (stream as unknown as Record<symbol, { read?: unknown; open?: unknown }>)[key];
  return !used || (used.read === fs.read && used.open === fs.open);
}

function isUntouched(stream: Readable): boolean {
  const encoding = stream.readableEncoding;
  const isUtf8 = encoding === null || /^utf-?8$/i.test(encoding);
  return !stream.readableDidRead && stream.readableFlowing === null && isUtf8;
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
async function bytesContent(bytes: Uint8Array, withEtag: boolean): Promise<Content> {
  return {
    length: bytes.length,
    seekable: true,
    etag: withEtag ? `"${await digestOf(bytes)}"` : undefined,
    source: bytesSource(bytes),
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

/** No copies; slices keep the write callbacks, and what they count, close to what was sent. */
function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    read: (position, end, size) =>
      Promise.resolve(bytes.subarray(position, Math.min(end, position + Math.max(size, SLICE)))),
    close: () => Promise.resolve(),
  };
}

function sourceContent(source: DownloadSource): Content {
  return {
    length: source.length,
    seekable: true,
    etag: source.etag === undefined ? undefined : toEntityTag(source.etag),
    lastModified: source.lastModified?.getTime(),
    missing: source.missing && ((error) => askedAtOnce('missing', () => source.missing!(error))),
    source: new StreamSource((start, end, signal) => source.open({ start, end, signal })),
  };
}

/** A stream that can be read once, from its start: no ranges. */
function opaqueContent(stream: ByteStream, length?: number): Content {
  if (stream instanceof Readable) {
    stream.on('error', () => {});
  }
  return { length, seekable: false, source: new StreamSource(() => stream, stream) };
}
