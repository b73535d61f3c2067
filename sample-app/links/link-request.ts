import { BadRequestException } from '@nestjs/common';
import type { Duration } from 'nestjs-download-auth';
import { bodyFields } from '../http/body-fields.js';

/** What a caller may ask of a new link. */
export interface LinkRequest {
  readonly expiresIn?: Duration;
  readonly maxDownloads?: number;
  /** Slow motion, for somebody who wants to watch. */
  readonly bytesPerSecond?: number;
}

/**
 * Reads the body of a request for a link.
 * @throws BadRequestException that says what to send; whether a duration makes sense is for the package to decide
 */
export function readLinkRequest(body: unknown): LinkRequest {
  const { expiresIn, maxDownloads, bytesPerSecond } = bodyFields(body, [
    'expiresIn',
    'maxDownloads',
    'bytesPerSecond',
  ]);
  if (expiresIn !== undefined && typeof expiresIn !== 'number' && typeof expiresIn !== 'string') {
    throw new BadRequestException(
      `expiresIn: send a number of seconds (300) or a text with its unit ("5m").`,
    );
  }
  return {
    expiresIn: expiresIn as Duration | undefined,
    maxDownloads: countOf('maxDownloads', maxDownloads),
    bytesPerSecond: countOf('bytesPerSecond', bytesPerSecond),
  };
}

function countOf(name: string, value: unknown): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) {
    return value as number | undefined;
  }
  throw new BadRequestException(`${name}: send a whole number from 1 on, or leave it out.`);
}
