import type { Readable } from 'node:stream';
import type { DownloadDigests } from './digest.js';
import type { DispositionType } from './disposition.js';
import type { OffloadOptions } from './offload.js';

/** Each member wins over what the content itself suggests. */
export interface DownloadOptions {
  /** The name to save under; any string will do. Default: for a file the last part of its path, else none. */
  readonly filename?: string;
  /** `Content-Type`. Default: what the file name's extension suggests, else `application/octet-stream`. */
  readonly type?: string;
  /** Save or show. Default: the route's, the module's, `'attachment'`. */
  readonly disposition?: DispositionType;
  /** Entity tag, with or without its quotes; false sends none. Default: made from a file or from bytes. */
  readonly etag?: string | false;
  /** `Last-Modified`; false sends none. Default: the file's modification time. */
  readonly lastModified?: Date | false;
  /**
   * Digests of the whole content that you know, such as `{ 'sha-256': row.sha256 }`, sent as `Repr-Digest`
   * (RFC 9530) and `Digest` (RFC 3230). Nothing is hashed or compared here. Default: none are sent.
   */
  readonly digest?: DownloadDigests;
  /** Called once, when the answer has ended, errors, HEAD and 304 included. What it throws is logged. */
  readonly onEnd?: (end: DownloadEnd) => unknown;
}

/** How an answer ended. */
export interface DownloadEnd {
  /**
   * The kernel took the whole content from this one answer. False for a part of it, although the client may
   * have got the rest by other requests, and where a proxy sends the bytes.
   */
  readonly completed: boolean;
  /** Bytes of the content that were sent. */
  readonly bytes: number;
}

/** The options of `Download.file()`. */
export interface FileDownloadOptions extends DownloadOptions {
  /**
   * The folder that the file must not leave, not through `..` nor through a symbolic link: 404. A relative
   * path starts here. Default: no check.
   */
  readonly root?: string;
  /** Wins over the option of the module and the route. */
  readonly offload?: OffloadOptions | false;
  /**
   * Deletes the file when the answer has ended, whichever it was: for a file made for this one answer. It has
   * no ranges and no validators, since a resume would find nothing. To keep a file until it was fetched
   * completely, use `onEnd`. Default false.
   */
  readonly deleteAfter?: boolean;
}

/** The options of `Download.stream()`. */
export interface ReadableDownloadOptions extends DownloadOptions {
  /** Bytes that the stream will give. Default: unknown. */
  readonly length?: number;
}

/** Bytes that a source is asked for. */
export interface SourceRange {
  /** First byte, counted from 0. */
  readonly start: number;
  /** The byte after the last: `end - start` bytes are wanted, so `Range: bytes=${start}-${end - 1}`. */
  readonly end: number;
  /** Aborted when the client left or something failed. */
  readonly signal: AbortSignal;
}

/** The bytes of a source, as they come. */
export type ByteStream = Readable | AsyncIterable<Uint8Array | string>;

/** Content that can be read from an offset: an object store, a database blob, another server. */
export interface DownloadSource {
  /** Bytes of the whole. */
  readonly length: number;
  /** Entity tag, with or without its quotes; make it change with the content. */
  readonly etag?: string;
  readonly lastModified?: Date;
  /**
   * Starts reading. Called once for every range, not for 304, 412, 416 or an empty content, and for HEAD only
   * where {@link missing} is given. More bytes than asked for are cut, fewer destroy the connection. A source
   * that stalls holds its download: heed `signal`, and set a timeout where the source has one.
   */
  open(range: SourceRange): ByteStream | Promise<ByteStream>;
  /**
   * Whether an error of {@link open}, or of its stream before the first byte, means that the object does not
   * exist: 404 instead of 500. A HEAD opens the first byte then, to find out. Default: no error does.
   *
   * @example
   * missing: (error) => error instanceof NoSuchKey
   */
  missing?(error: unknown): boolean;
}

export type DeliverableContent =
  | { readonly kind: 'file'; readonly path: string; readonly options: FileDownloadOptions }
  | { readonly kind: 'buffer'; readonly bytes: Uint8Array; readonly options: DownloadOptions }
  | { readonly kind: 'source'; readonly source: DownloadSource; readonly options: DownloadOptions }
  | { readonly kind: 'stream'; readonly stream: ByteStream; readonly options: ReadableDownloadOptions };

/** The options of `Download.redirect()`. */
export interface RedirectDownloadOptions {
  /** Default `'no-store'`, not the route's: a cached redirect would outlive a presigned URL. */
  readonly cacheControl?: string;
}

export interface RedirectContent extends RedirectDownloadOptions {
  readonly kind: 'redirect';
  readonly url: string;
}

export function isByteStream(value: unknown): value is ByteStream {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

export function isLength(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
