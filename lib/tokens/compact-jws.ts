import { LRUCache } from 'lru-cache';
import { isUtf8 } from 'node:buffer';

/** Maximum characters of a token; Node's own limit for all headers together is 16 KiB. */
export const MAX_TOKEN_LENGTH = 16 * 1024;

/** The `typ` of link tokens (RFC 7515 §4.1.9), which tells them from access tokens (RFC 8725 §3.11). */
export const LINK_TYPE = 'dl+jwt';

/** The claims of a token whose signature is good (RFC 7519 §4). */
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

/** A token taken apart. Nothing in it may be trusted before its signature is verified. */
export interface UnverifiedToken {
  readonly token: string;
  readonly header: JoseHeader;
  readonly claims: TokenClaims;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const STRINGS = /"(?:[^"\\]+|\\.)*"/g;

/** Whether something has the three segments of a signed JWT, whatever they contain. */
export function isCompact(token: unknown): token is string {
  return typeof token === 'string' && token.length <= MAX_TOKEN_LENGTH && COMPACT.test(token);
}

/**
 * Parses a signed JWT in compact serialization (RFC 7515 §3.1, RFC 7519 §7.2) and checks what the verifying
 * library does not: canonical base64url, UTF-8, JSON objects without repeated members, no `crit` (RFC 7515
 * §4.1.11) and no `b64` (RFC 7797), which this package does not support. `undefined` for anything else.
 */
export function parseCompactJws(token: unknown): UnverifiedToken | undefined {
  if (!isCompact(token)) {
    return undefined;
  }
  const segments = token.split('.') as [string, string, string];
  if (!segments.every(isCanonical)) {
    return undefined;
  }
  const header = headerOf(segments[0]);
  const claims = parseObject(segments[1]);
  if (!header || !claims || !isJoseHeader(header)) {
    return undefined;
  }
  return { token, header, claims };
}

/** The `typ` that a token names, even if it is cut short or malformed after its header. */
export function typeOf(token: string): string | undefined {
  const typ = headerOf(token.slice(0, MAX_TOKEN_LENGTH).split('.', 1)[0] as string)?.typ;
  return typeof typ === 'string' ? typ : undefined;
}

/** Whether a token of this `typ` says that it is a link token; only its signature proves it. */
export function claimsToBeLink(typ: string | undefined): boolean {
  const type = typ?.toLowerCase();
  return type === LINK_TYPE || type === `application/${LINK_TYPE}`;
}

/** The headers of an application's tokens are a few, and every request has one. */
const headers = new LRUCache<string, Record<string, unknown>>({ max: 100 });

function headerOf(segment: string): Record<string, unknown> | undefined {
  const known = headers.get(segment);
  const header = known ?? parseObject(segment);
  if (header && !known) {
    headers.set(segment, header);
  }
  return header;
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

/** RFC 4648 §3.5: the unused bits of the last character must be zero, or a token has several spellings. */
function isCanonical(segment: string): boolean {
  const rest = segment.length % 4;
  const unused = rest === 2 ? 0b1111 : rest === 3 ? 0b11 : 0;
  return rest !== 1 && (BASE64URL.indexOf(segment.at(-1) as string) & unused) === 0;
}

function parseObject(segment: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  if (!isUtf8(bytes)) {
    return undefined;
  }
  const text = bytes.toString();
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject && hasEachMemberOnce(value, text) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether no name is repeated in the outermost object. Most JSON is as Node writes it, without spaces. */
function hasEachMemberOnce(value: object, json: string): boolean {
  return JSON.stringify(value) === json || countMembers(json) === Object.keys(value).length;
}

/** Members of the outermost object of valid JSON. */
function countMembers(json: string): number {
  let members = 0;
  let depth = 0;
  // outside of strings only: a colon of depth 1 follows the name of a member
  for (const [char] of json.replace(STRINGS, '').matchAll(/[:{}[\]]/g)) {
    if (char === ':') {
      members += depth === 1 ? 1 : 0;
    } else {
      depth += char === '{' || char === '[' ? 1 : -1;
    }
  }
  return members;
}
