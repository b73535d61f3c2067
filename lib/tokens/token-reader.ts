import { rawCookieOf } from '../http/cookies.js';
import { type HttpExchange, isRetrieval, type RawRequest, urlencodedForm } from '../http/http-exchange.js';
import { isTokenName } from '../http/redact-url.js';
import type { TransportOptions } from '../options/download-auth-options.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { Transport } from './grant.js';

/** A token as a request presents it, unverified. */
export interface PresentedToken {
  readonly token: string;
  readonly transport: Transport;
}

/**
 * The token that decides over a request: the first in the order of precedence. If it is bad, no other place rescues
 * the request.
 *
 * @param needsCompanion whether a token is good only beside another one: then the header may hold that one
 * @throws DownloadRefusal `TOKEN_MISSING`; `TOKEN_AMBIGUOUS` where header and query, or header and form, hold different
 *   tokens
 */
export function decidingToken(
  tokens: readonly PresentedToken[],
  needsCompanion: (token: string) => boolean,
): PresentedToken {
  const [first] = tokens;
  if (!first) throw new DownloadRefusal('TOKEN_MISSING');
  const rival = tokens.find(({ transport, token }) => transport !== 'cookie' && token !== first.token);
  if (!rival) return first;
  if (needsCompanion(first.token) || !needsCompanion(rival.token))
    throw new DownloadRefusal('TOKEN_AMBIGUOUS');
  return rival;
}

const BEARER = /^bearer(?:[ \t]+(.*))?$/i;

/**
 * The tokens of a request by transport, in the order of precedence: header, query, cookie, form (RFC 6750 §2).
 * An empty value is no token, an `Authorization` header of another scheme is none, and query and cookie count for GET
 * and HEAD only.
 *
 * @throws DownloadRefusal `TOKEN_AMBIGUOUS` where one transport holds several tokens, or something that is no text
 */
export function readTokens(
  exchange: HttpExchange,
  tokenName: string,
  transports: Required<TransportOptions>,
): PresentedToken[] {
  const { request, rawRequest } = exchange;
  const found: PresentedToken[] = [];
  const add = (transport: Transport, token: string | undefined): void => {
    if (token) found.push({ token, transport });
  };
  if (transports.header) add('header', fromHeader(rawRequest));
  if (isRetrieval(request.method)) {
    if (transports.query) add('query', fromQuery(rawRequest.url ?? '', tokenName));
    if (transports.cookie) add('cookie', fromCookie(exchange, tokenName));
  } else if (transports.form) {
    add('form', fromForm(exchange, tokenName));
  }
  return found;
}

function fromHeader({ headers, rawHeaders }: RawRequest): string | undefined {
  if (headers.authorization === undefined) return undefined;
  let occurrences = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization') occurrences++;
  }
  if (occurrences > 1) throw new DownloadRefusal('TOKEN_AMBIGUOUS');
  return BEARER.exec(headers.authorization)?.[1]?.trim();
}

function fromQuery(url: string, tokenName: string): string | undefined {
  const start = url.indexOf('?');
  if (start === -1) return undefined;
  const values: string[] = [];
  for (const [name, value] of new URLSearchParams(url.slice(start))) {
    if (name === tokenName) values.push(value);
    else refuseMember(name, tokenName);
  }
  if (values.length > 1) throw new DownloadRefusal('TOKEN_AMBIGUOUS');
  return values[0];
}

function fromCookie(exchange: HttpExchange, tokenName: string): string | undefined {
  const value = rawCookieOf(exchange, tokenName);
  if (value === undefined || value === '') return undefined;
  const { cookie = '' } = exchange.rawRequest.headers;
  if (typeof value !== 'string' || hasRivals(cookie, tokenName)) throw new DownloadRefusal('TOKEN_AMBIGUOUS');
  return value;
}

/** Cookies of one name and several values: another path's, or planted by a neighbouring host (RFC 6265 §8.6). */
function hasRivals(header: string, tokenName: string): boolean {
  const values = new Set<string>();
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals === -1) continue;
    if (pair.slice(0, equals).trim() === tokenName) values.add(pair.slice(equals + 1).trim());
  }
  return values.size > 1;
}

function fromForm({ request }: HttpExchange, tokenName: string): string | undefined {
  const fields = urlencodedForm(request) ?? {};
  for (const name of Object.keys(fields)) refuseMember(name, tokenName);
  const value = fields[tokenName];
  if (value !== undefined && typeof value !== 'string') throw new DownloadRefusal('TOKEN_AMBIGUOUS');
  return value;
}

/** `ss-tok[]` and `ss-tok[a]` are a list or an object to some parsers, and a name of its own to others. */
function refuseMember(name: string, tokenName: string): void {
  if (name.includes('[') && isTokenName(name, tokenName)) throw new DownloadRefusal('TOKEN_AMBIGUOUS');
}
