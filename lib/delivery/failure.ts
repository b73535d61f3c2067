import {
  HttpException,
  InternalServerErrorException,
  Logger,
  NotFoundException,
  StreamableFile,
} from '@nestjs/common';
import type { ResponsePort } from '../http/response-port.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/** System errors for a file that does not exist. A path with a NUL byte is the last one. */
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

/** The reason goes to the log alone: it may name paths. */
export function unreadableFile(message: string, cause: unknown): HttpException {
  return new InternalServerErrorException(message, { cause, description: 'Internal Server Error' });
}

/** The answer to content that could not be read before its first byte. */
export function toHttpException(error: unknown, hooks: FailureHooks): HttpException {
  if (error instanceof HttpException) {
    return error;
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const isMissing = code !== undefined && MISSING.has(code);
  hooks.report(error, isMissing);
  return isMissing ? missingFile(error) : unreadableFile('The file cannot be read.', error);
}

/**
 * What happens when content fails: the handler's `setErrorLogger()` and `setErrorHandler()` are called as
 * Nest calls them. Content with an error handler of its own is not logged here.
 */
export class FailureHooks {
  #failure: unknown;

  constructor(
    private readonly file: StreamableFile,
    private readonly port: ResponsePort,
  ) {}

  /** @param isOrdinary it needs no line in the log, unless the handler wants one */
  report(error: unknown, isOrdinary = false): void {
    this.#failure ??= error;
    if (this.#isOwn('errorLogger')) {
      this.#safely(() => this.file.errorLogger(toError(error)));
    } else if (!isOrdinary && !this.#isOwn('errorHandler')) {
      logFailure(error);
    }
  }

  handle(error: unknown): void {
    if (this.#isOwn('errorHandler')) {
      this.#safely(() => this.file.errorHandler(toError(error), this.port.response as never));
    }
  }

  /** Has the handler answer for content that failed before its first byte. @returns whether it did */
  answer(): boolean {
    if (this.#failure !== undefined) {
      this.handle(this.#failure);
    }
    return this.port.hasBegun;
  }

  /** Whether it differs from what Nest gives every `StreamableFile`: a closure each, of the same text. */
  #isOwn(hook: 'errorHandler' | 'errorLogger'): boolean {
    return String(this.file[hook]) !== String(new StreamableFile(Buffer.alloc(0))[hook]);
  }

  #safely(call: () => void): void {
    try {
      call();
    } catch (error) {
      logFailure(error);
    }
  }
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function logFailure(error: unknown): void {
  new Logger('DownloadDelivery').error(error instanceof Error ? (error.stack ?? error.message) : error);
}

/** The mistake of an interceptor that made a file part of an object. */
export function wrappedFile(): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    'A download was put into another object, most likely by an interceptor that wraps every answer, such as ' +
      'map((data) => ({ data })). Let it return files as they are: if (data instanceof StreamableFile) return data.',
  );
}
