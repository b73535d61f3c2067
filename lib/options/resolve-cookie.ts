import { serialize } from 'cookie';
import { DownloadAuthConfigurationError } from './configuration-error.js';
import type { CookieOptions } from './download-auth-options.js';
import { checkTypes } from './option-types.js';
import { refuseUnknown } from './unknown-option.js';

const EXPECTED = {
  path: "a path such as '/files'",
  domain: "a host name such as 'example.com'",
  sameSite: "'lax', 'strict' or 'none'",
} as const;

/** @throws DownloadAuthConfigurationError for attributes that no cookie can have */
export function resolveCookie(options: CookieOptions | undefined = {}): CookieOptions {
  refuseUnknown(options, [...Object.keys(EXPECTED), 'secure'], 'cookie');
  checkTypes(options, { secure: 'boolean' }, 'cookie.');
  for (const [name, expected] of Object.entries(EXPECTED)) {
    if (!isSerializable(name, options[name as keyof CookieOptions])) {
      throw new DownloadAuthConfigurationError(`cookie.${name}: write ${expected}.`);
    }
  }
  if (options.sameSite === 'none' && options.secure === false) {
    throw new DownloadAuthConfigurationError(
      "cookie.secure: browsers keep a cookie with sameSite 'none' only if it is secure. Leave secure out, or write true.",
    );
  }
  return options;
}

function isSerializable(name: string, value: unknown): boolean {
  try {
    return (
      value === undefined || (typeof value === 'string' && serialize('name', '', { [name]: value }) !== '')
    );
  } catch {
    return false;
  }
}
