import { isUtf8 } from 'node:buffer';

/** Characters a token may have at most; Node's own limit for all headers together is 16 KiB. */
export const MAX_TOKEN_LENGTH = 16 * 1024;

/** The claims of a token whose signature was found good (RFC 7519 §4). */
export interface TokenClaims {
  iss?: string;
  sub?: string;
  aud?: string | string[];
  exp?: number;
  nbf?: number;
  iat?: number;
  jti?: string;
  [claim: string]: unknown;
}

export interface JoseHeader {
  readonly alg: string;
  readonly typ?: string;
  readonly kid?: string;
  readonly [parameter: string]: unknown;
}

/** A token taken apart. Nothing in it may be believed before its signature was verified. */
export interface UnverifiedToken {
  readonly token: string;
  readonly header: JoseHeader;
  readonly claims: TokenClaims;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Whether a text has the three segments of a signed JWT, whatever is in them. */
export function isCompact(token: string): boolean {
  return token.length <= MAX_TOKEN_LENGTH && COMPACT.test(token);
}

/**
 * Takes a signed JWT in compact serialization apart (RFC 7515 §3.1, RFC 7519 §7.2) and checks what the
 * verifying library does not: canonical base64url, UTF-8, JSON objects without repeated members, no
 * `crit` (RFC 7515 §4.1.11) and no `b64` (RFC 7797), which this package does not understand.
 *
 * @returns `undefined` for anything else
 */
export function parseCompactJws(token: string): UnverifiedToken | undefined {
  if (!isCompact(token)) {
    return undefined;
  }
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (!isCanonical(token, 0, first) || !isCanonical(token, second + 1, token.length)) {
    return undefined;
  }
  if (!isCanonical(token, first + 1, second)) {
    return undefined;
  }
  const header = parseObject(token.slice(0, first));
  const claims = parseObject(token.slice(first + 1, second));
  if (!header || !claims || !isJoseHeader(header)) {
    return undefined;
  }
  return { token, header, claims };
}

/** The `typ` that a token names, even one that is cut short or malformed behind its header. */
export function typeOf(token: string): string | undefined {
  const header = token.slice(0, MAX_TOKEN_LENGTH).split('.', 1)[0] as string;
  const typ = parseObject(header)?.typ;
  return typeof typ === 'string' ? typ : undefined;
}

function isJoseHeader(header: Record<string, unknown>): header is Record<string, unknown> & JoseHeader {
  return (
    typeof header.alg === 'string' &&
    (header.typ === undefined || typeof header.typ === 'string') &&
    (header.kid === undefined || typeof header.kid === 'string') &&
    !('crit' in header) &&
    !('b64' in header)
  );
}

/**
 * RFC 4648 §3.5: the bits that the last character has to spare must be zero, or one token has several
 * spellings.
 */
function isCanonical(token: string, start: number, end: number): boolean {
  const rest = (end - start) % 4;
  if (rest === 0) {
    return true;
  }
  if (rest === 1) {
    return false;
  }
  return (BASE64URL.indexOf(token[end - 1] as string) & (rest === 2 ? 0b1111 : 0b11)) === 0;
}

function parseObject(segment: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  if (!isUtf8(bytes)) {
    return undefined;
  }
  const text = bytes.toString();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return undefined;
    }
    return countMembers(text) === Object.keys(value).length ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Members of the outermost object of valid JSON; more than were parsed means that a name was repeated. */
function countMembers(json: string): number {
  let members = 0;
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i);
    if (char === QUOTE) {
      for (i++; json.charCodeAt(i) !== QUOTE; i++) {
        if (json.charCodeAt(i) === BACKSLASH) {
          i++;
        }
      }
    } else if (char === COLON) {
      if (depth === 1) {
        members++;
      }
    } else if (char === 0x7b || char === 0x5b) {
      depth++;
    } else if (char === 0x7d || char === 0x5d) {
      depth--;
    }
  }
  return members;
}
