import type { HttpExchange } from './http-exchange.js';
import { isTokenName, REDACTED, redactUrl, removeToken } from './redact-url.js';

/** Header fields that are meant to carry credentials; the application may need them later. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** What is shorter cannot be a JWT, and may be part of any header field. */
const SHORTEST_TOKEN = 20;

/**
 * Removes the token from everything that repeats the URL of a request: the URL itself, its parsed query, and
 * header fields (`Referer`, `X-Original-URL`, `X-Forwarded-Uri`, `X-Rewrite-URL`, and any other URL).
 *
 * @param token the token read from the URL, which may also stand somewhere without its name
 */
export function scrubUrls(exchange: HttpExchange, tokenName: string, token: string | undefined): void {
  const { request, rawRequest } = exchange;
  const { url, originalUrl } = rawRequest;
  const lowerName = tokenName.toLowerCase();
  if (url !== undefined && mayCarryToken(url, lowerName)) {
    const scrubbed = removeToken(url, tokenName);
    rawRequest.url = scrubbed;
    if (originalUrl !== undefined) {
      rawRequest.originalUrl = originalUrl === url ? scrubbed : removeToken(originalUrl, tokenName);
    }
    if (scrubbed !== url) {
      forgetParsedUrls(rawRequest);
      if (request.originalUrl === url) {
        replaceCopies(request, url, scrubbed);
      }
    }
    dropFields(request.query, tokenName);
  }
  const sought = token !== undefined && token.length >= SHORTEST_TOKEN ? token : undefined;
  scrubFields(exchange, (value) => {
    // Cloud functions inject requests whose Content-Length is a number
    if (typeof value !== 'string') {
      return value;
    }
    const redacted = mayCarryToken(value, lowerName) ? redactUrl(value, tokenName) : value;
    return sought !== undefined && redacted.includes(sought)
      ? redacted.replaceAll(sought, REDACTED)
      : redacted;
  });
}

/** Deletes the members that a parser made of the token parameter, in any of its spellings. */
export function dropFields(fields: Record<string, unknown> = {}, tokenName: string): void {
  for (const name of Object.keys(fields)) {
    if (isTokenName(name, tokenName)) {
      Reflect.deleteProperty(fields, name);
    }
  }
}

/** Spares most values the parsing. The name may be percent-encoded, and in any case. */
function mayCarryToken(value: string, lowerName: string): boolean {
  return /[?;#]/.test(value) && (value.includes('%') || value.toLowerCase().includes(lowerName));
}

/** Express caches the parsed URLs on the request (the parseurl package), token included. */
function forgetParsedUrls(rawRequest: object): void {
  for (const memo of ['_parsedUrl', '_parsedOriginalUrl']) {
    if (memo in rawRequest) {
      (rawRequest as Record<string, unknown>)[memo] = undefined;
    }
  }
}

/** Fastify keeps `request.originalUrl` under a symbol once it was read. */
function replaceCopies(request: object, url: string, scrubbed: string): void {
  const members = request as Record<symbol, unknown>;
  for (const symbol of Object.getOwnPropertySymbols(request)) {
    if (members[symbol] === url) {
      members[symbol] = scrubbed;
    }
  }
}

/** Scrubs every form in which node:http has the fields; it derives `headersDistinct` when first read. */
function scrubFields({ rawRequest }: HttpExchange, scrub: (value: unknown) => unknown): void {
  const { headers, rawHeaders } = rawRequest;
  for (const name in headers) {
    const value = headers[name];
    const scrubbed = CREDENTIALS.has(name) ? value : scrub(value);
    if (scrubbed !== value) {
      headers[name] = scrubbed as string;
    }
  }
  let isChanged = false;
  for (let i = 1; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i];
    const scrubbed = CREDENTIALS.has((rawHeaders[i - 1] as string).toLowerCase()) ? value : scrub(value);
    if (scrubbed !== value) {
      rawHeaders[i] = scrubbed as string;
      isChanged = true;
    }
  }
  // a request that was injected, as serverless adapters do, may lack headersDistinct
  for (const [name, values = []] of Object.entries((isChanged && rawRequest.headersDistinct) || {})) {
    if (!CREDENTIALS.has(name)) {
      values.splice(0, values.length, ...(values.map(scrub) as string[]));
    }
  }
}
