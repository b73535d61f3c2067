import { StreamableFile } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { boolean, checkOptions, date, oneOf, rule, text, wholeNumber } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { callableAtOnce } from '../shared/hooks.js';
import { digestRule } from './digest.js';
import { isByteStream, isLength } from './download-options.js';
import type {
  ByteStream,
  DeliverableContent,
  DownloadOptions,
  DownloadSource,
  FileDownloadOptions,
  ReadableDownloadOptions,
  RedirectContent,
  RedirectDownloadOptions,
} from './download-options.js';
import { entityTagAdvice } from './entity-tag.js';
import { wrappedFile } from './failure.js';
import { offloadAdvice } from './offload.js';
import { isFieldValue, orFalse } from './options.js';
import { discardContent } from './represent.js';

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
  #isTaken = false;

  private constructor(content: DeliverableContent | RedirectContent) {
    const stream = { pipe: () => undefined, destroy: () => undefined as unknown };
    super(stream as unknown as Readable);
    this.#content = content;
    // Nest destroys the streams of files once the answer is over, sent or not
    stream.destroy = () => this.discard();
  }

  /** Takes over what is to be sent. @internal */
  take(): DeliverableContent | RedirectContent {
    this.#isTaken = true;
    return this.#content;
  }

  /** Closes the content where it will not be sent. @internal */
  discard(): void {
    const content = this.#content;
    if (!this.#isTaken && content.kind !== 'redirect') {
      this.#isTaken = true;
      void discardContent(content);
    }
  }

  /** @throws DownloadAuthConfigurationError: Nest asks only where no `@StreamDownload()` delivers it */
  override getHeaders(): never {
    this.discard();
    throw new DownloadAuthConfigurationError(
      'A handler without @StreamDownload() returned a Download. Mark the handler, or return a StreamableFile. ' +
        'If it is marked, there are two copies of this package: npm ls nestjs-download-auth.',
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
  missing: callableAtOnce,
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
