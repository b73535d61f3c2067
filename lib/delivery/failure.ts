import {
  HttpException,
  InternalServerErrorException,
  Logger,
  NotFoundException,
  StreamableFile,
} from '@nestjs/common';
import { Readable } from 'node:stream';
import type { ResponsePort } from '../http/response-port.js';

/** System errors that mean: there is no such file. A path with a NUL byte is the last one. */
const MISSING = new Set([
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENAMETOOLONG',
  'ELOOP',
  'ENXIO',
  'ERR_INVALID_ARG_VALUE',
]);

/** A file that does not exist, as far as the client is concerned. */
export function missingFile(cause?: unknown): HttpException {
  return new NotFoundException('There is no such file.', { cause, description: 'Not Found' });
}

/**
 * The answer to content that could not be read before the first byte: 404 for a file that does not exist,
 * what the source threw if that is an HttpException already, 500 for anything else. The reason of a 500 goes
 * to the log alone: it may name paths.
 */
export function toHttpException(error: unknown, hooks: FailureHooks): HttpException {
  if (error instanceof HttpException) {
    return error;
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const isMissing = code !== undefined && MISSING.has(code);
  hooks.report(error, isMissing);
  return isMissing
    ? missingFile(error)
    : new InternalServerErrorException('The file cannot be read.', {
        cause: error,
        description: 'Internal Server Error',
      });
}

/**
 * What happens when content fails: the handler's `setErrorLogger()` and `setErrorHandler()` are called as
 * Nest calls them. Content with an error handler of its own is not logged here.
 */
export class FailureHooks {
  /** What the content failed with. */
  #failure: unknown;

  constructor(
    private readonly file: StreamableFile | undefined,
    private readonly port: ResponsePort,
  ) {}

  get hasHandler(): boolean {
    return this.#isOwn('errorHandler');
  }

  /** @param isOrdinary it needs no line in the log, unless the handler wants one */
  report(error: unknown, isOrdinary = false): void {
    this.#failure ??= error;
    if (this.#isOwn('errorLogger')) {
      this.#safely(() => this.file?.errorLogger(toError(error)));
    } else if (!isOrdinary && !this.hasHandler) {
      logFailure(error);
    }
  }

  /** Calls the handler, if there is one. */
  handle(error: unknown): void {
    if (this.hasHandler) {
      this.#safely(() => this.file?.errorHandler(toError(error), this.port.response as never));
    }
  }

  /**
   * What Nest is given to answer with in place of content that failed before its first byte; undefined where
   * there is no handler, or it did not answer.
   */
  answer(): StreamableFile | undefined {
    const error = this.#failure;
    if (error === undefined || !this.hasHandler) {
      return undefined;
    }
    if (!this.port.isNodes) {
      // On Fastify, Nest does not call error handlers
      this.handle(error);
      return this.port.isAnswered ? new StreamableFile(Buffer.alloc(0)) : undefined;
    }
    const stream = new Readable({ read: () => void stream.destroy(toError(error)) });
    return new StreamableFile(stream).setErrorHandler((_error, response) =>
      this.file?.errorHandler(toError(error), response),
    );
  }

  /** Whether it differs from what Nest gives every `StreamableFile`: a closure each, of the same text. */
  #isOwn(hook: 'errorHandler' | 'errorLogger'): boolean {
    return (
      this.file !== undefined && String(this.file[hook]) !== String(new StreamableFile(Buffer.alloc(0))[hook])
    );
  }

  #safely(call: () => void): void {
    try {
      call();
    } catch (error) {
      logFailure(error);
    }
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Notes why a download failed. */
export function logFailure(error: unknown): void {
  new Logger('DownloadDelivery').error(error instanceof Error ? (error.stack ?? error.message) : error);
}
