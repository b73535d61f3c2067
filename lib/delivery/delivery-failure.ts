import { HttpException, InternalServerErrorException, Logger, NotFoundException } from '@nestjs/common';

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
 * The answer to content that could not be read before the first byte: 404 for a file that does not exist, what
 * the source threw if that is an HttpException already, 500 for anything else. The reason of a 500 goes to
 * the log alone: it may name paths.
 */
export function toHttpException(error: unknown): HttpException {
  if (error instanceof HttpException) {
    return error;
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined && MISSING.has(code)) {
    return missingFile(error);
  }
  logFailure(error);
  return new InternalServerErrorException('The file cannot be read.', {
    cause: error,
    description: 'Internal Server Error',
  });
}

/** Notes why a download failed. */
export function logFailure(error: unknown): void {
  new Logger('DownloadDelivery').error(error instanceof Error ? (error.stack ?? error.message) : error);
}
