import { StreamableFile } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { boolean, checkOptions, date, oneOf, rule, text, wholeNumber } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { digestRule } from './digest.js';
import type { DownloadDigests } from './digest.js';
import type { DispositionType } from './disposition.js';
import { entityTagAdvice } from './entity-tag.js';
import { wrappedFile } from './failure.js';
import { offloadAdvice } from './offload.js';
import type { OffloadOptions } from './offload.js';
import { isFieldValue, orFalse } from './options.js';

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

const NOTHING = { pipe: () => undefined, destroy: () => undefined } as unknown as Readable;

/**
 * What a handler marked `@StreamDownload()` may return besides Nest's own `StreamableFile`. It is one, too,
 * so that interceptors and serializers let it pass.
 *
 * @example
 * return Download.file(name, { root: '/srv/files' });
 * @example
 * return Download.source({
 *   length: head.ContentLength,
 *   etag: head.ETag,
 *   open: async ({ start, end, signal }) =>
 *     (await s3.send(get({ Range: `bytes=${start}-${end - 1}` }), { abortSignal: signal })).Body,
 * }, { filename: 'report.pdf' });
 */
export class Download extends StreamableFile {
  readonly #content: DeliverableContent | RedirectContent;

  private constructor(content: DeliverableContent | RedirectContent) {
    super(NOTHING);
    this.#content = content;
  }

  /** @internal */
  get content(): DeliverableContent | RedirectContent {
    return this.#content;
  }

  /** @throws DownloadAuthConfigurationError: Nest asks only where no `@StreamDownload()` delivers it */
  override getHeaders(): never {
    throw new DownloadAuthConfigurationError(
      'A handler without @StreamDownload() returned a Download. Mark the handler, or return a StreamableFile.',
    );
  }

  /** @throws DownloadAuthConfigurationError a download that became part of something else cannot be sent */
  toJSON(): never {
    throw wrappedFile();
  }

  /**
   * A file of this machine. Missing, a directory, outside `root`, or with a `..` in its path below it: 404;
   * unreadable: 500.
   *
   * @throws DownloadAuthConfigurationError for options that cannot work
   */
  static file(path: string, options: FileDownloadOptions = {}): Download {
    demand(
      typeof path === 'string',
      "Download.file() takes a path, such as Download.file('report.pdf', { root: '/srv/files' }).",
    );
    check('file', options, FILE_RULES);
    demand(
      !options.deleteAfter || !options.offload,
      'Download.file(): a proxy may still read a file that deleteAfter deletes; give offload or deleteAfter.',
    );
    return new Download({ kind: 'file', path, options });
  }

  /** Bytes in memory; the entity tag is made from them. They must not change until the download is over. */
  static buffer(bytes: Uint8Array, options: DownloadOptions = {}): Download {
    demand(
      bytes instanceof Uint8Array,
      'Download.buffer() takes a Buffer or Uint8Array; use Buffer.from(text) for text.',
    );
    check('buffer', options, COMMON_RULES);
    return new Download({ kind: 'buffer', bytes, options });
  }

  /**
   * Anything that can be read from an offset, with ranges.
   *
   * @throws DownloadAuthConfigurationError without a length: use {@link Download.stream}
   */
  static source(source: DownloadSource, options: DownloadOptions = {}): Download {
    demand(
      typeof source?.open === 'function' && isLength(source.length),
      'Download.source() takes { length, open({ start, end, signal }) }; without a length use Download.stream().',
    );
    // A source may have more members, and be of a class
    const { etag, lastModified } = source;
    check('source', { etag, lastModified, missing: Reflect.get(source, 'missing') }, SOURCE_RULES);
    check('source', options, COMMON_RULES);
    return new Download({ kind: 'source', source, options });
  }

  /** A stream that can be read once, from its start: no ranges, and only the validators that are given. */
  static stream(stream: ByteStream, options: ReadableDownloadOptions = {}): Download {
    demand(isByteStream(stream), 'Download.stream() takes a Readable or an async iterable of Buffers.');
    check('stream', options, STREAM_RULES);
    return new Download({ kind: 'stream', stream, options });
  }

  /**
   * Sends the client elsewhere, such as to a presigned URL of an object store: 302, or 303 for a POST.
   * Nothing of the request, above all not its token, is added to the URL, and no referrer is sent.
   *
   * @throws DownloadAuthConfigurationError for anything but an http or https URL, absolute or relative
   * @example return Download.redirect(presignedUrl, { cacheControl: 'private, max-age=60' });
   */
  static redirect(url: string | URL, options: RedirectDownloadOptions = {}): Download {
    check('redirect', options, REDIRECT_RULES);
    return new Download({ kind: 'redirect', url: redirectTarget(url), ...options });
  }
}

function demand(isRight: boolean, advice: string): void {
  if (!isRight) {
    throw new DownloadAuthConfigurationError(advice);
  }
}

function check<Options extends object>(name: string, options: Options, rules: OptionRules<Options>): void {
  checkOptions(options, rules, `Download.${name}()`, `Download.${name}(): `);
}

const etag: OptionRule = (value) =>
  typeof value === 'string' ? entityTagAdvice(value) : 'give a string, such as \'"v1"\'.';
const lastModified = date('new Date(row.updatedAt)');

const COMMON_RULES: OptionRules<DownloadOptions> = {
  filename: text("such as 'report.pdf'"),
  type: rule(isFieldValue, "give a media type such as 'application/pdf'."),
  disposition: oneOf('attachment', 'inline'),
  etag: orFalse(etag),
  lastModified: orFalse(lastModified),
  digest: digestRule,
  onEnd: rule((value) => typeof value === 'function', 'give a function, such as ({ completed }) => ….'),
};

const FILE_RULES: OptionRules<FileDownloadOptions> = {
  ...COMMON_RULES,
  root: rule((value) => typeof value === 'string' && value !== '', "give a folder, such as '/srv/files'."),
  offload: orFalse(offloadAdvice),
  deleteAfter: boolean,
};

const STREAM_RULES: OptionRules<ReadableDownloadOptions> = { ...COMMON_RULES, length: wholeNumber(0) };

const SOURCE_RULES: OptionRules<{ etag: unknown; lastModified: unknown; missing: unknown }> = {
  etag,
  lastModified,
  missing: rule(
    (value) => typeof value === 'function',
    'give a function, such as (error) => error instanceof NoSuchKey.',
  ),
};

const REDIRECT_RULES: OptionRules<RedirectDownloadOptions> = {
  cacheControl: rule(isFieldValue, "give a header value such as 'private, max-age=60'."),
};

function redirectTarget(given: string | URL): string {
  // undefined would lead to /undefined
  const url = typeof given === 'string' || given instanceof URL ? String(given) : '';
  if (URL.canParse(url)) {
    const { protocol, href } = new URL(url);
    if (protocol === 'https:' || protocol === 'http:') {
      return href;
    }
  } else if (url !== '' && url.isWellFormed() && URL.canParse(url, 'http://relative.invalid/')) {
    // Clients drop control characters and read a backslash as a slash: unencoded, they could lead elsewhere
    return url.replace(/[^\x21-\x7e]|\\/gu, encodeURIComponent);
  }
  throw new DownloadAuthConfigurationError(
    'Download.redirect() takes a URL, such as https://bucket.example/file?signature=… or /media/file.',
  );
}

export function isByteStream(value: unknown): value is ByteStream {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

export function isLength(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
