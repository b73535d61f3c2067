import type { HttpExchange } from './http-exchange.js';
import { isTokenName, REDACTED, redactUrl, removeToken } from './redact-url.js';

/** Fields that carry credentials by right; an application may need them further on. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/**
 * Takes the token out of whatever repeats the URL of a request: the URL itself, its parsed query, and header
 * fields. Those are the `Referer` of a page that was itself opened with a token, the fields in which proxies
 * tell the original URL (`X-Original-URL`, `X-Forwarded-Uri`, `X-Rewrite-URL`, …), and any other that looks
 * like a URL.
 *
 * @param token the token that was read from the URL, which may stand elsewhere without its name
 */
export function scrubUrls(exchange: HttpExchange, tokenName: string, token: string | undefined): void {
  const { request, rawRequest } = exchange;
  const { url } = rawRequest;
  const lowerName = tokenName.toLowerCase();
  if (url !== undefined && mayCarryToken(url, lowerName)) {
    const scrubbed = removeToken(url, tokenName);
    if (scrubbed !== url) {
      rawRequest.url = scrubbed;
      forgetParsedUrls(rawRequest);
      replaceCopies(request, url, scrubbed);
    }
    if (rawRequest.originalUrl !== undefined) {
      rawRequest.originalUrl = removeToken(rawRequest.originalUrl, tokenName);
    }
    dropFields(request.query, tokenName);
  }
  scrubFields(exchange, (value) => {
    const redacted = mayCarryToken(value, lowerName) ? redactUrl(value, tokenName) : value;
    return token !== undefined && redacted.includes(token) ? redacted.replaceAll(token, REDACTED) : redacted;
  });
}

/** Deletes the members that a parser made of the token parameter, in any of its spellings. */
export function dropFields(fields: Record<string, unknown> | undefined, tokenName: string): void {
  if (!fields) {
    return;
  }
  for (const name of Object.keys(fields)) {
    if (isTokenName(name, tokenName)) {
      Reflect.deleteProperty(fields, name);
    }
  }
}

/** Spares most requests and most fields the parsing: the name may be encoded, and in any case. */
function mayCarryToken(value: string, lowerName: string): boolean {
  return /[?;#]/.test(value) && (value.includes('%') || value.toLowerCase().includes(lowerName));
}

/** The parsed URLs that the parseurl package of Express keeps on the request, token and all. */
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

type Scrub = (value: string) => string;

/**
 * All forms in which node:http has the header fields; the last is made from the raw one when it is first
 * read.
 */
function scrubFields({ rawRequest }: HttpExchange, scrub: Scrub): void {
  const { headers, rawHeaders } = rawRequest;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value === 'string' && !CREDENTIALS.has(name)) {
      const scrubbed = scrub(value);
      if (scrubbed !== value) {
        headers[name] = scrubbed;
      }
    }
  }
  let isChanged = false;
  for (let i = 1; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i] as string;
    const scrubbed = scrub(value);
    if (scrubbed !== value && !CREDENTIALS.has((rawHeaders[i - 1] as string).toLowerCase())) {
      rawHeaders[i] = scrubbed;
      isChanged = true;
    }
  }
  if (isChanged) {
    for (const [name, values] of Object.entries(rawRequest.headersDistinct ?? {})) {
      if (values && !CREDENTIALS.has(name)) {
        values.forEach((value, index) => {
          values[index] = scrub(value);
        });
      }
    }
  }
}
