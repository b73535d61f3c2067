import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { isValidDate } from '../options/valid-date.js';
import type { CreateLinkOptions } from './download-link.js';
import { type LinkClaims, RESERVED_CLAIMS } from './link-claims.js';

/**
 * The claims of what a caller may say of a link, and need not.
 * @throws DownloadAuthConfigurationError for what could not be read back
 */
export function optionalClaims(options: CreateLinkOptions): Partial<LinkClaims> {
  const { notBefore, disposition } = options;
  if (disposition !== undefined && disposition !== 'attachment' && disposition !== 'inline') {
    throw new DownloadAuthConfigurationError("disposition: write 'attachment' or 'inline'.");
  }
  if ('subject' in options && options.subject === undefined) {
    throw new DownloadAuthConfigurationError(
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
        'user.sub, or leave subject out for a link without one.',
    );
  }
  const subject = textOf(options.subject, 'subject');
  const filename = textOf(options.filename, 'filename');
  return {
    ...(subject !== undefined && { sub: subject }),
    ...(notBefore !== undefined && { nbf: secondsOf(notBefore, 'notBefore') }),
    ...(filename !== undefined && { fn: filename }),
    ...(disposition !== undefined && { dsp: disposition }),
  };
}

/** @throws DownloadAuthConfigurationError for a name that means something already */
export function checkedClaims(
  claims: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const reserved = Object.keys(claims).find((name) => RESERVED_CLAIMS.has(name));
  if (reserved) {
    throw new DownloadAuthConfigurationError(
      `claims.${reserved}: this name is reserved. Use the option for it, or another name.`,
    );
  }
  return claims;
}

/** Seconds since 1970. @throws DownloadAuthConfigurationError for anything but a valid Date */
export function secondsOf(date: unknown, option: string): number {
  if (isValidDate(date)) return date.getTime() / 1000;
  throw new DownloadAuthConfigurationError(
    `${option}: give a valid Date in the future, such as new Date(Date.now() + 60_000).`,
  );
}

/** Milliseconds since 1970. @throws DownloadAuthConfigurationError for anything but a valid Date */
export function momentOf(date: unknown, option: string): number {
  if (isValidDate(date)) return date.getTime();
  throw new DownloadAuthConfigurationError(`${option}: give a valid Date, such as new Date().`);
}

function textOf(value: unknown, option: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new DownloadAuthConfigurationError(`${option}: give a string, such as String(user.id).`);
}
