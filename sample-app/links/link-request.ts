import { BadRequestException } from '@nestjs/common';
import type { Duration } from 'nestjs-download-auth';
import { bodyFields } from '../http/body-fields.js';

/** What a caller may ask of a new link. */
export interface LinkRequest {
  readonly expiresIn?: Duration;
  readonly maxDownloads?: number;
}

/**
 * Reads the body of a request for a link.
 * @throws BadRequestException that says what to send; whether a duration makes sense is for the package to decide
 */
export function readLinkRequest(body: unknown): LinkRequest {
  const { expiresIn, maxDownloads } = bodyFields(body, ['expiresIn', 'maxDownloads']);
  if (expiresIn !== undefined && typeof expiresIn !== 'number' && typeof expiresIn !== 'string') {
    throw new BadRequestException(
      `expiresIn: send a number of seconds (300) or a text with its unit ("5m").`,
    );
  }
  if (maxDownloads !== undefined && !isCount(maxDownloads)) {
    throw new BadRequestException('maxDownloads: send a whole number from 1 on, or leave it out.');
  }
  return { expiresIn: expiresIn as Duration | undefined, maxDownloads };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
